//! The login: startup message, authentication, and everything up to the first ReadyForQuery.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hoop_core::{Code, Secret};
use hoop_proto::postgres::backend::{self, Authentication, BackendKeyData, NegotiateProtocolVersion};
use hoop_proto::postgres::startup::{PROTOCOL_3_0, StartupMessage};
use hoop_proto::postgres::{Frame, FrameError, Frames, Header, frontend};
use hoop_proto::tunnel::v1::PostgresTarget;
use postgres_protocol::authentication::md5_hash;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::scram::{Binding, Input, Keys, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, Scram, ScramError, ScramKeys};
use super::socket::{Socket, broken};
use crate::error::TargetFailure;

/// The longest message of a server that has not let us in yet.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// The most that a server may say between login and ReadyForQuery.
const MAX_GREETING_BYTES: usize = 256 * 1024;

/// A login to be done.
pub(super) struct Login<'a> {
    target: &'a PostgresTarget,
    password: Option<&'a Secret<Vec<u8>>>,
    known: &'a ScramKeys,
}

/// A login that is done.
pub(super) struct LoggedIn {
    pub(super) greeting: Bytes,
    pub(super) buffered: Bytes,
    pub(super) protocol: u32,
    pub(super) process: i32,
    pub(super) key: Bytes,
}

impl<'a> Login<'a> {
    pub(super) const fn new(
        target: &'a PostgresTarget,
        password: Option<&'a Secret<Vec<u8>>>,
        known: &'a ScramKeys,
    ) -> Self {
        Self { target, password, known }
    }

    pub(super) async fn run(&self, socket: &mut Socket) -> Result<LoggedIn, TargetFailure> {
        let mut wire = Wire { socket, received: BytesMut::new() };
        let mut protocol = if self.target.protocol == 0 { PROTOCOL_3_0 } else { self.target.protocol };
        let mut out = BytesMut::new();
        self.startup_message(protocol).write(&mut out);
        wire.send(&out).await?;
        self.authenticate(&mut wire, &mut protocol).await?;
        greeting(&mut wire, protocol).await
    }

    fn startup_message(&self, protocol: u32) -> StartupMessage {
        let ours = [("user", &self.target.user), ("database", &self.target.dbname)];
        let ours = ours.map(|(name, value)| (Bytes::from_static(name.as_bytes()), Bytes::from(value.clone())));
        // Whom to log in as, and where, is the role's to say and never the client's.
        let theirs = self
            .target
            .parameters
            .iter()
            .filter(|parameter| ![&b"user"[..], b"database"].contains(&&parameter.name[..]));
        let theirs = theirs.map(|parameter| (parameter.name.clone(), parameter.value.clone()));
        StartupMessage { protocol, parameters: ours.into_iter().chain(theirs).collect() }
    }

    async fn authenticate(&self, wire: &mut Wire<'_>, protocol: &mut u32) -> Result<(), TargetFailure> {
        let mut proven = false;
        loop {
            let frame = wire.receive().await?;
            match frame.tag() {
                backend::AUTHENTICATION => match Authentication::parse(&frame).map_err(|error| malformed(&error))? {
                    Authentication::Ok if self.binding_required() && !proven => return Err(self.unbound()),
                    Authentication::Ok => return Ok(()),
                    Authentication::Sasl(mechanisms) => {
                        proven = self.scram(wire, &mechanisms).await?;
                    }
                    _ if self.binding_required() => return Err(self.unbound()),
                    Authentication::CleartextPassword => self.cleartext(wire).await?,
                    Authentication::Md5Password(salt) => {
                        let hash = md5_hash(self.target.user.as_bytes(), self.password()?, salt);
                        wire.send_password(hash.as_bytes()).await?;
                    }
                    _ => return Err(self.unsupported()),
                },
                backend::NEGOTIATE_PROTOCOL_VERSION => {
                    let offer = NegotiateProtocolVersion::parse(&frame).map_err(|error| malformed(&error))?;
                    *protocol = offer.protocol.min(*protocol);
                }
                backend::ERROR_RESPONSE => return Err(refused(&frame)),
                backend::NOTICE_RESPONSE => {}
                _ => return Err(unexpected(&frame)),
            }
        }
    }

    fn binding_required(&self) -> bool {
        self.target.channel_binding == "require"
    }

