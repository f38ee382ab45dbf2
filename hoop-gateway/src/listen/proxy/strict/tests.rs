use std::convert::Infallible;
use std::pin::pin;

use futures::stream;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::Notify;

use super::*;

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

/// Says what it was asked.
async fn echo(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let (head, body) = request.into_parts();
    let mut text = format!("{} {}", head.method, head.uri);
    for (name, value) in &head.headers {
        text += &format!(" {name}={value:?}");
    }
    let body = body.collect().await?;
    if let Some(trailers) = body.trailers() {
        text += &format!(" {trailers:?}");
    }
    Ok(Response::new(full([text.as_bytes(), b" ", &body.to_bytes()[..], b"\n"].concat())))
}

async fn serve<S, F>(io: S, answer: impl Fn(Request<Incoming>) -> F) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Result<Response<Body>, hyper::Error>>,
{
    builder().serve_connection(TokioIo::new(io), service_fn(answer)).with_upgrades().await
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.auto_date_header(false);
    builder
}

/// Serves a client that says at once that nothing more comes, and waits for its answers.
async fn serve_half_closed<S: AsyncRead + AsyncWrite + Unpin>(io: S) -> hyper::Result<()> {
    builder().half_close(true).serve_connection(TokioIo::new(io), service_fn(echo)).await
}

/// What a client reads that sends this.
async fn direct(sent: &[u8]) -> String {
    let (client, server) = duplex(1 << 20);
    let (_, read) = tokio::join!(serve_half_closed(server), exchange(client, sent));
    read
}

async fn strict(sent: &[u8]) -> String {
    let (client, server) = duplex(1 << 20);
    let (_, read) = tokio::join!(serve_half_closed(Strict::new(server, Limits::default())), exchange(client, sent));
    read
}

async fn exchange(mut client: DuplexStream, sent: &[u8]) -> String {
    client.write_all(sent).await.expect("a server that reads");
    client.shutdown().await.expect("a server that reads");
    let mut read = Vec::new();
    client.read_to_end(&mut read).await.expect("a server that writes");
    String::from_utf8(read).expect("text")
}

/// What a client reads up to this.
async fn read_until(client: &mut DuplexStream, end: &str) -> String {
    let mut read = String::new();
    while !read.ends_with(end) {
        let mut byte = [0];
        assert_eq!(client.read(&mut byte).await.expect("a server that writes"), 1, "{read}");
        read.push(byte[0].into());
    }
    read
}

