//! A server in the test's process, which speaks HTTP/1.1 and, with who begins so, HTTP/2.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::InProcess;

type Body = BoxBody<Bytes, hyper::Error>;

/// What is kept of the bytes that a connection began with.
const MOST_LOGGED_BYTES: usize = 64 * 1024;

/// What each connection began with, in the order of the connections.
type Received = Arc<Mutex<Vec<Vec<u8>>>>;

/// A running server: `/echo` gives the body back as it comes, `/sink` its length, `/source?N` N bytes, `/status/N` the status N;
/// any other path gives back method, path, fields, body and trailers as text. No body is kept in memory but that one.
#[derive(Debug)]
pub struct HttpEcho {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    received: Received,
    _server: InProcess,
}

impl HttpEcho {
    /// Starts one.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start() -> Self {
        let received = Received::default();
        let kept = Arc::clone(&received);
        let server = InProcess::start(|listener| accept(listener, kept));
        Self { port: server.port, received, _server: server }
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The first bytes of each connection so far, up to 64 KiB, as they came.
    pub fn received(&self) -> Vec<Vec<u8>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept(listener: TcpListener, received: Received) {
    let tasks = TaskTracker::new();
    while let Ok((io, _)) = listener.accept().await {
        let _ = io.set_nodelay(true);
        let number = {
            let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
            received.push(Vec::new());
            received.len() - 1
        };
        let io = Tap { io, number, received: Arc::clone(&received) };
        tasks.spawn(async {
            let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) });
            // A client that breaks off is none of the server's concern.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    if let Some(status) = path.strip_prefix("/status/") {
        let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
        let mut response = Response::new(full(""));
        *response.status_mut() = status.unwrap_or(StatusCode::BAD_REQUEST);
        return response;
    }
    Response::new(match path {
        "/echo" => request.into_body().boxed(),
        "/sink" => full(sink(request.into_body()).await.to_string()),
        "/source" => source(request.uri().query().and_then(|length| length.parse().ok()).unwrap_or(0)),
        _ => full(told(request).await),
    })
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

async fn sink(mut body: Incoming) -> u64 {
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, Bytes::len) as u64;
    }
    length
}

fn source(length: u64) -> Body {
    const PIECE: &[u8] = &[b'x'; 64 * 1024];
    let pieces = stream::unfold(length, |left| async move {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE.len());
        (take > 0).then(|| (Ok(Frame::data(Bytes::from_static(&PIECE[..take]))), left - take as u64))
    });
    StreamBody::new(pieces).boxed()
}

async fn told(request: Request<Incoming>) -> String {
    let (head, body) = request.into_parts();
    let mut text = format!("{} {} {:?}\n", head.method, head.uri, head.version);
    text.push_str(&listed(&head.headers));
    text.push('\n');
    match body.collect().await {
        Ok(body) => {
            let trailers = body.trailers().map(listed).unwrap_or_default();
            text.push_str(&String::from_utf8_lossy(&body.to_bytes()));
            text.push_str(&trailers);
        }
        Err(error) => text.push_str(&error.to_string()),
    }
    text
}

fn listed(fields: &HeaderMap) -> String {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
    };
    fields.iter().map(line).collect()
}

/// A connection whose first bytes are kept.
struct Tap {
    io: TcpStream,
    number: usize,
    received: Received,
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut received[self.number];
        let new = &buffer.filled()[before..];
        kept.extend_from_slice(&new[..new.len().min(MOST_LOGGED_BYTES.saturating_sub(kept.len()))]);
        polled
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
