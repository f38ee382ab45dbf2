//! Where in JSON the strings are ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)), at the speed of memory: what is between them
//! needs no lexer. What is no JSON is cut all the same.

use std::ops::Range;

use memchr::{memchr, memchr2, memchr3};

/// Whether a line feed ends a string, as where each line is a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// It is a part of it.
    Join,
    /// It ends it.
    Cut,
}

/// Finds the strings, from the first byte on, which is in none. Each range has the quotes that are there. Gives where a string
/// begins that has no end, or is longer than `limit` bytes: nothing is found after it.
pub fn strings(bytes: &[u8], limit: usize, lines: Lines, found: &mut Vec<Range<usize>>) -> Option<usize> {
    let mut at = 0;
    while let Some(start) = memchr(b'"', bytes.get(at..)?).map(|quote| at + quote) {
        let Some(end) = string_end(bytes, start + 1, lines).filter(|end| end - start <= limit) else {
            return Some(start);
        };
        found.push(start..end);
        at = end;
    }
    None
}

/// One past the end of the string whose inside begins at a place.
fn string_end(bytes: &[u8], from: usize, lines: Lines) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = bytes.get(at..)?;
        let next = match lines {
            Lines::Join => memchr2(b'"', b'\\', rest)?,
            Lines::Cut => memchr3(b'"', b'\\', b'\n', rest)?,
        };
        match rest.get(next) {
            Some(b'"') => return Some(at + next + 1),
            Some(b'\n') => return Some(at + next),
            _ if lines == Lines::Cut && rest.get(next + 1) == Some(&b'\n') => return Some(at + next + 1),
            _ => at += next + 2,
        }
    }
}

/// Whether a byte ends what stands between strings: a number, a literal, or what is no JSON.
pub const fn ends_segment(byte: u8) -> bool {
    matches!(byte, b',' | b'{' | b'}' | b'[' | b']' | b'\n')
}

/// The inside of a string, without the quotes that are there.
pub fn inside(string: &[u8]) -> &[u8] {
    let inside = string.strip_prefix(b"\"").unwrap_or(string);
    match inside.strip_suffix(b"\"") {
        Some(whole) if !is_escaped(whole) => whole,
        _ => inside,
    }
}

/// Whether an odd number of backslashes is at the end.
fn is_escaped(text: &[u8]) -> bool {
    text.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Where the string ends that these bytes go on, and whether their last byte begins an escape.
pub fn rest_of_string(bytes: &[u8], mut escaped: bool, lines: Lines) -> (Option<usize>, bool) {
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if lines == Lines::Cut => return (Some(at), false),
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return (Some(at), false),
            _ => {}
        }
    }
    (None, escaped)
}
