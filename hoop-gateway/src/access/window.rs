//! Hours of the week.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, Timelike as _, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Hours on days of the week, by the clocks of a time zone: `from` belongs to it, `to` does not. One whose `to` is not
/// later than its `from` ends on the next day; the day is the one on which it begins. Where clocks are put forward or
/// back, what they show counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeWindow {
    /// The days on which it begins, `mon` to `sun`; all of them unless given.
    #[serde(default = "every_day")]
    pub weekdays: Vec<Day>,
    /// When it begins, `00:00` unless given.
    #[serde(default = "midnight")]
    #[schema(value_type = String, pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]
    pub from: Time,
    /// When it ends, `24:00` unless given.
    #[serde(default = "end_of_day")]
    #[schema(value_type = String, pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]
    pub to: Time,
    /// The time zone, by its IANA name such as `Europe/Berlin`.
    #[schema(value_type = String)]
    pub zone: Tz,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "their names say it")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A time of day, `00:00` to `24:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Minutes since midnight.
    minutes: u16,
}

const DAY_MINUTES: u16 = 24 * 60;

fn every_day() -> Vec<Day> {
    vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun]
}

const fn midnight() -> Time {
    Time { minutes: 0 }
}

const fn end_of_day() -> Time {
    Time { minutes: DAY_MINUTES }
}

impl TimeWindow {
    /// Whether this is a moment within it.
    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        let local = at.with_timezone(&self.zone);
        let (today, now) = (local.weekday(), local.hour() * 60 + local.minute());
        let (from, to) = (u32::from(self.from.minutes), u32::from(self.to.minutes));
        if from < to {
            return self.begins(today) && (from..to).contains(&now);
        }
        (self.begins(today) && now >= from) || (self.begins(today.pred()) && now < to)
    }

    fn begins(&self, day: Weekday) -> bool {
        self.weekdays.iter().any(|known| Weekday::from(*known) == day)
    }

    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.weekdays.is_empty() || self.weekdays.len() > 7 {
            return Err("weekdays: name each day once, or leave them out for all of them");
        }
        if self.from == self.to {
            return Err("to: must differ from `from`; leave both out for whole days");
        }
        if self.from == end_of_day() {
            return Err("from: must be earlier than 24:00");
        }
        Ok(())
    }
}

impl fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.weekdays.len() < 7 {
            let days: Vec<_> = self.weekdays.iter().map(|day| Weekday::from(*day).to_string()).collect();
            write!(f, "{} ", days.join(", "))?;
        }
        write!(f, "{} to {} in {}", self.from, self.to, self.zone)
    }
}

impl From<Day> for Weekday {
    fn from(day: Day) -> Self {
        match day {
            Day::Mon => Self::Mon,
            Day::Tue => Self::Tue,
            Day::Wed => Self::Wed,
            Day::Thu => Self::Thu,
            Day::Fri => Self::Fri,
            Day::Sat => Self::Sat,
            Day::Sun => Self::Sun,
        }
    }
}

/// A text is not a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time of day has the form HH:MM, from 00:00 to 24:00")]
pub struct InvalidTime;

impl FromStr for Time {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        let (hours, minutes) = text.split_once(':').filter(|(h, m)| digits(h) && digits(m)).ok_or(InvalidTime)?;
        let (hours, minutes): (u16, u16) =
            (hours.parse().map_err(|_| InvalidTime)?, minutes.parse().map_err(|_| InvalidTime)?);
        let time = Self { minutes: hours * 60 + minutes };
        if minutes < 60 && time <= end_of_day() { Ok(time) } else { Err(InvalidTime) }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &str, from: &str, to: &str, zone: &str) -> TimeWindow {
        let json = serde_json::json!({ "weekdays": days.split(' ').collect::<Vec<_>>(), "from": from, "to": to, "zone": zone });
        serde_json::from_value(json).expect("a window")
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn hours_are_those_of_the_zone() {
        let office = window("mon tue wed thu fri", "09:00", "17:00", "Europe/Berlin");
        let night = window("fri", "22:00", "06:00", "America/New_York");
        let late = window("sun", "18:00", "24:00", "Asia/Kolkata");
        for (window, time, expected) in [
            // Winter time, UTC+1: a Friday.
            (&office, "2026-11-27T07:59:59Z", false),
            (&office, "2026-11-27T08:00:00Z", true),
            (&office, "2026-11-27T15:59:59Z", true),
            (&office, "2026-11-27T16:00:00Z", false),
            (&office, "2026-11-28T10:00:00Z", false),
            // Summer time, UTC+2.
            (&office, "2026-07-03T07:00:00Z", true),
            (&office, "2026-07-03T15:00:00Z", false),
            // It is Friday evening there while it is Saturday in UTC.
            (&night, "2026-11-28T03:00:00Z", true),
            (&night, "2026-11-28T10:59:00Z", true),
            (&night, "2026-11-28T11:00:00Z", false),
            (&night, "2026-11-27T03:00:00Z", false),
            (&late, "2026-11-29T18:29:59Z", true),
            (&late, "2026-11-29T18:30:00Z", false),
            (&late, "2026-11-29T12:29:59Z", false),
        ] {
            assert_eq!(window.contains(at(time)), expected, "{window} at {time}");
        }
    }

    /// In Berlin, clocks went from 01:59 to 03:00 on 29 March 2026, and back from 02:59 to 02:00 on 25 October.
    #[test]
    fn what_the_clocks_show_counts() {
        let two = window("sun", "02:00", "03:00", "Europe/Berlin");
        for (time, expected) in [
            ("2026-03-29T00:59:00Z", false),
            ("2026-03-29T01:00:00Z", false),
            ("2026-10-25T00:00:00Z", true),
            ("2026-10-25T01:59:00Z", true),
            ("2026-10-25T02:00:00Z", false),
        ] {
            assert_eq!(two.contains(at(time)), expected, "{time}");
        }
    }

    #[test]
    fn whole_days_need_no_hours() {
        let day: TimeWindow = serde_json::from_str(r#"{ "weekdays": ["sat"], "zone": "UTC" }"#).expect("a window");
        assert!(day.contains(at("2026-11-28T00:00:00Z")) && day.contains(at("2026-11-28T23:59:59Z")));
        assert!(!day.contains(at("2026-11-29T00:00:00Z")));
        assert_eq!(day.to_string(), "Sat 00:00 to 24:00 in UTC");
    }

    #[test]
    fn only_times_of_day_are_times_of_day() {
        for wrong in ["", "9:00", "09.00", "24:01", "12:60", "25:00", "+1:00", "12:00:00"] {
            assert_eq!(wrong.parse::<Time>(), Err(InvalidTime), "{wrong}");
        }
        for right in ["00:00", "09:05", "23:59", "24:00"] {
            assert_eq!(right.parse::<Time>().expect("right").to_string(), right);
        }
        assert!(serde_json::from_str::<TimeWindow>(r#"{ "zone": "Europe/Atlantis" }"#).is_err());
        assert!(window("mon", "12:00", "12:00", "UTC").check().is_err());
        assert!(window("mon", "24:00", "12:00", "UTC").check().is_err());
    }
}
