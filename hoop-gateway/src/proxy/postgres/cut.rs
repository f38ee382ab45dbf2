//! Received bytes, of which most go on as they came: what is kept leaves in slices as long as possible.

use bytes::Bytes;
use hoop_proto::postgres::{Frame, FrameError, Frames, Header};

use crate::proxy::Outbox;

/// Bytes of one end, read from front to back.
#[derive(Debug, Default)]
pub(super) struct Cut {
    bytes: Bytes,
    /// From here on nothing has left yet.
    kept: usize,
    /// From here on nothing has been read yet.
    at: usize,
}

impl Cut {
    pub(super) const fn new(bytes: Bytes) -> Self {
        Self { bytes, kept: 0, at: 0 }
    }

    /// Whether everything has been read.
    pub(super) fn is_read(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> Bytes {
        self.bytes.slice(self.at..)
    }

    /// The header of the frame that comes next, when it is there.
    pub(super) fn peek(&self) -> Result<Option<Header>, FrameError> {
        Header::peek(self.bytes.get(self.at..).unwrap_or_default())
    }

    /// The frame that comes next, when all of it is there.
    pub(super) fn frame(&self) -> Result<Option<Frame>, FrameError> {
        Frames::new(self.rest()).next(usize::MAX)
    }

    /// How many frames of this type come next, and how many bytes they are together, up to `limit`.
    pub(super) fn run(&self, tag: u8, limit: usize) -> Result<(usize, usize), FrameError> {
        Frames::new(self.rest()).run(tag, limit)
    }

    /// The next bytes, to look at.
    pub(super) fn slice(&self, len: usize) -> Bytes {
        self.bytes.slice(self.at..(self.at + len).min(self.bytes.len()))
    }

    /// Lets the next bytes go on as they are.
    pub(super) fn keep(&mut self, len: usize) {
        self.at = (self.at + len).min(self.bytes.len());
    }

    /// Takes the next bytes out; what was kept before them leaves first.
    pub(super) fn remove(&mut self, len: usize, out: &mut Outbox) {
        self.flush(out);
        self.keep(len);
        self.kept = self.at;
    }

    /// Takes everything out that has not been read.
    pub(super) fn remove_rest(&mut self, out: &mut Outbox) {
        self.remove(self.bytes.len() - self.at, out);
    }

    /// Lets go of what was kept.
    pub(super) fn flush(&mut self, out: &mut Outbox) {
        out.push(self.bytes.slice(self.kept..self.at));
        self.kept = self.at;
    }
}
