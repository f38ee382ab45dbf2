//! The write-ahead log that several sessions share for one fdatasync: copies of what was written to their files since
//! these were last synced. It is read by recovery alone, and deleted when the files themselves are on disk.
//!
//! | offset | size | field |
//! | --- | --- | --- |
//! | 0 | 4 | length of the bytes |
//! | 4 | 4 | CRC-32C of all that follows and of the length |
//! | 8 | 16 | the session's UUID |
//! | 24 | 8 | where in its file the bytes belong |
//! | 32 | n | the bytes |

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hoop_core::id::SessionId;
use uuid::Uuid;

const HEAD: usize = 32;
/// Longest piece of a file that goes through the write-ahead log; what is longer is synced by itself.
pub(super) const MAX_PIECE: u64 = 256 << 10;

pub(super) struct Wal {
    folder: PathBuf,
    number: u64,
    file: File,
    path: PathBuf,
    pub length: u64,
    frames: Vec<u8>,
}

impl Wal {
    pub(super) fn begin(folder: &Path, number: u64) -> io::Result<Self> {
        let path = folder.join(format!("{number:08}.wal"));
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        File::open(folder)?.sync_all()?;
        Ok(Self { folder: folder.to_owned(), number, file, path, length: 0, frames: Vec::new() })
    }

    /// Begins the next one. Returns the path of this one, which is deleted when all its files are settled.
    pub(super) fn rotate(&mut self) -> io::Result<PathBuf> {
        let next = Self::begin(&self.folder, self.number + 1)?;
        Ok(std::mem::replace(self, next).path)
    }

    /// Adds a piece of a file: its bytes from `start` to `end`.
    pub(super) fn add(&mut self, session: SessionId, file: &File, start: u64, end: u64) -> io::Result<()> {
        let length = usize::try_from(end - start).expect("at most MAX_PIECE");
        let at = self.frames.len();
        self.frames.resize(at + HEAD + length, 0);
        let frame = self.frames.get_mut(at..).expect("just made");
        let (head, bytes) = frame.split_at_mut(HEAD);
        file.read_exact_at(bytes, start)?;
        head[..4].copy_from_slice(&u32::try_from(length).expect("at most MAX_PIECE").to_le_bytes());
        head[8..24].copy_from_slice(session.as_uuid().as_bytes());
        head[24..32].copy_from_slice(&start.to_le_bytes());
        let sum = checksum(frame);
        frame[4..8].copy_from_slice(&sum.to_le_bytes());
        Ok(())
    }

    /// Makes what was added durable.
    pub(super) fn commit(&mut self) -> io::Result<()> {
        self.file.write_all(&self.frames)?;
        self.length += self.frames.len() as u64;
        self.frames.clear();
        self.file.sync_data()
    }
}

fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..])
}

/// The write-ahead logs in a folder, oldest first.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".wal")?.parse().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found)
}

/// Hands every whole piece in a write-ahead log to `sink`, up to the first that is torn.
pub(super) fn replay(path: &Path, mut sink: impl FnMut(SessionId, u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut frame = vec![0; HEAD];
    loop {
        frame.truncate(HEAD);
        if read_full(&mut reader, &mut frame)? < HEAD {
            return Ok(());
        }
        let length = u32::from_le_bytes(*frame.first_chunk().expect("32 bytes"));
        if u64::from(length) > MAX_PIECE {
            return Ok(());
        }
        frame.resize(HEAD + length as usize, 0);
        if read_full(&mut reader, &mut frame[HEAD..])? < length as usize {
            return Ok(());
        }
        if frame[4..8] != checksum(&frame).to_le_bytes() {
            return Ok(());
        }
        let session = Uuid::from_bytes(*frame[8..].first_chunk().expect("32 bytes"));
        let offset = u64::from_le_bytes(*frame[24..].first_chunk().expect("32 bytes"));
        sink(SessionId::from_uuid(session), offset, &frame[HEAD..])?;
    }
}

/// Reads until the buffer is full or the file ends. Returns how much was read.
pub(super) fn read_full(reader: &mut impl Read, mut buffer: &mut [u8]) -> io::Result<usize> {
    let mut total = 0;
    while !buffer.is_empty() {
        match reader.read(buffer) {
            Ok(0) => break,
            Ok(n) => {
                total += n;
                buffer = buffer.get_mut(n..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}
