//! Port 8009: the API.

use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::accept::{Listener, PreAuth, PreAuthLimits};

/// How long a client may take for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);

/// Serves the router until shutdown.
pub(crate) async fn serve(
    listener: Listener,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: PreAuthLimits,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    let places = PreAuth::new(limits.connections);
    while let Some((tcp, peer)) = listener.accept(&shutdown).await {
        let (router, tls, place, shutdown) = (router.clone(), tls.clone(), places.enter(), shutdown.clone());
        tasks.spawn(async move {
            let service = router.map_request(move |mut request: hyper::Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo(peer));
                request
            });
            let service = TowerToHyperService::new(service);
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(64 * 1024);
            builder.http2().timer(TokioTimer::new()).max_concurrent_streams(100).max_header_list_size(32 * 1024);
            let Some(tls) = tls else {
                drop(place);
                return serve_connection(builder, TokioIo::new(tcp), service, shutdown).await;
            };
            let io = tokio::select! {
                io = timeout(limits.deadline, tls.accept(tcp)) => io,
                () = place.evicted() => return,
            };
            drop(place);
            if let Ok(Ok(io)) = io {
                serve_connection(builder, TokioIo::new(io), service, shutdown).await;
            }
        });
    }
}

async fn serve_connection<I, S>(builder: Builder<TokioExecutor>, io: I, service: S, shutdown: CancellationToken)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: hyper::service::Service<hyper::Request<Incoming>, Response = axum::response::Response, Error = std::convert::Infallible>
        + Send
        + 'static,
    S::Future: Send + 'static,
{
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
