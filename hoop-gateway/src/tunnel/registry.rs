//! Which agents are attached, and the way to a target through one of them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoop_core::id::{AgentId, OrgId, RequestId, SessionId};
use hoop_core::{Code, Denial};
use hoop_proto::tunnel::v1::{
    Cancel, Drain, GatewayMessage, Hello, Open, SuppliedSecret, gateway_message, open, ready,
};
use hoop_proto::tunnel::version::{CANCELS_ANSWERED, SUPPLIED_SECRETS};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::attach::Greeted;
use super::carry::{Channel, OpenFailure, Route, agent_lost};
use super::service::Identified;
use super::ticket::Tickets;
use crate::secrets::SealedSecrets;
use crate::telemetry::span::TraceContext;

/// The limits of the tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelLimits {
    /// Each end says something at least this often.
    pub heartbeat_interval: Duration,
    /// An agent that is silent for this long is lost.
    pub heartbeat_timeout: Duration,
    /// How long an agent may take to connect, to log in to the target and to dial back.
    pub connect_timeout: Duration,
    /// Channels at once through one attachment.
    pub channels_per_agent: u64,
}

impl Default for TunnelLimits {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(2),
            heartbeat_timeout: Duration::from_secs(8),
            connect_timeout: Duration::from_secs(15),
            channels_per_agent: 4_000,
        }
    }
}

/// Who an agent is, from its verified token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentIdentity {
    /// The organisation.
    pub org: OrgId,
    /// The agent.
    pub id: AgentId,
    /// The name that roles know it by.
    pub name: Arc<str>,
}

/// One attached process of an agent, for people to see.
#[derive(Debug, Clone)]
pub struct AgentStatus {
    /// Who.
    pub identity: AgentIdentity,
    /// Since when.
    pub attached_at: DateTime<Utc>,
    /// Version of the agent's build.
    pub version: String,
    /// The machine's name, as the agent says.
    pub hostname: String,
    /// The labels, as the agent says.
    pub labels: BTreeMap<String, String>,
    /// The target protocols it serves.
    pub protocols: Vec<String>,
    /// Channels open through it.
    pub channels: u64,
}

/// Where a session goes: what `Open` tells the agent.
#[derive(Debug, Clone)]
pub struct OpenTarget {
    /// The organisation of the session; an agent of another one is never asked.
    pub org: OrgId,
    /// The agent's name, from the role.
    pub agent: Arc<str>,
    /// For logs on both sides.
    pub session: SessionId,
    /// For logs on both sides.
    pub request_id: RequestId,
    /// The role's name.
    pub role: Arc<str>,
    /// Where and how to log in.
    pub target: open::Target,
    /// What the gateway keeps of the role's secrets; they are opened for the one message to the agent.
    pub secrets: SealedSecrets,
}

/// The attached agents of a gateway.
#[derive(Clone)]
pub struct Agents {
    inner: Arc<Inner>,
}

struct Inner {
    limits: TunnelLimits,
    trace_context: Option<TraceContext>,
    /// By organisation and name; several processes of one agent share the load.
    attached: RwLock<Attached>,
}

type Attached = HashMap<(OrgId, Arc<str>), Vec<Arc<Attachment>>>;

impl Agents {
    /// No agent yet.
    pub fn new(limits: TunnelLimits) -> Self {
        Self::traced(limits, None)
    }

    /// As [`new`](Self::new); each channel tells its agent of which trace it is, where one is known.
    pub(crate) fn traced(limits: TunnelLimits, trace_context: Option<TraceContext>) -> Self {
        Self { inner: Arc::new(Inner { limits, trace_context, attached: RwLock::default() }) }
    }

    /// The limits.
    pub fn limits(&self) -> &TunnelLimits {
        &self.inner.limits
    }

    /// Opens a channel to a target through its agent, and waits until the target's login is done.
    ///
    /// # Errors
    /// [`Code::AgentUnavailable`] at once when no process of the agent is attached; what the agent or the target
    /// says; [`Code::TargetUnavailable`] when it takes too long.
    pub async fn open(&self, target: OpenTarget) -> Result<(Channel, ready::Target), OpenFailure> {
        let attachment = self.pick(&target)?;
        self.open_through(attachment, target).await
    }