fn says(violation: Violation) -> String {
    String::from_utf8(refusal(violation).to_vec()).expect("text")
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const CHUNKED: &str = "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test]
async fn a_refusal_is_a_whole_response_behind_those_of_the_requests_before() {
    let bad = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = direct(GET.as_bytes()).await;
    let refusal = says(Violation::LengthAndEncoding);
    assert!(refusal.starts_with("HTTP/1.1 400 Bad Request\r\n") && refusal.contains("\r\nConnection: close\r\n"));
    assert!(refusal.ends_with("\r\n\r\nthe request has both Content-Length and Transfer-Encoding\n"));
    assert_eq!(strict(bad.as_bytes()).await, refusal);
    let pipelined = [GET, GET, bad, GET].concat();
    assert_eq!(strict(pipelined.as_bytes()).await, [answer.clone(), answer, refusal].concat());
}

#[tokio::test]
async fn a_body_that_goes_wrong_is_answered_with_what_is_wrong() {
    let wrong = format!("{GET}{CHUNKED}2\r\nhi\r\n+1\r\nx\r\n0\r\n\r\n{GET}");
    assert_eq!(strict(wrong.as_bytes()).await, direct(GET.as_bytes()).await + &says(Violation::ChunkSize));
}

#[tokio::test]
async fn nothing_is_added_to_an_answer_that_has_begun() {
    let (mut client, server) = duplex(1 << 16);
    let go_on = Notify::new();
    let answer = async |request: Request<Incoming>| {
        let first = stream::once(async { Ok(Frame::data(Bytes::from_static(b"first"))) });
        let go_on = &go_on;
        let rest = async move {
            let failed = request.into_body().collect().await.is_err();
            Ok(Frame::data(Bytes::from(format!("the body failed: {failed}"))))
        };
        go_on.notify_one();
        Ok(Response::new(StreamBody::new(stream::StreamExt::chain(first, stream::once(rest))).boxed_unsync()))
    };
    let talk = async {
        client.write_all(CHUNKED.as_bytes()).await.expect("a server that reads");
        go_on.notified().await;
        read_until(&mut client, "first\r\n").await;
        client.write_all(b"zzz\r\n").await.expect("a server that reads");
        let mut read = String::new();
        client.read_to_string(&mut read).await.expect("a server that writes");
        drop(client);
        read
    };
    let (_, read) = tokio::join!(serve(Strict::new(server, Limits::default()), answer), talk);
    assert_eq!(read, "15\r\nthe body failed: true\r\n0\r\n\r\n");
}

#[tokio::test]
async fn an_answer_that_is_written_slowly_comes_before_the_refusal() {
    let (mut client, server) = duplex(7);
    let sent = [GET, "x\n\n"].concat();
    let (_, read) = tokio::join!(serve(Strict::new(server, Limits::default()), echo), async {
        client.write_all(sent.as_bytes()).await.expect("a server that reads");
        let mut read = String::new();
        client.read_to_string(&mut read).await.expect("a server that writes");
        drop(client);
        read
    });
    assert_eq!(read, direct(GET.as_bytes()).await + &says(Violation::BareLineFeed));
}

#[tokio::test]
async fn what_follows_an_upgrade_passes_once_it_is_answered() {
    let early = [UPGRADE, GET].concat();
    assert_eq!(strict(early.as_bytes()).await, says(Violation::EarlyBytes));

    let (mut client, server) = duplex(1 << 16);
    let upgraded = std::cell::RefCell::new(None);
    let answer = async |mut request: Request<Incoming>| {
        let switching = request.uri() == "/ws";
        *upgraded.borrow_mut() = switching.then(|| hyper::upgrade::on(&mut request));
        let status = if switching { StatusCode::SWITCHING_PROTOCOLS } else { StatusCode::OK };
        Ok(Response::builder().status(status).body(full("")).expect("a response"))
    };
    let talk = async {
        let declined = UPGRADE.replace("/ws", "/");
        client.write_all(declined.as_bytes()).await.expect("a server that reads");
        read_until(&mut client, "\r\n\r\n").await;
        client.write_all(UPGRADE.as_bytes()).await.expect("a server that reads");
        assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
        client.write_all(b"\n\0\x81").await.expect("a server that reads");
        client
    };
    let (served, _client) = tokio::join!(serve(Strict::new(server, Limits::default()), answer), talk);
    served.expect("a connection that was handed over");
    let upgraded = upgraded.into_inner().expect("an upgrade").await.expect("an upgrade");
    let mut read = [0; 3];
    TokioIo::new(upgraded).read_exact(&mut read).await.expect("what the client sent");
    assert_eq!(read, *b"\n\0\x81");
}

#[tokio::test]
async fn a_client_that_goes_away_before_its_answer_is_noticed() {
    let (mut client, server) = duplex(1 << 16);
    let asked = Notify::new();
    let answer = async |_: Request<Incoming>| {
        asked.notify_one();
        std::future::pending().await
    };
    let (served, ()) = tokio::join!(serve(Strict::new(server, Limits::default()), answer), async {
        client.write_all(GET.as_bytes()).await.expect("a server that reads");
        asked.notified().await;
        drop(client);
    });
    assert!(served.expect_err("a connection that ended early").is_incomplete_message());
}

#[tokio::test]
async fn a_client_that_goes_on_sending_still_reads_why_it_was_refused() {
    let (mut client, server) = duplex(1 << 10);
    let (_, read) = tokio::join!(serve(Strict::new(server, Limits::default()), echo), async {
        let sent = [b"GET / HTTP/1.1\n", &[b'x'; 300 << 10][..]].concat();
        client.write_all(&sent).await.expect("a server that reads");
        client.shutdown().await.expect("a server that reads");
        let mut read = String::new();
        client.read_to_string(&mut read).await.expect("a server that writes");
        read
    });
    assert_eq!(read, says(Violation::BareLineFeed));
}

#[tokio::test]
async fn bodies_pass_as_they_are() {
    let body = "0123456789abcde\n".repeat(100_000);
    let by_length = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}{GET}", body.len());
    let chunks: String =
        body.as_bytes().chunks(777).map(|chunk| format!("309\r\n{}\r\n", chunk.escape_ascii())).collect();
    assert_eq!(strict(by_length.as_bytes()).await, direct(by_length.as_bytes()).await);
    let chunks = chunks.replace("\\n", "\n");
    let last = body.len() % 777;
    let at = chunks.rfind("309\r\n").expect("the last chunk");
    let chunks = format!("{}{last:x}\r\n{}0\r\nX-Sum: 1\r\n\r\n", &chunks[..at], &chunks[at + 5..]);
    let chunked = [CHUNKED, &chunks, GET].concat();
    let read = strict(chunked.as_bytes()).await;
    assert!(read.contains(&body) && read.contains("x-sum"));
    assert_eq!(read, direct(chunked.as_bytes()).await);
}

#[tokio::test]
async fn http2_passes() {
    let (client, server) = duplex(1 << 16);
    let server = Strict::new(server, Limits::default());
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let mut serving = pin!(builder.serve_connection(TokioIo::new(server), service_fn(echo)));
    let ask = async {
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client));
        let (mut sender, connection) = handshake.await.expect("HTTP/2");
        let request = Request::get("http://a/x").body(full("")).expect("a request");
        let mut connection = pin!(connection);
        let answer = async {
            let response = sender.send_request(request).await.expect("an answer");
            response.into_body().collect().await.expect("a body").to_bytes()
        };
        tokio::select! { answer = answer => answer, _ = &mut connection => panic!("the connection ended") }
    };
    tokio::select! {
        answer = ask => assert_eq!(answer, "GET http://a/x \n"),
        served = &mut serving => panic!("{served:?}"),
    }
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        GET,
        CHUNKED,
        "0\r\n\r\n",
        "3\r\nabc\r\n",
        "a;x=\"y\"\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
        "POST /c HTTP/1.1\r\nContent-Length: 3\r\nHost: a\r\n\r\n",
        "GET http://a/d?e HTTP/1.1\r\nhost:\ta \r\nX: \u{e9}  y \r\nX:\r\n\r\n",
        "abc",
        "\r\n",
        "\n",
        "GET /\n",
        "X : y\r\n",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whole_messages_are_answered_as_without_and_nothing_else_is(
        pieces in proptest::collection::vec(piece(), 1..8),
    ) {
        let sent = pieces.concat().into_bytes();
        let (mut framing, mut passed, mut whole) = (Framing::new(Limits::default()), 0, 0);
        let violation = loop {
            match framing.check(&sent[passed..]) {
                Ok(Pass { len: 0, .. }) => break None,
                Ok(pass) => passed += pass.len,
                Err(violation) => break Some(violation),
            }
            if framing.is_between() {
                whole = passed;
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let expected = direct(&sent[..whole]).await + &violation.map(says).unwrap_or_default();
            prop_assert_eq!(strict(&sent).await, expected);
            Ok(())
        })?;
    }
}
