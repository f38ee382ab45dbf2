use proptest::prelude::*;

use super::*;

/// What of the bytes passes, and why the rest does not.
fn passes(bytes: &[u8]) -> (usize, Option<Violation>) {
    let (mut framing, mut passed) = (Framing::new(Limits::default()), 0);
    loop {
        match framing.check(&bytes[passed..]) {
            Ok(Pass { len: 0, .. }) => return (passed, None),
            Ok(pass) => passed += pass.len,
            Err(violation) => return (passed, Some(violation)),
        }
    }
}

fn refused(bytes: &[u8]) -> Violation {
    match passes(bytes) {
        (0, Some(violation)) => violation,
        other => panic!("{other:?}: {}", bytes.escape_ascii()),
    }
}

fn with(line: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n").into_bytes()
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_as_a_whole() {
    let length_and_coding = "Content-Length: 5\r\nTransfer-Encoding: chunked";
    for (line, violation) in [
        (length_and_coding, Violation::LengthAndEncoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0", Violation::LengthAndEncoding),
        ("Content-Length: 5\r\nContent-Length: 6", Violation::SeveralLengths),
        ("Content-Length: 5\r\ncontent-length: 5", Violation::SeveralLengths),
        ("Content-Length: 5, 5", Violation::ContentLength),
        ("Content-Length: +5", Violation::ContentLength),
        ("Content-Length: -0", Violation::ContentLength),
        ("Content-Length: 0x5", Violation::ContentLength),
        ("Content-Length: 5 5", Violation::ContentLength),
        ("Content-Length:", Violation::ContentLength),
        ("Content-Length: 9223372036854775808", Violation::ContentLength),
        ("Transfer-Encoding: gzip, chunked", Violation::TransferEncoding),
        ("Transfer-Encoding: chunked, identity", Violation::TransferEncoding),
        ("Transfer-Encoding: \"chunked\"", Violation::TransferEncoding),
        ("Transfer-Encoding: chunked;q=1", Violation::TransferEncoding),
        ("Transfer-Encoding: \x0bchunked", Violation::Control),
        ("Transfer-Encoding:", Violation::TransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Violation::TransferEncoding),
        ("Transfer-Encoding : chunked", Violation::SpaceBeforeColon),
        ("X: a\r\n b", Violation::Folded),
        ("X: a\r\n\tb", Violation::Folded),
        ("X: a\nContent-Length: 5", Violation::BareLineFeed),
        ("X: a\rContent-Length: 5", Violation::BareCarriageReturn),
        ("X: a\0", Violation::Nul),
        ("X: a\x7f", Violation::Control),
        ("X", Violation::FieldName),
        (": a", Violation::FieldName),
        ("X\u{e9}: a", Violation::FieldName),
        ("X(: a", Violation::FieldName),
        ("Host: a", Violation::SeveralHosts),
        ("Upgrade: websocket\r\nContent-Length: 5", Violation::UpgradeBody),
        ("Upgrade: h2c, websocket\r\nTransfer-Encoding: chunked", Violation::UpgradeBody),
    ] {
        assert_eq!(refused(&with(line)), violation, "{line:?}");
    }
}

#[test]
fn a_request_line_is_of_one_form() {
    for (line, violation) in [
        ("GET  / HTTP/1.1", Violation::RequestLine),
        ("GET / HTTP/1.1 ", Violation::RequestLine),
        (" GET / HTTP/1.1", Violation::RequestLine),
        ("GET /", Violation::RequestLine),
        ("GET /a b HTTP/1.1", Violation::RequestLine),
        ("GET\t/ HTTP/1.1", Violation::RequestLine),
        ("G(T / HTTP/1.1", Violation::Method),
        ("GET /\t HTTP/1.1", Violation::Target),
        ("GET /#f HTTP/1.1", Violation::Target),
        ("GET /\u{e9} HTTP/1.1", Violation::Target),
        ("GET a HTTP/1.1", Violation::Target),
        ("GET * HTTP/1.1", Violation::Target),
        ("GET ftp://a/ HTTP/1.1", Violation::Target),
        ("GET http:///x HTTP/1.1", Violation::Target),
        ("GET http://b@a/ HTTP/1.1", Violation::Target),
        ("CONNECT /a HTTP/1.1", Violation::Target),
        ("GET / HTTP/1.2", Violation::Version),
        ("GET / HTTP/2.0", Violation::Version),
        ("GET / http/1.1", Violation::Version),
        ("GET / HTTP/01.1", Violation::Version),
        ("GET http://b/ HTTP/1.1", Violation::HostDiffers),
        ("GET http://a:80/ HTTP/1.1", Violation::HostDiffers),
        ("CONNECT b:1 HTTP/1.1", Violation::HostDiffers),
    ] {
        assert_eq!(refused(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()), violation, "{line:?}");
    }
    for line in ["GET / HTTP/1.1", "GET http://A/?x HTTP/1.1", "OPTIONS * HTTP/1.0", "M-SEARCH /{|}^`\\ HTTP/1.1"] {
        let bytes = format!("{line}\r\nHost: \ta \r\n\r\n");
        assert_eq!(passes(bytes.as_bytes()), (bytes.len(), None), "{line:?}");
    }
}

#[test]
fn a_host_is_one() {
    assert_eq!(refused(b"GET / HTTP/1.1\r\n\r\n"), Violation::NoHost);
    assert_eq!(passes(b"GET / HTTP/1.0\r\n\r\n"), (18, None));
    for host in ["a, b", "a/b", "u@a", "a b", "a?b", "a\\b", "\u{e9}"] {
        assert_eq!(refused(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()), Violation::Host, "{host}");
    }
    assert_eq!(refused(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Violation::EncodedInHttp10);
}

#[test]
fn chunks_are_refused_where_they_go_wrong() {
    let head = with("Transfer-Encoding: chunked");
    let long = format!("1;{}\r\nx", "a".repeat(MAX_CHUNK_LINE));
    let many = "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n".repeat(200);
    let trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(101));
    let trailer = format!("0\r\nX: {}\r\n\r\n", "y".repeat(MAX_TRAILERS));
    for (body, passed, violation) in [
        ("+1\r\nx", 0, Violation::ChunkSize),
        ("0x1\r\nx", 0, Violation::ChunkSize),
        ("-1\r\nx", 0, Violation::ChunkSize),
        (" 1\r\nx", 0, Violation::ChunkSize),
        ("1 \r\nx", 0, Violation::ChunkSize),
        ("1\t;a\r\nx", 0, Violation::ChunkSize),
        ("\r\nx", 0, Violation::ChunkSize),
        ("g\r\n", 0, Violation::ChunkSize),
        ("1_0\r\n", 0, Violation::ChunkSize),
        ("fffffffffffffffff\r\n", 0, Violation::ChunkSize),
        ("1\nx", 0, Violation::BareLineFeed),
        ("1;a\nx", 0, Violation::BareLineFeed),
        ("1\r\r\nx", 0, Violation::BareCarriageReturn),
        ("1;\r\nx", 0, Violation::ChunkExtension),
        ("1;a=\r\nx", 0, Violation::ChunkExtension),
        ("1;a=\"b\r\nx", 0, Violation::ChunkExtension),
        ("1;a b\r\nx", 0, Violation::ChunkExtension),
        (&long, 0, Violation::ChunkExtension),
        ("1\r\nxy", 4, Violation::ChunkEnd),
        ("1\r\nx\n", 4, Violation::ChunkEnd),
        ("1\r\nx\rx", 4, Violation::ChunkEnd),
        ("0\r\nContent-Length: 1\r\n\r\n", 3, Violation::Trailer),
        ("0\r\nTransfer-encoding: chunked\r\n\r\n", 3, Violation::Trailer),
        ("0\r\nX : y\r\n\r\n", 3, Violation::SpaceBeforeColon),
        ("0\r\nGET / HTTP/1.1\r\n\r\n", 3, Violation::FieldName),
        ("0\r\n\n", 3, Violation::BareLineFeed),
        (&trailers, 3 + 100 * 6, Violation::TrailersTooLarge),
        (&trailer, 3, Violation::TrailersTooLarge),
    ] {
        let bytes = [&head[..], body.as_bytes()].concat();
        assert_eq!(passes(&bytes), (head.len() + passed, Some(violation)), "{body:.80}");
    }
    assert_eq!(passes(&[&head[..], many.as_bytes()].concat()).1, Some(Violation::ChunkExtension));
}

#[test]
fn a_head_has_limits() {
    let head = |value: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(value)).into_bytes();
    let rest = Limits::default().head_bytes - head(0).len();
    assert_eq!(passes(&head(rest)), (32 << 10, None));
    assert_eq!(refused(&head(rest + 1)), Violation::HeadTooLarge);
    assert_eq!(refused(&vec![b'x'; 32 << 10]), Violation::HeadTooLarge);
    assert_eq!(passes(&vec![b'x'; (32 << 10) - 1]), (0, None));
    let fields = |count: usize| with(&vec!["X: y"; count].join("\r\n"));
    assert_eq!(passes(&fields(99)), (fields(99).len(), None), "with Host they are a hundred");
    assert_eq!(refused(&fields(100)), Violation::TooManyFields);
}

#[test]
fn nothing_follows_an_upgrade_before_its_answer() {
    let head = with("Upgrade: websocket");
    let early = [&head[..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    assert_eq!(passes(&early), (head.len(), Some(Violation::EarlyBytes)));
    for (line, status) in [("Upgrade: h2c", false), ("Upgrade: websocket", true)] {
        let head = with(line);
        let mut framing = Framing::new(Limits::default());
        assert_eq!(framing.check(&head), Ok(Pass { len: head.len(), head: true }));
        assert_eq!(framing.is_waiting(), status, "{line}");
        framing.declined();
        assert_eq!(framing.check(&head), Ok(Pass { len: head.len(), head: true }));
    }
    let mut framing = Framing::new(Limits::default());
    framing.check(&head).expect("a head");
    framing.upgraded();
    assert_eq!(framing.check(b"\x81\0\n"), Ok(Pass { len: 3, head: false }));
}

#[test]
fn other_protocols_are_recognized_by_their_first_bytes_alone() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0";
    assert_eq!(passes(preface), (preface.len(), None));
    assert_eq!(passes(&preface[..20]), (0, None));
    assert_eq!(refused(b"PRI * HTTP/2.0\r\n\r\nXX"), Violation::Version);
    assert_eq!(passes(b"\x16\x03\x01\0"), (4, None));
    assert_eq!(refused(b"\x16\x04"), Violation::RequestLine);
    assert_eq!(refused(b"\x81"), Violation::RequestLine);
    let later = [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &preface[..]].concat();
    assert_eq!(passes(&later), (27, Some(Violation::Version)));
}

#[test]
fn an_answer_ends_where_it_says() {
    for (is_head, answer, len) in [
        (false, &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"[..], None),
        (false, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", None),
        (true, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", None),
        (false, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", None),
        (false, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", None),
        (false, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n\n\r\n0\r\nX: y\r\n\r\n", None),
        (false, b"HTTP/1.1 200 OK\r\n\r\nup to the end", Some(Progress::Begun)),
    ] {
        let mut answers = Answers::default();
        answers.asked(is_head, false);
        for (at, byte) in answer.iter().enumerate() {
            assert_ne!(answers.progress(), Progress::Done, "{}", answer[..at].escape_ascii());
            answers.wrote(&[*byte]);
        }
        assert_eq!(answers.progress(), len.unwrap_or(Progress::Done), "{}", answer.escape_ascii());
    }
    let mut answers = Answers::default();
    answers.asked(false, true);
    answers.wrote(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\0");
    assert_eq!(answers.progress(), Progress::Switched);
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /x HTTP/1.1\r\n",
        "HEAD / HTTP/1.0\r\n",
        "Host: a\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Upgrade: websocket\r\n",
        "X: y\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        "abc",
        "3\r\n",
        "0\r\n",
        "0\r\n\r\n",
        "3;a\r\nabc\r\n",
        "\0",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_split_passes_the_same(pieces in proptest::collection::vec(piece(), 0..40), cuts in proptest::collection::vec(1..30_usize, 1..20)) {
        let stream = pieces.concat().into_bytes();
        let whole = passes(&stream);
        let (mut framing, mut offered, mut passed, mut violation) = (Framing::new(Limits::default()), 0, 0, None);
        for cut in cuts.iter().cycle() {
            if offered == stream.len() || violation.is_some() {
                break;
            }
            offered = (offered + cut).min(stream.len());
            loop {
                match framing.check(&stream[passed..offered]) {
                    Ok(Pass { len: 0, .. }) => break,
                    Ok(pass) => passed += pass.len,
                    Err(found) => {
                        violation = Some(found);
                        break;
                    }
                }
            }
        }
        prop_assert_eq!(whole, (passed, violation));
    }
}
