//! Servers that break the protocol, or the connection.

use super::server::Server;
use super::*;

/// What a server says to a request, whether it closes then, and what the gateway gets.
struct Case {
    name: &'static str,
    says: &'static [u8],
    closes: bool,
    status: u32,
    code: Option<Code>,
}

const LOST: Option<Code> = Some(Code::TargetLost);

const fn case(name: &'static str, says: &'static [u8], closes: bool, status: u32, code: Option<Code>) -> Case {
    Case { name, says, closes, status, code }
}

const CASES: &[Case] = &[
    case("nothing", b"", true, 0, LOST),
    case("half a head", b"HTTP/1.1 200 OK\r\nx: ", true, 0, LOST),
    case("garbage", b"\x00\xff\x16\x03garbage\r\n\r\n", false, 0, LOST),
    case("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", false, 0, LOST),
    case("no version", b"<html>hello</html>\r\n\r\n", false, 0, LOST),
    case("a short body", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", true, 200, LOST),
    case("no last chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", true, 200, LOST),
    case("a wrong chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nabc", false, 200, LOST),
    case(
        "a huge chunk",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        false,
        200,
        LOST,
    ),
    case("a chunk too long", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n", false, 200, LOST),
    case("two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", false, 0, LOST),
    case("a negative length", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", false, 0, LOST),
    case("a folded field", b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n", false, 0, LOST),
    case("a space before the colon", b"HTTP/1.1 200 OK\r\nx : a\r\ncontent-length: 0\r\n\r\n", false, 0, LOST),
    case("a zero byte", b"HTTP/1.1 200 OK\r\nx: a\x00b\r\ncontent-length: 0\r\n\r\n", false, 0, LOST),
    case(
        "an unasked switch",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nraw",
        false,
        0,
        LOST,
    ),
    case(
        "informational first",
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
        false,
        204,
        None,
    ),
    case("to the end", b"HTTP/1.1 200 OK\r\n\r\nall of it", true, 200, None),
    case("version 1.0", b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", true, 200, None),
    case(
        "trailers",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: y\r\n\r\n",
        false,
        200,
        None,
    ),
    case(
        "bytes after it",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen",
        false,
        200,
        None,
    ),
];

#[tokio::test]
async fn a_broken_answer_fails_its_exchange_and_no_other() {
    for Case { name, says, closes, status, code } in CASES {
        let (server, mut told) = Server::saying(says, *closes).await;
        let mut channel = Channel::open(&target(server.port)).await;
        for _ in 0..2 {
            let answer = channel.ask(get("/")).await;
            assert_eq!((answer.status, answer.code()), (*status, *code), "{name}: {answer:?}");
            assert!(!answer.body.windows(6).any(|bytes| bytes == b"stolen"), "{name}");
            let head = told.recv().await.expect("a request on a connection of its own");
            assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{name}: {head}");
            if code.is_none() && !closes && *name != "bytes after it" {
                // What keeps to the protocol keeps its connection, and this server answers once.
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_response_that_is_smuggled_in_answers_no_request() {
    // The second answer comes when the first was read already.
    let server = Server::with(|mut io| async move {
        use tokio::io::AsyncWriteExt as _;
        super::server::read_head(&mut io).await;
        let _ = io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        tokio::task::yield_now().await;
        let _ = io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen").await;
        let _ = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
    })
    .await;
    let mut channel = Channel::open(&target(server.port)).await;
    for _ in 0..50 {
        assert_eq!(channel.ask(get("/")).await.text(), "ok");
    }
}

#[tokio::test]
async fn a_head_without_end_is_not_read_for_ever() {
    let server = Server::with(|mut io| async move {
        use tokio::io::AsyncWriteExt as _;
        super::server::read_head(&mut io).await;
        let _ = io.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while io.write_all(b"x-more: and more and more and more and more\r\n").await.is_ok() {}
    })
    .await;
    let mut channel = Channel::open(&target(server.port)).await;
    assert_eq!(channel.ask(get("/")).await.code(), Some(Code::TargetLost));
    let mut asked = get("/");
    asked.grpc = true;
    assert_eq!(channel.ask(asked).await.code(), Some(Code::TargetLost), "what is no HTTP/2");
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_made_anew() {
    // Each connection serves one request, and does not say that it closes.
    let (server, mut told) = Server::saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true).await;
    let mut channel = Channel::open(&target(server.port)).await;
    for _ in 0..3 {
        assert_eq!(channel.ask(get("/")).await.text(), "ok");
        told.recv().await.expect("asked");
        // The connection's own task sees the close before the next request: all run on one thread.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_first_connection_that_was_closed_meanwhile_is_made_anew() {
    let server = Server::with(|io| async move { drop(io) }).await;
    let mut channel = Channel::open(&target(server.port)).await;
    let answer = channel.ask(get("/")).await;
    assert_eq!(answer.code(), Some(Code::TargetLost));
    assert!(server.connections() >= 1);
}

#[tokio::test]
async fn a_target_that_speaks_no_tls_is_told_when_the_session_begins() {
    let server = Server::with(|mut io| async move {
        use tokio::io::AsyncWriteExt as _;
        let _ = io.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
    })
    .await;
    let target = HttpTarget { scheme: "https".to_owned(), ..target(server.port) };
    let failure = Channel::with(&target, &[], &settings()).await.err().expect("it speaks no TLS");
    assert_eq!(failure.code, Code::TargetTls);
}
