//! A service that speaks HTTP, and remembers what it was asked.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener as StdListener;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::task::TaskTracker;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A request as it reached the service.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Whether it came over HTTP/2.
    pub over_http2: bool,
    /// The fields, names in small letters, in their order.
    pub fields: Vec<(String, String)>,
    /// The body; of a WebSocket none.
    pub body: Vec<u8>,
}

impl Asked {
    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What a service says.
#[derive(Debug, Clone, Default)]
pub struct WebAnswer {
    /// The status; 0 stands for 200.
    pub status: u16,
    /// Fields.
    pub fields: Vec<(String, String)>,
    /// The body, in the pieces in which it is sent.
    pub pieces: Vec<Vec<u8>>,
    /// Whether the body never ends after them.
    pub open: bool,
}

impl WebAnswer {
    /// A body of a type.
    pub fn of(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let fields = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { fields, pieces: vec![body.into()], ..Self::default() }
    }

    /// With a field more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }
}

type Answers = dyn Fn(&Asked) -> Option<WebAnswer> + Send + Sync;

/// A service over HTTP/1.1, and HTTP/2 with prior knowledge. It ends with the test's process.
///
/// What the test does not answer itself is answered by path: `/echo` with what it was asked, in JSON; `/stream` with a line, and
/// nothing more for ever; `/redirect?URL` with a way to there; `/status/N` with that status; `/ws` is a WebSocket that says all
/// that it hears, once `hello`; every call of gRPC is answered with its own messages; and the rest with its path.
#[derive(Debug)]
pub struct WebServer {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl WebServer {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start() -> Self {
        Self::with(|_| None)
    }

    /// Starts one that says first what `answers` gives.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn with(answers: impl Fn(&Asked) -> Option<WebAnswer> + Send + Sync + 'static) -> Self {
        let listener = StdListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket can be told not to block");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let asked = Arc::default();
        let service =
            Arc::new(Service { answers: Box::new(answers), asked: Arc::clone(&asked), sockets: TaskTracker::new() });
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
            runtime.block_on(serve(listener, service))
        });
        Self { port, asked }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it was asked below a path so far.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        let asked = self.asked.lock().expect("no test panics while it has it");
        asked.iter().filter(|asked| asked.path.starts_with(path)).cloned().collect()
    }
}

struct Service {
    answers: Box<Answers>,
    asked: Arc<Mutex<Vec<Asked>>>,
    sockets: TaskTracker,
}

async fn serve(listener: StdListener, service: Arc<Service>) {
    let listener = TcpListener::from_std(listener).expect("it is one of tokio's, too");
    let connections = TaskTracker::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let service = Arc::clone(&service);
        // It ends with its connection, and what went wrong shows at the client.
        connections.spawn(async move {
            let _ = tcp.set_nodelay(true);
            let answered = service_fn(move |request| {
                let service = Arc::clone(&service);
                async move { service.answer(request).await.map_err(io::Error::other) }
            });
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http2().max_header_list_size(1 << 20);
            let _ = builder.serve_connection_with_upgrades(TokioIo::new(tcp), answered).await;
        });
    }
}

impl Service {
    async fn answer(&self, mut request: Request<Incoming>) -> anyhow::Result<Response<Body>> {
        let key = request.headers().get("sec-websocket-key").map(|key| derive_accept_key(key.as_bytes()));
        let on = key.as_ref().map(|_| hyper::upgrade::on(&mut request));
        let (parts, body) = request.into_parts();
        let mut asked = Asked {
            method: parts.method.to_string(),
            path: parts.uri.path_and_query().map_or_else(|| parts.uri.to_string(), ToString::to_string),
            over_http2: parts.version == Version::HTTP_2,
            fields: fields(&parts.headers),
            body: Vec::new(),
        };
        if let (Some(accept), Some(on)) = (key, on) {
            self.remember(&asked);
            self.sockets.spawn(echo_messages(on));
            return switch(&accept);
        }
        let is_call = asked.field("content-type").is_some_and(|kind| kind.starts_with("application/grpc"));
        asked.body = body.collect().await.context("the request's body")?.to_bytes().to_vec();
        self.remember(&asked);
        match (self.answers)(&asked) {
            Some(answer) => given(answer),
            None if is_call => call(&asked),
            None => given(usual(&asked)),
        }
    }

    fn remember(&self, asked: &Asked) {
        self.asked.lock().expect("no test panics while it has it").push(asked.clone());
    }
}

