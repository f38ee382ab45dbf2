//! The protocol that `scp -t` and `scp -f` speak on their standard streams (OpenSSH's `scp -O`, and every `scp` before 9.0).
//!
//! There is no document of it but the programs. A **source** sends lines, and the bytes of files behind the lines that
//! announce them; a **sink** answers each, and says first that it is there. A source waits for each answer.
//!
//! ```text
//! source: T<seconds> 0 <seconds> 0\n   C<mode> <bytes> <name>\n  <the bytes>\0   D<mode> 0 <name>\n   E\n
//! sink:   \0     after each: \0, or \x01 or \x02 with what was wrong and \n
//! ```
//!
//! ```
//! use bytes::Bytes;
//! use hoop_proto::ssh::scp::{Line, Part, Source};
//!
//! let mut source = Source::default();
//! source.receive(Bytes::from_static(b"C0644 2 notes\n"));
//! let Some(Part::Line { line: Line::File { size: 2, name, .. }, .. }) = source.part()? else { panic!() };
//! assert_eq!(name, "notes");
//! source.answered(true);
//! source.receive(Bytes::from_static(b"hi\0"));
//! assert_eq!(source.part()?, Some(Part::Data { bytes: Bytes::from_static(b"hi"), left: 0 }));
//! # Ok::<(), hoop_proto::ssh::scp::ScpError>(())
//! ```

mod command;

use bytes::Bytes;

pub use command::{Command, Direction};

use super::piece::{Inbox, TooLong};

/// Longest line, in bytes.
pub const MAX_LINE: usize = 8 << 10;

/// Bytes that are not the protocol of `scp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScpError {
    /// A line longer than [`MAX_LINE`].
    #[error("a line longer than {MAX_LINE} bytes")]
    TooLong,
    /// A line or an answer that begins with another byte than they do.
    #[error("{0:#04x} where a line or an answer has to begin")]
    Begin(u8),
    /// A line that is not of its form.
    #[error("a malformed line {kind:?}: {what}")]
    Malformed {
        /// Its first character.
        kind: char,
        /// What is wrong, as one clause.
        what: &'static str,
    },
    /// Bytes of a file before its line was answered.
    #[error("something follows a line that was not answered yet")]
    NotAnswered,
}

impl From<TooLong> for ScpError {
    fn from(_: TooLong) -> Self {
        Self::TooLong
    }
}

/// A line of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The times of the file or folder that comes next.
    Times {
        /// When it was changed last, in seconds since 1970.
        modified: u64,
        /// When it was read last, in seconds since 1970.
        accessed: u64,
    },
    /// A file, the bytes of which follow.
    File {
        /// Its permissions.
        mode: u32,
        /// How many bytes.
        size: u64,
        /// Its name, without a folder.
        name: Bytes,
    },
    /// A folder, in which what comes next lies.
    Directory {
        /// Its permissions.
        mode: u32,
        /// Its name, without a folder.
        name: Bytes,
    },
    /// The folder ends.
    End,
    /// Something does not work; nobody answers it.
    Failed(Answer),
}

/// What a sink says of a line, and a source of a file that it has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It worked.
    Ok,
    /// It did not, and what comes next may.
    Warning(Bytes),
    /// It did not, and nothing comes next.
    Fatal(Bytes),
}

/// A part of what a source sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A line.
    Line {
        /// What it says.
        line: Line,
        /// The bytes as they were received.
        bytes: Bytes,
    },
    /// Bytes of a file; never none.
    Data {
        /// The bytes.
        bytes: Bytes,
        /// How many follow.
        left: u64,
    },
    /// A file ends.
    Sent {
        /// Whether it could be read.
        answer: Answer,
        /// The bytes as they were received.
        bytes: Bytes,
    },
}

/// What a source sends.
#[derive(Debug, Default)]
pub struct Source {
    inbox: Inbox,
    expects: Expects,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Expects {
    #[default]
    Line,
    /// Nothing, until its line about a file of this size is answered.
    Answer(u64),
    Data(u64),
    Sent,
}

impl Source {
    /// Adds what was received.
    pub fn receive(&mut self, bytes: Bytes) {
        self.inbox.receive(bytes);
    }

    /// The line about a file was answered: it follows, or it does not.
    pub const fn answered(&mut self, follows: bool) {
        self.expects = match self.expects {
            Expects::Answer(0) if follows => Expects::Sent,
            Expects::Answer(size) if follows => Expects::Data(size),
            Expects::Answer(_) => Expects::Line,
            other => other,
        };
    }

