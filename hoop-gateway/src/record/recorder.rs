//! The recorder: one for a gateway.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use hoop_core::clock::Clock;
use hoop_core::id::SessionId;
use parking_lot::Mutex;

use super::config::RecorderConfig;
use super::error::RecordError;
use super::event::Header;
use super::format::Kind;
use super::path::{open_folder, open_path, sealed_path};
use super::recover::{self, Recovery};
use super::session::{Buffer, LogFile, Session, SessionLog, create};
use super::shared::Shared;
use super::wal::Wal;
use super::writer::{Writer, make_folder};
use crate::folder_lock::FolderLock;

/// Records all sessions of a gateway, with one thread. Cheap to clone; the last clone that is dropped waits until
/// everything is on disk.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    _lock: FolderLock,
}

impl Recorder {
    /// Opens the folder, making it when it is missing; closes what a gateway that died has left there; and starts the
    /// writer. It blocks while it does so: call it before the first session is served.
    ///
    /// # Errors
    /// When the folder cannot be used, or another gateway uses it.
    pub fn open(config: RecorderConfig, clock: Arc<dyn Clock>) -> Result<(Self, Recovery), RecordError> {
        let folder = config.folder.clone();
        let wals = folder.join("wal");
        for folder in [&folder, &open_folder(&folder), &wals] {
            make_folder(folder).map_err(RecordError::file("make", folder))?;
        }
        let lock = lock(&config)?;
        let (recovery, next_wal) = recover::recover(&config, &*clock)?;
        let wal = Wal::begin(&wals, next_wal).map_err(RecordError::file("write to", &wals))?;
        let shared = Arc::new(Shared::new(config, clock));
        let writer = Writer::new(shared.clone(), wal);
        writer.look_at_space();
        let thread = std::thread::Builder::new().name("recorder".into()).spawn(|| writer.run());
        let thread = thread.map_err(RecordError::file("start a thread for", &folder))?;
        Ok((Self(Arc::new(Inner { shared, thread: Mutex::new(Some(thread)), _lock: lock })), recovery))
    }

    /// Begins the log of a session. It makes one file, and blocks while it does.
    ///
    /// # Errors
    /// When the recorder has failed or is shut down, the disk has too little space for such a session, or the session
    /// has a log already.
    pub fn session(&self, id: SessionId, header: &Header) -> Result<SessionLog, RecordError> {
        let shared = &self.0.shared;
        self.ready()?;
        if header.strict && shared.low.load(Ordering::Relaxed) {
            return Err(RecordError::LittleSpace);
        }
        let path = open_path(&shared.config.folder, id);
        if sealed_path(&shared.config.folder, id).exists() {
            let source = Arc::new(std::io::ErrorKind::AlreadyExists.into());
            return Err(RecordError::File { what: "make", path, source });
        }
        let file = create(&path).map_err(RecordError::file("make", &path))?;
        let log = SessionLog::new(Arc::new(Session {
            id,
            strict: header.strict,
            buffer: Mutex::new(Buffer::default()),
            file: Mutex::new(LogFile::new(file, path)),
            durable: 0.into(),
            sealed: Default::default(),
            moved: Default::default(),
            shared: shared.clone(),
        }));
        let mut payload = Vec::with_capacity(512);
        let header = Header { version: 1, session: id.to_string(), ..header.clone() };
        header.encode(&mut payload);
        let _ = log.append(Kind::Header, &[&payload])?;
        Ok(log)
    }

    /// Whether sessions are recorded that do not wait for the disk.
    ///
    /// # Errors
    /// When the recorder has failed or is shut down, or the disk is as good as full.
    pub fn ready(&self) -> Result<(), RecordError> {
        self.0.shared.check()?;
        if self.0.shared.full.load(Ordering::Relaxed) { Err(RecordError::NoSpace) } else { Ok(()) }
    }

    /// Resolves when the recorder has failed or is shut down. Cancel safe.
    pub async fn failed(&self) -> RecordError {
        let shared = &self.0.shared;
        loop {
            let mut told = std::pin::pin!(shared.failure.notified());
            told.as_mut().enable();
            if let Some(error) = shared.failed() {
                return error.clone();
            }
            told.await;
        }
    }

    /// How many logs are open.
    pub fn open_sessions(&self) -> u64 {
        self.0.shared.open_sessions.load(Ordering::Relaxed)
    }

    /// The settings.
    pub fn config(&self) -> &RecorderConfig {
        &self.0.shared.config
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.shared.clock
    }

    /// Makes everything durable and stops the writer. Logs that are still open stay so; the next start closes them as
    /// `gateway_lost`. It blocks: a program with a runtime calls it on a thread that may.
    pub fn shut_down(&self) {
        self.0.shut_down();
    }
}

impl Inner {
    fn shut_down(&self) {
        self.shared.shut_down();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the recorder's thread panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("config", self.config()).finish_non_exhaustive()
    }
}

fn lock(config: &RecorderConfig) -> Result<FolderLock, RecordError> {
    let taken = FolderLock::take(&config.folder);
    let taken = taken.map_err(RecordError::file("lock", &FolderLock::file(&config.folder)))?;
    taken.ok_or_else(|| RecordError::Locked(config.folder.clone()))
}
