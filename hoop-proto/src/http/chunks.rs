//! Bodies in chunks ([RFC 9112 §7.1]).
//!
//! [RFC 9112 §7.1]: https://www.rfc-editor.org/rfc/rfc9112#section-7.1

use super::lines::{Lines, field, text};
use super::violation::Violation;
use super::{Limits, MAX_CHUNK_LINE, MAX_EXTENSIONS, MAX_TRAILERS, is_token};

/// Where in a body in chunks its reader is.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    at: At,
    lines: Lines,
    extensions: usize,
    trailers: usize,
    fields: usize,
}

#[derive(Debug, Default, Clone, Copy)]
enum At {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    End,
}

impl Chunks {
    /// How many of these bytes belong to the next piece: a line, or data. None where it is not there as a whole.
    pub(super) fn read(&mut self, bytes: &[u8], limits: Limits) -> Result<usize, Violation> {
        match self.at {
            At::Size => self.size(bytes),
            At::Data(left) => Ok(self.data(left, bytes)),
            At::DataEnd => self.data_end(bytes),
            At::Trailers => self.trailer(bytes, limits),
            At::End => Ok(0),
        }
    }

    /// How many bytes are data, whatever they are.
    pub(super) const fn free(&self) -> u64 {
        if let At::Data(left) = self.at { left } else { 0 }
    }

    /// Whether the body has ended.
    pub(super) const fn is_end(&self) -> bool {
        matches!(self.at, At::End)
    }

    fn size(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        let Some(line) = self.lines.next(bytes, MAX_CHUNK_LINE).map_err(|_| Violation::ChunkExtension)? else {
            return Ok(0);
        };
        self.lines = Lines::default();
        let len = line.len();
        let text = text(bytes.get(line).unwrap_or_default())?;
        let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extensions) = text.split_at_checked(digits).unwrap_or_default();
        let size = parse_size(size)?;
        match extensions.first() {
            None => {}
            Some(b';') => self.extensions(extensions)?,
            Some(_) => return Err(Violation::ChunkSize),
        }
        self.at = if size == 0 { At::Trailers } else { At::Data(size) };
        Ok(len)
    }

    fn extensions(&mut self, text: &[u8]) -> Result<(), Violation> {
        self.extensions += text.len();
        if self.extensions > MAX_EXTENSIONS || !are_extensions(text) {
            return Err(Violation::ChunkExtension);
        }
        Ok(())
    }

    fn data(&mut self, left: u64, bytes: &[u8]) -> usize {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left.saturating_sub(len as u64);
        self.at = if left == 0 { At::DataEnd } else { At::Data(left) };
        len
    }

    fn data_end(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        match bytes {
            [] | [b'\r'] => Ok(0),
            [b'\r', b'\n', ..] => {
                self.at = At::Size;
                Ok(2)
            }
            _ => Err(Violation::ChunkEnd),
        }
    }

    fn trailer(&mut self, bytes: &[u8], limits: Limits) -> Result<usize, Violation> {
        let left = MAX_TRAILERS.saturating_sub(self.trailers);
        let Some(line) = self.lines.next(bytes, left).map_err(|_| Violation::TrailersTooLarge)? else { return Ok(0) };
        self.lines = Lines::default();
        let len = line.len();
        let text = text(bytes.get(line).unwrap_or_default())?;
        if text.is_empty() {
            self.at = At::End;
            return Ok(len);
        }
        let (name, _) = field(text)?;
        let framing: [&[u8]; 4] = [b"content-length", b"transfer-encoding", b"host", b"trailer"];
        if framing.iter().any(|field| name.eq_ignore_ascii_case(field)) {
            return Err(Violation::Trailer);
        }
        self.fields += 1;
        self.trailers += len;
        if self.fields > limits.fields { Err(Violation::TrailersTooLarge) } else { Ok(len) }
    }
}

/// Fifteen digits do not overflow.
fn parse_size(digits: &[u8]) -> Result<u64, Violation> {
    if digits.is_empty() || digits.len() > 15 {
        return Err(Violation::ChunkSize);
    }
    let digits = digits.iter().map(|digit| char::from(*digit).to_digit(16).unwrap_or_default());
    Ok(digits.fold(0, |size, digit| size << 4 | u64::from(digit)))
}

/// Whether it is `;name`, `;name=value` or `;name="value"`, any number of times.
fn are_extensions(mut text: &[u8]) -> bool {
    while let Some(rest) = text.strip_prefix(b";") {
        let Some(rest) = after_token(rest) else { return false };
        text = match rest.strip_prefix(b"=") {
            None => rest,
            Some(value) => match value.strip_prefix(b"\"").map_or_else(|| after_token(value), after_quoted) {
                None => return false,
                Some(rest) => rest,
            },
        };
    }
    text.is_empty()
}

fn after_token(text: &[u8]) -> Option<&[u8]> {
    let len = text.iter().take_while(|byte| is_token(**byte)).count();
    (len > 0).then(|| text.get(len..)).flatten()
}

/// What follows the rest of a quoted string. One with a backslash is none here: nobody needs it, and some stop at `\"`.
fn after_quoted(text: &[u8]) -> Option<&[u8]> {
    let len = text.iter().take_while(|byte| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~')).count();
    text.get(len..)?.strip_prefix(b"\"")
}
