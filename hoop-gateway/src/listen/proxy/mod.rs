//! Port 18888: internal web apps, APIs and gRPC services, over HTTP/1.1 and HTTP/2, by TLS or plain.
//!
//! Each role has an origin of its own, `<role>.<domain>`, so that browsers keep roles apart. Programs show the token of a
//! credential with every request; browsers get it as a cookie of that origin. All requests with one token are one session.

pub(crate) mod cors;
mod enter;
mod open;
mod origin;
mod refuse;
mod strict;
mod token;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use hoop_core::id::RequestId;
use hoop_core::{Clock, Code, Denial, Target};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accept::{Listener, PreAuth, PreAuthLimits};
use super::certificate::Certificate;
use super::stranger::{Refusal, Stranger};
use crate::access::Access;
use crate::auth::browser::BrowserSignIns;
use crate::auth::credential::NativeCredentials;
use crate::auth::{Bearer, Throttle};
use crate::config::TlsUse;
use crate::health::Health;
use crate::proxy::http::{self, Asker, Body, Budget, Descriptors, IdentityKey, Limits, RequestBody};
use crate::session::Sessions;
use crate::telemetry::Telemetry;
use cors::Across;
use open::Slot;
use origin::Asked;
pub use origin::Domain;
use refuse::Refused;
use strict::Strict;
use token::{Key, Shown, take};

/// How long a connection may rest between two requests.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A client over HTTP/2 is asked for a sign of life after this much silence.
const PING: Duration = Duration::from_secs(20);
/// Largest head of a request, in bytes.
const HEAD_BYTES: usize = 64 * 1024;
/// Requests at once on one connection over HTTP/2.
const STREAMS: u32 = 256;

/// The door.
pub(crate) struct ProxyDoor {
    /// Where sessions are opened.
    pub(crate) sessions: Sessions,
    /// Whom tokens belong to.
    pub(crate) credentials: Arc<NativeCredentials>,
    /// Slows down who guesses; the same one as every other door's.
    pub(crate) throttle: Arc<Throttle>,
    /// What it shows over TLS.
    pub(crate) certificate: Certificate,
    /// Whether clients may, or must, speak TLS.
    pub(crate) tls_use: TlsUse,
    /// What a stranger may cost.
    pub(crate) limits: PreAuthLimits,
    /// What a session may cost.
    pub(crate) session_limits: Limits,
    /// What they may hold together.
    pub(crate) budget: Arc<Budget>,
    /// The origins of roles.
    pub(crate) domain: Domain,
    /// Where people sign in.
    pub(crate) pages: String,
    /// Is told that somebody has left.
    pub(crate) access: Access,
    /// Takes the codes that browsers bring from there.
    pub(crate) sign_ins: Arc<BrowserSignIns>,
    /// How long a browser is let in.
    pub(crate) credential_ttl: Duration,
    /// How targets are.
    pub(crate) health: Arc<Health>,
    /// What roles let pages of other origins do.
    pub(crate) cors: cors::Rules,
    /// What targets have told of their messages' types.
    pub(crate) types: Arc<Descriptors>,
    /// Says to targets who asks.
    pub(crate) identity: IdentityKey,
    /// Counts.
    pub(crate) telemetry: Arc<Telemetry>,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Owns sessions.
    pub(crate) tasks: TaskTracker,
    /// The sessions, by the token that they were opened with.
    pub(crate) open: DashMap<Key, Arc<Slot>>,
}

/// A connection, as its requests see it.
struct Visit {
    peer: SocketAddr,
    /// As targets are told it.
    address: HeaderValue,
    way: Way,
    bearer: Option<Bearer>,
    /// Somebody on it is known: it is no stranger's any more.
    known: CancellationToken,
}

/// How a connection has come to the door.
struct Way {
    /// The address at which the client has reached it, where it has dialled the door itself.
    local: Option<SocketAddr>,
    /// Whether nobody in between can read it.
    encrypted: bool,
    /// The scheme that the client used, where that is known.
    scheme: Option<&'static str>,
}

