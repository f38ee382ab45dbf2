//! Which sessions a list has.

use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::id::{SessionId, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Which sessions are listed: those of which all that is given is true.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Of this user.
    pub of: Option<UserId>,
    /// Of users who had this name when they were opened.
    pub user: Option<String>,
    /// Of roles that had this name then.
    pub role: Option<String>,
    /// On this database.
    pub database: Option<String>,
    /// How far they are.
    pub state: Option<SessionState>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// Opened at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Opened before this time.
    pub until: Option<DateTime<Utc>>,
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// It has not ended.
    Open,
    /// It is being opened.
    Opening,
    /// It runs.
    Running,
    /// It has ended.
    Closed,
}

impl SessionState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Open, Self::Opening, Self::Running, Self::Closed];

    /// The name as the API and the store spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Opening => "opening",
            Self::Running => "running",
            Self::Closed => "closed",
        }
    }
}

/// Ids are in the order of their times, as far as clocks agree: of times this far apart, always.
const APART: TimeDelta = TimeDelta::hours(1);

impl SessionFilter {
    /// The sessions of one user, or of everyone.
    pub fn of(user: Option<UserId>) -> Self {
        Self { of: user, ..Self::default() }
    }

    /// The first and the last id that one of them before this one can have. What lies outside need not be looked at.
    pub fn ids(&self, before: Option<SessionId>) -> (SessionId, SessionId) {
        let first = self.since.and_then(|since| since.checked_sub_signed(APART)).map_or(Uuid::nil(), smallest);
        let last = self.until.and_then(|until| until.checked_add_signed(APART)).map_or(Uuid::max(), smallest);
        let one_before = |id: SessionId| Uuid::from_u128(id.as_uuid().as_u128().saturating_sub(1));
        let last = before.map_or(last, |before| last.min(one_before(before)));
        (SessionId::from_uuid(first), SessionId::from_uuid(last))
    }
}

/// Before every id of this time: UUIDv7 begins with the milliseconds.
fn smallest(time: DateTime<Utc>) -> Uuid {
    const MOST: u128 = (1 << 48) - 1;
    let milliseconds = u128::try_from(time.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(milliseconds.min(MOST) << 80)
}

#[cfg(test)]
mod tests {
    use hoop_core::{Clock as _, SystemClock};

    use super::*;

    #[test]
    fn ids_of_a_time_lie_between() {
        let (now, id) = (SystemClock.now(), SessionId::new(&SystemClock));
        let filter = |since, until| SessionFilter { since, until, ..SessionFilter::default() }.ids(None);
        assert_eq!(SessionFilter::default().ids(Some(id)).1.as_uuid().as_u128() + 1, id.as_uuid().as_u128());
        for (since, until) in [(None, None), (Some(now), None), (None, Some(now)), (Some(now), Some(now))] {
            let (first, last) = filter(since, until);
            assert!(first < id && id < last);
        }
        assert!(filter(Some(now + TimeDelta::hours(2)), None).0 > id);
        assert!(filter(None, Some(now - TimeDelta::hours(2))).1 < id);
        for far in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            let (first, last) = filter(Some(far), Some(far));
            assert!(first <= last, "{far}");
        }
    }
}