fn fields(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn usual(asked: &Asked) -> WebAnswer {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    if path == "/echo" {
        let fields: Vec<_> = asked.fields.iter().map(|(name, value)| json!([name, value])).collect();
        let body = String::from_utf8_lossy(&asked.body);
        let said = json!({ "method": asked.method, "path": asked.path, "fields": fields, "body": body });
        return WebAnswer::of("application/json", said.to_string());
    }
    if path == "/stream" {
        return WebAnswer { open: true, ..WebAnswer::of("text/plain", "first\n") };
    }
    if path == "/redirect" {
        return WebAnswer { status: 302, ..WebAnswer::default() }.with(LOCATION.as_str(), query);
    }
    if let Some(status) = path.strip_prefix("/status/").and_then(|status| status.parse().ok()) {
        return WebAnswer { status, ..WebAnswer::default() };
    }
    WebAnswer::of("text/plain", asked.path.as_str())
}

fn given(answer: WebAnswer) -> anyhow::Result<Response<Body>> {
    let WebAnswer { status, fields, pieces, open } = answer;
    let mut response = Response::builder().status(if status == 0 { 200 } else { status });
    for (name, value) in fields {
        response = response.header(name, value);
    }
    if let ([piece], false) = (&pieces[..], open) {
        response = response.header(CONTENT_LENGTH, piece.len());
    }
    let frames = futures::stream::iter(pieces).map(|piece| Ok(Frame::data(Bytes::from(piece))));
    let body = match open {
        true => StreamBody::new(frames.chain(futures::stream::pending())).boxed_unsync(),
        false => StreamBody::new(frames).boxed_unsync(),
    };
    Ok(response.body(body)?)
}

/// The messages of a call, back.
fn call(asked: &Asked) -> anyhow::Result<Response<Body>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Frame::data(Bytes::from(asked.body.clone())), Frame::trailers(trailers)];
    let body = StreamBody::new(futures::stream::iter(frames.map(Ok))).boxed_unsync();
    Ok(Response::builder().header(CONTENT_TYPE, "application/grpc").body(body)?)
}

fn switch(accept: &str) -> anyhow::Result<Response<Body>> {
    let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    let response = response.header(UPGRADE, "websocket").header(CONNECTION, "upgrade");
    let body = Full::default().map_err(|never: Infallible| match never {}).boxed_unsync();
    Ok(response.header("sec-websocket-accept", accept).body(body)?)
}

async fn echo_messages(on: hyper::upgrade::OnUpgrade) -> anyhow::Result<()> {
    let io = TokioIo::new(on.await?);
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
    socket.send(Message::text("hello")).await?;
    while let Some(message) = socket.next().await {
        // The library answers pings and closes itself.
        if let message @ (Message::Text(_) | Message::Binary(_)) = message? {
            socket.send(message).await?;
        }
    }
    Ok(())
}

/// A client of a WebSocket, without TLS.
#[derive(Debug)]
pub struct WebSocket {
    runtime: tokio::runtime::Runtime,
    stream: WebSocketStream<TcpStream>,
}

impl WebSocket {
    /// Opens `url` at `address`, with these fields more; whoever does not switch has given a status instead.
    ///
    /// # Errors
    /// The status.
    ///
    /// # Panics
    /// When nobody answers.
    pub fn open(address: &str, url: &str, fields: &[(&str, &str)]) -> Result<Self, u16> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let mut request = url.into_client_request().expect("a URL");
        for (name, value) in fields {
            let name = hyper::header::HeaderName::from_bytes(name.as_bytes()).expect("the name of a field");
            request.headers_mut().append(name, value.parse().expect("a value of a field"));
        }
        let opened = runtime.block_on(async {
            let tcp = TcpStream::connect(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
            tokio_tungstenite::client_async(request, tcp).await
        });
        match opened {
            Ok((stream, _)) => Ok(Self { runtime, stream }),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{url} at {address}: {error}"),
        }
    }

    /// Sends a text.
    ///
    /// # Panics
    /// When the connection is gone.
    #[track_caller]
    pub fn send(&mut self, text: &str) {
        self.runtime.block_on(self.stream.send(Message::text(text))).expect("the WebSocket is open");
    }

    /// Sends bytes, and gives those that are answered next.
    ///
    /// # Panics
    /// When the connection is gone, or nothing is answered within a minute.
    #[track_caller]
    pub fn send_binary(&mut self, bytes: &[u8]) -> Vec<u8> {
        let answered = async {
            self.stream.send(Message::binary(bytes.to_vec())).await.expect("the WebSocket is open");
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Binary(bytes))) => return bytes.to_vec(),
                    Some(Ok(_)) => {}
                    other => panic!("no answer: {other:?}"),
                }
            }
        };
        let within = std::time::Duration::from_secs(60);
        self.runtime.block_on(async { tokio::time::timeout(within, answered).await }).expect("an answer")
    }

    /// The next text; `None` when it was closed, or broke off.
    ///
    /// # Panics
    /// When there is none within a minute.
    #[track_caller]
    pub fn receive(&mut self) -> Option<String> {
        let next = async {
            loop {
                match self.stream.next().await? {
                    Ok(Message::Text(text)) => return Some(text.to_string()),
                    Ok(Message::Close(_)) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        };
        let within = std::time::Duration::from_secs(60);
        self.runtime.block_on(async { tokio::time::timeout(within, next).await }).expect("a message, or the end")
    }
}
