//! Port 12222: SSH clients. It learns who is calling and which role they want, and hands over.
//!
//! The login name is that of a credential, or of a role, also as `user+role`. One deadline covers everything before the
//! caller is known, but for who is signed in with a browser meanwhile, which has a longer one; after that, what is refused is told on the channels that the client opens, so that it reads why.

mod client;
mod hold;
mod host_keys;
mod login;
mod menu;
mod severed;
mod sign_in;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::FusedFuture as _;
use hoop_core::{
    AccessMode, AccessRequest, Clock, Code, Decision, Denial, Outcome, Principal, ResourceRole, SshAllow, Target,
};
use hoop_proto::tunnel::v1::open;
use russh::keys::PublicKey;
use russh::server::{Config, Handle, RunningSession, run_stream};
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

use super::accept::{Listener, PreAuth, PreAuthLimits};
use super::stranger::{Refusal, Stranger};
use crate::auth::credential::NativeCredentials;
use crate::auth::keys::UserKeys;
use crate::auth::token::unavailable;
use crate::auth::{Bearer, Throttle};
use crate::proxy::ssh::{Asked, Limits, Parts, SshProxy, refuse_all};
use crate::session::{Opening, Session, Sessions, ssh_target};
use crate::store::Role;
use crate::telemetry::{Telemetry, span};
pub(crate) use host_keys::SshHostKeys;
pub(crate) use sign_in::SignIns;

use client::Client;
use hold::{HasEnough, Meanwhile};
use login::{Caller, Chosen, Visitor};
use severed::Severable;

/// A wrong login is answered after this time, whatever was wrong.
const REJECTION: Duration = Duration::from_millis(200);
/// Logins of one connection (`MaxAuthTries`).
const MOST_LOGINS: usize = 6;
/// The client is asked for a sign of life after this much silence …
const KEEPALIVE: Duration = Duration::from_secs(20);
/// … and is gone when it has not answered so many times.
const KEEPALIVES: usize = 3;
/// What a client may send on a channel before it is read.
const WINDOW_BYTES: u32 = 2 << 20;
/// Pieces of a channel that wait for the target. Then the whole connection waits: the library has no other way.
const PIECES: usize = 16;
/// How long a client may take to read what it was told last, and to leave.
const GOODBYE: Duration = Duration::from_secs(2);
/// Channels that a client may ask for before the session has opened.
const QUEUE: usize = 64;
/// Roles that are read at once, and most that a user is shown to choose from.
const PAGE: u32 = 200;
const MOST_LISTED: usize = 200;

/// The door.
pub(crate) struct SshDoor {
    /// Where sessions are opened.
    pub(crate) sessions: Sessions,
    /// Whom logins and passwords belong to.
    pub(crate) credentials: Arc<NativeCredentials>,
    /// Whose public keys are taken.
    pub(crate) keys: UserKeys,
    /// Authorities whose certificates of users are taken.
    pub(crate) authorities: Vec<PublicKey>,
    /// How those who come with nothing are signed in.
    pub(crate) sign_ins: SignIns,
    /// Slows down who guesses; the same one as every other door's.
    pub(crate) throttle: Arc<Throttle>,
    /// What a stranger may cost.
    pub(crate) limits: PreAuthLimits,
    /// Most channels of one session.
    pub(crate) channels: usize,
    /// Most public keys that a client may ask about, or sign with, before it is let in.
    pub(crate) most_keys: usize,
    /// Counts.
    pub(crate) telemetry: Arc<Telemetry>,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// How SSH is spoken.
    pub(crate) config: Arc<Config>,
}

/// How SSH is spoken, with these host keys.
pub(crate) fn config(keys: &SshHostKeys) -> Arc<Config> {
    Arc::new(Config {
        server_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-Hoop_", env!("CARGO_PKG_VERSION")))),
        methods: MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password, MethodKind::KeyboardInteractive][..]),
        auth_rejection_time: REJECTION,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: keys.private().to_vec(),
        window_size: WINDOW_BYTES,
        channel_buffer_size: PIECES,
        preferred: Preferred {
            // No CBC, no SHA-1, no compression. What Terrapin needs is not there, also with clients that have no strict
            // key exchange.
            cipher: Cow::Borrowed(&[cipher::AES_256_GCM, cipher::AES_256_CTR, cipher::AES_128_CTR]),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        max_auth_attempts: MOST_LOGINS,
        inactivity_timeout: None,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES,
        nodelay: true,
        ..Config::default()
    })
}

impl SshDoor {
    /// Serves until shutdown. Sessions that run go on; who ends them is [`Sessions::drain`].
    pub(crate) async fn serve(self: Arc<Self>, listener: Listener, tasks: TaskTracker, shutdown: CancellationToken) {
        let strangers = PreAuth::new(self.limits.connections);
        while let Some((tcp, peer)) = listener.accept(&shutdown).await {
            let stranger = Stranger::new(peer, strangers.enter(), None, self.limits, &*self.clock);
            let door = Arc::clone(&self);
            tasks.spawn(async move { Box::pin(door.connection(tcp, stranger)).await });
        }
    }