    /// As [`open`](Self::open), through the very process of the agent that another channel goes through.
    ///
    /// # Errors
    /// The same.
    pub async fn open_beside(
        &self,
        route: &Route,
        target: OpenTarget,
    ) -> Result<(Channel, ready::Target), OpenFailure> {
        self.open_through(Arc::clone(&route.attachment), target).await
    }

    async fn open_through(
        &self,
        attachment: Arc<Attachment>,
        target: OpenTarget,
    ) -> Result<(Channel, ready::Target), OpenFailure> {
        self.has_room(&attachment, &target)?;
        let limit = self.inner.limits.connect_timeout;
        let trace = self.inner.trace_context.and_then(|of| of(&tracing::Span::current())).unwrap_or_default();
        let opened = attachment.open(&target, limit, trace);
        let timed_out = || {
            let reason =
                format!("agent {} did not reach the target of role {} in {limit:?}", target.agent, target.role);
            Denial::new("tunnel", Code::TargetUnavailable, reason)
                .hint("check the target's address in the role, and the network between agent and target")
        };
        // The agent has the same deadline; a little more lets its own, better account arrive first.
        tokio::time::timeout(limit + Duration::from_millis(500), opened).await.map_err(|_| timed_out())?
    }

    /// Every attached process, by name.
    pub fn status(&self, org: OrgId) -> Vec<AgentStatus> {
        let attached = self.inner.attached.read();
        let mut all: Vec<_> = attached
            .iter()
            .filter(|((of, _), _)| *of == org)
            .flat_map(|(_, attachments)| attachments.iter().map(|attachment| attachment.status()))
            .collect();
        all.sort_by(|a, b| (&a.identity.name, a.attached_at).cmp(&(&b.identity.name, b.attached_at)));
        all
    }

    /// Cuts the links of an agent, for example because its key was revoked. Its sessions end as `agent_lost`.
    pub fn cut(&self, org: OrgId, agent: AgentId) {
        for attachment in self.inner.attached.read().values().flatten() {
            if attachment.identity.org == org && attachment.identity.id == agent {
                attachment.lost.cancel();
            }
        }
    }

    /// The tokens that links are attached with, each once.
    pub(super) fn tokens(&self) -> Vec<[u8; 32]> {
        let attached = self.inner.attached.read();
        let mut tokens: Vec<_> = attached.values().flatten().map(|attachment| attachment.token_hash).collect();
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }

    /// Who is attached with this token, while the link holds.
    pub(super) fn attached_with(&self, token_hash: &[u8; 32]) -> Option<AgentIdentity> {
        let attached = self.inner.attached.read();
        let mut links = attached.values().flatten();
        let link = links.find(|link| link.token_hash == *token_hash && !link.lost.is_cancelled());
        link.map(|link| link.identity.clone())
    }

    /// Cuts the links that are attached with this token.
    pub(super) fn cut_token(&self, token_hash: &[u8; 32]) {
        for attachment in self.inner.attached.read().values().flatten() {
            if attachment.token_hash == *token_hash {
                tracing::info!(agent = %attachment.identity.name, "the agent's key is not good any more");
                attachment.lost.cancel();
            }
        }
    }

    /// Tells every agent that this gateway goes away.
    pub fn drain(&self, grace: Duration) {
        let grace_ms = u32::try_from(grace.as_millis()).unwrap_or(u32::MAX);
        for attachment in self.inner.attached.read().values().flatten() {
            attachment.tell(gateway_message::Body::Drain(Drain { grace_ms }));
        }
    }

    pub(super) fn attach(&self, attachment: &Arc<Attachment>) {
        let key = (attachment.identity.org, Arc::clone(&attachment.identity.name));
        self.inner.attached.write().entry(key).or_default().push(Arc::clone(attachment));
    }

