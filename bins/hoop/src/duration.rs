//! Durations on the command line: `500ms`, `30s`, `5m`, `8h`, `7d`.

use std::time::Duration;

/// Reads a whole number followed by its unit.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration is a number with its unit, such as 500ms, 30s, 5m, 8h or 7d".to_owned();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// Whole seconds as people say them, the two largest units.
pub(crate) fn told(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds @ 3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        seconds => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        for (text, milliseconds) in [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("8h", 28_800_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)));
        }
        for wrong in ["", "5", "m", "5 m", "-5m", "1.5h", "99999999999999999999s", "9999999999999999999d"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
