//! Exchanges with a server that keeps to the protocol.

use std::time::Duration;

use http_body_util::BodyExt as _;

use super::server::{Server, paths, serve};
use super::*;

#[tokio::test]
async fn what_is_asked_reaches_the_target_as_it_was_said() {
    let server = Server::start().await;
    for (version, grpc, spoken) in
        [("auto", false, "HTTP/1.1"), ("1.1", false, "HTTP/1.1"), ("2", false, "HTTP/2.0"), ("1.1", true, "HTTP/2.0")]
    {
        let target = HttpTarget { version: version.to_owned(), ..target(server.port) };
        let mut channel = Channel::open(&target).await;
        let fields = vec![
            field("x-a", "1"),
            field("x-a", "2"),
            field("connection", "x-a"),
            field("te", "gzip"),
            field("transfer-encoding", "gzip"),
            field("cookie", "a=1"),
            field("cookie", "b=2"),
        ];
        let asked = HttpRequest { fields, grpc, ..request("PATCH", "/a%2fb/../c?d=%20&e") };
        let answer = channel.ask_with(asked, &["bo", "", "dy"], vec![]).await;
        assert_eq!((answer.status, answer.field("x-version")), (200, Some(spoken)), "{version} {grpc}");
        let text = answer.text();
        assert!(text.starts_with("PATCH /a%2fb/../c?d=%20&e\n") && text.ends_with("\n\nbody"), "{text}");
        for line in ["host: app.example\n", "x-a: 1\nx-a: 2\n", "cookie: a=1; b=2\n"] {
            assert!(text.contains(line), "{line:?} in {text}");
        }
        assert!(!text.contains("gzip") && !text.contains("connection:"), "{text}");
        assert_eq!(text.contains("te: trailers\n"), grpc, "{text}");
    }
}

#[tokio::test]
async fn a_body_that_is_here_as_a_whole_is_said_as_one_that_comes_in_pieces() {
    let server = Server::start().await;
    for version in ["1.1", "2"] {
        let target = HttpTarget { version: version.to_owned(), ..target(server.port) };
        let mut channel = Channel::open(&target).await;
        for (pieces, length) in [
            (&["body"][..], None),
            (&["body"], Some("4")),
            (&["bo", "dy"], None),
            (&["bo", "dy"], Some("4")),
            (&["", "body"], None),
            (&[], None),
            (&[""], Some("0")),
        ] {
            let fields: Vec<_> = length.map(|length| field("content-length", length)).into_iter().collect();
            let asked = HttpRequest { fields, ..request("PATCH", "/a") };
            let at_once = channel.ask_at_once(asked.clone(), pieces, vec![]).await.text();
            assert_eq!(
                at_once,
                channel.ask_with(asked, pieces, vec![]).await.text(),
                "{version} {pieces:?} {length:?}"
            );
            assert!(at_once.ends_with(&format!("\n\n{}", pieces.concat())), "{at_once}");
        }
        let answer = channel.ask_at_once(request("POST", "/trailers"), &["body"], vec![field("x-sum", "7")]).await;
        assert_eq!(answer.text(), "body");
        let asked = HttpRequest { fields: vec![field("content-length", "5")], ..request("POST", "/a") };
        let answer = channel.ask_at_once(asked, &["body"], vec![]).await;
        assert!(answer.failed.is_some() || answer.status == 400, "{version}: less came than was said: {answer:?}");
        assert_eq!(channel.ask(get("/next")).await.status, 200);
    }
}