    /// The next part that is there.
    ///
    /// # Errors
    /// [`ScpError`]; what is left is not to be read any more.
    pub fn part(&mut self) -> Result<Option<Part>, ScpError> {
        match self.expects {
            Expects::Line => self.line(),
            Expects::Answer(_) if self.inbox.is_empty() => Ok(None),
            Expects::Answer(_) => Err(ScpError::NotAnswered),
            Expects::Data(size) => Ok(self.data(size)),
            Expects::Sent => {
                let Some((answer, bytes)) = answer(&mut self.inbox)? else { return Ok(None) };
                self.expects = Expects::Line;
                Ok(Some(Part::Sent { answer, bytes }))
            }
        }
    }

    fn line(&mut self) -> Result<Option<Part>, ScpError> {
        match self.inbox.first() {
            None => return Ok(None),
            Some(b'T' | b'C' | b'D' | b'E' | 1 | 2) => {}
            Some(other) => return Err(ScpError::Begin(other)),
        }
        let Some(bytes) = self.inbox.line(MAX_LINE)? else { return Ok(None) };
        let line = parse(&bytes)?;
        if let Line::File { size, .. } = line {
            self.expects = Expects::Answer(size);
        }
        Ok(Some(Part::Line { line, bytes }))
    }

    fn data(&mut self, size: u64) -> Option<Part> {
        let bytes = self.inbox.some(size)?;
        let left = size.saturating_sub(bytes.len() as u64);
        self.expects = if left == 0 { Expects::Sent } else { Expects::Data(left) };
        Some(Part::Data { bytes, left })
    }
}

/// What a sink sends.
#[derive(Debug, Default)]
pub struct Sink(Inbox);

impl Sink {
    /// Adds what was received.
    pub fn receive(&mut self, bytes: Bytes) {
        self.0.receive(bytes);
    }

    /// The next answer that is there, with its bytes as they were received.
    ///
    /// # Errors
    /// [`ScpError`]; what is left is not to be read any more.
    pub fn answer(&mut self) -> Result<Option<(Answer, Bytes)>, ScpError> {
        answer(&mut self.0)
    }
}

fn answer(inbox: &mut Inbox) -> Result<Option<(Answer, Bytes)>, ScpError> {
    let kind = match inbox.first() {
        None => return Ok(None),
        Some(0) => return Ok(inbox.some(1).map(|bytes| (Answer::Ok, bytes))),
        Some(kind @ (1 | 2)) => kind,
        Some(other) => return Err(ScpError::Begin(other)),
    };
    let Some(bytes) = inbox.line(MAX_LINE)? else { return Ok(None) };
    Ok(Some((failed(kind, &bytes), bytes)))
}

fn failed(kind: u8, bytes: &Bytes) -> Answer {
    let message = bytes.slice(1..bytes.len().saturating_sub(1).max(1));
    if kind == 1 { Answer::Warning(message) } else { Answer::Fatal(message) }
}

fn parse(bytes: &Bytes) -> Result<Line, ScpError> {
    let kind = bytes.first().copied().unwrap_or_default();
    let text = bytes.slice(1.min(bytes.len())..bytes.len().saturating_sub(1).max(1));
    let malformed = |what| ScpError::Malformed { kind: kind.into(), what };
    match kind {
        b'T' => times(&text).ok_or(malformed("it is not two times")),
        b'C' | b'D' => {
            let (mode, size, name) = entry(&text).ok_or(malformed("it is not a mode, a size and a name"))?;
            if name.is_empty() || name == ".." || name == "." || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
                return Err(malformed("its name is not one within a folder"));
            }
            Ok(if kind == b'C' { Line::File { mode, size, name } } else { Line::Directory { mode, name } })
        }
        b'E' if text.is_empty() => Ok(Line::End),
        b'E' => Err(malformed("something follows it")),
        _ => Ok(Line::Failed(failed(kind, bytes))),
    }
}

fn times(text: &[u8]) -> Option<Line> {
    let mut numbers = text.split(|byte| *byte == b' ').map(decimal);
    let (modified, _, accessed, _) = (numbers.next()??, numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(Line::Times { modified, accessed })
}

fn entry(text: &Bytes) -> Option<(u32, u64, Bytes)> {
    let (mode, rest) = text.split_at_checked(4)?;
    let mode = std::str::from_utf8(mode).ok().filter(|mode| mode.bytes().all(|byte| byte.is_ascii_digit()))?;
    let mode = u32::from_str_radix(mode, 8).ok()?;
    let rest = rest.strip_prefix(b" ")?;
    let end = memchr::memchr(b' ', rest)?;
    let size = decimal(rest.get(..end)?)?;
    Some((mode, size, text.slice(4 + 1 + end + 1..)))
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
