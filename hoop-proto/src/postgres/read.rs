//! Reading the fields of a body. Every read is checked; none copies.

use bytes::{Buf, Bytes};

use super::frame::FrameError;

/// Reads a body from front to back, and names its message in errors.
pub(crate) struct Reader {
    body: Bytes,
    message: &'static str,
}

impl Reader {
    pub(crate) const fn new(message: &'static str, body: Bytes) -> Self {
        Self { body, message }
    }

    pub(crate) const fn malformed(&self, what: &'static str) -> FrameError {
        FrameError::Malformed { message: self.message, what }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FrameError> {
        self.body.try_get_u8().map_err(|_| self.malformed("it ends early"))
    }

    pub(crate) fn i16(&mut self) -> Result<i16, FrameError> {
        self.body.try_get_i16().map_err(|_| self.malformed("it ends early"))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, FrameError> {
        self.body.try_get_i32().map_err(|_| self.malformed("it ends early"))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FrameError> {
        self.body.try_get_u32().map_err(|_| self.malformed("it ends early"))
    }

    /// A count, which the protocol writes as a signed 16-bit number and drivers use as an unsigned one.
    pub(crate) fn count(&mut self) -> Result<usize, FrameError> {
        self.body.try_get_u16().map(usize::from).map_err(|_| self.malformed("it ends early"))
    }

    /// A string up to its terminating zero, which is cut off.
    pub(crate) fn string(&mut self) -> Result<Bytes, FrameError> {
        let end =
            memchr::memchr(0, &self.body).ok_or_else(|| self.malformed("a string without its terminating zero"))?;
        let text = self.body.split_to(end);
        self.body.advance(1);
        Ok(text)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<Bytes, FrameError> {
        if len > self.body.len() {
            return Err(self.malformed("a value longer than the message"));
        }
        Ok(self.body.split_to(len))
    }

    /// A value with its length before it, −1 for NULL.
    pub(crate) fn value(&mut self) -> Result<Option<Bytes>, FrameError> {
        match self.i32()? {
            -1 => Ok(None),
            len => {
                let len = usize::try_from(len).map_err(|_| self.malformed("a negative length"))?;
                self.bytes(len).map(Some)
            }
        }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.body.len()
    }

    pub(crate) fn rest(self) -> Bytes {
        self.body
    }

    pub(crate) fn end(self) -> Result<(), FrameError> {
        if self.body.is_empty() { Ok(()) } else { Err(self.malformed("bytes after its end")) }
    }
}
