//! Frames: a type byte, a length that counts itself, and the body.

use bytes::Bytes;

/// Bytes of a frame's type and length.
pub const HEADER: usize = 5;

/// Bytes that are not the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length that cannot be: it counts itself, so it is at least 4, and it is a signed 32-bit number.
    #[error("message of type {tag:#04x} says that it is {length} bytes long")]
    Length {
        /// The type byte.
        tag: u8,
        /// The length as it was sent.
        length: u32,
    },
    /// A message longer than its reader wants to hold.
    #[error("message of type {tag:#04x} is {length} bytes long, more than the {limit} that are allowed here")]
    TooLong {
        /// The type byte.
        tag: u8,
        /// The length of the whole frame.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// A body that is not of the documented form.
    #[error("malformed {message} message: {what}")]
    Malformed {
        /// The message's name as the protocol chapter spells it.
        message: &'static str,
        /// What is wrong, as one clause.
        what: &'static str,
    },
}

/// The type and the length of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The type byte.
    pub tag: u8,
    /// Length of the whole frame, header included.
    pub len: usize,
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` when it is not all there.
    ///
    /// # Errors
    /// [`FrameError::Length`] on a length that cannot be.
    #[inline]
    pub fn peek(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some((&[tag, a, b, c, d], _)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]);
        if !(4..=0x7fff_ffff).contains(&length) {
            return Err(FrameError::Length { tag, length });
        }
        // At most 2^31 bytes, which fits where there are 32-bit addresses or more.
        let length = usize::try_from(length).unwrap_or(usize::MAX - 1);
        Ok(Some(Self { tag, len: length + 1 }))
    }
}

/// One whole frame, header included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
}

impl Frame {
    /// The type byte.
    pub fn tag(&self) -> u8 {
        self.bytes.first().copied().unwrap_or(0)
    }

    /// The body, without type and length.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(HEADER.min(self.bytes.len())..)
    }

    /// The whole frame as it was received.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The whole frame as it was received.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

/// Cuts whole frames off the front of received bytes, without copying them.
#[derive(Debug, Clone, Default)]
pub struct Frames {
    bytes: Bytes,
}

impl Frames {
    /// Frames of these bytes, of which the last may be in part.
    pub const fn new(bytes: Bytes) -> Self {
        Self { bytes }
    }

    /// What has not been cut off yet.
    pub const fn rest(&self) -> &Bytes {
        &self.bytes
    }

    /// What has not been cut off yet.
    pub fn into_rest(self) -> Bytes {
        self.bytes
    }

    /// The next frame's type and length, when they are there, whether or not the body is.
    ///
    /// # Errors
    /// As [`Header::peek`].
    #[inline]
    pub fn peek(&self) -> Result<Option<Header>, FrameError> {
        Header::peek(&self.bytes)
    }

    /// The next frame, when all of it is there.
    ///
    /// # Errors
    /// [`FrameError`] on a length that cannot be, or one above `limit` bytes; what is left is not to be read any more.
    pub fn next(&mut self, limit: usize) -> Result<Option<Frame>, FrameError> {
        let Some(header) = self.peek()? else { return Ok(None) };
        if header.len > limit {
            return Err(FrameError::TooLong { tag: header.tag, length: header.len, limit });
        }
        if header.len > self.bytes.len() {
            return Ok(None);
        }
        Ok(Some(Frame { bytes: self.bytes.split_to(header.len) }))
    }

    /// How many whole frames of this type lie at the front, and how many bytes they are together. At most `limit`
    /// bytes are taken, but always one frame when one is there.
    ///
    /// # Errors
    /// [`FrameError::Length`] on a length that cannot be.
    #[inline]
    pub fn run(&self, tag: u8, limit: usize) -> Result<(usize, usize), FrameError> {
        let bytes: &[u8] = &self.bytes;
        let (mut count, mut end) = (0, 0);
        while let Some(rest) = bytes.get(end..) {
            match Header::peek(rest)? {
                Some(header) if header.tag == tag && header.len <= rest.len() => {
                    if count > 0 && end + header.len > limit {
                        break;
                    }
                    end += header.len;
                    count += 1;
                }
                _ => break,
            }
        }
        Ok((count, end))
    }

    /// Cuts this many bytes off the front; at most all of them.
    pub fn take(&mut self, len: usize) -> Bytes {
        self.bytes.split_to(len.min(self.bytes.len()))
    }
}
