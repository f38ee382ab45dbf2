//! The gRPC service.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{Stream, StreamExt as _};
use hoop_core::{Clock, Denial, Secret};
use hoop_proto::tunnel::v1::tunnel_server::Tunnel;
use hoop_proto::tunnel::v1::{AgentMessage, CarryUp, GatewayMessage, carry_up};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use super::attach;
use super::carry::{CarryDownStream, DOWN_QUEUE, Dialled};
use super::registry::{AgentIdentity, Agents};
use crate::auth::token::hash;

/// Verifies the token of an agent.
#[async_trait]
pub trait AgentAuthenticator: Send + Sync {
    /// Who the bearer of this token is.
    ///
    /// # Errors
    /// A [`Denial`] when it is nobody, or a revoked agent, or the store cannot be asked.
    async fn authenticate(&self, token: &Secret<String>) -> Result<AgentIdentity, Denial>;

    /// Whether a token that was good when its bearer attached still is; by its SHA-256. It is asked again and again.
    ///
    /// # Errors
    /// A [`Denial`] when the store cannot be asked; the bearer stays meanwhile.
    async fn still_good(&self, token_hash: &[u8; 32]) -> Result<bool, Denial>;
}

/// Who an agent is, and by which token.
pub(super) struct Identified {
    pub(super) identity: AgentIdentity,
    /// SHA-256 of it.
    pub(super) token_hash: [u8; 32],
}

/// Port 8010, for agents.
pub struct TunnelService {
    agents: Agents,
    authenticator: Arc<dyn AgentAuthenticator>,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl TunnelService {
    /// Agents that `authenticator` vouches for attach to `agents`, until `shutdown`.
    pub fn new(
        agents: Agents,
        authenticator: Arc<dyn AgentAuthenticator>,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) -> Self {
        Self { agents, authenticator, clock, tasks, shutdown }
    }

    async fn identify<T>(&self, request: &Request<T>) -> Result<Identified, Status> {
        let token = token(request)?;
        let identity = self.authenticator.authenticate(&token).await.map_err(|denial| status(&denial))?;
        Ok(Identified { identity, token_hash: hash(token.expose()) })
    }

    /// As [`identify`](Self::identify), without a look at the store for who is attached with this very token: it was verified
    /// then, and links are cut when theirs is not good any more. A session does not wait for it again.
    async fn identify_attached<T>(&self, request: &Request<T>) -> Result<AgentIdentity, Status> {
        match self.agents.attached_with(&hash(token(request)?.expose())) {
            Some(identity) => Ok(identity),
            None => self.identify(request).await.map(|identified| identified.identity),
        }
    }
}

fn token<T>(request: &Request<T>) -> Result<Secret<String>, Status> {
    let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer "));
    token
        .map(|token| Secret::new(token.to_owned()))
        .ok_or_else(|| Status::unauthenticated("no agent token; set HOOP_KEY"))
}

/// The gRPC status of a refusal.
pub(crate) fn status(denial: &Denial) -> Status {
    use hoop_core::Code::{AccessDenied, InvalidRequest, LoginFailed, StoreUnavailable, Timeout, Unauthenticated};
    let text = match &denial.hint {
        Some(hint) => format!("{}; {hint}", denial.reason),
        None => denial.reason.clone(),
    };
    match denial.code {
        LoginFailed | Unauthenticated => Status::unauthenticated(text),
        AccessDenied => Status::permission_denied(text),
        InvalidRequest => Status::invalid_argument(text),
        StoreUnavailable => Status::unavailable(text),
        Timeout => Status::deadline_exceeded(text),
        _ => Status::failed_precondition(text),
    }
}

#[async_trait]
impl Tunnel for TunnelService {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<GatewayMessage, Status>> + Send>>;
    type CarryStream = CarryDownStream;

    async fn attach(&self, request: Request<Streaming<AgentMessage>>) -> Result<Response<Self::AttachStream>, Status> {
        let caller = self.identify(&request).await?;
        let mut messages = request.into_inner();
        let greeted = attach::hello(&self.agents, &mut messages).await?;
        let (control, outgoing) = mpsc::channel(attach::CONTROL_QUEUE);
        let attached = attach::welcome(&self.agents, caller, greeted, control, &*self.clock, &self.shutdown)?;
        let lost = attached.attachment().lost().clone();
        self.tasks.spawn(attached.run(messages));
        // The link ends with the attachment, even while messages wait.
        let stream = ReceiverStream::new(outgoing).map(Ok).take_until(lost.cancelled_owned());
        Ok(Response::new(Box::pin(stream)))
    }

    async fn carry(&self, request: Request<Streaming<CarryUp>>) -> Result<Response<CarryDownStream>, Status> {
        let identity = self.identify_attached(&request).await?;
        let mut up = request.into_inner();
        let first = timeout(self.agents.limits().heartbeat_timeout, up.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no ticket in time"))??;
        let Some(CarryUp { body: Some(carry_up::Body::Start(start)) }) = first else {
            return Err(Status::invalid_argument("the first frame must carry the ticket"));
        };
        let (down, bodies) = mpsc::channel(DOWN_QUEUE);
        let mut dialled = Some(Dialled { up, down });
        for attachment in self.agents.attachments(&identity) {
            if !attachment.tickets().knows(&start.ticket) {
                continue;
            }
            let Some(dialled) = dialled.take() else { break };
            if attachment.tickets().redeem(&start.ticket, dialled).is_ok() {
                return Ok(Response::new(CarryDownStream::new(bodies, attachment.lost().clone())));
            }
        }
        tracing::warn!(agent = %identity.name, "a carry stream with an unknown ticket was refused");
        Err(Status::permission_denied("the ticket is unknown, used or no longer waited for"))
    }
}