    pub(super) fn detach(&self, attachment: &Arc<Attachment>) {
        attachment.lost.cancel();
        let key = (attachment.identity.org, Arc::clone(&attachment.identity.name));
        let mut attached = self.inner.attached.write();
        if let Some(of_name) = attached.get_mut(&key) {
            of_name.retain(|other| !Arc::ptr_eq(other, attachment));
            if of_name.is_empty() {
                attached.remove(&key);
            }
        }
    }

    /// Hands a dialled stream to the attachment of that agent which issued its ticket.
    pub(super) fn attachments(&self, identity: &AgentIdentity) -> Vec<Arc<Attachment>> {
        let attached = self.inner.attached.read();
        attached.get(&(identity.org, Arc::clone(&identity.name))).cloned().unwrap_or_default()
    }

    /// Whether one more channel may go through this process.
    fn has_room(&self, attachment: &Attachment, target: &OpenTarget) -> Result<(), Denial> {
        if attachment.channels.load(Ordering::Relaxed) >= self.inner.limits.channels_per_agent {
            let reason = format!(
                "agent {} carries {} channels, as many as it may",
                target.agent, self.inner.limits.channels_per_agent
            );
            return Err(Denial::new("tunnel", Code::AgentBusy, reason)
                .hint("try again later, or start another process of the agent"));
        }
        Ok(())
    }

    /// The least loaded process of the agent.
    fn pick(&self, target: &OpenTarget) -> Result<Arc<Attachment>, Denial> {
        let attached = self.inner.attached.read();
        let of_name = attached.get(&(target.org, Arc::clone(&target.agent))).map_or(&[][..], Vec::as_slice);
        let ready = of_name.iter().filter(|attachment| attachment.takes_channels());
        let Some(attachment) = ready.min_by_key(|attachment| attachment.channels.load(Ordering::Relaxed)) else {
            let reason = format!("agent {}, which serves role {}, is not connected", target.agent, target.role);
            return Err(Denial::new("tunnel", Code::AgentUnavailable, reason).hint(format!(
                "start the agent with its HOOP_KEY, then try again: hoop-agent start ({})",
                target.agent
            )));
        };
        Ok(Arc::clone(attachment))
    }
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agents").field("limits", &self.inner.limits).finish_non_exhaustive()
    }
}

/// One attached process of an agent.
pub(super) struct Attachment {
    identity: AgentIdentity,
    /// SHA-256 of the token that it has shown.
    token_hash: [u8; 32],
    attached_at: DateTime<Utc>,
    hello: Hello,
    protocol: u32,
    control: mpsc::Sender<GatewayMessage>,
    tickets: Tickets,
    next_channel: AtomicU64,
    channels: AtomicU64,
    draining: Mutex<bool>,
    /// Who waits for the end of a cancel request, by channel.
    cancelling: Mutex<HashMap<u64, oneshot::Sender<()>>>,
    /// Whether something has come on a channel since this was asked last.
    heard: AtomicBool,
    lost: CancellationToken,
}