impl ProxyDoor {
    /// Serves until shutdown. Requests that are under way then go on until their sessions end.
    pub(crate) async fn serve(self: Arc<Self>, listener: Listener, tasks: TaskTracker, shutdown: CancellationToken) {
        let strangers = PreAuth::new(self.limits.connections);
        while let Some((tcp, peer)) = listener.accept(&shutdown).await {
            let stranger = Stranger::new(peer, strangers.enter(), None, self.limits, &*self.clock);
            let (door, shutdown) = (Arc::clone(&self), shutdown.clone());
            tasks.spawn(Box::pin(door.dialled(tcp, stranger, shutdown)));
        }
    }

    async fn dialled(self: Arc<Self>, tcp: TcpStream, stranger: Stranger, shutdown: CancellationToken) {
        let local = tcp.local_addr().ok();
        let mut first = [0; 1];
        let peeked = stranger.in_time(async { Ok(tcp.peek(&mut first).await?) }).await;
        let is_tls = match peeked {
            Ok(0) | Err(_) => return,
            // A record of a TLS handshake.
            Ok(_) => first == [22],
        };
        if !is_tls || self.tls_use == TlsUse::Off {
            // In front of a door without TLS may stand who ends it; then the configuration knows.
            let scheme = (self.tls_use != TlsUse::Off).then_some("http");
            let way = Way { local, encrypted: false, scheme };
            return self.visit(tcp, stranger, way, shutdown).await;
        }
        let tls = self.certificate.shown().http.clone();
        let accepted = stranger.in_time(async { tls.accept(tcp).await.map_err(Refusal::from) }).await;
        if let Ok(io) = accepted {
            let way = Way { local, encrypted: true, scheme: Some("https") };
            self.visit(io, stranger, way, shutdown).await;
        }
    }

