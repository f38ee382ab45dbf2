//! Port 8010: agents, and native clients that reach no other port. HTTP/2 alone, over TLS or plain.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use hoop_proto::tunnel::v1::access_server::{self, AccessServer};
use hoop_proto::tunnel::v1::tunnel_server::TunnelServer;
use hoop_proto::tunnel::{BusyPoll, Coalescing, Poller, read_ahead};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tower::{Service as _, service_fn};

use super::accept::{Listener, Place, PreAuth, PreAuthLimits};
use super::access::{AccessService, Peer};
use super::certificate::Certificate;
use super::probation::Probation;
use crate::tunnel::TunnelService;

/// How much of one stream the other end may send ahead of who does not read: all the memory that a stuck session costs
/// here. It is what the agent grants in the other direction.
const STREAM_WINDOW: u32 = 512 * 1024;
/// The largest window there is ([RFC 9113 §6.9.1]).
///
/// [RFC 9113 §6.9.1]: https://www.rfc-editor.org/rfc/rfc9113#section-6.9.1
const LARGEST_WINDOW: u32 = (1 << 31) - 1;
/// A target's read (64 KiB at most) and its frame around it travel in one piece; more would only let one stream hold the
/// others up for longer.
const MAX_FRAME: u32 = 80 * 1024;
/// What waits in memory to be sent on one stream.
const SEND_BUFFER: usize = 128 * 1024;
/// The longest message; what it carries in bulk comes in pieces of 64 KiB.
const MAX_MESSAGE: usize = 1024 * 1024;
/// The headers of a call: its path and a token.
const MAX_HEADERS: u32 = 16 * 1024;
/// A connection that is silent for this long is asked whether it lives, and has [`KEEP_ALIVE_TIMEOUT`] to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is read of a connection on which no call has been accepted: its headers and first messages. The windows are for those
/// who are known, and a store that hangs lets a stranger fill them.
const STRANGERS_BYTES: usize = 64 * 1024;

/// What is served.
#[derive(Clone)]
pub(crate) struct Services {
    agents: TunnelServer<TunnelService>,
    clients: AccessServer<AccessService>,
}

impl Services {
    pub(crate) fn new(agents: TunnelService, clients: AccessService) -> Self {
        Self {
            agents: TunnelServer::new(agents).max_decoding_message_size(MAX_MESSAGE),
            clients: AccessServer::new(clients).max_decoding_message_size(MAX_MESSAGE),
        }
    }

    async fn call(mut self, request: hyper::Request<Incoming>) -> Result<hyper::Response<Body>, Infallible> {
        let called = request.uri().path().strip_prefix('/').and_then(|path| path.split_once('/'));
        match called {
            Some((access_server::SERVICE_NAME, _)) => self.clients.call(request).await,
            _ => self.agents.call(request).await,
        }
    }
}

/// Serves them, over TLS where there is a certificate, until shutdown. A connection on which no call has been accepted by the deadline is closed.
pub(crate) async fn serve(
    listener: Listener,
    certificate: Option<Certificate>,
    services: Services,
    transport: Transport,
    limits: PreAuthLimits,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    let strangers = PreAuth::new(limits.connections);
    while let Some((tcp, peer)) = listener.accept(&shutdown).await {
        let (stranger, known) = (strangers.enter(), CancellationToken::new());
        let tls = certificate.as_ref().map(|certificate| certificate.shown().agents.clone());
        let caller = Caller { services: services.clone(), peer, known: known.clone() };
        let served = connection(tcp, tls, transport.clone(), caller, shutdown.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = served => {}
                () = unknown(stranger, known, limits.deadline) => tracing::debug!(%peer, "nobody has made a call in time"),
            }
        });
    }
}

/// Resolves when a connection turns out in time to be nobody's, or when its place is needed before that.
async fn unknown(stranger: Place, known: CancellationToken, deadline: Duration) {
    tokio::select! {
        () = known.cancelled() => {}
        () = stranger.evicted() => return,
        () = tokio::time::sleep(deadline) => return,
    }
    drop(stranger);
    std::future::pending().await
}

/// How calls travel.
#[derive(Clone)]
pub(crate) struct Transport {
    http2: Builder<TokioExecutor>,
    poller: Option<Poller>,
}

impl Transport {
    /// HTTP/2 for agents with so many channels. It needs a runtime.
    pub(crate) fn new(channels_per_agent: u64, busy_poll: BusyPoll) -> Self {
        let poller = busy_poll.poller();
        if poller.is_some() {
            tracing::info!("the gateway looks for the next message before a core sleeps (agents.busy_poll)");
        }
        Self { http2: http2(channels_per_agent), poller }
    }
}

/// How HTTP/2 is spoken.
fn http2(channels_per_agent: u64) -> Builder<TokioExecutor> {
    // The control stream, and a few calls that are refused or just end.
    let streams = u32::try_from(channels_per_agent.saturating_add(32)).unwrap_or(u32::MAX);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        // What a stuck stream holds counts against the connection, too. So that however many are stuck, the next one is
        // not, there is room for all of them.
        .initial_connection_window_size(STREAM_WINDOW.saturating_mul(streams).min(LARGEST_WINDOW))
        .max_concurrent_streams(streams)
        .max_frame_size(MAX_FRAME)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEADERS)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    builder
}

/// Who is on a connection, and what they may call.
struct Caller {
    services: Services,
    peer: SocketAddr,
    /// Cancelled with the first call that is accepted.
    known: CancellationToken,
}

async fn connection(
    tcp: TcpStream,
    tls: Option<TlsAcceptor>,
    transport: Transport,
    caller: Caller,
    shutdown: CancellationToken,
) {
    match tls {
        None => calls(tcp, transport, caller, shutdown).await,
        Some(tls) => match tls.accept(read_ahead(tcp)).await {
            Ok(io) => calls(io, transport, caller, shutdown).await,
            Err(error) => tracing::debug!(peer = %caller.peer, %error, "TLS handshake failed"),
        },
    }
}

async fn calls<I>(io: I, transport: Transport, caller: Caller, shutdown: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Caller { services, peer, known } = caller;
    let Transport { http2, poller } = transport;
    let io = TokioIo::new(Coalescing::new(Probation::new(io, STRANGERS_BYTES, known.clone()), poller));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let (called, known) = (services.clone().call(request), known.clone());
        async move {
            let response = called.await?;
            // A call that is refused is answered with its status in the place of headers.
            if !response.headers().contains_key("grpc-status") {
                known.cancel();
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http2.serve_connection(io, TowerToHyperService::new(service));
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        },
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
