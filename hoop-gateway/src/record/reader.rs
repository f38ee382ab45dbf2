//! Reading a log, record by record, in flat memory.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::event::{Event, Malformed};
use super::format::{CHAIN, Chain, HEAD, Head, MAGIC, MAX_PAYLOAD, checksum, next_chain, seed};
use super::view::EventView;
use super::wal::read_full;

/// What is wrong with a log at a position.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// The file does not begin as a log does.
    #[error("not a recording")]
    Magic,
    /// The record's length cannot be right.
    #[error("the length of the record was changed")]
    Length,
    /// The record's checksum is wrong.
    #[error("the bytes of the record were changed")]
    Checksum,
    /// Another record was expected here.
    #[error("records were deleted, inserted or reordered")]
    Sequence,
    /// The record does not follow from those before it.
    #[error("the record, or one before it, was changed")]
    Chain,
    /// The log does not begin with a header, or has a second one.
    #[error("the header is not where it belongs")]
    Header,
    /// The header is that of another session than the file's name says.
    #[error("the log is that of another session")]
    Session,
    /// A checkpoint's signature is not by this key.
    #[error("the signature is not by this key")]
    Signature,
    /// A checkpoint is of another log than this.
    #[error("the signed checkpoint is not of these records")]
    Checkpoint,
    /// There is something after the end, or a seal without one.
    #[error("records after the end")]
    AfterEnd,
}

/// A log cannot be read.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The log is damaged from here on.
    #[error("record {record} at byte {offset}: {flaw}")]
    Flaw {
        /// Number of the record.
        record: u64,
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        flaw: Flaw,
    },
    /// A record's payload is not what its kind says.
    #[error("record {record} at byte {offset} cannot be read")]
    Malformed {
        /// Number of the record.
        record: u64,
        /// Where it begins.
        offset: u64,
        /// Why.
        #[source]
        source: Malformed,
    },
}

/// What the next step over a log finds.
#[derive(Debug)]
pub(super) enum Scanned {
    Record(Head),
    End,
    /// The file ends inside a record; this many bytes of it are there.
    Torn(u64),
    Bad(Flaw),
}

/// Steps over a log and checks what can be checked without a key.
pub(super) struct Scanner<R> {
    reader: R,
    begun: bool,
    body: Vec<u8>,
    /// Where the next record begins.
    pub offset: u64,
    /// Number of the next record.
    pub record: u64,
    /// The chain before the next record.
    pub chain: Chain,
}

impl<R: Read> Scanner<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, begun: false, body: Vec::new(), offset: 0, record: 0, chain: seed() }
    }

    /// The payload of the record that was found last.
    pub(super) fn payload(&self) -> &[u8] {
        self.body.get(HEAD..).unwrap_or_default()
    }

    pub(super) fn step(&mut self) -> io::Result<Scanned> {
        if !self.begun {
            let mut magic = [0; MAGIC.len()];
            let read = read_full(&mut self.reader, &mut magic)?;
            if magic.get(..read) != MAGIC.get(..read) {
                return Ok(Scanned::Bad(Flaw::Magic));
            }
            if read < MAGIC.len() {
                return Ok(if read == 0 { Scanned::End } else { Scanned::Torn(read as u64) });
            }
            self.begun = true;
            self.offset = MAGIC.len() as u64;
        }
        self.record()
    }

    fn record(&mut self) -> io::Result<Scanned> {
        let mut head = [0; HEAD];
        let read = read_full(&mut self.reader, &mut head)?;
        if read < HEAD {
            return Ok(if read == 0 { Scanned::End } else { Scanned::Torn(read as u64) });
        }
        let parsed = Head::parse(&head);
        if parsed.length > MAX_PAYLOAD {
            return Ok(Scanned::Bad(Flaw::Length));
        }
        self.body.clear();
        self.body.extend_from_slice(&head);
        self.body.resize(HEAD + parsed.length + CHAIN, 0);
        let read = HEAD + read_full(&mut self.reader, self.body.get_mut(HEAD..).unwrap_or_default())?;
        if read < self.body.len() {
            self.body.truncate(read);
            let found = followed(&self.body, self.record);
            return Ok(if found { Scanned::Bad(Flaw::Length) } else { Scanned::Torn(read as u64) });
        }
        Ok(self.check(parsed))
    }

    fn check(&mut self, head: Head) -> Scanned {
        let link: Chain = *self.body.last_chunk().expect("read whole");
        self.body.truncate(HEAD + head.length);
        if checksum(&self.body) != head.checksum || head.reserved != [0; 3] {
            return Scanned::Bad(Flaw::Checksum);
        }
        if head.sequence != self.record {
            return Scanned::Bad(Flaw::Sequence);
        }
        let chain = next_chain(&self.chain, &self.body);
        if chain != link {
            return Scanned::Bad(Flaw::Chain);
        }
        self.chain = chain;
        self.record += 1;
        self.offset += (HEAD + head.length + CHAIN) as u64;
        Scanned::Record(head)
    }
}

