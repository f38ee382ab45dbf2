//! From a known caller to a running session, and to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hoop_core::id::{RequestId, TokenId};
use hoop_core::role::PostgresTarget;
use hoop_core::{AccessMode, Code, Denial, Outcome, ResourceRole, SessionContext, Target};
use hoop_proto::postgres::Frames;
use hoop_proto::postgres::backend::{self, Authentication, BackendKeyData};
use hoop_proto::postgres::startup::{PROTOCOL_3_2, StartupMessage};
use hoop_proto::tunnel::v1::open;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::login::Caller;
use super::options::{Settings, statements};
use super::{Known, LAST_WORDS, PostgresDoor};
use crate::proxy::postgres::error::{Severity, notice, response};
use crate::proxy::postgres::{Catalog, PostgresRelay};
use crate::proxy::{self, Stop};
use crate::session::{CancelKey, Held, Opening, Session, postgres_target};
use crate::telemetry::span;
use crate::tunnel::OpenFailure;

impl PostgresDoor {
    pub(super) async fn session<S>(&self, mut io: S, caller: Caller, message: StartupMessage, known: Known)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Known { peer, request_id, since, span } = known;
        let Caller { proven, token, protocol, proof } = caller;
        let mut proof = Some(proof);
        let opened = match opening(&message, &proven, token, peer, request_id) {
            // As with the login, it is on the heap: a session that runs does not keep it.
            Ok(opening) => Box::pin(self.open(&mut io, opening, &mut proof, &span)).await,
            Err(denial) => Err(Left::Refused(denial.into())),
        };
        match opened {
            Ok(session) => self.run(io, session, protocol, proof, since, span).await,
            Err(Left::Gone) => {
                tracing::info!(%peer, request = %request_id, "client went away before anybody had agreed to its session");
            }
            Err(Left::Refused(failure)) => {
                span::refused(&span, &failure.denial);
                tracing::info!(%peer, request = %request_id, code = %failure.denial.code, reason = failure.denial.reason, "session refused");
                let answer = [proof.unwrap_or_default(), refusal(&failure)].concat();
                let _ = tokio::time::timeout(LAST_WORDS, async {
                    io.write_all(&answer).await?;
                    io.flush().await?;
                    io.shutdown().await
                })
                .await;
            }
        }
    }

    /// Opens the session. While somebody must agree first, the client is told so, and looked at: when it goes away, nobody needs
    /// to decide any more. What the login's proof was sent with is gone then.
    async fn open<S>(
        &self,
        io: &mut S,
        mut opening: Opening,
        proof: &mut Option<Bytes>,
        span: &Span,
    ) -> Result<Session, Left>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let (told, mut held) = mpsc::channel(1);
        opening.told = Some(told);
        let request_id = opening.request_id;
        let mut opening = Box::pin(self.sessions.open(opening).instrument(span::open(span, request_id)));
        let mut waits = false;
        loop {
            tokio::select! {
                opened = &mut opening => return opened.map_err(Left::Refused),
                Some(Held { why, .. }) = held.recv() => {
                    // A client takes a notice once its login has succeeded.
                    let succeeded = proof.take().map(succeeded).unwrap_or_default();
                    let text = [succeeded, notice(&why.reason, why.hint.as_deref())].concat();
                    write(io, &text).await.map_err(|_| Left::Gone)?;
                    waits = true;
                }
                left = left(io), if waits => return Err(left),
            }
        }
    }

    async fn run<S>(
        &self,
        mut io: S,
        mut session: Session,
        protocol: u32,
        proof: Option<Bytes>,
        since: Instant,
        span: Span,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        span::runs(&span, &session.context);
        let Some((chain, mut channel)) = session.take() else { return };
        let ready = match session.postgres() {
            Ok(ready) => ready,
            Err(denial) => {
                let _ = write(&mut io, &response(Severity::Fatal, &denial)).await;
                return session.close(chain, denial.into()).await;
            }
        };
        let catalog = Catalog::new(self.sessions.parts().agents.clone(), session.target.clone());
        let replicates =
            matches!(&session.context.role.target, Target::Postgres(PostgresTarget { replication: true, .. }));
        let mut relay = PostgresRelay::new(chain, catalog, Arc::clone(&self.clock), self.max_message_bytes)
            .allow_replication(replicates);
        let settings = settings(&session.target.target);
        let key = session.cancel_key(ready.process, if protocol >= PROTOCOL_3_2 { 32 } else { 4 });
        let control = Arc::clone(&session.control);
        let lasts = lasts(&session.context, &*self.clock);
        let begun = relay.set(settings).await;
        let outcome = match begun.and_then(|()| relay.greet(proof.map(succeeded), key_data(key), ready.greeting)) {
            Ok(()) => {
                if !session.reviewed {
                    self.telemetry.session_open_seconds.record(since.elapsed().as_secs_f64());
                }
                Box::pin(proxy::run(&mut io, &mut channel, &mut relay, &control, lasts)).await
            }
            Err(Stop::Completed) => Outcome::Completed,
            Err(Stop::Denied(denial)) => {
                let _ = write(&mut io, &response(Severity::Fatal, &denial)).await;
                denial.into()
            }
        };
        // The client's socket and the target's channel are let go before the recording is sealed.
        drop((io, channel));
        span::ended(&span, &outcome);
        Box::pin(session.close(relay.into_chain(), outcome)).await;
    }
}