#[tokio::test]
async fn one_exchange_after_the_other_shares_a_connection() {
    let server = Server::start().await;
    for version in ["1.1", "2"] {
        let before = server.connections();
        let target = HttpTarget { version: version.to_owned(), ..target(server.port) };
        let mut channel = Channel::open(&target).await;
        for path in ["/one", "/none", "/source?70000", "/two"] {
            assert!(channel.ask(get(path)).await.status < 300);
            assert_eq!(channel.ask(HttpRequest { method: "HEAD".to_owned(), ..get(path) }).await.body, b"");
        }
        assert_eq!(channel.beside().ask(get("/three")).await.status, 200);
        let answer = channel.ask_with(request("POST", "/trailers"), &["x"], vec![]).await;
        assert_eq!((answer.body.as_slice(), answer.trailers.len()), (b"x".as_slice(), usize::from(version == "2")));
        assert_eq!(channel.ask(get("/four")).await.status, 200);
        assert_eq!(server.connections(), before + 1, "{version}: the one that has shown that the target is there");
        let mut other = Channel::open(&target).await;
        assert_eq!(other.ask(get("/")).await.status, 200);
        assert_eq!(server.connections(), before + 2, "another session has its own");
    }
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let server = Server::start().await;
    let target = HttpTarget { version: "2".to_owned(), ..target(server.port) };
    let mut channel = Channel::open(&target).await;
    let answer = channel.ask_with(request("POST", "/trailers"), &["body"], vec![field("x-sum", "7")]).await;
    assert_eq!(answer.text(), "body");
    assert_eq!(answer.trailers, [("x-back".to_owned(), "7".to_owned())]);
    let mut channel = Channel::open(&super::target(server.port)).await;
    let fields = vec![field("trailer", "x-sum"), field("te", "trailers")];
    let asked = HttpRequest { fields, ..request("POST", "/trailers") };
    let answer = channel.ask_with(asked, &["body"], vec![field("x-sum", "8")]).await;
    assert_eq!(answer.text(), "body", "over HTTP/1.1, a server sends them to who asks for them");
}

#[tokio::test]
async fn fields_of_the_connection_stay_there() {
    let server = Server::start().await;
    let answer = Channel::open(&target(server.port)).await.ask(get("/hop")).await;
    let names: Vec<_> = answer.fields.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "date").collect();
    assert_eq!(names, ["x-kept", "content-length"]);
}

#[tokio::test]
async fn a_body_and_its_answer_flow_at_the_same_time() {
    let server = Server::start().await;
    for version in ["1.1", "2"] {
        let target = HttpTarget { version: version.to_owned(), ..target(server.port) };
        let mut channel = Channel::open(&target).await;
        channel.say(http_message::Body::Request(request("POST", "/stream"))).await;
        assert_eq!(channel.head().await.expect("a head").status, 200);
        for piece in ["one", "two", "three"] {
            channel.data(piece).await;
            assert_eq!(channel.next().await, carry_up::Body::Data(piece.into()), "{version}");
        }
        channel.end().await;
        let mut answer = Answer::default();
        channel.rest(&mut answer).await;
        assert_eq!(answer.text(), "");
        assert_eq!(channel.ask(get("/next")).await.status, 200);
    }
}

#[tokio::test]
async fn an_early_answer_is_told_at_once_and_the_rest_thrown_away() {
    let server = Server::start().await;
    for version in ["1.1", "2"] {
        let target = HttpTarget { version: version.to_owned(), ..target(server.port) };
        let mut channel = Channel::open(&target).await;
        channel.say(http_message::Body::Request(request("POST", "/early"))).await;
        channel.data(vec![0; 1000]).await;
        let answer = channel.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (413, "too large"), "{version}");
        for _ in 0..100 {
            channel.data(vec![0; 100_000]).await;
        }
        channel.end().await;
        assert_eq!(channel.ask(get("/next")).await.status, 200, "{version}");
    }
}

#[tokio::test]
async fn much_flows_both_ways() {
    const MUCH: u64 = 64 << 20;
    let server = Server::start().await;
    for version in ["1.1", "2"] {
        let target = HttpTarget { version: version.to_owned(), ..target(server.port) };
        let mut channel = Channel::open(&target).await;
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        channel.say(http_message::Body::Request(request("PUT", "/sink"))).await;
        for _ in 0..MUCH >> 20 {
            channel.data(piece.clone()).await;
        }
        channel.end().await;
        assert_eq!(channel.answer().await.text(), MUCH.to_string(), "{version}");
        channel.say(http_message::Body::Request(get(&format!("/source?{MUCH}")))).await;
        channel.head().await.expect("a head");
        let mut read = 0;
        while let carry_up::Body::Data(data) = channel.next().await {
            read += data.len() as u64;
        }
        assert_eq!(read, MUCH, "{version}");
    }
}

