//! Which bytes of a client are HTTP/1, as strictly as [RFC 9112] lets one be: whoever parses them after this can read them in one
//! way only.
//!
//! A library that parses HTTP is lenient with what it reads. Two of them that are lenient in different ways, one behind the other,
//! see different requests in the same bytes, which is what request smuggling is. So what can be read in two ways is refused before
//! any library sees it.
//!
//! ```
//! use hoop_proto::http::{Framing, Limits, Violation};
//!
//! let mut framing = Framing::new(Limits::default());
//! let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET / HTTP/1.1\nHost: a\n\n";
//! let head = framing.check(bytes)?;
//! assert!(head.head && bytes[..head.len].ends_with(b"\r\n\r\n"));
//! let body = framing.check(&bytes[head.len..])?;
//! assert_eq!(body.len, 2);
//! assert_eq!(framing.check(&bytes[head.len + body.len..]), Err(Violation::BareLineFeed));
//! # Ok::<(), Violation>(())
//! ```
//!
//! Beside that there is what bodies and messages are read with: lexers that cut them into text and what stands around it, and
//! readings of text that is written with escapes. They look at any piece of a body, whatever the cuts, and keep nothing of it.
//!
//! [RFC 9112]: https://www.rfc-editor.org/rfc/rfc9112

mod answers;
pub mod charset;
mod chunks;
mod framing;
mod head;
pub mod json;
mod lines;
pub mod markup;
pub mod multipart;
pub mod protobuf;
pub mod reading;
mod violation;

pub use answers::{Answers, Progress};
pub use framing::{Framing, Pass};
pub use violation::Violation;

/// Longest line of a chunk's size, with its extensions and its end, in bytes.
pub const MAX_CHUNK_LINE: usize = 256;

/// How many bytes the lines of the chunks of one body may have beside their sizes.
pub const MAX_EXTENSIONS: usize = 8 << 10;

/// How many bytes the fields after a body may have together.
pub const MAX_TRAILERS: usize = 8 << 10;

/// How large the head of a request may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, from the first of its request line to the last of the empty line.
    pub head_bytes: usize,
    /// Fields.
    pub fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head_bytes: 32 << 10, fields: 100 }
    }
}

/// Whether a byte may stand in a token ([RFC 9110 §5.6.2](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2)).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests;