impl Attachment {
    pub(super) fn new(
        caller: Identified,
        greeted: Greeted,
        control: mpsc::Sender<GatewayMessage>,
        attached_at: DateTime<Utc>,
        lost: CancellationToken,
    ) -> Self {
        Self {
            identity: caller.identity,
            token_hash: caller.token_hash,
            attached_at,
            hello: greeted.hello,
            protocol: greeted.protocol,
            control,
            tickets: Tickets::default(),
            next_channel: AtomicU64::new(1),
            channels: AtomicU64::new(0),
            draining: Mutex::new(false),
            cancelling: Mutex::default(),
            heard: AtomicBool::new(false),
            lost,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.identity.name
    }

    pub(super) const fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    pub(super) const fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// Something has come on a channel just now.
    pub(super) fn hear(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Whether something has come on a channel since this was asked last.
    pub(super) fn was_heard(&self) -> bool {
        self.heard.swap(false, Ordering::Relaxed)
    }

    pub(super) fn channel_opened(&self) {
        self.channels.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn channel_closed(&self) {
        self.channels.fetch_sub(1, Ordering::Relaxed);
    }

    /// The agent takes no new channels.
    pub(super) fn drain(&self) {
        *self.draining.lock() = true;
    }

    pub(super) fn cancel(&self, channel: u64) {
        self.tell(gateway_message::Body::Cancel(Cancel { channel }));
    }

    /// As [`cancel`](Self::cancel); resolves, whichever way, when what is sent from then on is not hit by it.
    pub(super) fn cancel_first(&self, channel: u64) -> oneshot::Receiver<()> {
        let (done, waiting) = oneshot::channel();
        if self.protocol >= CANCELS_ANSWERED {
            self.cancelling.lock().insert(channel, done);
        }
        if !self.tell(gateway_message::Body::Cancel(Cancel { channel })) {
            self.cancelled(channel);
        }
        waiting
    }

    /// A cancel request was carried out, or nobody waits for it any more.
    pub(super) fn cancelled(&self, channel: u64) {
        self.cancelling.lock().remove(&channel);
    }

    fn takes_channels(&self) -> bool {
        !*self.draining.lock() && !self.lost.is_cancelled()
    }

    fn status(&self) -> AgentStatus {
        AgentStatus {
            identity: self.identity.clone(),
            attached_at: self.attached_at,
            version: self.hello.agent_version.clone(),
            hostname: self.hello.hostname.clone(),
            labels: self.hello.labels.clone().into_iter().collect(),
            protocols: self.hello.protocols.clone(),
            channels: self.channels.load(Ordering::Relaxed),
        }
    }

    /// The secrets of a target that the gateway keeps, for an agent that knows what to do with them.
    fn secrets(&self, target: &OpenTarget) -> Result<Vec<SuppliedSecret>, Denial> {
        if !target.secrets.is_empty() && self.protocol < SUPPLIED_SECRETS {
            let reason = format!(
                "agent {} is of version {}, which takes no secrets from the gateway",
                self.identity.name, self.hello.agent_version
            );
            return Err(Denial::new("tunnel", Code::SecretUnavailable, reason)
                .hint("upgrade the agent, or name a reference in the role that it resolves"));
        }
        target.secrets.open()
    }

    /// A message that may be left out when the control stream is full. Says whether it was sent.
    fn tell(&self, body: gateway_message::Body) -> bool {
        let sent = self.control.try_send(GatewayMessage { body: Some(body) }).is_ok();
        if !sent {
            tracing::warn!(agent = %self.identity.name, "control stream is full or closed, message left out");
        }
        sent
    }

    async fn open(
        self: Arc<Self>,
        target: &OpenTarget,
        limit: Duration,
        traceparent: String,
    ) -> Result<(Channel, ready::Target), OpenFailure> {
        let secrets = self.secrets(target)?;
        let number = self.next_channel.fetch_add(1, Ordering::Relaxed);
        let (ticket, dialled) = self.tickets.issue(number);
        // However this ends (an error, a client that goes away), the ticket is worth nothing afterwards.
        let _revoke = scopeguard(|| self.tickets.revoke(&ticket));
        let open = Open {
            ticket: ticket.to_vec().into(),
            channel: number,
            session: target.session.to_string(),
            request_id: target.request_id.to_string(),
            role: target.role.to_string(),
            connect_timeout_ms: u32::try_from(limit.as_millis()).unwrap_or(u32::MAX),
            secrets,
            traceparent,
            target: Some(target.target.clone()),
        };
        let message = GatewayMessage { body: Some(gateway_message::Body::Open(open)) };
        self.control.send(message).await.map_err(|_| agent_lost(&self.identity.name))?;
        let dialled = tokio::select! {
            dialled = dialled => dialled.map_err(|_| agent_lost(&self.identity.name))??,
            () = self.lost.cancelled() => return Err(agent_lost(&self.identity.name).into()),
        };
        let mut channel = Channel::new(number, dialled, Arc::clone(&self));
        let ready = channel.ready().await?;
        Ok((channel, ready))
    }
}

fn scopeguard<F: FnMut()>(run: F) -> impl Drop {
    struct Guard<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Guard<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Guard(run)
}