    /// Serves a connection to its end, whether it was dialled or came through port 8010.
    pub(super) async fn connection<S>(self: Arc<Self>, io: S, stranger: Stranger)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let cut = CancellationToken::new();
        // However this ends, the connection does.
        let _cut = cut.clone().drop_guard();
        let span = span::session(stranger.request_id, stranger.peer);
        let known = Known { peer: stranger.peer, request_id: stranger.request_id, since: stranger.since, span };
        // What the login takes is large, and given back before the session.
        let logged_in = Box::pin(self.log_in(Severable::new(io, cut), stranger, &known.span));
        match logged_in.await {
            Ok((running, caller, asked)) => self.session(running, caller, asked, known).await,
            Err(Refusal::Told(denial)) => {
                let Known { peer, request_id, span, .. } = &known;
                span::refused(span, &denial);
                tracing::info!(%peer, request = %request_id, code = %denial.code, reason = denial.reason, "client refused");
            }
            Err(Refusal::Silent) => {}
        }
    }

    /// Exchanges keys, and finds out who has come. Gives what that client asks for meanwhile, too.
    async fn log_in<S>(
        self: &Arc<Self>,
        io: Severable<S>,
        stranger: Stranger,
        span: &Span,
    ) -> Result<(RunningSession<Client>, Caller, mpsc::Receiver<Box<Asked>>), Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (admitted, admission) = oneshot::channel();
        let (waits, waited_for) = oneshot::channel();
        // A queue has room for 32 from its beginning, whatever they take: they are boxed.
        let (ask, asked) = mpsc::channel(QUEUE);
        let client = Client::new(Arc::clone(self), visitor(&stranger), admitted, waits, ask);
        let login = async {
            let running = run_stream(Arc::clone(&self.config), io, client).await.map_err(|_| Refusal::Silent)?;
            // The login of a client that goes away never ends well.
            let caller = admission.await.map_err(|_| Refusal::Silent)?;
            Ok((running, caller))
        };
        let login = Box::pin(login.instrument(span::login(span)));
        // When the caller is known, or waits for a browser, the place is free for another.
        let patience = self.sign_ins.patience() + self.limits.deadline;
        let (running, caller) = stranger.in_time_or_waiting(login, waited_for, patience).await?;
        Ok((running, caller, asked))
    }

    async fn session(
        &self,
        running: RunningSession<Client>,
        caller: Caller,
        mut asked: mpsc::Receiver<Box<Asked>>,
        known: Known,
    ) {
        let client = running.handle();
        let left = left(running).fuse();
        tokio::pin!(left);
        let terminal = caller.permits.terminal;
        // What opening takes is large, and given back before the session runs.
        match Box::pin(self.opened(caller, &client, &mut asked, left.as_mut(), &known)).await {
            Some((Ok((session, allow)), first)) => {
                self.run(session, (allow, terminal), client, (first, asked), left.as_mut(), known).await;
            }
            Some((Err(denial), first)) => {
                let Known { peer, request_id, span, .. } = &known;
                span::refused(span, &denial);
                tracing::info!(%peer, request = %request_id, code = %denial.code, reason = denial.reason, "session refused");
                Box::pin(refuse_all(&client, first, asked, &denial, left.as_mut())).await;
            }
            None => {}
        }
        // What the client was told last is on its way, and the connection is cut behind this.
        if !left.is_terminated() {
            let _ = timeout(GOODBYE, left).await;
        }
    }

    /// Opens the session. Gives it, or why there is none, with what the client has asked for meanwhile; `None` when it has
    /// left, or its user has enough.
    async fn opened(
        &self,
        caller: Caller,
        client: &Handle,
        asked: &mut mpsc::Receiver<Box<Asked>>,
        mut left: Pin<&mut impl Future<Output = Outcome>>,
        known: &Known,
    ) -> Option<(Result<(Box<Session>, SshAllow), Denial>, Vec<Asked>)> {
        let Known { peer, request_id, span, .. } = known;
        let chosen = tokio::select! {
            chosen = self.role(&caller, client, asked, *peer) => chosen,
            _ = &mut left => return None,
        };
        let (role, first) = match chosen {
            Ok((role, first)) => (Ok(role), first),
            Err(denial) => (Err(denial), None),
        };
        let mut meanwhile = Meanwhile::new(client.clone(), first);
        let opened = match role.and_then(|role| opening(caller, role, *peer, *request_id)) {
            Ok((mut opening, allow)) => {
                let (told, mut held) = mpsc::channel(1);
                opening.told = Some(told);
                let mut opening = Box::pin(self.sessions.open(opening).instrument(span::open(span, *request_id)));
                let opened = loop {
                    let event = tokio::select! {
                        opened = &mut opening => break opened,
                        event = meanwhile.next(&mut held, asked) => event,
                        // What was being opened is dropped, and says so itself.
                        _ = &mut left => return None,
                    };
                    if let Err(HasEnough) = meanwhile.on(event, &allow).await {
                        return None;
                    }
                };
                opened.map(|session| (Box::new(session), allow)).map_err(|failure| failure.denial)
            }
            Err(denial) => Err(denial),
        };
        Some((opened, meanwhile.into_asked()))
    }

    /// The role that the login name says, or that the user chooses.
    async fn role(
        &self,
        caller: &Caller,
        client: &Handle,
        asked: &mut mpsc::Receiver<Box<Asked>>,
        peer: SocketAddr,
    ) -> Result<(ResourceRole, Option<Asked>), Denial> {
        match &caller.role {
            Chosen::Role(role) => Ok(((**role).clone(), None)),
            Chosen::Refused(denial) => Err(denial.clone()),
            Chosen::None(denial) => {
                let roles = self.reachable(&caller.principal, peer).await?;
                let chosen = menu::choose(client, asked, roles, denial).await;
                chosen.map(|(role, first)| (role, Some(first))).ok_or_else(|| denial.clone())
            }
        }
    }

    /// The SSH roles that a user may reach now.
    async fn reachable(&self, principal: &Principal, peer: SocketAddr) -> Result<Vec<ResourceRole>, Denial> {
        let parts = self.sessions.parts();
        let mut reachable = Vec::new();
        let mut after = None;
        loop {
            let page = parts.store.roles().list(principal.org, after.as_deref(), PAGE).await.map_err(unavailable)?;
            let last = page.items.last().map(|role| role.role.name.to_string());
            for Role { role, .. } in page.items {
                let ask = AccessRequest {
                    principal,
                    role: &role,
                    mode: AccessMode::Native,
                    source: Some(peer.ip()),
                    at: self.clock.now(),
                    reason: None,
                    since: None,
                };
                let is_ssh = matches!(role.target, Target::Ssh(_));
                if is_ssh && matches!(parts.policy.decide(&ask).await, Ok(Decision::Allow(_))) {
                    reachable.push(role);
                }
            }
            match last.filter(|_| page.more && reachable.len() < MOST_LISTED) {
                Some(last) => after = Some(last),
                None => return Ok(reachable),
            }
        }
    }

    async fn run(
        &self,
        mut session: Box<Session>,
        (allow, terminal): (SshAllow, bool),
        client: Handle,
        asked: (Vec<Asked>, mpsc::Receiver<Box<Asked>>),
        left: impl Future<Output = Outcome>,
        known: Known,
    ) {
        let Known { since, span, .. } = known;
        span::runs(&span, &session.context);
        let Some((chain, connection)) = session.take() else { return };
        let (first, asked) = asked;
        let proxy = SshProxy::new(Parts {
            chain,
            connection,
            agents: self.sessions.parts().agents.clone(),
            target: session.target.clone(),
            allow,
            terminal,
            client,
            asked,
            limits: Limits { channels: self.channels },
        });
        let control = Arc::clone(&session.control);
        let lasts = session.context.expires_at.map(|at| (at - self.clock.now()).to_std().unwrap_or_default());
        if !session.reviewed {
            self.telemetry.session_open_seconds.record(since.elapsed().as_secs_f64());
        }
        let (chain, outcome) = Box::pin(proxy.run(first, &control, lasts, left)).await;
        span::ended(&span, &outcome);
        if let Some(chain) = chain {
            Box::pin(session.close(chain, outcome)).await;
        }
    }
}

