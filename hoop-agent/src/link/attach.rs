//! The control stream: hello, heartbeats, what the gateway asks for.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hoop_core::Code;
use hoop_proto::tunnel::Silence;
use hoop_proto::tunnel::v1::{
    AgentMessage, Cancelled, Drain, GatewayMessage, Heartbeat, Hello, Refused, Welcome, agent_message, gateway_message,
    open,
};
use hoop_proto::tunnel::version::{PROTOCOL_MAX, PROTOCOL_MIN};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Channel;
use tonic::{Code as GrpcCode, Status as GrpcStatus, Streaming};

use super::{Link, carry, connect};
use crate::agent::Status;
use crate::error::{ConnectError, TargetFailure};
use crate::target::Served;

/// Messages that may wait for the gateway.
const CONTROL_QUEUE: usize = 64;
/// The gateway answers a hello within this time.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(15);

/// The channels that run, and how to cancel what runs on each.
pub(super) type Channels = Arc<Mutex<HashMap<u64, Served>>>;

/// An attached link.
pub(crate) struct Attached {
    welcome: Welcome,
    messages: Streaming<GatewayMessage>,
    control: mpsc::Sender<AgentMessage>,
    _connection: Channel,
}

impl Link {
    /// Dials the gateway and says hello.
    pub(crate) async fn attach(&self) -> Result<Attached, ConnectError> {
        let (control, outgoing) = mpsc::channel(CONTROL_QUEUE);
        send(&control, agent_message::Body::Hello(self.hello()));
        let connection = connect::channel(&self.settings, None)?;
        let mut client = self.client(&connection);
        let call = client.attach(self.authorize(ReceiverStream::new(outgoing)));
        let late = |_| ConnectError::Link("the gateway does not answer".to_owned());
        let response = timeout(WELCOME_TIMEOUT, call).await.map_err(late)?;
        let mut messages = response.map_err(|status| self.refusal(status))?.into_inner();
        let first = timeout(WELCOME_TIMEOUT, messages.message()).await.map_err(late)?;
        match first.map_err(|status| self.refusal(status))? {
            Some(GatewayMessage { body: Some(gateway_message::Body::Welcome(welcome)) }) => {
                tracing::info!(gateway = %self.settings.dsn, agent = %welcome.agent_name, "attached");
                Ok(Attached { welcome, messages, control, _connection: connection })
            }
            _ => Err(ConnectError::Link("the gateway does not say welcome".to_owned())),
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.instance.as_bytes().to_vec().into(),
            hostname: std::fs::read_to_string("/proc/sys/kernel/hostname")
                .map(|name| name.trim().to_owned())
                .unwrap_or_default(),
            mode: self.settings.dsn.mode.as_str().to_owned(),
            labels: self.settings.labels.clone().into_iter().collect(),
            protocols: crate::target::PROTOCOLS.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn refusal(&self, status: GrpcStatus) -> ConnectError {
        match status.code() {
            GrpcCode::Unauthenticated | GrpcCode::PermissionDenied => {
                ConnectError::Refused(status.message().to_owned())
            }
            GrpcCode::FailedPrecondition => ConnectError::Version(status.message().to_owned()),
            _ => connect::unreachable(&self.settings.dsn, cause(&status)),
        }
    }
}

/// What is behind it: the status itself says it three times over.
fn cause(status: &GrpcStatus) -> String {
    let (mut text, mut source) = (status.message().to_owned(), status.source());
    while let Some(error) = source {
        (text, source) = (error.to_string(), error.source());
    }
    text
}

impl Attached {
    /// Serves the link until it ends; says why it did.
    pub(super) async fn serve(
        mut self,
        link: &Link,
        status: &watch::Sender<Status>,
        drain: &CancellationToken,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> &'static str {
        let limit = |millis: u32, least: u64| Duration::from_millis(u64::from(millis).max(least));
        let mut beat = interval(limit(self.welcome.heartbeat_interval_ms, 100));
        let mut silence = Silence::new(limit(self.welcome.heartbeat_timeout_ms, 500), Instant::now());
        let mut sequence = 0;
        let channels = Channels::default();
        // What runs through this link ends with it.
        let lost = stop.child_token();
        let _ends = lost.clone().drop_guard();
        let mut draining = false;
        loop {
            tokio::select! {
                // What has come counts before the time that it took.
                biased;
                () = stop.cancelled() => return "the agent stops",
                message = self.messages.message() => match message {
                    Ok(Some(message)) => {
                        silence.heard(Instant::now());
                        link.was_heard();
                        self.on_message(message, link, &channels, &lost, draining, tasks);
                    }
                    Ok(None) => return "the gateway ended it",
                    Err(_) => return "it broke",
                },
                _ = beat.tick() => {
                    sequence += 1;
                    send(&self.control, agent_message::Body::Heartbeat(Heartbeat { echo: 0, sequence }));
                    if draining && channels.lock().is_empty() {
                        return "the agent drained";
                    }
                }
                () = sleep_until(silence.due().into()) => {
                    if link.was_heard() {
                        silence.heard_since(Instant::now());
                    } else if silence.looked(Instant::now()) {
                        return "the gateway is silent";
                    }
                }
                () = drain.cancelled(), if !draining => {
                    draining = true;
                    status.send_replace(Status::Draining);
                    send(&self.control, agent_message::Body::Drain(Drain { grace_ms: 0 }));
                    if channels.lock().is_empty() {
                        return "the agent drained";
                    }
                }
            }
        }
    }

    fn on_message(
        &self,
        message: GatewayMessage,
        link: &Link,
        channels: &Channels,
        lost: &CancellationToken,
        draining: bool,
        tasks: &TaskTracker,
    ) {
        match message.body {
            Some(gateway_message::Body::Open(open)) => {
                let channel = open.channel;
                // What runs goes on, and may need another channel.
                if draining && !matches!(open.target, Some(open::Target::SshChannel(_) | open::Target::HttpChannel(_)))
                {
                    let failure = TargetFailure::new(Code::AgentUnavailable, "the agent is going away");
                    let refused = Refused { channel, failure: Some(failure.into_wire()) };
                    send(&self.control, agent_message::Body::Refused(refused));
                    return;
                }
                channels.lock().insert(channel, Served::Nothing);
                let served = carry::run(link.clone(), Box::new(open), Arc::clone(channels), lost.clone());
                tasks.spawn_on(served, &link.host);
            }
            Some(gateway_message::Body::Cancel(cancel)) => {
                let channel = cancel.channel;
                let served = channels.lock().get(&channel).cloned();
                let control = self.control.clone();
                let cancel = async move {
                    if let Some(served) = served {
                        served.cancel().await;
                    }
                    // The gateway may wait for it; a link that is gone has nobody who does.
                    let body = Some(agent_message::Body::Cancelled(Cancelled { channel }));
                    let _ = control.send(AgentMessage { body }).await;
                };
                tasks.spawn_on(cancel, &link.host);
            }
            Some(gateway_message::Body::Heartbeat(heartbeat)) if heartbeat.echo == 0 => {
                send(
                    &self.control,
                    agent_message::Body::Heartbeat(Heartbeat { echo: heartbeat.sequence, sequence: 0 }),
                );
            }
            // What is not known is ignored; everything is a sign of life.
            Some(
                gateway_message::Body::Heartbeat(_)
                | gateway_message::Body::Welcome(_)
                | gateway_message::Body::Drain(_),
            )
            | None => {}
        }
    }
}

/// A message that finds the control stream full is left out: the stream is stuck, and will be found silent.
fn send(control: &mpsc::Sender<AgentMessage>, body: agent_message::Body) {
    if control.try_send(AgentMessage { body: Some(body) }).is_err() {
        tracing::warn!("control stream is full or closed, message left out");
    }
}
