//! Bytes as they come, of which some are put together first.

use bytes::{Bytes, BytesMut};

/// What was received and not yet taken. What is put together lies in `begun` and is as long as its reader wants; the rest is
/// the piece that came last, uncopied.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    begun: BytesMut,
    piece: Bytes,
}

impl Inbox {
    /// Adds a piece. The one before it is used up, unless its reader stopped at an error or waits.
    pub(super) fn receive(&mut self, bytes: Bytes) {
        if self.piece.is_empty() {
            self.piece = bytes;
        } else {
            let mut both = BytesMut::with_capacity(self.piece.len() + bytes.len());
            both.extend_from_slice(&self.piece);
            both.extend_from_slice(&bytes);
            self.piece = both.freeze();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.piece.is_empty()
    }

    /// Whatever is there, at most so many bytes; nothing may have been begun.
    pub(super) fn some(&mut self, limit: u64) -> Option<Bytes> {
        let len = usize::try_from(limit).unwrap_or(usize::MAX).min(self.piece.len());
        (len > 0).then(|| self.piece.split_to(len))
    }

    /// The bytes of something as long as `length` says. It is asked with what is there of it, and says how much it needs to
    /// know more ([`Need::More`]), or how long it is.
    pub(super) fn whole<E>(&mut self, length: impl Fn(&[u8]) -> Result<Need, E>) -> Result<Option<Bytes>, E> {
        loop {
            let there: &[u8] = if self.begun.is_empty() { &self.piece } else { &self.begun };
            let (needed, is_end) = match length(there)? {
                Need::More(needed) => (needed, false),
                Need::Whole(len) => (len, true),
            };
            if needed <= there.len() && is_end {
                return Ok(Some(self.take(needed)));
            }
            if self.piece.is_empty() || !self.gather(needed) {
                return Ok(None);
            }
        }
    }

    /// A line with its end, which is at most so many bytes long.
    ///
    /// # Errors
    /// It is longer.
    pub(super) fn line(&mut self, limit: usize) -> Result<Option<Bytes>, TooLong> {
        let end = memchr::memchr(b'\n', &self.piece).map(|at| at + 1);
        let there = end.unwrap_or(self.piece.len());
        if self.begun.len() + there > limit {
            return Err(TooLong);
        }
        if end.is_some() && self.begun.is_empty() {
            return Ok(Some(self.piece.split_to(there)));
        }
        self.begun.extend_from_slice(&self.piece.split_to(there));
        Ok(end.map(|_| std::mem::take(&mut self.begun).freeze()))
    }

    /// The first byte, where one is there.
    pub(super) fn first(&self) -> Option<u8> {
        self.begun.first().or_else(|| self.piece.first()).copied()
    }

    /// Puts what is there together, up to this length. Whether anything was added.
    fn gather(&mut self, needed: usize) -> bool {
        let missing = needed.saturating_sub(self.begun.len()).min(self.piece.len());
        self.begun.extend_from_slice(&self.piece.split_to(missing));
        missing > 0
    }

    fn take(&mut self, len: usize) -> Bytes {
        if self.begun.is_empty() {
            self.piece.split_to(len)
        } else {
            std::mem::take(&mut self.begun).split_to(len).freeze()
        }
    }
}

/// How many bytes something needs.
pub(super) enum Need {
    /// So many from its beginning on, before more can be said. More than there are.
    More(usize),
    /// It is so long.
    Whole(usize),
}

/// A line is longer than its reader takes.
pub(super) struct TooLong;
