//! Who is calling: SCRAM-SHA-256, bound to the TLS channel where both ends can ([RFC 5802], [RFC 7677]).
//!
//! [RFC 5802]: https://www.rfc-editor.org/rfc/rfc5802
//! [RFC 7677]: https://www.rfc-editor.org/rfc/rfc7677

use bytes::{Bytes, BytesMut};
use hoop_core::id::TokenId;
use hoop_core::{Code, Denial};
use hoop_proto::postgres::backend::{Authentication, NegotiateProtocolVersion};
use hoop_proto::postgres::frontend::{self, SaslInitialResponse};
use hoop_proto::postgres::startup::{PROTOCOL_3_2, StartupMessage};
use hoop_proto::postgres::{Frame, FrameError, Frames};
use pgwire::api::auth::sasl::scram::ScramServerAuth;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::{Encryption, PostgresDoor, startup};
use crate::auth::credential::{Proven, login_failed};
use crate::config::TlsUse;
use crate::listen::stranger::{Refusal, Stranger, is_own};

const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// A caller whose password is proven.
pub(super) struct Caller {
    /// Who, and what for.
    pub(super) proven: Proven,
    /// The API token that it came with, through port 8010.
    pub(super) token: Option<TokenId>,
    /// The protocol version that is spoken with it.
    pub(super) protocol: u32,
    /// What the client still has to be sent: the server's own proof.
    pub(super) proof: Bytes,
}

impl PostgresDoor {
    pub(super) async fn log_in<S>(
        &self,
        io: &mut S,
        encryption: Encryption,
        message: &StartupMessage,
        stranger: &Stranger,
    ) -> Result<Caller, Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut out = BytesMut::new();
        let protocol = negotiate(message, &mut out);
        if matches!(encryption, Encryption::None) && self.tls_use == TlsUse::Required {
            let denial = Denial::new("gateway", Code::TlsRequired, "this gateway takes encrypted connections only");
            return Err(denial
                .hint("connect with sslmode=require, or verify-full and the gateway's certificate")
                .into());
        }
        let user = user(message)?;
        self.throttle.check(Some(stranger.peer.ip()), &user).map_err(Denial::from)?;
        let candidate = self.credentials.candidate(&user).await?;
        let bound = match &encryption {
            Encryption::Tls(shown) => shown.identity.scram(),
            Encryption::None => None,
        };
        offer(bound.is_some(), &mut out);
        io.write_all(&out).await?;
        io.flush().await?;

        let first = first_message(&startup::message(io).await?, bound.is_some())?;
        let server = bound.cloned().unwrap_or_else(ScramServerAuth::new);
        let begun = server.on_client_first_message_with_secret(&first, candidate.scram_secret());
        let (challenge, server) = begun.map_err(|error| violation(&error.to_string()))?;
        out.clear();
        Authentication::SaslContinue(challenge.into()).write(&mut out);
        io.write_all(&out).await?;
        io.flush().await?;

        let last = password_message(&startup::message(io).await?)?.body();
        let proven = match server.on_client_final_message(&last) {
            Ok(proof) => self.credentials.proven(candidate).await.and_then(|proven| {
                is_own(&proven.principal, stranger.bearer.as_ref())?;
                Ok((proven, proof))
            }),
            Err(_) => Err(login_failed()),
        };
        match proven {
            Ok((proven, proof)) => {
                self.throttle.succeeded(Some(stranger.peer.ip()), &user);
                out.clear();
                Authentication::SaslFinal(proof.into()).write(&mut out);
                let token = stranger.bearer.as_ref().map(|bearer| bearer.token.id);
                Ok(Caller { proven, token, protocol, proof: out.freeze() })
            }
            Err(denial) => {
                self.telemetry.logins_failed.increment(1);
                self.throttle.failed(Some(stranger.peer.ip()), &user);
                Err(named(denial, &user).into())
            }
        }
    }
}

/// PostgreSQL's own words for a wrong login.
fn named(mut denial: Denial, user: &str) -> Denial {
    if denial.code == Code::LoginFailed {
        denial.reason = format!("password authentication failed for user \"{user}\"");
    }
    denial
}

fn user(message: &StartupMessage) -> Result<String, Denial> {
    let user = message.parameter("user").map(|user| String::from_utf8_lossy(user).into_owned()).unwrap_or_default();
    if user.is_empty() {
        let denial =
            Denial::new("gateway", Code::InvalidRequest, "no PostgreSQL user name specified in startup packet");
        return Err(denial.hint("the user is the login of a credential; get one with hoop connect"));
    }
    Ok(user)
}

/// The version that is spoken. A client that asks for a later one, or for options that are not known, is told so.
fn negotiate(message: &StartupMessage, out: &mut BytesMut) -> u32 {
    let protocol = message.protocol.min(PROTOCOL_3_2);
    let is_option = |name: &Bytes| name.starts_with(b"_pq_.");
    let unknown: Vec<Bytes> = message.parameters.iter().map(|(name, _)| name.clone()).filter(is_option).collect();
    if protocol != message.protocol || !unknown.is_empty() {
        NegotiateProtocolVersion { protocol, unknown }.write(out);
    }
    protocol
}

fn offer(bound: bool, out: &mut BytesMut) {
    let mut mechanisms = vec![Bytes::from_static(SCRAM_SHA_256.as_bytes())];
    if bound {
        mechanisms.insert(0, Bytes::from_static(SCRAM_SHA_256_PLUS.as_bytes()));
    }
    Authentication::Sasl(mechanisms).write(out);
}

/// The client's first message, of a mechanism that was offered and whose name it keeps to.
fn first_message(bytes: &Bytes, bound: bool) -> Result<Bytes, Denial> {
    let response =
        SaslInitialResponse::parse(&password_message(bytes)?).map_err(|error| violation(&error.to_string()))?;
    let first = response.data.unwrap_or_default();
    let is_bound = first.starts_with(b"p=");
    match &response.mechanism[..] {
        mechanism if mechanism == SCRAM_SHA_256.as_bytes() && !is_bound => Ok(first),
        mechanism if mechanism == SCRAM_SHA_256_PLUS.as_bytes() && is_bound && bound => Ok(first),
        _ => Err(violation("the client chose a mechanism that was not offered, or does not keep to it")),
    }
}

fn password_message(bytes: &Bytes) -> Result<Frame, Denial> {
    let frame =
        Frames::new(bytes.clone()).next(usize::MAX).map_err(|error: FrameError| violation(&error.to_string()))?;
    frame
        .filter(|frame| frame.tag() == frontend::PASSWORD)
        .ok_or_else(|| violation("a message that does not belong into a login"))
}

fn violation(what: &str) -> Denial {
    Denial::new("gateway", Code::ProtocolViolation, what.to_owned())
}
