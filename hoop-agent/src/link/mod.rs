//! The link to the gateway: attach, serve, and dial again when it breaks.
//!
//! The control stream is served by a thread of its own ([`thread`]), whatever the host's runtime is busy with; all else is served by
//! that runtime.

mod attach;
mod backoff;
mod carry;
mod connect;
mod reader;
pub(crate) mod thread;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hoop_proto::tunnel::v1::tunnel_client::TunnelClient;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use uuid::Uuid;

pub(crate) use carry::TargetWrite;
pub(crate) use reader::TargetReader;

use crate::agent::{Settings, Status};
use crate::error::ConnectError;
use crate::secret::SecretSources;
use backoff::Backoff;

/// Everything that is needed to dial the gateway.
#[derive(Clone)]
pub(crate) struct Link {
    settings: Arc<Settings>,
    instance: Uuid,
    /// The connection that the carry streams share. The control stream has another, so that bulk data never delays a heartbeat.
    carry: Channel,
    bearer: MetadataValue<Ascii>,
    /// The host's runtime, which serves channels.
    host: Handle,
    /// Whether something has come on a channel since this was asked last.
    heard: Arc<AtomicBool>,
}

impl Link {
    /// A link whose channels are served by the runtime that this is called on.
    pub(crate) fn new(settings: Arc<Settings>, instance: Uuid) -> Result<Self, ConnectError> {
        let bearer = format!("Bearer {}", settings.dsn.token.expose())
            .parse()
            .map_err(|_| ConnectError::Refused("the token in the key has characters that no token has".to_owned()))?;
        let poller = settings.busy_poll.poller();
        if poller.is_some() {
            tracing::info!("the agent looks for the next message before a core sleeps (busy_poll)");
        }
        let carry = connect::channel(&settings, poller)?;
        Ok(Self { settings, instance, carry, bearer, host: Handle::current(), heard: Arc::default() })
    }

    /// Something has come on a channel just now.
    fn hear(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Whether something has come on a channel since this was asked last.
    fn was_heard(&self) -> bool {
        self.heard.swap(false, Ordering::Relaxed)
    }

    /// Where secrets are read from.
    pub(crate) fn secrets(&self) -> SecretSources {
        self.settings.secrets.clone()
    }

    fn client(&self, channel: &Channel) -> TunnelClient<Channel> {
        TunnelClient::new(channel.clone())
    }

    fn authorize<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }

    /// Serves until told to stop, and once drained, until what runs has ended. Who wants to know of the first attachment is told, and
    /// then it is not tried again.
    pub(crate) async fn serve(
        self,
        mut first: Option<oneshot::Sender<Result<(), ConnectError>>>,
        status: watch::Sender<Status>,
        drain: CancellationToken,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) {
        let mut backoff = Backoff::default();
        while !drain.is_cancelled() && !stop.is_cancelled() {
            let attached = tokio::select! {
                attached = self.attach() => attached,
                () = drain.cancelled() => break,
                () = stop.cancelled() => break,
            };
            match attached {
                Ok(link) => {
                    let since = Instant::now();
                    status.send_replace(Status::Attached);
                    first.take().map(|tell| tell.send(Ok(())));
                    let why = link.serve(&self, &status, &drain, &stop, &tasks).await;
                    tracing::warn!(gateway = %self.settings.dsn, why, "link ended");
                    backoff.served_for(since.elapsed());
                }
                Err(error) => {
                    if let Some(tell) = first.take() {
                        // Who asked and has gone away has stopped the agent.
                        let _ = tell.send(Err(error));
                        break;
                    }
                    tracing::warn!(gateway = %self.settings.dsn, error = %chain(&error), "gateway cannot be attached");
                    if error.is_lasting() {
                        backoff.slow_down();
                    }
                }
            }
            if drain.is_cancelled() || stop.is_cancelled() {
                break;
            }
            status.send_replace(Status::Connecting);
            tokio::select! {
                () = sleep(backoff.next()) => {}
                () = drain.cancelled() => {}
                () = stop.cancelled() => {}
            }
        }
        status.send_replace(Status::Closed);
    }
}

/// An error and what is behind it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}
