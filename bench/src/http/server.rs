//! The services: one that speaks HTTP/1.1 and HTTP/2, and one of gRPC; each is a process of its own, on one thread.

use std::convert::Infallible;
use std::io;
use std::sync::LazyLock;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE,
};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::task::TaskTracker;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What a detector finds, in `/contact`.
pub(super) const ADDRESS: &str = "someone@example.com";
/// The length of `/json`.
pub(super) const JSON_BYTES: u64 = 1_000_000;

const SMALL: &[u8] = &[b'x'; 1024];

/// A list of customers, one in ten with something that a detector finds.
static JSON: LazyLock<Bytes> = LazyLock::new(|| {
    let mut text = String::from("[");
    for number in 0.. {
        let mail = if number % 10 == 0 { format!("customer{number}@example.com") } else { "none".to_owned() };
        let note = "The parcel was handed to a neighbour; please call again in the morning.";
        let row =
            format!("{{\"id\":{number},\"name\":\"Customer {number}\",\"mail\":\"{mail}\",\"note\":\"{note}\"}},\n");
        if text.len() + row.len() + 2 > JSON_BYTES as usize {
            break;
        }
        text.push_str(&row);
    }
    text.push_str("{}");
    // Space at the end is JSON, too.
    text.push_str(&" ".repeat(JSON_BYTES as usize - 1 - text.len()));
    text.push(']');
    text.into()
});

/// Serves until the process ends: `/small`, `/large?BYTES`, `/json`, `/contact`, `/sink`, which counts, and `/socket`, a
/// WebSocket that says again what it hears.
pub(crate) fn serve(port: u16) {
    runtime().block_on(accept(port)).expect("a free port");
}

/// Serves the customers of the example until the process ends.
pub(crate) fn serve_grpc(port: u16) {
    let serve = async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        grpc_customers::serve(listener).await
    };
    runtime().block_on(serve).expect("it serves");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn accept(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let tasks = TaskTracker::new();
    loop {
        let (client, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        let sockets = tasks.clone();
        tasks.spawn(async move {
            let service = service_fn(|request| answer(request, sockets.clone()));
            // A client that breaks off is none of the server's concern.
            let builder = Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection_with_upgrades(TokioIo::new(client), service).await;
        });
    }
}

async fn answer(mut request: Request<Incoming>, sockets: TaskTracker) -> Result<Response<Body>, Infallible> {
    let body = match request.uri().path() {
        "/small" => full(SMALL),
        "/json" => full(JSON.clone()),
        "/contact" => full(format!("{{\"mail\":\"{ADDRESS}\"}}")),
        "/sink" => full(count(request.into_body()).await.to_string()),
        "/large" => return Ok(large(request.uri().query().and_then(|length| length.parse().ok()).unwrap_or(0))),
        "/socket" => {
            let on = hyper::upgrade::on(&mut request);
            let key = request.headers().get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
            sockets.spawn(echo(on));
            return Ok(switched(&key.unwrap_or_default()));
        }
        _ => {
            let mut response = Response::new(full(""));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return Ok(response);
        }
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

fn large(length: u64) -> Response<Body> {
    const PIECE: &[u8] = &[b'x'; 64 << 10];
    let pieces = stream::unfold(length, |left| async move {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE.len());
        (take > 0).then(|| (Ok(Frame::data(Bytes::from_static(&PIECE[..take]))), left - take as u64))
    });
    let mut response = Response::new(StreamBody::new(pieces).boxed_unsync());
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

async fn count(mut body: Incoming) -> u64 {
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, Bytes::len) as u64;
    }
    length
}

fn switched(accept: &str) -> Response<Body> {
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let fields = [(CONNECTION, "upgrade"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_ACCEPT, accept)];
    for (name, value) in fields {
        response.headers_mut().insert(name, HeaderValue::from_str(value).expect("text"));
    }
    response
}

async fn echo(on: OnUpgrade) {
    let Ok(upgraded) = on.await else { return };
    // Thousands of them wait at once.
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let (mut say, mut hear) = socket.split();
    while let Some(Ok(message)) = hear.next().await {
        if say.send(message).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{JSON, JSON_BYTES};

    #[test]
    fn the_list_is_json_of_the_length_that_is_counted() {
        let list: serde_json::Value = serde_json::from_slice(&JSON).expect("JSON");
        assert!(JSON.len() as u64 == JSON_BYTES && list.as_array().is_some_and(|list| list.len() > 5000));
    }
}