/// A connection whose caller is known.
struct Known {
    peer: SocketAddr,
    request_id: hoop_core::id::RequestId,
    since: tokio::time::Instant,
    span: Span,
}

fn visitor(stranger: &Stranger) -> Visitor {
    let bearer: Option<Bearer> = stranger.bearer.clone();
    Visitor { peer: stranger.peer, request_id: stranger.request_id, bearer }
}

/// Resolves when the client is gone, with how it went.
async fn left(running: RunningSession<Client>) -> Outcome {
    match running.await {
        Ok(()) => Outcome::Completed,
        Err(error) => {
            tracing::debug!(%error, "client went away");
            Outcome::ClientLost
        }
    }
}

/// What is to be opened.
fn opening(
    caller: Caller,
    role: ResourceRole,
    peer: SocketAddr,
    request_id: hoop_core::id::RequestId,
) -> Result<(Opening, SshAllow), Denial> {
    let Caller { principal, passes, credential, permits, client, .. } = caller;
    let Target::Ssh(target) = &role.target else {
        let reason = format!("role {} is not reached over SSH", role.name);
        return Err(
            Denial::new("gateway", Code::RoleNotFound, reason).hint("connect with the client that the role is for")
        );
    };
    let allow = permits.narrow(target.allow.clone());
    let target = open::Target::Ssh(ssh_target(target));
    let opening = Opening {
        request_id,
        principal,
        passes,
        credential,
        role,
        mode: AccessMode::Native,
        source: Some(peer),
        database: None,
        application: Some(client.into()),
        reason: None,
        target,
        told: None,
    };
    Ok((opening, allow))
}
