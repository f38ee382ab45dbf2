//! Port 8009: the API. HTTP/1.1 and HTTP/2, over TLS or plain.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::accept::{Listener, Place, PreAuth, PreAuthLimits};
use super::certificate::Certificate;

/// How long a client may take for the head of a request, and rest between two.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections at once. One more ends the oldest.
const CONNECTIONS: usize = 4096;

/// Marks a request that came over TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OverTls;

/// Serves the router, over TLS where there is a certificate, until shutdown; requests that are under way then are answered.
pub(crate) async fn serve(
    listener: Listener,
    certificate: Option<Certificate>,
    router: Router,
    limits: PreAuthLimits,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    let (strangers, all) = (PreAuth::new(limits.connections), PreAuth::new(CONNECTIONS));
    while let Some((tcp, peer)) = listener.accept(&shutdown).await {
        let (stranger, place, asked) = (strangers.enter(), all.enter(), CancellationToken::new());
        let tls = certificate.as_ref().map(|certificate| certificate.shown().http.clone());
        let served = connection(tcp, tls, router.clone(), peer, asked.clone(), shutdown.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = served => {}
                () = silent(stranger, asked, limits.deadline) => tracing::debug!(%peer, "no request in time"),
                () = place.evicted() => tracing::debug!(%peer, "connection made room for another"),
            }
        });
    }
}

/// Resolves when a client does not come to its first request in time, or when its place is needed before that.
async fn silent(stranger: Place, asked: CancellationToken, deadline: Duration) {
    tokio::select! {
        () = asked.cancelled() => {}
        () = stranger.evicted() => return,
        () = tokio::time::sleep(deadline) => return,
    }
    drop(stranger);
    std::future::pending().await
}

async fn connection(
    tcp: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    peer: SocketAddr,
    asked: CancellationToken,
    shutdown: CancellationToken,
) {
    let over_tls = tls.as_ref().map(|_| OverTls);
    let service = router.map_request(move |mut request: hyper::Request<Incoming>| {
        asked.cancel();
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(over_tls) = over_tls {
            request.extensions_mut().insert(over_tls);
        }
        request
    });
    let service = TowerToHyperService::new(service);
    match tls {
        None => requests(TokioIo::new(tcp), service, shutdown).await,
        Some(tls) => match tls.accept(tcp).await {
            Ok(io) => requests(TokioIo::new(io), service, shutdown).await,
            Err(error) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        },
    }
}

async fn requests<I, S>(io: I, service: S, shutdown: CancellationToken)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: hyper::service::Service<
            hyper::Request<Incoming>,
            Response = axum::response::Response,
            Error = std::convert::Infallible,
        > + Send
        + 'static,
    S::Future: Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(64 * 1024);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(100).max_header_list_size(32 * 1024);
    builder.http2().keep_alive_interval(HEADER_TIMEOUT).keep_alive_timeout(HEADER_TIMEOUT);
    let connection = builder.serve_connection(io, service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => if let Err(error) = ended {
            tracing::debug!(%error, "HTTP connection ended");
        },
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::extract::State;
    use axum::routing::get;
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
    use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
    use tokio::sync::Notify;
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::listen::TlsIdentity;

    struct Door {
        address: SocketAddr,
        tasks: TaskTracker,
        shutdown: CancellationToken,
        /// Lets the slow route answer.
        go: Arc<Notify>,
        arrived: Arc<Notify>,
    }

    async fn door(certificate: Option<Certificate>, limits: PreAuthLimits) -> Door {
        let (go, arrived) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = |State((go, arrived)): State<(Arc<Notify>, Arc<Notify>)>| async move {
            arrived.notify_one();
            go.notified().await;
            "slow"
        };
        let router = Router::new()
            .route("/", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { format!("{}", peer.ip()) }))
            .route("/slow", get(slow))
            .with_state((Arc::clone(&go), Arc::clone(&arrived)));
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let (address, tasks, shutdown) = (listener.address(), TaskTracker::new(), CancellationToken::new());
        tasks.spawn(serve(listener, certificate, router, limits, tasks.clone(), shutdown.clone()));
        Door { address, tasks, shutdown, go, arrived }
    }

    async fn ask(io: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        io.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        let _ = io.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn tls_with_the_self_signed_certificate() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = ["gw.example.com".to_owned()];
        let identity = TlsIdentity::self_signed(folder.path(), &names).expect("made");
        let again = TlsIdentity::self_signed(folder.path(), &names).expect("read");
        assert_eq!(identity.fingerprint(), again.fingerprint(), "it is made once");
        let certificate = Certificate::new(identity.clone()).expect("usable");
        let door = door(Some(certificate), PreAuthLimits::default()).await;

        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(identity.pem()).expect("PEM")).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let client = Arc::new(client.expect("versions").with_root_certificates(roots).with_no_client_auth());
        for name in ["localhost", "127.0.0.1", "::1", "gw.example.com"] {
            let tcp = TcpStream::connect(door.address).await.expect("connected");
            let name = ServerName::try_from(name).expect("a name");
            let mut tls = TlsConnector::from(Arc::clone(&client)).connect(name, tcp).await.expect("verified");
            let answer = ask(&mut tls, "/").await;
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("127.0.0.1"), "{answer}");
        }
    }

    #[test]
    fn the_key_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        TlsIdentity::self_signed(folder.path(), &[]).expect("made");
        let mode = std::fs::metadata(folder.path().join("tls.key")).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_let_go() {
        let door = door(None, PreAuthLimits::default()).await;
        let mut tcp = TcpStream::connect(door.address).await.expect("connected");
        assert_eq!(tcp.read(&mut [0]).await.expect("closed"), 0);
        let mut half = TcpStream::connect(door.address).await.expect("connected");
        half.write_all(b"GET / HTTP/1.1\r\nhost:").await.expect("sent");
        assert_eq!(half.read(&mut [0]).await.expect("closed"), 0);
    }

    #[tokio::test]
    async fn a_crowd_that_says_nothing_delays_nobody() {
        let limits = PreAuthLimits { connections: 4, ..PreAuthLimits::default() };
        let door = door(None, limits).await;
        let mut crowd = Vec::new();
        for _ in 0..20 {
            crowd.push(TcpStream::connect(door.address).await.expect("connected"));
        }
        let mut tcp = TcpStream::connect(door.address).await.expect("connected");
        assert!(ask(&mut tcp, "/").await.starts_with("HTTP/1.1 200"));
        assert_eq!(crowd[0].read(&mut [0]).await.expect("closed"), 0, "the oldest made room");
    }

    #[tokio::test]
    async fn shutdown_waits_for_what_is_under_way() {
        let door = door(None, PreAuthLimits::default()).await;
        let mut tcp = TcpStream::connect(door.address).await.expect("connected");
        let asked = async {
            let answer = ask(&mut tcp, "/slow").await;
            assert!(answer.ends_with("slow"), "{answer}");
        };
        let stopped = async {
            door.arrived.notified().await;
            door.shutdown.cancel();
            door.tasks.close();
            door.go.notify_one();
            door.tasks.wait().await;
        };
        tokio::join!(asked, stopped);
        assert!(TcpStream::connect(door.address).await.is_err());
    }
}
