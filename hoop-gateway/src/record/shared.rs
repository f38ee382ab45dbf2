//! What the sessions and the writer of one recorder share.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use hoop_core::clock::Clock;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::config::RecorderConfig;
use super::error::RecordError;
use super::session::Session;

pub(super) struct Shared {
    pub config: RecorderConfig,
    pub clock: Arc<dyn Clock>,
    /// Sessions with something to write at the next window.
    pub lazy: Mutex<Vec<Arc<Session>>>,
    urgent: Mutex<Urgent>,
    wake: Condvar,
    failed: OnceLock<RecordError>,
    /// Set with `failed`, so that the append path reads one flag.
    stopped: AtomicBool,
    pub failure: Notify,
    pub full: AtomicBool,
    pub low: AtomicBool,
    pub open_sessions: AtomicU64,
}

#[derive(Default)]
struct Urgent {
    sessions: Vec<Arc<Session>>,
    shutdown: bool,
}

/// What the writer is woken for.
pub(super) struct Work {
    pub urgent: Vec<Arc<Session>>,
    pub shutdown: bool,
}

impl Shared {
    pub(super) fn new(config: RecorderConfig, clock: Arc<dyn Clock>) -> Self {
        Self {
            config,
            clock,
            lazy: Mutex::default(),
            urgent: Mutex::default(),
            wake: Condvar::new(),
            failed: OnceLock::new(),
            stopped: AtomicBool::new(false),
            failure: Notify::new(),
            full: AtomicBool::new(false),
            low: AtomicBool::new(false),
            open_sessions: AtomicU64::new(0),
        }
    }

    /// The time of a record.
    pub(super) fn now(&self) -> i64 {
        self.clock.now().timestamp_micros()
    }

    pub(super) fn check(&self) -> Result<(), RecordError> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(self.failed.get().cloned().unwrap_or(RecordError::ShutDown));
        }
        Ok(())
    }

    pub(super) fn failed(&self) -> Option<&RecordError> {
        self.failed.get()
    }

    pub(super) fn fail(&self, what: &str, source: io::Error) {
        let error = RecordError::Failed { what: what.into(), source: Arc::new(source) };
        tracing::error!(error = &error as &dyn std::error::Error, "recorder failed");
        self.stop(error);
    }

    pub(super) fn stop(&self, error: RecordError) {
        // The first reason is kept.
        let _ = self.failed.set(error);
        self.stopped.store(true, Ordering::Release);
        self.failure.notify_waiters();
    }

    /// Asks the writer to serve this session now.
    pub(super) fn hurry(&self, session: &Arc<Session>) {
        self.urgent.lock().sessions.push(session.clone());
        self.wake.notify_one();
    }

    pub(super) fn shut_down(&self) {
        self.urgent.lock().shutdown = true;
        self.wake.notify_one();
    }

    /// Waits until there is something urgent, or the deadline.
    pub(super) fn wait(&self, deadline: Instant) -> Work {
        let mut urgent = self.urgent.lock();
        if urgent.sessions.is_empty() && !urgent.shutdown {
            self.wake.wait_until(&mut urgent, deadline);
        }
        Work { urgent: std::mem::take(&mut urgent.sessions), shutdown: urgent.shutdown }
    }
}
