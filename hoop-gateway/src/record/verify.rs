//! Finding any change of a log, with nothing but the public key.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use hoop_core::id::SessionId;
use serde::Serialize;

use super::event::Header;
use super::format::{Head, Kind};
use super::key::PublicKey;
use super::note::Checkpoint;
use super::path::session_of;
use super::reader::{Flaw, ReadError, Scanned, Scanner};

/// What a log proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The session that the log says it is of.
    pub session: Option<SessionId>,
    /// How the log stands.
    pub state: State,
    /// Records that are in order, from the first on.
    pub records: u64,
    /// Their length in the file, in bytes.
    pub bytes: u64,
    /// How many of them a signature covers.
    pub proven: u64,
    /// The chain that the seal signs, in hex.
    pub head: Option<String>,
    /// The first change, when there is one.
    pub bad: Option<Bad>,
}

/// How a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Whole, ended and signed.
    Sealed,
    /// Without its seal, in the folder of running sessions, and ending with a whole record.
    Open,
    /// Without its seal: its gateway died, or its tail was cut off. Only what is `proven` is.
    Interrupted {
        /// Bytes of a record that is not whole.
        torn_bytes: u64,
    },
    /// Changed.
    Changed,
}

/// The first change of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bad {
    /// Number of the record.
    pub record: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// What is wrong.
    pub what: Flaw,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} at byte {}: {}", self.record, self.offset, self.what)
    }
}

impl Report {
    /// Whether the log is whole and signed.
    pub fn is_sealed(&self) -> bool {
        self.state == State::Sealed
    }
}

/// Verifies the log at `path` in one pass and flat memory. That a sealed log is meant, and not one cut short, must be
/// known from elsewhere, such as the store's row of the session: see [`State::Interrupted`].
///
/// # Errors
/// When the file cannot be read. What is wrong with its contents is in the report.
pub fn verify(path: &Path, key: &PublicKey) -> Result<Report, ReadError> {
    let failed = |source| ReadError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut check = Check {
        scanner: Scanner::new(BufReader::with_capacity(256 << 10, file)),
        key,
        named: session_of(path),
        report: Report { session: None, state: State::Changed, records: 0, bytes: 0, proven: 0, head: None, bad: None },
        last: None,
    };
    let running = path.parent().and_then(Path::file_name).is_some_and(|folder| folder == "open");
    check.run(running).map_err(failed)?;
    Ok(check.report)
}

struct Check<'a, R> {
    scanner: Scanner<R>,
    key: &'a PublicKey,
    named: Option<SessionId>,
    report: Report,
    last: Option<u8>,
}

const END: u8 = Kind::End.byte();
const SEAL: u8 = Kind::Seal.byte();
const CHECKPOINT: u8 = Kind::Checkpoint.byte();
const HEADER: u8 = Kind::Header.byte();

impl<R: Read> Check<'_, R> {
    fn run(&mut self, running: bool) -> std::io::Result<()> {
        loop {
            let (record, offset, chain) = (self.scanner.record, self.scanner.offset, self.scanner.chain);
            let bad = match self.scanner.step()? {
                Scanned::Record(head) => self.record(head, record, &chain).err(),
                Scanned::End => {
                    self.report.state = match self.last {
                        Some(SEAL) => State::Sealed,
                        _ if running => State::Open,
                        _ => State::Interrupted { torn_bytes: 0 },
                    };
                    return Ok(());
                }
                Scanned::Torn(_) if self.last == Some(SEAL) => Some(Flaw::AfterEnd),
                Scanned::Torn(torn_bytes) => {
                    self.report.state = State::Interrupted { torn_bytes };
                    return Ok(());
                }
                Scanned::Bad(_) if self.last == Some(SEAL) => Some(Flaw::AfterEnd),
                Scanned::Bad(flaw) => Some(flaw),
            };
            if let Some(what) = bad {
                let offset = if record == 0 { self.scanner.offset.min(8) } else { offset };
                self.report.bad = Some(Bad { record, offset, what });
                return Ok(());
            }
            self.report.records = self.scanner.record;
            self.report.bytes = self.scanner.offset;
        }
    }

    fn record(&mut self, head: Head, record: u64, before: &[u8; 32]) -> Result<(), Flaw> {
        let last = self.last.replace(head.kind);
        match (last, head.kind) {
            (None, HEADER) => return self.header(),
            (None, _) | (_, HEADER) => return Err(Flaw::Header),
            (Some(END), SEAL) => {}
            (Some(END | SEAL), _) | (_, SEAL) => return Err(Flaw::AfterEnd),
            (_, CHECKPOINT) => {}
            _ => return Ok(()),
        }
        let note = Checkpoint::verify(self.scanner.payload(), self.key).ok_or(Flaw::Signature)?;
        let matches = Some(note.session) == self.report.session
            && (note.records, note.head, note.time) == (record, *before, head.time);
        if !matches {
            return Err(Flaw::Checkpoint);
        }
        self.report.proven = record + 1;
        if head.kind == SEAL {
            self.report.head = Some(blake3::Hash::from_bytes(note.head).to_hex().to_string());
        }
        Ok(())
    }

    fn header(&mut self) -> Result<(), Flaw> {
        let header = Header::decode(self.scanner.payload()).map_err(|_| Flaw::Header)?;
        let session = header.session.parse().map_err(|_| Flaw::Header)?;
        self.report.session = Some(session);
        if self.named.is_some_and(|named| named != session) {
            return Err(Flaw::Session);
        }
        Ok(())
    }
}
