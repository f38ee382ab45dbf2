//! Channels of a session that wait for its next exchanges: opening one takes the agent longer than most exchanges do.

use std::time::Duration;

/// As many are kept of a session whose exchanges follow one another, as those of a browser do …
const FEW: usize = 8;
/// … and of a busy one as many as it had exchanges at once, for this time or two.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// What rests.
pub(super) struct Resting<T> {
    channels: Vec<T>,
    /// The most exchanges at once since [`settle`](Self::settle).
    most: usize,
    /// Somebody settles from time to time.
    watched: bool,
}

impl<T> Resting<T> {
    pub(super) const fn new() -> Self {
        Self { channels: Vec::new(), most: 0, watched: false }
    }

    /// So many exchanges run now.
    pub(super) fn busy(&mut self, running: usize) {
        self.most = self.most.max(running);
    }

    /// The one that rests for the shortest time.
    pub(super) fn wake(&mut self) -> Option<T> {
        self.channels.pop()
    }

    /// Keeps a channel, or gives it back. The second says whether [`settle`](Self::settle) has to be called from now on.
    pub(super) fn rest(&mut self, channel: T) -> (Option<T>, bool) {
        if self.channels.len() >= self.most.max(FEW) {
            return (Some(channel), false);
        }
        self.channels.push(channel);
        let is_new = self.channels.len() > FEW && !self.watched;
        self.watched |= is_new;
        (None, is_new)
    }

    /// Gives those back that were too many for a while; nothing more has to be settled where none is left that may become so.
    pub(super) fn settle(&mut self, running: usize) -> (Vec<T>, bool) {
        let surplus = self.channels.len().saturating_sub(self.most.max(FEW));
        self.most = running;
        self.watched = self.channels.len() - surplus > FEW;
        (self.channels.drain(..surplus).collect(), self.watched)
    }

    /// All of them.
    pub(super) fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_was_busy_keeps_what_it_needed_for_a_while() {
        let mut resting = Resting::new();
        resting.busy(20);
        let watch: Vec<_> = (0..30).filter(|number| resting.rest(*number).1).collect();
        // The ninth is more than are kept for good, and the twenty-first more than were needed.
        assert_eq!((watch, resting.rest(30).0), (vec![8], Some(30)));
        // Nothing runs any more. The first time it was busy until just now.
        assert_eq!(resting.settle(0), (vec![], true));
        assert_eq!(resting.settle(0), ((0..12).collect(), false));
        assert_eq!((resting.wake(), resting.take().len()), (Some(19), 7));
    }

    #[test]
    fn a_session_that_is_busy_again_is_watched_again() {
        let mut resting = Resting::new();
        for _ in 0..2 {
            resting.busy(9);
            assert_eq!((0..9).filter(|number| resting.rest(*number).1).count(), 1);
            assert!(resting.settle(0).1 && !resting.settle(0).1);
            resting.take();
        }
    }
}
