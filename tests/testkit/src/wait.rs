//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

/// Tries until `probe` gives a value, for at most `within`.
///
/// # Panics
/// Names `what` when the time is over.
#[track_caller]
pub fn until<T>(within: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    retry(within, || probe().ok_or_else(|| "not yet".to_owned()))
        .unwrap_or_else(|_| panic!("{what}: not within {within:?}"))
}

/// Tries until `probe` succeeds, for at most `within`.
///
/// # Errors
/// The last failure, when the time is over.
pub fn retry<T, E>(within: Duration, mut probe: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let deadline = Instant::now() + within;
    let mut pause = Duration::from_millis(1);
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
