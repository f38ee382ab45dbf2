//! The log of one running session.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use hoop_core::id::SessionId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::error::RecordError;
use super::event::{End, Text};
use super::format::{CHAIN, Chain, HEAD, Kind, MAGIC, MAX_PAYLOAD, push, seed};
use super::shared::Shared;

/// What the writer and the session's own task share.
pub(super) struct Session {
    pub id: SessionId,
    pub strict: bool,
    pub buffer: Mutex<Buffer>,
    /// The writer's own.
    pub file: Mutex<LogFile>,
    /// Records that are on disk.
    pub durable: AtomicU64,
    pub sealed: OnceLock<SealedLog>,
    /// Told of every progress of the writer.
    pub moved: Notify,
    pub shared: Arc<Shared>,
}

#[derive(Default)]
pub(super) struct Buffer {
    /// Whole records, without checksums and chains.
    pub bytes: Vec<u8>,
    /// Sequence of the next record.
    pub next: u64,
    /// Whether the session stands in the list of the next window.
    pub listed: bool,
    /// Whether somebody waits for what is buffered to be durable.
    pub waiting: bool,
    /// Whether the end has been appended.
    pub ended: bool,
    /// Whether the writer was called because much is buffered.
    pub pressed: bool,
    /// Bytes that were taken last, as a guess of what comes.
    pub hint: usize,
}

pub(super) struct LogFile {
    pub file: File,
    pub path: PathBuf,
    /// Bytes written.
    pub written: u64,
    /// Bytes that survive a power failure, here or in the write-ahead log.
    pub synced: u64,
    /// Bytes that do so in this file.
    pub settled: u64,
    /// Records written.
    pub records: u64,
    pub chain: Chain,
    pub checkpoint_at: Instant,
    /// Whether it stands in the writer's list of files to sync.
    pub unsynced_listed: bool,
    /// Whether it stands in the list of files that the write-ahead log covers.
    pub wal_listed: bool,
    /// Whether the folder knows of it for sure.
    pub folder_synced: bool,
    pub seal: Option<SealedLog>,
}

impl LogFile {
    pub(super) fn new(file: File, path: PathBuf) -> Self {
        let start = MAGIC.len() as u64;
        Self {
            file,
            path,
            written: start,
            synced: 0,
            settled: 0,
            records: 0,
            chain: seed(),
            checkpoint_at: Instant::now(),
            unsynced_listed: false,
            wal_listed: false,
            folder_synced: false,
            seal: None,
        }
    }
}

/// A log that is closed and sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedLog {
    /// Where it lies.
    pub path: PathBuf,
    /// Its records, the seal included.
    pub records: u64,
    /// The chain that the seal signs. Whoever keeps it elsewhere can tell this log from any other.
    pub head: [u8; 32],
    /// Its length, in bytes.
    pub bytes: u64,
}

/// What became of an append.
#[must_use]
pub enum Appended {
    /// It is in the buffer.
    Done,
    /// It is not: the buffer is full. Await [`Room::wait`] and append again.
    Full(Room),
}

impl Appended {
    /// Whether it is in the buffer.
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

/// A wait for room in a session's buffer.
pub struct Room(Arc<Session>);

impl Room {
    /// Waits until the writer has taken what was buffered. Cancel safe.
    ///
    /// # Errors
    /// When the recorder has failed or is shut down.
    pub async fn wait(self) -> Result<(), RecordError> {
        self.0.until(|session| session.buffer.lock().bytes.is_empty()).await
    }

    /// Waits for room and appends these records in order; in a strict session, waits until they are durable.
    ///
    /// # Errors
    /// When the recorder has failed or is shut down, or the disk is full.
    pub async fn append(self, records: Vec<(Kind, Vec<u8>)>) -> Result<(), RecordError> {
        let session = self.0;
        for (kind, payload) in records {
            while let Appended::Full(room) = session.push(kind, &[&payload])? {
                room.wait().await?;
            }
        }
        if session.strict { session.durable().await } else { Ok(()) }
    }
}

impl Session {
    fn push(self: &Arc<Self>, kind: Kind, parts: &[&[u8]]) -> Result<Appended, RecordError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length > MAX_PAYLOAD {
            return Err(RecordError::TooLong { bytes: length });
        }
        let last = kind == Kind::End;
        self.shared.check()?;
        if !last && self.shared.full.load(Ordering::Relaxed) {
            return Err(RecordError::NoSpace);
        }
        let time = self.shared.now();
        let limit = self.shared.config.max_buffered_bytes;
        let mut buffer = self.buffer.lock();
        if buffer.ended {
            return Err(RecordError::ShutDown);
        }
        let size = buffer.bytes.len() + HEAD + length + CHAIN;
        if !last && size > limit && !buffer.bytes.is_empty() {
            drop(buffer);
            self.shared.hurry(self);
            return Ok(Appended::Full(Room(self.clone())));
        }
        if buffer.bytes.capacity() == 0 {
            let guess = buffer.hint.clamp(512, 256 << 10);
            buffer.bytes.reserve(guess);
        }
        let sequence = buffer.next;
        buffer.next += 1;
        push(&mut buffer.bytes, kind, sequence, time, parts);
        buffer.ended |= last;
        let press = !buffer.pressed && size > limit / 8;
        buffer.pressed |= press;
        if !std::mem::replace(&mut buffer.listed, true) {
            self.shared.lazy.lock().push(self.clone());
        }
        drop(buffer);
        if press || last {
            self.shared.hurry(self);
        }
        Ok(Appended::Done)
    }

