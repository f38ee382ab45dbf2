//! Time is asked of a [`Clock`], so that a test can stand it still and a replica can take the store's.

use std::time::Instant;

use chrono::{DateTime, Utc};

/// Where the time comes from. One value serves a whole gateway.
pub trait Clock: Send + Sync + 'static {
    /// The wall-clock time, for what is shown, stored or expires.
    fn now(&self) -> DateTime<Utc>;

    /// A time that never goes back, for durations and deadlines.
    fn monotonic(&self) -> Instant;
}

const _: Option<&dyn Clock> = None;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}
