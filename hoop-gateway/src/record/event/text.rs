//! Bytes from outside in a record, and how much of them is kept.

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::super::fields::{self, Field, Item, Malformed};

/// Longest statement text that is kept, in bytes.
pub const MAX_STATEMENT_BYTES: usize = 256 << 10;
/// Longest value of a parameter that is kept, in bytes.
pub const MAX_PARAMETER_BYTES: usize = 4 << 10;
/// Most parameters of one statement that are kept.
pub const MAX_PARAMETERS: usize = 128;
/// Longest message of an error or a notice that is kept, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4 << 10;
/// Longest name (of a column, a role, a client's application) that is kept, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// Most columns of one result that are kept.
pub const MAX_COLUMNS: usize = 1_664;

/// Bytes from outside. Shown with control characters and what is not UTF-8 escaped, so that a recording can hide
/// nothing from a terminal or a log.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text(pub Bytes);

impl Text {
    /// The bytes, cut to at most `limit` of them.
    pub fn capped(bytes: &Bytes, limit: usize) -> Self {
        if bytes.len() <= limit {
            return Self(bytes.clone());
        }
        let mut cut = bytes.get(..limit).unwrap_or_default().to_vec();
        cut.extend_from_slice("…".as_bytes());
        Self(cut.into())
    }

    /// A text of the program's own.
    pub const fn fixed(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// A copy of the text, cut to at most `limit` bytes.
    pub fn copied(text: &str, limit: usize) -> Self {
        Self::capped(&Bytes::copy_from_slice(text.as_bytes()), limit)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\n' | '\t' => fmt::Write::write_char(f, c)?,
                    c if c.is_control() || is_direction(c) => write!(f, "{}", c.escape_default())?,
                    c => fmt::Write::write_char(f, c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Characters that reorder the text around them.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Field for Text {
    fn put(&self, tag: u8, out: &mut Vec<u8>) {
        if !self.0.is_empty() {
            fields::put(tag, &self.0, out);
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.0 = Bytes::copy_from_slice(bytes);
        Ok(())
    }
}

impl Item for Text {
    fn put_item(&self, tag: u8, out: &mut Vec<u8>) {
        fields::put(tag, &self.0, out);
    }

    fn read_item(bytes: &[u8]) -> Result<Self, Malformed> {
        Ok(Self(Bytes::copy_from_slice(bytes)))
    }
}
