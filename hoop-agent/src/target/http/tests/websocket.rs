//! WebSockets: the handshake, and what flows then.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::AsyncWriteExt as _;

use super::server::{Server, read_head};
use super::*;

fn accept(head: &str) -> String {
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
    assert_eq!(BASE64_STANDARD.decode(key).expect("base64").len(), 16);
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64_STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

fn websocket() -> HttpRequest {
    let fields = vec![
        field("sec-websocket-protocol", "chat, superchat"),
        field("sec-websocket-key", "of the client"),
        field("sec-websocket-extensions", "permessage-deflate"),
        field("origin", "https://app.example"),
        field("cookie", "a=1"),
    ];
    HttpRequest { websocket: true, fields, ..get("/ws?room=1") }
}

/// Agrees with these fields, then gives back what it gets.
async fn agreeing(fields: &'static str) -> Server {
    Server::with(move |mut io| async move {
        let head = read_head(&mut io).await;
        if head.is_empty() {
            return;
        }
        assert!(head.starts_with("GET /ws?room=1 HTTP/1.1\r\n"), "{head}");
        for line in
            ["host: app.example", "upgrade: websocket", "sec-websocket-version: 13", "origin: https://app.example"]
        {
            assert!(head.contains(&format!("{line}\r\n")), "{line} in {head}");
        }
        assert!(!head.contains("of the client") && !head.contains("deflate"), "{head}");
        let fields = fields.replace("ACCEPT", &accept(&head));
        let _ = io.write_all(format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\nfirst").as_bytes()).await;
        let (mut read, mut write) = io.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    })
    .await
}

const AGREED: &str = "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n\
                      Sec-WebSocket-Protocol: superchat\r\nSet-Cookie: b=2\r\n";

async fn read(channel: &mut Channel, length: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < length {
        match channel.next().await {
            carry_up::Body::Data(data) => read.extend_from_slice(&data),
            other => panic!("{other:?} in a WebSocket"),
        }
    }
    read
}

#[tokio::test]
async fn bytes_flow_both_ways_once_the_target_has_agreed() {
    let server = agreeing(AGREED).await;
    let mut channel = Channel::open(&target(server.port)).await;
    for _ in 0..2 {
        channel.say(http_message::Body::Request(websocket())).await;
        let head = channel.head().await.expect("it agrees");
        assert_eq!((head.status, head.bodiless), (101, false));
        let fields = texts(&head.fields);
        let expected = [("sec-websocket-protocol", "superchat"), ("set-cookie", "b=2")];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(read(&mut channel, 5).await, b"first");
        for piece in ["hello", "world"] {
            channel.data(piece).await;
            assert_eq!(read(&mut channel, 5).await, piece.as_bytes());
        }
        // The client ends it, and the next exchange may come.
        channel.end().await;
        let mut answer = Answer::default();
        channel.rest(&mut answer).await;
        assert_eq!(answer.text(), "");
    }
    assert_eq!(server.connections(), 2, "each has one of its own");
}

#[tokio::test]
async fn an_answer_to_another_question_is_none() {
    for fields in [
        "Connection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Accept: ACCEPT\r\n",
        "Upgrade: websocket\r\nConnection: Upgrade\r\n",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Protocol: other\r\n",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Extensions: x\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n",
    ] {
        let server = agreeing(fields).await;
        let mut channel = Channel::open(&target(server.port)).await;
        assert_eq!(channel.ask(websocket()).await.code(), Some(Code::TargetLost), "{fields}");
        channel.data("thrown away").await;
    }
}

#[tokio::test]
async fn a_target_that_does_not_agree_answers_as_to_any_request() {
    let server = Server::start().await;
    let mut channel = Channel::open(&target(server.port)).await;
    let answer = channel.ask(websocket()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("upgrade: websocket"));
    channel.data("thrown away").await;
    channel.end().await;
    assert_eq!(channel.ask(get("/next")).await.status, 200);
}

#[tokio::test]
async fn a_target_that_breaks_off_ends_it() {
    let server = Server::with(|mut io| async move {
        let head = read_head(&mut io).await;
        let answer = AGREED.replace("ACCEPT", &accept(&head));
        let _ = io.write_all(format!("HTTP/1.1 101 Switching Protocols\r\n{answer}\r\nbye").as_bytes()).await;
    })
    .await;
    let mut channel = Channel::open(&target(server.port)).await;
    let answer = channel.ask(websocket()).await;
    assert_eq!((answer.status, answer.text().as_str()), (101, "bye"));
    channel.data("nobody reads it").await;
}
