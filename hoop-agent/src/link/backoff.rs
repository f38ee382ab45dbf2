//! How long to wait before dialling again: full jitter, so that a thousand agents do not come back at once.

use std::time::Duration;

use rand::RngExt as _;

const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);
/// A link that served for this long was a good one.
const STABLE: Duration = Duration::from_secs(60);

/// Waits that double from 0.2 s to 10 s, of which a random part is waited.
#[derive(Debug)]
pub(super) struct Backoff {
    ceiling: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { ceiling: SHORTEST }
    }
}

impl Backoff {
    /// How long to wait now.
    pub(super) fn next(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = (ceiling * 2).min(LONGEST);
        rand::rng().random_range(ceiling / 10..=ceiling)
    }

    /// A link served for this long before it broke.
    pub(super) fn served_for(&mut self, time: Duration) {
        if time >= STABLE {
            *self = Self::default();
        }
    }

    /// Somebody has to change something before another try can succeed.
    pub(super) const fn slow_down(&mut self) {
        self.ceiling = LONGEST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_start_over_after_a_good_link() {
        let mut backoff = Backoff::default();
        for _ in 0..20 {
            assert!(backoff.next() <= LONGEST);
        }
        assert_eq!(backoff.ceiling, LONGEST);
        backoff.served_for(Duration::from_secs(59));
        assert_eq!(backoff.ceiling, LONGEST);
        backoff.served_for(STABLE);
        assert!(backoff.next() <= SHORTEST);
    }
}
