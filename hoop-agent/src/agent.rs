//! An agent, and a running one.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hoop_core::role::matches_wildcard;
use hoop_proto::dsn::Dsn;
use hoop_proto::tunnel::BusyPoll;
use rustls::RootCertStore;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::builder::AgentBuilder;
use crate::error::ConnectError;
use crate::link::{Link, thread};
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
    /// Whether the connection of the channels keeps its core awake.
    pub(crate) busy_poll: BusyPoll,
    /// Of logins to PostgreSQL before.
    #[cfg(feature = "postgres")]
    pub(crate) scram_keys: crate::target::ScramKeys,
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
        let (tell, told) = oneshot::channel();
        let running = self.run(Some(tell))?;
        told.await.unwrap_or_else(|_| Err(ConnectError::Link("the agent has stopped".to_owned())))?;
        Ok(running)
    }

    /// Serves until `shutdown` resolves, then drains for at most `grace`. The gateway need not be there yet: it is
    /// dialled until it is.
    ///
    /// # Errors
    /// [`ConnectError`] when the settings allow no link at all.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>, grace: Duration) -> Result<(), ConnectError> {
        let running = self.run(None)?;
        shutdown.await;
        running.shutdown(grace).await;
        Ok(())
    }

    fn run(self, first: Option<oneshot::Sender<Result<(), ConnectError>>>) -> Result<Running, ConnectError> {
        let link = Link::new(self.settings, self.instance)?;
        let status = watch::Sender::new(Status::Connecting);
        let (drain, tasks) = (CancellationToken::new(), TaskTracker::new());
        let stop = CancellationToken::new();
        let running = Running { status: status.subscribe(), drain, stop, tasks };
        let Running { drain, stop, tasks, .. } = &running;
        tasks.spawn(keep_secrets(link.secrets(), drain.clone(), stop.clone()));
        let served = link.serve(first, status, drain.clone(), stop.clone(), tasks.clone());
        thread::start(tasks.track_future(served)).map_err(ConnectError::Thread)?;
        tasks.close();
        Ok(running)
    }
}

/// What drains takes no new session, and needs no secret. An agent whose host's runtime is gone serves nobody, and stops.
async fn keep_secrets(secrets: SecretSources, drain: CancellationToken, stop: CancellationToken) {
    let host_is_gone = stop.clone().drop_guard();
    let keep = async {
        secrets.keep().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = keep => {}
        () = drain.cancelled() => {}
        () = stop.cancelled() => {}
    }
    host_is_gone.disarm();
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