#[tokio::test]
async fn who_does_not_read_is_not_sent_more() {
    let server = Server::start().await;
    for version in ["1.1", "2"] {
        let target = HttpTarget { version: version.to_owned(), ..target(server.port) };
        let mut channel = Channel::open(&target).await;
        channel.say(http_message::Body::Request(request("POST", "/silent"))).await;
        // The target takes what its buffers hold, and no more ever: at some point the gateway has to wait.
        let piece = Bytes::from(vec![0; 1 << 20]);
        let mut taken = 0;
        while let Ok(sent) =
            tokio::time::timeout(Duration::from_millis(300), channel.down.take(carry_down::Body::Data(piece.clone())))
                .await
        {
            assert!(sent.is_ok());
            taken += 1;
            assert!(taken < 64, "{version}: somebody keeps it all");
        }
    }
}

#[tokio::test]
async fn an_exchange_that_is_given_up_ends_at_the_target() {
    let (tell, mut told) = tokio::sync::mpsc::channel(4);
    let server = Server::with(move |io| {
        let tell = tell.clone();
        serve(io, move |request| {
            let tell = tell.clone();
            async move {
                let _ = tell.send("asked").await;
                // Dropped when the client gives it up.
                let _told = OnDrop(tell);
                paths(request).await
            }
        })
    })
    .await;
    for version in ["1.1", "2"] {
        let target = HttpTarget { version: version.to_owned(), ..target(server.port) };
        let mut other = Channel::open(&target).await;
        let mut channel = other.beside();
        channel.say(http_message::Body::Request(get("/silent"))).await;
        assert_eq!(told.recv().await, Some("asked"));
        channel.down.end().await;
        assert!(matches!(channel.up.recv().await, Some(carry_up::Body::Closed(_))));
        drop(channel);
        assert_eq!(told.recv().await, Some("over"), "{version}: the target sees it");
        assert_eq!(other.ask(get("/")).await.status, 200, "{version}: the session goes on");
        assert_eq!((told.recv().await, told.recv().await), (Some("asked"), Some("over")));
    }
}

#[tokio::test]
async fn with_its_own_channel_a_session_ends_whatever_runs_in_it() {
    let server = Server::start().await;
    for version in ["1.1", "2"] {
        let target = HttpTarget { version: version.to_owned(), ..target(server.port) };
        let own = Channel::open(&target).await;
        let mut channel = own.beside();
        channel.say(http_message::Body::Request(get("/source?18446744073709551615"))).await;
        assert!(channel.head().await.is_ok_and(|head| head.status == 200));
        drop(own);
        // What the target sends has no end.
        while matches!(channel.up.recv().await, Some(carry_up::Body::Data(_))) {}
        let asked = http_message::Body::Request(get("/"));
        let asked = carry_down::Body::Http(HttpMessage { body: Some(asked) });
        assert!(channel.down.take(asked).await.is_err(), "{version}: nothing more is asked in it");
    }
}