/// What the client set at its login.
fn settings(target: &open::Target) -> Vec<Bytes> {
    let parameters: &[_] = if let open::Target::Postgres(target) = target { &target.parameters } else { &[] };
    statements(parameters.iter().map(|parameter| (&parameter.name, &parameter.value)))
}

/// Why a client has no session.
enum Left {
    /// It went away.
    Gone,
    /// It is told.
    Refused(OpenFailure),
}

/// The first byte of a message that says goodbye.
const TERMINATE: u8 = b'X';

/// Resolves when a client that is to wait does not. It has nothing to say before the server is ready for it.
async fn left<S: AsyncRead + Unpin>(io: &mut S) -> Left {
    let mut first = [0; 1];
    match io.read(&mut first).await {
        Ok(0) | Err(_) => Left::Gone,
        Ok(_) if first == [TERMINATE] => Left::Gone,
        Ok(_) => {
            let reason = "the client sent something before the session was there";
            Left::Refused(Denial::new("gateway", Code::ProtocolViolation, reason).into())
        }
    }
}

async fn write<S: AsyncWrite + Unpin>(io: &mut S, bytes: &[u8]) -> std::io::Result<()> {
    let written = async {
        io.write_all(bytes).await?;
        io.flush().await
    };
    tokio::time::timeout(LAST_WORDS, written).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

fn lasts(context: &SessionContext, clock: &dyn hoop_core::Clock) -> Option<Duration> {
    context.expires_at.map(|expires_at| (expires_at - clock.now()).to_std().unwrap_or_default())
}

/// What is to be opened.
fn opening(
    message: &StartupMessage,
    proven: &crate::auth::credential::Proven,
    token: Option<TokenId>,
    peer: SocketAddr,
    request_id: RequestId,
) -> Result<Opening, Denial> {
    let role = &proven.role.role;
    let Target::Postgres(target) = &role.target else {
        let reason = format!("role {} is not a PostgreSQL server", role.name);
        return Err(
            Denial::new("gateway", Code::RoleNotFound, reason).hint("connect with the client that the role is for")
        );
    };
    let database = database(message, role, target)?;
    if let Some(kind) = message.parameter("replication").filter(|value| asks_for_replication(value))
        && !target.replication
    {
        let kind = String::from_utf8_lossy(kind);
        let reason = format!("role {} does not allow replication connections (replication={kind})", role.name);
        return Err(Denial::new("gateway", Code::ReplicationDenied, reason)
            .hint("ask an administrator: nothing is masked on a replication connection"));
    }
    let settings = Settings::of(message)?;
    let application = message.parameter("application_name").map(|name| String::from_utf8_lossy(name).into());
    Ok(Opening {
        request_id,
        principal: proven.principal.clone(),
        passes: proven.passes(token),
        credential: Some(proven.credential),
        role: role.clone(),
        mode: AccessMode::Native,
        source: Some(peer),
        application,
        reason: settings.reason.map(Into::into),
        target: open::Target::Postgres(postgres_target(target, &database, settings.parameters)),
        told: None,
        database: Some(database.into()),
    })
}

/// The database that the client named. libpq names the user's where nobody named one; here that is the role's own.
fn database(message: &StartupMessage, role: &ResourceRole, target: &PostgresTarget) -> Result<String, Denial> {
    let named =
        message.parameter("database").filter(|name| !name.is_empty() && Some(*name) != message.parameter("user"));
    let Some(named) = named else { return Ok(target.database.clone()) };
    let denied = |name: &str| {
        let reason = format!("role {} does not reach database {name}", role.name);
        Denial::new("gateway", Code::DatabaseDenied, reason)
            .hint("ask an administrator to add it to the role's databases")
    };
    let name = std::str::from_utf8(named).map_err(|_| denial_of_bytes(role))?;
    if target.allows_database(name) { Ok(name.to_owned()) } else { Err(denied(name)) }
}

fn denial_of_bytes(role: &ResourceRole) -> Denial {
    let reason = format!("role {} does not reach a database whose name is not UTF-8", role.name);
    Denial::new("gateway", Code::DatabaseDenied, reason)
}

/// Whether the server would take it for a request for replication; what it would not understand, it refuses itself.
fn asks_for_replication(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    !value.is_empty() && !["false", "off", "no", "0"].iter().any(|no| no.as_bytes() == value)
}

/// The login has succeeded, with the gateway's own proof.
fn succeeded(proof: Bytes) -> Bytes {
    let mut out = BytesMut::from(&proof[..]);
    Authentication::Ok.write(&mut out);
    out.freeze()
}

fn key_data(key: CancelKey) -> Bytes {
    let mut out = BytesMut::new();
    BackendKeyData { process: key.process, key: key.secret }.write(&mut out);
    out.freeze()
}

/// What a client is told whose session could not be opened: the server's own error, unless it is about the secret login
/// that the client does not even know of.
fn refusal(failure: &OpenFailure) -> Bytes {
    let is_about_login = || {
        let frame = Frames::new(failure.target_error.clone()).next(failure.target_error.len()).ok().flatten();
        let fields = frame.and_then(|frame| backend::error_fields(&frame).ok()).unwrap_or_default();
        fields.iter().any(|(letter, value)| *letter == b'C' && value.starts_with(b"28")) || fields.is_empty()
    };
    if failure.target_error.is_empty() || is_about_login() {
        return response(Severity::Fatal, &failure.denial);
    }
    failure.target_error.clone()
}