    /// Serves a connection that came through port 8010.
    pub(super) async fn connection<S>(self: Arc<Self>, io: S, stranger: Stranger)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // The tunnel is encrypted where it has to be, and who is at its other end speaks for a client of its own.
        let way = Way { local: None, encrypted: true, scheme: None };
        self.visit(io, stranger, way, CancellationToken::new()).await;
    }

    async fn visit<S>(self: Arc<Self>, io: S, stranger: Stranger, way: Way, shutdown: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let known = CancellationToken::new();
        let Stranger { peer, bearer, .. } = &stranger;
        let address = peer.ip().to_canonical().to_string();
        let address = HeaderValue::try_from(address).expect("an address is ASCII");
        let (peer, bearer) = (*peer, bearer.clone());
        let visit = Arc::new(Visit { peer, address, way, bearer, known: known.clone() });
        let served = self.requests(io, visit, shutdown);
        let silent = async {
            let told = stranger.in_time(async {
                known.cancelled().await;
                Ok(())
            });
            if told.await.is_ok() {
                drop(stranger);
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = Box::pin(served) => {}
            () = silent => {}
        }
    }

    async fn requests<S>(self: Arc<Self>, io: S, visit: Arc<Visit>, shutdown: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(KEEP_ALIVE).max_buf_size(HEAD_BYTES);
        let mut http2 = builder.http2();
        http2.timer(TokioTimer::new()).max_concurrent_streams(STREAMS).max_header_list_size(HEAD_BYTES as u32);
        http2.enable_connect_protocol().keep_alive_interval(PING).keep_alive_timeout(PING);
        let service = service_fn(move |request| {
            let (door, visit) = (Arc::clone(&self), Arc::clone(&visit));
            async move { Ok::<_, Infallible>(door.answer(request, &visit).await) }
        });
        let io = Strict::new(io, hoop_proto::http::Limits::default());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
        tokio::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => if let Err(error) = ended {
                tracing::debug!(error = &*error, "HTTP connection ended");
            },
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>, visit: &Visit) -> Response<Body> {
        let asks = refuse::Asks::of(&request);
        let request = RequestBody::of(request, &self.tasks);
        let asked = self.domain.asked(&request, visit.way.scheme);
        let asked = asked.and_then(|asked| self.domain.only_here(&request, visit.way.local).map(|()| asked));
        let across = match &asked {
            Ok(asked) => self.across(&request, asked).await,
            Err(_) => None,
        };
        let served = match asked {
            Ok(asked) => self.serve_request(request, asked, across.as_ref(), visit).await,
            Err(denial) => Err(denial.into()),
        };
        let mut response = match served {
            Ok(response) => response,
            Err(refused) => {
                let denial = &refused.denial;
                let request_id = RequestId::new(&*self.clock);
                tracing::info!(peer = %visit.peer, request = %request_id, code = %denial.code, reason = denial.reason, "request refused");
                let mut response = refuse::answer(&refused, request_id, &asks, &self.pages);
                if asks.is_page() && matches!(denial.code, Code::SessionKilled | Code::CredentialRevoked) {
                    enter::forget(response.headers_mut());
                }
                response
            }
        };
        if let Some(across) = &across {
            across.answered(response.headers_mut());
        }
        response
    }

    async fn serve_request(
        self: &Arc<Self>,
        mut request: Request<RequestBody>,
        asked: Asked,
        across: Option<&Across>,
        visit: &Visit,
    ) -> Result<Response<Body>, Refused> {
        if let Some(response) = across.and_then(|across| across.preflight(&request)) {
            return Ok(response);
        }
        across.map_or(Ok(()), |across| across.may(&request))?;
        if let Some(response) = self.own_page(&request, &asked, visit).await? {
            return Ok(response);
        }
        let token = match take(request.headers_mut())? {
            Shown::Program(token) => token,
            Shown::Browser(token) => {
                if !across.is_some_and(Across::brings_cookies) {
                    asked.only_own_pages(&request)?;
                }
                token
            }
            Shown::Nothing => return Ok(self.sign_in(&request, &asked)?),
        };
        self.only_encrypted(visit, &asked)?;
        let slot = match self.slot(&token, visit, request.headers()).await {
            // A browser whose time is over signs in again.
            Err(refused) if token.from_browser && is_over(&refused.denial) => {
                return self.sign_in(&request, &asked).map_err(|_| refused);
            }
            // Somebody took it away: who has the page before them is told so, and not let in again in silence.
            Err(refused) if token.from_browser && refused.denial.code == Code::CredentialRevoked => {
                return Err(refused.denial.hint("open the page again to sign in").into());
            }
            slot => slot?,
        };
        asked.is_for(slot.role())?;
        visit.known.cancel();
        let session = slot.session();
        let role = session.role();
        if let Target::Http(target) = &role.target {
            self.domain.only_named(&asked, &role.name, target)?;
        }
        let asker = Asker { address: visit.address.clone(), origin: asked.origin };
        if let Some(refusal) = self.health.refusal(&role) {
            return Err(refusal.into());
        }
        Ok(http::serve(session, request, &asker).await.map_err(|denial| self.health.explain(&role, denial))?)
    }

    /// A token is not sent where others can read it.
    fn only_encrypted(&self, visit: &Visit, asked: &Asked) -> Result<(), Denial> {
        let is_own = visit.peer.ip().to_canonical().is_loopback();
        let is_private = match self.tls_use {
            TlsUse::Required => visit.way.encrypted,
            TlsUse::Optional => visit.way.encrypted || is_own,
            // In front of it stands who ends TLS, and `public` says so.
            TlsUse::Off => visit.way.encrypted || is_own || asked.origin.scheme == "https",
        };
        if is_private {
            return Ok(());
        }
        Err(Denial::new("gateway", Code::TlsRequired, "a token was sent over a connection that is not encrypted")
            .hint("use https, and get a new token: this one may be known to others"))
    }
}

fn is_over(denial: &Denial) -> bool {
    matches!(denial.code, Code::CredentialExpired | Code::LoginFailed)
}
