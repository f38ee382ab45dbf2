//! The files that were moved in a session, and the contents of those that were kept: they lie in its log, are proven with it, and
//! go with it.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use serde::Serialize;

use super::event::{Event, FileBytes, FileDone, FileHead, Text};
use super::reader::{ReadError, Reader};

/// A file that was moved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Its number in the session, from 1 on.
    pub number: u64,
    /// Number of the channel.
    pub channel: u64,
    /// `read`, `write` or `read-write`, as the client opened it.
    pub operation: Text,
    /// The path, as the client gives it.
    pub path: Text,
    /// With `scp`: the path, if the other one is a folder.
    pub to: Text,
    /// Whether it was closed, or refused. What follows is known then.
    pub done: bool,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Bytes that were written.
    pub bytes_written: u64,
    /// SHA-256 of the bytes in hex, where they were moved in order and without a gap.
    pub sha256: String,
    /// What the target says, where it did not work, or why it was refused.
    pub error: Text,
    /// How many of the bytes read are kept; none where the role does not keep the file.
    pub kept_read: Option<u64>,
    /// How many of the bytes written are kept.
    pub kept_written: Option<u64>,
}

impl Moved {
    fn end(&mut self, done: FileDone) {
        self.done = true;
        let FileDone { bytes_read, bytes_written, sha256, error, kept_read, kept_written, .. } = done;
        (self.bytes_read, self.bytes_written, self.sha256, self.error) = (bytes_read, bytes_written, sha256, error);
        (self.kept_read, self.kept_written) = (kept_read, kept_written);
    }
}

/// Counts files while a log is read.
#[derive(Default)]
struct Counter {
    last: u64,
    /// The numbers of those that are open, by channel and number on it.
    open: HashMap<(u64, u64), u64>,
}

impl Counter {
    /// The number of a file that this event opens.
    fn opened(&mut self, event: &Event) -> Option<Moved> {
        let Event::File(file) = event else { return None };
        if !matches!(&*file.operation.0, b"read" | b"write" | b"read-write") {
            return None;
        }
        self.last += 1;
        self.open.insert((file.channel, file.number), self.last);
        Some(Moved {
            number: self.last,
            channel: file.channel,
            operation: file.operation.clone(),
            path: file.path.clone(),
            to: file.to.clone(),
            ..Moved::default()
        })
    }

    /// The number of the file that this event is of.
    fn of(&self, channel: u64, number: u64) -> Option<u64> {
        self.open.get(&(channel, number)).copied()
    }
}

/// Files of a log, from the one after `after` on, `limit` at most; and whether there are more.
///
/// # Errors
/// When the log cannot be read.
pub fn list(log: Reader, after: u64, limit: usize) -> Result<(Vec<Moved>, bool), ReadError> {
    let (mut counter, mut files) = (Counter::default(), Vec::new());
    let mut more = false;
    let place = |files: &[Moved], number: u64| {
        number.checked_sub(after + 1).and_then(|at| usize::try_from(at).ok()).filter(|at| *at < files.len())
    };
    for view in log {
        let event = view?.event;
        if let Some(file) = counter.opened(&event) {
            more |= file.number > after && files.len() >= limit;
            if file.number > after && files.len() < limit {
                files.push(file);
            }
        }
        if let Event::FileDone(done) = event
            && let Some(number) = counter.open.remove(&(done.channel, done.number))
            && let Some(file) = place(&files, number).and_then(|at| files.get_mut(at))
        {
            file.end(done);
        }
    }
    Ok((files, more))
}

/// Writes what is kept of a file to another one, each byte at its place; what is not kept between them is zero there. Gives the
/// file's description, or `None` when the log has no such file, or nothing of it. It blocks.
///
/// # Errors
/// When the log cannot be read, or the other file not be written to.
pub fn contents(log: Reader, number: u64, written: bool, to: &File) -> Result<Option<Moved>, ContentsError> {
    let mut counter = Counter::default();
    let (mut found, mut any) = (None, false);
    for view in log {
        let event = view?.event;
        if let Some(file) = counter.opened(&event).filter(|file| file.number == number) {
            found = Some(file);
        }
        match event {
            Event::FileBytes(FileBytes { head, bytes }) if head.written == written => {
                let FileHead { channel, number: on_channel, offset, .. } = head;
                if counter.of(channel.into(), on_channel) == Some(number) {
                    to.write_all_at(&bytes, offset)?;
                    any = true;
                }
            }
            Event::FileDone(done) if counter.open.remove(&(done.channel, done.number)) == Some(number) => {
                if let Some(found) = &mut found {
                    found.end(done);
                }
                break;
            }
            _ => {}
        }
    }
    Ok(found.filter(|_| any))
}

/// The contents of a file cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentsError {
    /// The log.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file that they are written to.
    #[error("the contents cannot be written down")]
    Write(#[from] std::io::Error),
}
