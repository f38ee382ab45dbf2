//! How long the other end of a link has been silent.

use std::time::{Duration, Instant};

/// How often an end looks whether it has heard something, within the time after which the other end is lost.
const LOOKS: u32 = 16;

/// Counts the silence of the other end, without a clock of its own.
///
/// An end that looks too late knows nothing of the time that it missed: what has come meanwhile may wait for the very program
/// that looks. So every look counts for the time after which it was due, and for no more. An end that is never late finds the
/// other one lost after `limit`.
#[derive(Debug)]
pub struct Silence {
    step: Duration,
    looks: u32,
    due: Instant,
}

impl Silence {
    /// The other end was heard just now, and is lost after `limit` without a word.
    pub fn new(limit: Duration, now: Instant) -> Self {
        let step = limit / LOOKS;
        Self { step, looks: 0, due: now + step }
    }

    /// The other end was heard.
    pub fn heard(&mut self, now: Instant) {
        (self.looks, self.due) = (0, now + self.step);
    }

    /// The other end was heard at some time since the last look, which was due just now.
    pub fn heard_since(&mut self, now: Instant) {
        (self.looks, self.due) = (1, now + self.step);
    }

    /// When to look again.
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// Nothing was heard by the time of a look that was due. Says whether the other end is lost.
    pub fn looked(&mut self, now: Instant) -> bool {
        (self.looks, self.due) = (self.looks + 1, now + self.step);
        self.looks >= LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(8);

    /// Looks until the other end is lost, each time so much too late; says when that was.
    fn lost_after(late: Duration) -> Duration {
        let begin = Instant::now();
        let mut silence = Silence::new(LIMIT, begin);
        loop {
            let now = silence.due() + late;
            if silence.looked(now) {
                return now - begin;
            }
        }
    }

    #[test]
    fn silence_is_found_in_time() {
        assert_eq!(lost_after(Duration::ZERO), LIMIT);
        assert_eq!(lost_after(Duration::from_millis(1)), LIMIT + LOOKS * Duration::from_millis(1));
    }

    #[test]
    fn a_word_between_two_looks_counts_from_the_earlier_one() {
        let begin = Instant::now();
        let mut silence = Silence::new(LIMIT, begin);
        silence.heard_since(silence.due());
        while !silence.looked(silence.due()) {}
        assert_eq!(silence.due() - begin, LIMIT + LIMIT / LOOKS, "lost one look earlier");
    }

    #[test]
    fn an_end_holds_its_own_lateness_against_nobody() {
        let begin = Instant::now();
        let mut silence = Silence::new(LIMIT, begin);
        // It stood still for a minute.
        let woken = begin + Duration::from_secs(60);
        assert!(!silence.looked(woken));
        assert_eq!(silence.due(), woken + LIMIT / LOOKS);
        silence.heard(woken);
        let lost = (0..LOOKS).map(|_| silence.looked(silence.due())).collect::<Vec<_>>();
        assert_eq!(lost.iter().position(|lost| *lost), Some(15), "the whole time from the last word on");
    }
}
