//! The injected clock, as the buckets of rate limits read it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hoop_core::Clock;

/// Counts from when it was made.
#[derive(Clone)]
pub(crate) struct Ticks {
    clock: Arc<dyn Clock>,
    start: Instant,
}

impl Ticks {
    pub(crate) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self { clock: Arc::clone(clock), start: clock.monotonic() }
    }
}

impl governor::clock::Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.clock.monotonic().saturating_duration_since(self.start)
    }
}
