//! Servers: one of the library's, which answers as its paths say, and one that says what it was told to.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

pub(super) type Body = BoxBody<Bytes, hyper::Error>;

/// A server. It ends with its test's runtime.
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) connections: Arc<AtomicUsize>,
}

impl Server {
    /// Speaks HTTP/1.1, and HTTP/2 with who begins so.
    pub(super) async fn start() -> Self {
        Self::with(|io| serve(io, paths)).await
    }

    /// Does this with each connection.
    pub(super) async fn with<F, Fut>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (connections, tasks) = (Arc::new(AtomicUsize::new(0)), TaskTracker::new());
        let (counted, spawned) = (Arc::clone(&connections), tasks.clone());
        tasks.spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                spawned.spawn(serve(io));
            }
        });
        Self { port, connections }
    }

    /// Reads the head of a request, says this, and closes or reads on. The bytes read first of each connection are told.
    pub(super) async fn saying(answers: &'static [u8], closes: bool) -> (Self, mpsc::Receiver<String>) {
        let (tell, told) = mpsc::channel(8);
        let server = Self::with(move |mut io| {
            let tell = tell.clone();
            async move {
                let head = read_head(&mut io).await;
                if head.is_empty() {
                    return;
                }
                let _ = tell.send(head).await;
                let _ = io.write_all(answers).await;
                let _ = io.flush().await;
                if !closes {
                    let _ = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
                }
            }
        });
        (server.await, told)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads to the end of a head; empty when there is none.
pub(super) async fn read_head(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match io.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return String::new(),
        }
    }
    String::from_utf8(head).expect("text")
}

/// Serves a connection with a handler.
pub(super) async fn serve<I, H, Fut>(io: I, handler: H)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Fn(Request<Incoming>) -> Fut + Send + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().initial_stream_window_size(64 * 1024);
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(io), service).await;
}

pub(super) fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

/// Answers as the path says; else with what was asked.
pub(super) async fn paths(request: Request<Incoming>) -> Response<Body> {
    let mut response = Response::new(full(""));
    match request.uri().path() {
        "/stream" => *response.body_mut() = request.into_body().boxed(),
        "/sink" => *response.body_mut() = full(sink(request.into_body()).await.to_string()),
        "/source" => *response.body_mut() = source(request.uri().query().and_then(|n| n.parse().ok()).unwrap_or(0)),
        "/early" => {
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            *response.body_mut() = full("too large");
        }
        "/silent" => std::future::pending().await,
        "/none" => {
            *response.status_mut() = StatusCode::NO_CONTENT;
            *response.body_mut() = Empty::new().map_err(|never| match never {}).boxed();
        }
        "/hop" => {
            for (name, value) in
                [("connection", "x-gone"), ("x-gone", "1"), ("keep-alive", "timeout=1"), ("x-kept", "2")]
            {
                response.headers_mut().append(name, HeaderValue::from_static(value));
            }
        }
        "/trailers" => *response.body_mut() = trailed(request).await,
        "/upload" => {
            let whole = request.into_body().collect().await;
            *response.body_mut() = full(if whole.is_ok() { "whole" } else { "broken" });
        }
        _ => {
            let version = format!("{:?}", request.version());
            let head = told(&request);
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            response.headers_mut().insert("x-version", HeaderValue::from_str(&version).expect("ASCII"));
            *response.body_mut() = full(format!("{head}\n{}", String::from_utf8_lossy(&body)));
        }
    }
    response
}

/// Line and fields of a request.
fn told(request: &Request<Incoming>) -> String {
    let mut text =
        format!("{} {}\n", request.method(), request.uri().path_and_query().map_or("*", |path| path.as_str()));
    if let Some(authority) = request.uri().authority() {
        text.push_str(&format!("host: {authority}\n"));
    }
    for (name, value) in request.headers() {
        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    text
}

async fn sink(mut body: Incoming) -> u64 {
    let mut count = 0;
    while let Some(Ok(frame)) = body.frame().await {
        count += frame.data_ref().map_or(0, Bytes::len) as u64;
    }
    count
}

fn source(length: u64) -> Body {
    const PIECE: &[u8] = &[b'x'; 16 * 1024];
    let pieces = stream::unfold(length, |left| async move {
        let take = left.min(PIECE.len() as u64);
        let piece = Bytes::from_static(&PIECE[..usize::try_from(take).expect("a piece's length")]);
        (take > 0).then(|| (Ok(Frame::data(piece)), left - take))
    });
    StreamBody::new(pieces).boxed()
}

/// Gives trailers back, under another name.
async fn trailed(request: Request<Incoming>) -> Body {
    let collected = request.into_body().collect().await.expect("a whole body");
    let sent = collected.trailers().and_then(|trailers| trailers.get("x-sum")).cloned();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-back", sent.unwrap_or(HeaderValue::from_static("none")));
    let body = Full::new(collected.to_bytes()).map_err(|never| match never {});
    body.with_trailers(async move { Some(Ok(trailers)) }).boxed()
}

/// What a server was asked, one after the other.
#[derive(Clone, Default)]
pub(super) struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    pub(super) fn note(&self, text: String) -> usize {
        let mut asked = self.0.lock();
        asked.push(text);
        asked.len()
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}
