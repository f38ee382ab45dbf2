//! The link to the gateway: attach, serve, and dial again when it breaks.

mod attach;
mod backoff;
mod carry;
mod connect;

use std::sync::Arc;

use hoop_proto::tunnel::v1::tunnel_client::TunnelClient;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use uuid::Uuid;

pub(crate) use attach::Attached;
#[cfg(feature = "http")]
pub(crate) use carry::TargetReader;
pub(crate) use carry::{TargetRead, TargetWrite};

use crate::agent::{Settings, Status};
use crate::error::ConnectError;
use crate::secret::SecretSources;
use backoff::Backoff;

/// Everything that is needed to dial the gateway.
#[derive(Clone)]
pub(crate) struct Link {
    settings: Arc<Settings>,
    instance: Uuid,
    /// The control stream has a connection of its own, so that bulk data never delays a heartbeat.
    control: Channel,
    /// The carry streams share another one.
    carry: Channel,
    bearer: MetadataValue<Ascii>,
}

impl Link {
    pub(crate) fn new(settings: Arc<Settings>, instance: Uuid) -> Result<Self, ConnectError> {
        let bearer = format!("Bearer {}", settings.dsn.token.expose())
            .parse()
            .map_err(|_| ConnectError::Refused("the token in the key has characters that no token has".to_owned()))?;
        let (control, carry) = (connect::channel(&settings)?, connect::channel(&settings)?);
        Ok(Self { settings, instance, control, carry, bearer })
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

    /// Serves until told to stop, and once drained, until what runs has ended.
    pub(crate) async fn serve(
        self,
        mut attached: Option<Attached>,
        status: watch::Sender<Status>,
        drain: CancellationToken,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) {
        let mut backoff = Backoff::default();
        while !drain.is_cancelled() && !stop.is_cancelled() {
            let next = match attached.take() {
                Some(attached) => Ok(attached),
                None => tokio::select! {
                    attached = self.attach() => attached,
                    () = drain.cancelled() => break,
                    () = stop.cancelled() => break,
                },
            };
            match next {
                Ok(link) => {
                    let since = Instant::now();
                    status.send_replace(Status::Attached);
                    let why = link.serve(&self, &status, &drain, &stop, &tasks).await;
                    tracing::warn!(gateway = %self.settings.dsn, why, "link ended");
                    backoff.served_for(since.elapsed());
                }
                Err(error) => {
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