/// Whether a later record of the log lies somewhere in these bytes: then the first was changed, and not torn.
pub(super) fn followed(bytes: &[u8], record: u64) -> bool {
    (1..bytes.len()).any(|at| {
        let Some(rest) = bytes.get(at..) else { return false };
        let Some(head) = rest.first_chunk::<HEAD>().map(Head::parse) else { return false };
        let later = head.sequence > record && head.sequence - record < 1 << 24 && head.reserved == [0; 3];
        later && rest.get(..HEAD + head.length).is_some_and(|body| checksum(body) == head.checksum)
    })
}

/// The events of a log, in order. It stops after the first error.
pub struct Reader {
    path: PathBuf,
    scanner: Scanner<Box<dyn Read + Send>>,
    done: bool,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("path", &self.path).field("offset", &self.offset()).finish_non_exhaustive()
    }
}

impl Reader {
    /// Where the next record begins.
    pub const fn offset(&self) -> u64 {
        self.scanner.offset
    }

    /// Goes on with a log that was read to its end and has grown since: `from` begins at [`offset`](Self::offset).
    pub fn resume(&mut self, from: Box<dyn Read + Send>) {
        self.scanner.reader = from;
        self.done = false;
    }
}

/// A place in a log from which it can be read again.
pub(super) struct Mark {
    offset: u64,
    record: u64,
    chain: Chain,
}

impl Mark {
    /// Where the next record begins.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }
}

impl Reader {
    /// The place of the next record.
    pub(super) const fn mark(&self) -> Mark {
        Mark { offset: self.scanner.offset, record: self.scanner.record, chain: self.scanner.chain }
    }

    /// Reads from a place on; `from` begins there.
    pub(super) fn at(mark: &Mark, from: Box<dyn Read + Send>, path: PathBuf) -> Self {
        let Mark { offset, record, chain } = *mark;
        Self {
            path,
            scanner: Scanner { reader: from, begun: true, body: Vec::new(), offset, record, chain },
            done: false,
        }
    }
}

/// Reads the log at `path`, also while it is being written. Changes are found on the way as far as they can be without
/// the key; a torn record at the end ends the log.
///
/// # Errors
/// When the file cannot be opened.
pub fn read(path: &Path) -> Result<Reader, ReadError> {
    let file = File::open(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    Ok(read_from(Box::new(BufReader::with_capacity(256 << 10, file)), path.to_owned()))
}

/// As [`read`], from wherever the log is kept; errors name it `path`.
pub fn read_from(from: Box<dyn Read + Send>, path: PathBuf) -> Reader {
    Reader { path, scanner: Scanner::new(from), done: false }
}

impl Iterator for Reader {
    type Item = Result<EventView, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let (record, mut offset) = (self.scanner.record, self.scanner.offset);
        let step = self.scanner.step();
        offset = offset.max(MAGIC.len() as u64);
        let item = match step {
            Ok(Scanned::Record(head)) => Event::decode(head.kind, self.scanner.payload())
                .map(|event| EventView { record, offset, time: head.time, event })
                .map_err(|source| ReadError::Malformed { record, offset, source }),
            Ok(Scanned::End | Scanned::Torn(_)) => {
                self.done = true;
                return None;
            }
            Ok(Scanned::Bad(flaw)) => Err(ReadError::Flaw { record, offset, flaw }),
            Err(source) => Err(ReadError::Io { path: self.path.clone(), source }),
        };
        self.done = item.is_err();
        Some(item)
    }
}
