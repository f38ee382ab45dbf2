//! The life of one attachment: hello, heartbeats, what the agent says, its end.

use std::sync::Arc;
use std::time::Instant;

use hoop_core::Clock;
use hoop_proto::tunnel::v1::{
    AgentMessage, Failure, GatewayMessage, Heartbeat, Hello, Welcome, agent_message, gateway_message,
};
use hoop_proto::tunnel::{Silence, version};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::registry::{Agents, Attachment};
use super::service::Identified;

/// Messages that may wait for an agent. An `Open` waits for its turn; a cancel or a heartbeat is left out.
pub(super) const CONTROL_QUEUE: usize = 64;

/// What an agent says of itself, and the version that is spoken with it.
pub(super) struct Greeted {
    pub(super) hello: Hello,
    pub(super) protocol: u32,
}

/// Reads the agent's hello, within the heartbeat limit, and settles the version.
pub(super) async fn hello(agents: &Agents, messages: &mut Streaming<AgentMessage>) -> Result<Greeted, Status> {
    let first = timeout(agents.limits().heartbeat_timeout, messages.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello in time"))??;
    let Some(AgentMessage { body: Some(agent_message::Body::Hello(hello)) }) = first else {
        return Err(Status::invalid_argument("the first message must be a hello"));
    };
    let protocol = version::negotiate(hello.protocol_min, hello.protocol_max)
        .map_err(|error| Status::failed_precondition(error.to_string()))?;
    Ok(Greeted { hello, protocol })
}

/// Welcomes the agent and registers it; the returned value runs until the link ends.
pub(super) fn welcome(
    agents: &Agents,
    caller: Identified,
    greeted: Greeted,
    control: mpsc::Sender<GatewayMessage>,
    clock: &dyn Clock,
    shutdown: &CancellationToken,
) -> Result<Attached, Status> {
    let limits = agents.limits();
    let millis = |duration: std::time::Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    let welcome = Welcome {
        protocol: greeted.protocol,
        gateway_version: env!("CARGO_PKG_VERSION").to_owned(),
        agent_name: caller.identity.name.to_string(),
        heartbeat_interval_ms: millis(limits.heartbeat_interval),
        heartbeat_timeout_ms: millis(limits.heartbeat_timeout),
    };
    control
        .try_send(GatewayMessage { body: Some(gateway_message::Body::Welcome(welcome)) })
        .map_err(|_| Status::unavailable("the attachment ended"))?;
    let Hello { agent_version, hostname, .. } = &greeted.hello;
    tracing::info!(agent = %caller.identity.name, version = %agent_version, %hostname, "agent attached");
    let attachment = Arc::new(Attachment::new(caller, greeted, control.clone(), clock.now(), shutdown.child_token()));
    agents.attach(&attachment);
    Ok(Attached { agents: agents.clone(), attachment, control })
}

/// An attached agent. Dropping it detaches the agent, whatever happened.
pub(super) struct Attached {
    agents: Agents,
    attachment: Arc<Attachment>,
    control: mpsc::Sender<GatewayMessage>,
}

impl Attached {
    pub(super) fn attachment(&self) -> &Arc<Attachment> {
        &self.attachment
    }

    /// Serves the link until it ends: because the agent left, is silent for too long, or is cut off.
    pub(super) async fn run(self, mut messages: Streaming<AgentMessage>) {
        let limits = self.agents.limits().clone();
        let mut beat = interval(limits.heartbeat_interval);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sequence = 0;
        let mut silence = Silence::new(limits.heartbeat_timeout, Instant::now());
        let why = loop {
            tokio::select! {
                // What has come counts before the time that it took.
                biased;
                () = self.attachment.lost().cancelled() => break "the link was cut",
                message = messages.message() => match message {
                    Ok(Some(message)) => {
                        silence.heard(Instant::now());
                        self.attachment.was_heard();
                        self.on_message(message);
                    }
                    Ok(None) => break "the agent left",
                    Err(_) => break "the link broke",
                },
                _ = beat.tick() => {
                    sequence += 1;
                    self.send(gateway_message::Body::Heartbeat(Heartbeat { echo: 0, sequence }));
                }
                () = sleep_until(silence.due().into()) => {
                    if self.attachment.was_heard() {
                        silence.heard_since(Instant::now());
                    } else if silence.looked(Instant::now()) {
                        break "the agent is silent";
                    }
                }
                () = self.control.closed() => break "the agent left",
            }
        };
        tracing::info!(agent = %self.attachment.name(), why, "agent detached");
    }

    fn on_message(&self, message: AgentMessage) {
        match message.body {
            Some(agent_message::Body::Heartbeat(heartbeat)) if heartbeat.echo == 0 => {
                self.send(gateway_message::Body::Heartbeat(Heartbeat { echo: heartbeat.sequence, sequence: 0 }));
            }
            Some(agent_message::Body::Drain(_)) => self.attachment.drain(),
            Some(agent_message::Body::Cancelled(cancelled)) => self.attachment.cancelled(cancelled.channel),
            Some(agent_message::Body::Refused(refused)) => {
                let failure = refused.failure.unwrap_or_else(|| Failure {
                    code: hoop_core::Code::AgentRefused.as_str().to_owned(),
                    reason: "the agent refuses, and does not say why".to_owned(),
                    ..Failure::default()
                });
                self.attachment.tickets().refuse(refused.channel, failure);
            }
            // An answer to a heartbeat counts as a sign of life, nothing more. What is not known is ignored.
            Some(agent_message::Body::Heartbeat(_) | agent_message::Body::Hello(_)) | None => {}
        }
    }

    /// A heartbeat that finds the control stream full is not needed: the stream is in use.
    fn send(&self, body: gateway_message::Body) {
        let _ = self.control.try_send(GatewayMessage { body: Some(body) });
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.agents.detach(&self.attachment);
    }
}
