//! Durations as people write them: `250ms`, `30s`, `15m`, `8h`, `7d`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

/// Reads a duration as settings and command lines have it: a whole number followed by its unit, such as `250ms`, `30s`, `15m`, `8h`
/// or `7d`.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration such as 250ms, 30s, 15m, 8h or 7d");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let scale = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    number.checked_mul(scale).map(Duration::from_secs).ok_or_else(wrong)
}

/// Writes with the largest unit that keeps a whole number.
pub(crate) fn format(duration: Duration) -> String {
    let millis = duration.as_millis();
    if !millis.is_multiple_of(1000) || millis == 0 {
        return format!("{millis}ms");
    }
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let fitting = units.into_iter().find(|(scale, _)| seconds.is_multiple_of(*scale));
    fitting.map_or_else(|| format!("{seconds}s"), |(scale, unit)| format!("{}{unit}", seconds / scale))
}

pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in ["0ms", "250ms", "1s", "90s", "15m", "8h", "7d"] {
            let duration = parse(text).expect(text);
            assert_eq!(format(duration), text);
        }
    }

    #[test]
    fn a_unit_is_required_and_overflow_is_an_error() {
        for text in ["", "10", "s", "-1s", "1.5h", "10 s", "1w", "99999999999999999999s", "18446744073709551615d"] {
            assert!(parse(text).is_err(), "{text} was taken");
        }
    }
}
