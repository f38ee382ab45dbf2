//! The one thread that writes all logs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::error::RecordError;
use super::format::{self, Kind};
use super::note::Checkpoint;
use super::path;
use super::session::{LogFile, SealedLog, Session};
use super::shared::Shared;
use super::space::free_percent;
use super::wal::{MAX_PIECE, Wal};

/// Files whose sync is left to one round; the rest follows in the next, so that nobody waits behind all of them.
const SETTLED_PER_ROUND: usize = 8;
/// Files that the write-ahead log may cover before the next one is begun.
const MAX_COVERED: usize = 256;

pub(super) struct Writer {
    shared: Arc<Shared>,
    wal: Wal,
    /// Written and not durable.
    unsynced: Vec<Arc<Session>>,
    /// Durable in the current write-ahead log.
    covered: Vec<Arc<Session>>,
    /// Durable in the one before, and to be settled before that is deleted.
    settling: Vec<Arc<Session>>,
    old_wal: Option<PathBuf>,
    next_window: Instant,
    next_sync: Instant,
}

struct Taken {
    bytes: Vec<u8>,
    /// Whether a checkpoint is due after the bytes. It takes the next sequence.
    checkpoint: bool,
    waiting: bool,
    ended: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, wal: Wal) -> Self {
        let now = Instant::now();
        Self {
            next_window: now + shared.config.window,
            next_sync: now + shared.config.sync_every,
            shared,
            wal,
            unsynced: Vec::new(),
            covered: Vec::new(),
            settling: Vec::new(),
            old_wal: None,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let work = self.shared.wait(self.next_window);
            let now = Instant::now();
            let mut sessions = work.urgent;
            let window = now >= self.next_window || work.shutdown;
            if window {
                self.next_window = now + self.shared.config.window;
                sessions.append(&mut self.take_listed());
                self.look_at_space();
            }
            // After a failure nothing is tried again: what the first error left unwritten must not look written.
            if self.shared.check().is_ok()
                && let Err((what, source)) = self.round(&sessions, now, window, work.shutdown)
            {
                self.shared.fail(what, source);
            }
            if work.shutdown {
                self.shared.stop(RecordError::ShutDown);
                // Who began to wait before the stop was set is in this list; who comes later sees that it is set.
                sessions.append(&mut self.shared.wait(now).urgent);
            }
            if self.shared.check().is_err() {
                self.release(&sessions);
            }
            if work.shutdown {
                return;
            }
        }
    }

    fn take_listed(&self) -> Vec<Arc<Session>> {
        let sessions = std::mem::take(&mut *self.shared.lazy.lock());
        for session in &sessions {
            session.buffer.lock().listed = false;
        }
        sessions
    }

    fn round(&mut self, sessions: &[Arc<Session>], now: Instant, window: bool, all: bool) -> Result<(), Failure> {
        let mut to_sync = Vec::new();
        for session in sessions {
            if self.write(session, now)? {
                to_sync.push(session.clone());
            }
        }
        if now >= self.next_sync || all {
            self.next_sync = now + self.shared.config.sync_every;
            for session in std::mem::take(&mut self.unsynced) {
                session.file.lock().unsynced_listed = false;
                to_sync.push(session);
            }
        }
        self.sync(&to_sync).map_err(|error| ("sync", error))?;
        for session in &to_sync {
            self.tell(session);
        }
        if window {
            self.settle(if all { usize::MAX } else { SETTLED_PER_ROUND }).map_err(|error| ("settle", error))?;
        }
        if all {
            self.rotate().and_then(|()| self.settle(usize::MAX)).map_err(|error| ("settle", error))?;
        }
        Ok(())
    }

    /// Writes what is buffered. Returns whether somebody waits for it to be durable.
    fn write(&mut self, session: &Arc<Session>, now: Instant) -> Result<bool, Failure> {
        let mut file = session.file.lock();
        let due = now.duration_since(file.checkpoint_at) >= self.shared.config.checkpoint_every;
        let mut taken = take(session, due);
        if file.seal.is_some() {
            return Ok(taken.waiting);
        }
        if !taken.bytes.is_empty() {
            self.finish(session, &mut file, &mut taken, now);
            file.file.write_all(&taken.bytes).map_err(|error| ("write", error))?;
            file.written += taken.bytes.len() as u64;
            if taken.ended {
                self.seal(session, &mut file).map_err(|error| ("seal", error))?;
            }
        }
        let wanted = taken.waiting || (taken.ended && session.strict);
        if !wanted && file.synced < file.written && !std::mem::replace(&mut file.unsynced_listed, true) {
            self.unsynced.push(session.clone());
        }
        if file.seal.is_some() && !session.strict {
            let _ = file.seal.clone().map(|seal| session.sealed.set(seal));
        }
        drop(file);
        session.moved.notify_waiters();
        Ok(wanted)
    }

    /// Completes the records, and adds a checkpoint when one is due.
    fn finish(&self, session: &Session, file: &mut LogFile, taken: &mut Taken, now: Instant) {
        file.records += format::finish(&mut taken.bytes, &mut file.chain);
        if taken.checkpoint {
            file.checkpoint_at = now;
            self.checkpoint(session, file, Kind::Checkpoint, &mut taken.bytes);
        }
    }

    /// Appends a signed checkpoint of all records so far.
    fn checkpoint(&self, session: &Session, file: &mut LogFile, kind: Kind, out: &mut Vec<u8>) -> Checkpoint {
        let time = self.shared.now();
        let checkpoint = Checkpoint { session: session.id, records: file.records, head: file.chain, time };
        let note = checkpoint.sign(&self.shared.config.key);
        let at = out.len();
        format::push(out, kind, file.records, time, &[note.as_bytes()]);
        file.records += format::finish(out.get_mut(at..).unwrap_or_default(), &mut file.chain);
        checkpoint
    }

    fn seal(&self, session: &Session, file: &mut LogFile) -> io::Result<()> {
        let mut bytes = Vec::new();
        let checkpoint = self.checkpoint(session, file, Kind::Seal, &mut bytes);
        file.file.write_all(&bytes)?;
        file.written += bytes.len() as u64;
        let sealed = path::sealed_path(&self.shared.config.folder, session.id);
        make_folder(sealed.parent().unwrap_or(&self.shared.config.folder))?;
        fs::rename(&file.path, &sealed)?;
        file.path.clone_from(&sealed);
        file.seal = Some(SealedLog { path: sealed, records: file.records, head: checkpoint.head, bytes: file.written });
        Ok(())
    }

    /// Makes what these sessions have written durable: one by itself, several small ones together.
    fn sync(&mut self, sessions: &[Arc<Session>]) -> io::Result<()> {
        let shared = sessions.len() > 1;
        let mut added = false;
        for session in sessions {
            let mut file = session.file.lock();
            if file.synced == file.written {
                continue;
            }
            if !shared || file.written - file.synced > MAX_PIECE {
                settle_file(&mut file, &mut BTreeSet::new())?;
                continue;
            }
            self.wal.add(session.id, &file.file, file.synced, file.written)?;
            file.synced = file.written;
            added = true;
            if !std::mem::replace(&mut file.wal_listed, true) {
                self.covered.push(session.clone());
            }
        }
        if added {
            self.wal.commit()?;
        }
        if self.wal.length > self.shared.config.max_wal_bytes || self.covered.len() > MAX_COVERED {
            self.rotate()?;
        }
        Ok(())
    }

    fn tell(&self, session: &Session) {
        let file = session.file.lock();
        session.durable.store(file.records, Ordering::Release);
        if let Some(seal) = &file.seal {
            let _ = session.sealed.set(seal.clone());
        }
        drop(file);
        session.moved.notify_waiters();
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.settle(usize::MAX)?;
        if self.covered.is_empty() {
            return Ok(());
        }
        self.old_wal = Some(self.wal.rotate()?);
        self.settling = std::mem::take(&mut self.covered);
        for session in &self.settling {
            session.file.lock().wal_listed = false;
        }
        Ok(())
    }

    /// Syncs files that the old write-ahead log covers; deletes it after the last.
    fn settle(&mut self, most: usize) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        let from = self.settling.len().saturating_sub(most);
        for session in self.settling.drain(from..) {
            settle_file(&mut session.file.lock(), &mut folders)?;
        }
        if self.settling.is_empty()
            && let Some(path) = self.old_wal.take()
        {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    pub(super) fn look_at_space(&self) {
        let config = &self.shared.config;
        let free = free_percent(&config.folder).unwrap_or_else(|error| {
            if !self.shared.full.load(Ordering::Relaxed) {
                let folder = config.folder.display();
                tracing::error!(%folder, %error, "the disk of the recordings cannot be asked for its space, so it counts as full until it can");
            }
            0.0
        });
        let low = free < f64::from(config.space.strict_percent);
        let full = free < f64::from(config.space.all_percent);
        let was_low = self.shared.low.swap(low, Ordering::Relaxed);
        let was_full = self.shared.full.swap(full, Ordering::Relaxed);
        if (low, full) == (was_low, was_full) {
            return;
        }
        let (folder, free_percent) = (config.folder.display(), format!("{free:.1}"));
        match (low, full) {
            (_, true) => tracing::error!(%folder, free_percent, "no room for recordings: no session is served"),
            (true, false) => {
                tracing::warn!(%folder, free_percent, "little room for recordings: no strict session is served")
            }
            (false, false) => tracing::info!(%folder, free_percent, "there is room for recordings again"),
        }
    }

    /// The recorder has failed: whoever waits learns of it.
    fn release(&mut self, sessions: &[Arc<Session>]) {
        let listed = self.take_listed();
        let own = self.unsynced.drain(..).chain(self.covered.drain(..)).chain(self.settling.drain(..));
        for session in sessions.iter().cloned().chain(listed).chain(own) {
            session.moved.notify_waiters();
        }
    }
}

/// What was tried, and why it failed.
type Failure = (&'static str, io::Error);

fn take(session: &Session, checkpoint_due: bool) -> Taken {
    let mut buffer = session.buffer.lock();
    buffer.hint = buffer.bytes.len();
    buffer.pressed = false;
    let checkpoint = checkpoint_due && !buffer.ended && !buffer.bytes.is_empty();
    buffer.next += u64::from(checkpoint);
    Taken {
        bytes: std::mem::take(&mut buffer.bytes),
        checkpoint,
        waiting: std::mem::take(&mut buffer.waiting),
        ended: buffer.ended,
    }
}

fn settle_file(file: &mut LogFile, folders: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    if file.settled < file.written {
        file.file.sync_data()?;
        file.settled = file.written;
        file.synced = file.written;
    }
    if !std::mem::replace(&mut file.folder_synced, true)
        && let Some(folder) = file.path.parent()
        && folders.insert(folder.to_owned())
    {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Makes a folder for its owner alone, and those above it.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