struct OnDrop(tokio::sync::mpsc::Sender<&'static str>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.try_send("over");
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_not_whole_to_the_target() {
    for version in ["1.1", "2"] {
        let (tell, mut told) = tokio::sync::mpsc::channel(4);
        let server = Server::with(move |io| {
            let tell = tell.clone();
            serve(io, move |request: http::Request<hyper::body::Incoming>| {
                let tell = tell.clone();
                async move {
                    let mut body = request.into_body();
                    let _ = tell.send(body.frame().await.is_some_and(|frame| frame.is_ok())).await;
                    let _ = tell.send(body.collect().await.is_ok()).await;
                    http::Response::new(super::server::full(""))
                }
            })
        })
        .await;
        let target = HttpTarget { version: version.to_owned(), ..target(server.port) };
        let mut channel = Channel::open(&target).await;
        channel.say(http_message::Body::Request(request("POST", "/upload"))).await;
        channel.data("half").await;
        assert_eq!(told.recv().await, Some(true), "the half");
        channel.served.give_up();
        assert!(channel.down.take(carry_down::Body::Data("x".into())).await.is_err());
        drop(channel);
        assert_eq!(told.recv().await, Some(false), "{version}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_fails_and_the_next_goes_on() {
    let server = Server::start().await;
    let mut channel = Channel::open(&target(server.port)).await;
    for (asked, code) in [
        (HttpRequest { authority: "a b".to_owned(), ..get("/") }, Code::ProtocolViolation),
        (HttpRequest { authority: "user@app".to_owned(), ..get("/") }, Code::ProtocolViolation),
        (get("no/path"), Code::ProtocolViolation),
        (get("/a b"), Code::ProtocolViolation),
        (get("/a#b"), Code::ProtocolViolation),
        (get("*"), Code::ProtocolViolation),
        (HttpRequest { method: "G E T".to_owned(), ..get("/") }, Code::ProtocolViolation),
        (HttpRequest { method: "CONNECT".to_owned(), ..get("/") }, Code::Unsupported),
        (HttpRequest { fields: vec![field("a b", "")], ..get("/") }, Code::ProtocolViolation),
        (HttpRequest { fields: vec![field("a", "b\r\nc: d")], ..get("/") }, Code::ProtocolViolation),
        (HttpRequest { fields: vec![field("content-length", "1, 2")], ..get("/") }, Code::ProtocolViolation),
        (HttpRequest { fields: vec![field("content-length", "+1")], ..get("/") }, Code::ProtocolViolation),
    ] {
        let shown = format!("{asked:?}");
        assert_eq!(channel.ask(asked).await.code(), Some(code), "{shown}");
    }
    let asked = HttpRequest { fields: vec![field("content-length", "5")], ..get("/") };
    assert!(!channel.ask(asked).await.text().contains("content-length"), "a length needs a body");
    let star = HttpRequest { method: "OPTIONS".to_owned(), ..get("*") };
    assert!(channel.ask(star).await.text().starts_with("OPTIONS *"));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_unix_socket_is_connected_to_in_the_place_of_the_host() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).expect("bound");
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            serve(io, paths).await;
        }
    });
    let socket = path.display().to_string();
    let target = HttpTarget { socket: socket.clone(), ..target(80) };
    let answer = Channel::open(&target).await.ask(get("/here")).await;
    assert!(answer.text().contains("host: app.example"));
    let allowing = |pattern: String| Settings { targets: vec![pattern], ..settings() };
    assert!(Channel::with(&target, &[], &allowing(format!("{socket}:80"))).await.is_ok());
    let refused = Channel::with(&target, &[], &allowing("127.0.0.1:80".to_owned())).await.err();
    assert_eq!(refused.map(|failure| failure.code), Some(Code::AgentRefused), "the socket is what is dialled");
    let nowhere = HttpTarget { socket: "/nowhere/app.sock".to_owned(), ..target };
    let failure = Channel::with(&nowhere, &[], &settings()).await.err().expect("nothing there");
    assert_eq!(failure.code, Code::TargetUnavailable);
}

#[tokio::test]
async fn a_target_that_is_not_there_is_told_when_the_session_begins() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = gone.local_addr().expect("bound").port();
    drop(gone);
    let failure = Channel::with(&target(port), &[], &settings()).await.err().expect("nobody listens");
    assert_eq!(failure.code, Code::TargetUnavailable);
    assert!(failure.reason.contains(&port.to_string()), "{}", failure.reason);
    let restricted = Settings { targets: vec!["*.internal:*".to_owned()], ..settings() };
    let failure = Channel::with(&target(port), &[], &restricted).await.err().expect("not allowed");
    assert_eq!(failure.code, Code::AgentRefused);
}
