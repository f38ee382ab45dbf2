//! Lines that end with CR LF.

use std::ops::Range;

use memchr::{memchr, memchr2};

use super::violation::Violation;

/// Finds lines in bytes that are offered again with more behind them, and looks at none of them twice.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Lines {
    /// Where the next line begins.
    begins: usize,
    /// How far no end of it was found.
    seen: usize,
}

/// No line ends within the limit.
pub(super) struct TooLong;

impl Lines {
    /// Where the next line is, with its end; `None` until it is there as a whole. No more than `limit` of the bytes are looked at.
    pub(super) fn next(&mut self, bytes: &[u8], limit: usize) -> Result<Option<Range<usize>>, TooLong> {
        let seen = bytes.get(self.seen..bytes.len().min(limit)).unwrap_or_default();
        let Some(at) = memchr(b'\n', seen) else {
            self.seen += seen.len();
            return if bytes.len() >= limit { Err(TooLong) } else { Ok(None) };
        };
        self.seen += at + 1;
        Ok(Some(std::mem::replace(&mut self.begins, self.seen)..self.seen))
    }
}

/// A line without its end.
pub(super) fn text(line: &[u8]) -> Result<&[u8], Violation> {
    let text = line.strip_suffix(b"\n").unwrap_or(line).strip_suffix(b"\r").ok_or(Violation::BareLineFeed)?;
    match memchr2(b'\r', 0, text).and_then(|at| text.get(at)) {
        None => Ok(text),
        Some(0) => Err(Violation::Nul),
        Some(_) => Err(Violation::BareCarriageReturn),
    }
}

/// Name and value of a field. The value has no white space around it.
pub(super) fn field(text: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    if text.first().is_some_and(|first| matches!(first, b' ' | b'\t')) {
        return Err(Violation::Folded);
    }
    let (name, value) = memchr(b':', text).and_then(|at| text.split_at_checked(at)).ok_or(Violation::FieldName)?;
    if name.last().is_some_and(|last| matches!(last, b' ' | b'\t')) {
        return Err(Violation::SpaceBeforeColon);
    }
    if name.is_empty() || !name.iter().copied().all(super::is_token) {
        return Err(Violation::FieldName);
    }
    let value = value.get(1..).unwrap_or_default();
    if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(Violation::Control);
    }
    Ok((name, value.trim_ascii()))
}
