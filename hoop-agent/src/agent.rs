//! An agent, and a running one.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hoop_core::role::matches_wildcard;
use hoop_proto::dsn::Dsn;
use rustls::RootCertStore;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::builder::AgentBuilder;
use crate::error::ConnectError;
use crate::link::{self, Link};
use crate::secret::SecretSources;
use crate::trace::ContinueTrace;

/// What an agent was built with.
pub(crate) struct Settings {
    pub(crate) dsn: Dsn,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) secrets: SecretSources,
    pub(crate) targets: Vec<String>,
    /// Who may vouch for the gateway, where the key does not pin its certificate.
    pub(crate) roots: RootCertStore,
    /// How a span goes on with a gateway's trace.
    pub(crate) continue_trace: Option<ContinueTrace>,
}

impl Settings {
    /// Whether the agent may dial this target. With nothing said, it may dial any.
    pub(crate) fn allows_target(&self, host: &str, port: u32) -> bool {
        let address = format!("{host}:{port}");
        self.targets.is_empty() || self.targets.iter().any(|pattern| matches_wildcard(pattern, &address))
    }
}

/// An agent that is not attached yet.
pub struct Agent {
    settings: Arc<Settings>,
    instance: Uuid,
}

impl Agent {
    /// Begins to build one.
    pub fn builder() -> AgentBuilder {
        AgentBuilder::default()
    }

    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), instance: Uuid::now_v7() }
    }

    /// Attaches to the gateway, and stays attached from then on: a lost link is dialled again.
    ///
    /// # Errors
    /// [`ConnectError`] when the first try fails.
    pub async fn connect(self) -> Result<Running, ConnectError> {
        let link = Link::new(self.settings, self.instance)?;
        let attached = link.attach().await?;
        Ok(Self::run(link, Some(attached)))
    }

    /// Serves until `shutdown` resolves, then drains for at most `grace`. The gateway need not be there yet: it is
    /// dialled until it is.
    ///
    /// # Errors
    /// [`ConnectError`] when the settings allow no link at all.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>, grace: Duration) -> Result<(), ConnectError> {
        let link = Link::new(self.settings, self.instance)?;
        let running = Self::run(link, None);
        shutdown.await;
        running.shutdown(grace).await;
        Ok(())
    }

    fn run(link: Link, attached: Option<link::Attached>) -> Running {
        let status = watch::Sender::new(if attached.is_some() { Status::Attached } else { Status::Connecting });
        let (drain, tasks) = (CancellationToken::new(), TaskTracker::new());
        let stop = CancellationToken::new();
        let watched = status.subscribe();
        tasks.spawn(keep_secrets(link.secrets(), drain.clone(), stop.clone()));
        tasks.spawn(link.serve(attached, status, drain.clone(), stop.clone(), tasks.clone()));
        tasks.close();
        Running { status: watched, drain, stop, tasks }
    }
}

/// What drains takes no new session, and needs no secret.
async fn keep_secrets(secrets: SecretSources, drain: CancellationToken, stop: CancellationToken) {
    tokio::select! {
        () = secrets.keep() => {}
        () = drain.cancelled() => {}
        () = stop.cancelled() => {}
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("key", &self.settings.dsn.to_string()).field("instance", &self.instance).finish()
    }
}

/// Where an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It dials its gateway.
    Connecting,
    /// It serves.
    Attached,
    /// It serves what runs, and takes nothing new.
    Draining,
    /// It has stopped.
    Closed,
}

/// An agent that serves. Dropping it stops it at once; [`shutdown`](Self::shutdown) lets what runs end first.
#[derive(Debug)]
pub struct Running {
    status: watch::Receiver<Status>,
    drain: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Where the agent is now.
    pub fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// Tells every change of the status from now on.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Takes nothing new, waits at most `grace` for what runs, and stops.
    pub async fn shutdown(self, grace: Duration) {
        self.drain.cancel();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                channels = self.tasks.len(),
                "channels were still open after the grace time, and are closed"
            );
        }
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
