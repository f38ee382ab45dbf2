//! Port 15432: PostgreSQL clients. It speaks just enough of the protocol to learn who is calling and which role and
//! database they want ([Start-up]), and hands over.
//!
//! One deadline covers everything before the caller is known. Every message has a limit of its own, and nothing is
//! allocated from a length that a stranger sent. What comes before TLS is never read as if it came within it: no byte
//! beyond a whole packet is taken from the socket [CVE-2021-23222].
//!
//! [Start-up]: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP
//! [CVE-2021-23222]: https://www.postgresql.org/support/security/CVE-2021-23222/

mod login;
mod options;
mod serve;
mod startup;

use std::net::SocketAddr;
use std::sync::Arc;

use hoop_core::id::RequestId;
use hoop_core::{Clock, Code, Denial};
use hoop_proto::postgres::startup::{Startup, StartupMessage};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

use super::accept::{Listener, PreAuth, PreAuthLimits};
use super::certificate::{Certificate, Shown};
use super::stranger::{Refusal, Stranger};
use crate::auth::Throttle;
use crate::auth::credential::NativeCredentials;
use crate::config::TlsUse;
use crate::proxy::postgres::error::{Severity, response};
use crate::session::{CancelKey, Sessions};
use crate::telemetry::{Telemetry, span};
use login::Caller;

/// The door.
pub(crate) struct PostgresDoor {
    /// Where sessions are opened.
    pub(crate) sessions: Sessions,
    /// Whom logins and passwords belong to.
    pub(crate) credentials: Arc<NativeCredentials>,
    /// Slows down who guesses; the same one as every other door's.
    pub(crate) throttle: Arc<Throttle>,
    /// What it shows to who asks for TLS.
    pub(crate) certificate: Certificate,
    /// Whether clients may, or must, ask for TLS.
    pub(crate) tls_use: TlsUse,
    /// What a stranger may cost.
    pub(crate) limits: PreAuthLimits,
    /// Longest message that is read as a whole, in bytes.
    pub(crate) max_message_bytes: usize,
    /// Counts.
    pub(crate) telemetry: Arc<Telemetry>,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
}

/// One whose caller is.
struct Known {
    peer: SocketAddr,
    request_id: RequestId,
    since: Instant,
    span: Span,
}

impl PostgresDoor {
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
    pub(super) async fn connection<S>(self: Arc<Self>, mut io: S, stranger: Stranger)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let has_tls = self.tls_use != TlsUse::Off;
        let first = stranger.in_time(startup::first(&mut io, has_tls)).await;
        match first {
            Ok(startup::First::Packet(packet)) => Box::pin(self.packet(io, Encryption::None, packet, stranger)).await,
            Ok(startup::First::Tls) => {
                let shown = self.certificate.shown();
                let accepted = stranger.in_time(async { Ok(shown.postgres.accept(io).await?) }).await;
                let Ok(mut io) = accepted else { return };
                match stranger.in_time(startup::packet(&mut io)).await {
                    Ok(packet) => Box::pin(self.packet(io, Encryption::Tls(shown), packet, stranger)).await,
                    Err(refusal) => self.refuse(&mut io, refusal, &stranger).await,
                }
            }
            Err(refusal) => self.refuse(&mut io, refusal, &stranger).await,
        }
    }

    async fn packet<S>(&self, mut io: S, encryption: Encryption, packet: Startup, stranger: Stranger)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let message = match packet {
            Startup::StartupMessage(message) => message,
            Startup::CancelRequest(cancel) => {
                // No answer, whether or not there is such a session.
                self.sessions.cancel(&CancelKey { process: cancel.process, secret: cancel.key });
                return;
            }
            Startup::SslRequest | Startup::GssEncRequest => {
                let denial = Denial::new("gateway", Code::ProtocolViolation, "encryption was asked for twice");
                return self.refuse(&mut io, denial.into(), &stranger).await;
            }
        };
        let span = span::session(stranger.request_id, stranger.peer);
        // What only the login needs is gone with it: it is on the heap, and not a part of what an idle session keeps.
        let login = stranger.in_time(self.log_in(&mut io, encryption, &message, &stranger));
        match Box::pin(login.instrument(span::login(&span))).await {
            Ok(caller) => self.admit(io, caller, message, stranger, span).await,
            Err(refusal) => {
                if let Refusal::Told(denial) = &refusal {
                    span::refused(&span, denial);
                }
                self.refuse(&mut io, refusal, &stranger).await;
            }
        }
    }

    async fn admit<S>(&self, io: S, caller: Caller, message: StartupMessage, stranger: Stranger, span: Span)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Stranger { peer, request_id, place, since, .. } = stranger;
        // The caller is known: the place is free for another.
        drop(place);
        self.session(io, caller, message, Known { peer, request_id, since, span }).await;
    }

    /// Tells a client why it does not get in.
    async fn refuse<S: AsyncWrite + Unpin>(&self, io: &mut S, refusal: Refusal, stranger: &Stranger) {
        let Refusal::Told(denial) = refusal else { return };
        if denial.code == Code::ProtocolViolation {
            self.telemetry.protocol_errors.increment(1);
        }
        tracing::info!(peer = %stranger.peer, request = %stranger.request_id, code = %denial.code, reason = denial.reason, "client refused");
        let told = async {
            io.write_all(&response(Severity::Fatal, &denial)).await?;
            io.flush().await?;
            io.shutdown().await
        };
        let _ = tokio::time::timeout(LAST_WORDS, told).await;
    }
}

/// How long a refused client may take to read why.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(2);

/// Whether a connection is encrypted.
enum Encryption {
    None,
    /// With this certificate, to which the login is bound.
    Tls(Arc<Shown>),
}