    fn unbound(&self) -> TargetFailure {
        TargetFailure::new(
            Code::TargetLoginFailed,
            "the role asks for channel binding, and the server lets us in without",
        )
        .hint("switch the server to scram-sha-256 over TLS, or set the role's channel_binding to prefer")
    }

    fn unsupported(&self) -> TargetFailure {
        TargetFailure::new(Code::TargetLoginFailed, "the server asks for a kind of login that is not supported")
            .hint("use scram-sha-256, md5, password or cert for this user in the server's pg_hba.conf")
    }

    fn password(&self) -> Result<&[u8], TargetFailure> {
        self.password.map(|password| password.expose().as_slice()).ok_or_else(|| {
            let reason = format!("the server wants a password for {}, and the role names none", self.target.user);
            TargetFailure::new(Code::TargetLoginFailed, reason)
                .hint("set the role's password to env:NAME or file:/path, or have the gateway keep it")
        })
    }

    async fn cleartext(&self, wire: &mut Wire<'_>) -> Result<(), TargetFailure> {
        if !wire.socket.private {
            return Err(TargetFailure::new(
                Code::TargetTls,
                "the server wants the password as it is, over an unencrypted connection",
            )
            .hint("set the role's sslmode to verify-full"));
        }
        wire.send_password(self.password()?).await
    }

    /// SCRAM-SHA-256, bound to the channel where both ends can. Says whether it was.
    async fn scram(&self, wire: &mut Wire<'_>, mechanisms: &[Bytes]) -> Result<bool, TargetFailure> {
        let offers = |name: &str| mechanisms.iter().any(|mechanism| mechanism == name.as_bytes());
        let allowed = self.target.channel_binding != "disable";
        let end_point = wire.socket.end_point.clone().filter(|_| allowed);
        let (mechanism, binding) = match end_point {
            Some(end_point) if offers(SCRAM_SHA_256_PLUS) => (SCRAM_SHA_256_PLUS, Binding::EndPoint(end_point)),
            _ if self.binding_required() => return Err(self.unbound()),
            Some(_) if offers(SCRAM_SHA_256) => (SCRAM_SHA_256, Binding::Unoffered),
            None if offers(SCRAM_SHA_256) => (SCRAM_SHA_256, Binding::Unsupported),
            _ => return Err(self.unsupported()),
        };
        let scram = Scram::new(self.password()?, binding);
        let mut out = BytesMut::new();
        frontend::SaslInitialResponse::write(mechanism.as_bytes(), scram.message().as_bytes(), &mut out);
        wire.send(&out).await?;
        let Authentication::SaslContinue(challenge) = wire.authentication().await? else { return Err(out_of_turn()) };
        let challenged = scram.challenged(&challenge).map_err(|error| scram_failed(&error))?;
        let input = Arc::clone(challenged.input());
        let known = self.known.find(&input);
        let keys = match &known {
            Some(keys) => Arc::clone(keys),
            None => derived(&input).await?,
        };
        let server = challenged.answer(&keys);
        out.clear();
        frontend::write_sasl_response(server.message.as_bytes(), &mut out);
        wire.send(&out).await?;
        let Authentication::SaslFinal(proof) = wire.authentication().await? else { return Err(out_of_turn()) };
        server.verify(&proof).map_err(|error| scram_failed(&error))?;
        if known.is_none() {
            self.known.keep(&input, keys);
        }
        Ok(mechanism == SCRAM_SHA_256_PLUS)
    }
}

/// The server chooses how much work this is, up to a bound; it does not hold up other channels.
async fn derived(input: &Arc<Input>) -> Result<Arc<Keys>, TargetFailure> {
    let input = Arc::clone(input);
    let keys = tokio::task::spawn_blocking(move || input.keys()).await.map_err(|_| out_of_turn())?;
    Ok(Arc::new(keys))
}

fn scram_failed(error: &ScramError) -> TargetFailure {
    TargetFailure::new(Code::TargetLoginFailed, format!("SCRAM with the server failed: {error}"))
}

fn out_of_turn() -> TargetFailure {
    TargetFailure::new(Code::TargetLoginFailed, "the server does not keep to the order of SCRAM")
}