    fn durable(self: &Arc<Self>) -> impl Future<Output = Result<(), RecordError>> + Send + 'static {
        let session = self.clone();
        let target = {
            let mut buffer = session.buffer.lock();
            buffer.waiting = true;
            buffer.next
        };
        if session.durable.load(Ordering::Acquire) < target {
            session.shared.hurry(&session);
        }
        async move { session.until(|session| session.durable.load(Ordering::Acquire) >= target).await }
    }

    async fn until(&self, done: impl Fn(&Self) -> bool) -> Result<(), RecordError> {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            moved.as_mut().enable();
            if done(self) {
                return Ok(());
            }
            self.shared.check()?;
            moved.await;
        }
    }
}

/// The log of one running session. Dropped without [`close`](Self::close), it ends as `aborted`.
pub struct SessionLog {
    pub(super) session: Arc<Session>,
    closed: AtomicBool,
}

impl SessionLog {
    pub(super) fn new(session: Arc<Session>) -> Self {
        session.shared.open_sessions.fetch_add(1, Ordering::Relaxed);
        Self { session, closed: AtomicBool::new(false) }
    }

    /// The session.
    pub fn id(&self) -> SessionId {
        self.session.id
    }

    /// Where the log lies while the session runs.
    pub fn path(&self) -> PathBuf {
        self.session.file.lock().path.clone()
    }

    /// Whether statements wait until they are on disk.
    pub fn is_strict(&self) -> bool {
        self.session.strict
    }

    /// Appends a record whose payload is these parts, one after the other. No system call, no wait: a copy under a lock
    /// that only the writer contends for, a few times a second.
    ///
    /// # Errors
    /// When the payload is larger than [`MAX_PAYLOAD`], the recorder has failed or is shut down, or the disk is full.
    pub fn append(&self, kind: Kind, parts: &[&[u8]]) -> Result<Appended, RecordError> {
        self.session.push(kind, parts)
    }

    /// Resolves when everything that was appended before this call survives a power failure. The work begins with the
    /// call, not with the first poll; all sessions that wait are served by one round.
    pub fn durable(&self) -> impl Future<Output = Result<(), RecordError>> + Send + 'static {
        self.session.durable()
    }

    /// Ends the log and waits until it is sealed: on disk in strict mode, written otherwise.
    ///
    /// # Errors
    /// When the recorder has failed or is shut down; recovery then seals the log at the next start.
    pub async fn close(self, end: &End) -> Result<SealedLog, RecordError> {
        self.end(end)?;
        let session = self.session.clone();
        drop(self);
        session.until(|session| session.sealed.get().is_some()).await?;
        Ok(session.sealed.get().cloned().expect("waited for"))
    }

    fn end(&self, end: &End) -> Result<(), RecordError> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let mut payload = Vec::with_capacity(128);
        end.encode(&mut payload);
        let _ = self.session.push(Kind::End, &[&payload])?;
        Ok(())
    }
}

impl Drop for SessionLog {
    fn drop(&mut self) {
        let aborted =
            End { outcome: "aborted".into(), reason: Text::from("dropped without being closed"), ..End::default() };
        // A recorder that has failed has said so; recovery closes the log.
        let _ = self.end(&aborted);
        self.session.shared.open_sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for SessionLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionLog").field("id", &self.session.id).finish_non_exhaustive()
    }
}

/// Makes a log's file: new, for its owner alone, and beginning as every log does.
pub(super) fn create(path: &Path) -> std::io::Result<File> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = File::options().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(MAGIC)?;
    Ok(file)
}
