//! The bytes of an open file: how many, and their hash as long as they come in the order of the file.

use hoop_core::FileDone;
use sha2::{Digest, Sha256};

/// What moves between a client and an open file.
#[derive(Default)]
pub(super) struct Transfer {
    pub(super) read: Track,
    pub(super) written: Track,
}

/// One direction.
#[derive(Default)]
pub(super) struct Track {
    /// Bytes that were moved.
    bytes: u64,
    /// Where the next byte belongs if all came in order so far.
    next: u64,
    /// Of everything before `next`; none where something was left out, came twice, or lay there before.
    hash: Option<Box<Sha256>>,
    is_at_end: bool,
}

impl Track {
    /// A track that begins with the first byte of a file.
    pub(super) fn from_the_beginning() -> Self {
        Self { hash: Some(Box::default()), ..Self::default() }
    }

    /// What comes next belongs to this place in the file.
    pub(super) fn seek(&mut self, offset: u64) {
        self.is_at_end = false;
        if offset != self.next {
            self.hash = None;
        }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.next = self.next.saturating_add(bytes.len() as u64);
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
    }

    /// So many bytes have arrived where they were to go.
    pub(super) const fn arrived(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// There is nothing in the file from this place on.
    pub(super) const fn end_at(&mut self, offset: u64) {
        self.is_at_end |= offset == self.next;
    }

    /// There is nothing in the file behind what came last.
    pub(super) const fn end(&mut self) {
        self.is_at_end = true;
    }

    /// Something else happened to the file than that bytes came in order.
    pub(super) fn disturb(&mut self) {
        self.hash = None;
    }

    /// The file is cut or extended to this size.
    pub(super) fn resize(&mut self, size: u64) {
        if size != self.next {
            self.hash = None;
        }
    }

    /// The hash, where the bytes are known to be the whole file.
    fn digest(&self) -> Option<[u8; 32]> {
        let hash = self.hash.as_ref().filter(|_| self.is_at_end && self.bytes == self.next)?;
        Some(Sha256::clone(hash).finalize().into())
    }
}

impl Transfer {
    /// What was moved, when the file is closed.
    pub(super) fn done(mut self, done: FileDone) -> FileDone {
        // Who writes a file decides where it ends.
        self.written.end();
        let sha256 = match (self.read.bytes, self.written.bytes) {
            (0, 0) => self.written.digest().or_else(|| self.read.digest()),
            (_, 0) => self.read.digest(),
            (0, _) => self.written.digest(),
            _ => None,
        };
        FileDone { sha256, ..self.so_far(done) }
    }

    /// What was moved, when the file was not closed.
    pub(super) fn so_far(&self, done: FileDone) -> FileDone {
        FileDone { bytes_read: self.read.bytes, bytes_written: self.written.bytes, ..done }
    }
}