/// Everything after the login: settings and notices as they came, the cancel key for ourselves.
async fn greeting(wire: &mut Wire<'_>, protocol: u32) -> Result<LoggedIn, TargetFailure> {
    let mut greeting = BytesMut::new();
    let (mut process, mut key) = (0, Bytes::new());
    loop {
        let frame = wire.receive().await?;
        match frame.tag() {
            backend::BACKEND_KEY_DATA => {
                let data = BackendKeyData::parse(&frame).map_err(|error| malformed(&error))?;
                (process, key) = (data.process, data.key);
            }
            backend::PARAMETER_STATUS | backend::NOTICE_RESPONSE => greeting.extend_from_slice(frame.bytes()),
            backend::READY_FOR_QUERY => {
                greeting.extend_from_slice(frame.bytes());
                let buffered = wire.received.split().freeze();
                return Ok(LoggedIn { greeting: greeting.freeze(), buffered, protocol, process, key });
            }
            backend::ERROR_RESPONSE => return Err(refused(&frame)),
            _ => return Err(unexpected(&frame)),
        }
        if greeting.len() > MAX_GREETING_BYTES {
            return Err(TargetFailure::new(
                Code::TargetLoginFailed,
                "the server does not come to an end of its greeting",
            ));
        }
    }
}

/// A connection of which whole frames are read.
struct Wire<'a> {
    socket: &'a mut Socket,
    received: BytesMut,
}

impl Wire<'_> {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), TargetFailure> {
        self.socket.io.write_all(bytes).await.map_err(|error| broken(&error))?;
        self.socket.io.flush().await.map_err(|error| broken(&error))
    }

    async fn send_password(&mut self, password: &[u8]) -> Result<(), TargetFailure> {
        let mut out = BytesMut::new();
        frontend::write_password(password, &mut out);
        self.send(&out).await
    }

    async fn receive(&mut self) -> Result<Frame, TargetFailure> {
        loop {
            let header = Header::peek(&self.received).map_err(|error| malformed(&error))?;
            if let Some(header) = header {
                if header.len > MAX_MESSAGE_BYTES {
                    let (tag, length, limit) = (header.tag, header.len, MAX_MESSAGE_BYTES);
                    return Err(malformed(&FrameError::TooLong { tag, length, limit }));
                }
                if header.len <= self.received.len() {
                    let bytes = self.received.split_to(header.len).freeze();
                    let frame = Frames::new(bytes).next(MAX_MESSAGE_BYTES).map_err(|error| malformed(&error))?;
                    return frame.ok_or_else(out_of_turn);
                }
            }
            self.received.reserve(2048);
            if self.socket.io.read_buf(&mut self.received).await.map_err(|error| broken(&error))? == 0 {
                return Err(broken(&std::io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// The next step of SASL.
    async fn authentication(&mut self) -> Result<Authentication, TargetFailure> {
        let frame = self.receive().await?;
        match frame.tag() {
            backend::AUTHENTICATION => Authentication::parse(&frame).map_err(|error| malformed(&error)),
            backend::ERROR_RESPONSE => Err(refused(&frame)),
            _ => Err(unexpected(&frame)),
        }
    }
}

fn malformed(error: &FrameError) -> TargetFailure {
    TargetFailure::new(Code::TargetLoginFailed, format!("the server does not speak PostgreSQL's protocol: {error}"))
        .hint("check the role's host and port")
}

fn unexpected(frame: &Frame) -> TargetFailure {
    let tag = char::from(frame.tag());
    TargetFailure::new(Code::TargetLoginFailed, format!("the server sends a message of type {tag:?} during the login"))
}

/// The server's own refusal. A server that cannot take the connection now is not one that refuses the login.
fn refused(frame: &Frame) -> TargetFailure {
    let Ok(fields) = backend::error_fields(frame) else {
        return TargetFailure::new(Code::TargetLoginFailed, "the server refuses the login, and does not say why");
    };
    let field = |letter| {
        let value = fields.iter().find(|(field, _)| *field == letter).map_or(&[][..], |(_, value)| value);
        String::from_utf8_lossy(value).into_owned()
    };
    let (sqlstate, message) = (field(b'C'), field(b'M'));
    let code = match sqlstate.get(..2) {
        Some("53" | "57") => Code::TargetUnavailable,
        _ => Code::TargetLoginFailed,
    };
    let mut failure = TargetFailure::new(code, format!("the server refuses the login: {message} ({sqlstate})"));
    failure.target_error = frame.bytes().clone();
    failure
}
