//! The same over HTTP/2, where a length is a frame's, and a field can hold what would be several in HTTP/1.

mod client;

use super::{Case, OWN, Target, each, stand};
use client::{End, Http2};

/// A field of a request, with the marks of `refused`, as Latin-1.
type Field = (&'static str, &'static str);

/// A request: its fields in order, pieces of its body, and fields behind it. `:method`, `:scheme`, `:path`, `:authority` and the
/// token come first unless the fields begin with a pseudo-header.
struct Sent {
    name: &'static str,
    fields: &'static [Field],
    body: &'static [&'static str],
    trailers: &'static [Field],
}

const fn head(name: &'static str, fields: &'static [Field]) -> Sent {
    Sent { name, fields, body: &[], trailers: &[] }
}

const fn body(name: &'static str, fields: &'static [Field], body: &'static [&'static str]) -> Sent {
    Sent { name, fields, body, trailers: &[] }
}

const fn behind(name: &'static str, trailers: &'static [Field]) -> Sent {
    Sent { name, fields: &[], body: &["hi"], trailers }
}

const KEY: Field = ("hoop-token", "$TOKEN");
const GET: Field = (":method", "GET");
const HTTP: Field = (":scheme", "http");
const PATH: Field = (":path", "$T");
const HOST: Field = (":authority", "$HOST");

/// None of them may reach a target as a whole.
const REFUSED: &[Sent] = &[
    body("a length that is too long", &[("content-length", "9")], &["hi"]),
    body("a length that is too short", &[("content-length", "1")], &["hi"]),
    body("a length of 0 with a body", &[("content-length", "0")], &["GET $S HTTP/1.1\r\n$H\r\n"]),
    body("a length that a later piece exceeds", &[("content-length", "2")], &["hi", "GET $S HTTP/1.1\r\n$H\r\n"]),
    head("a length without a body", &[("content-length", "5")]),
    body("two lengths", &[("content-length", "2"), ("content-length", "3")], &["hi"]),
    body("a length with a plus", &[("content-length", "+2")], &["hi"]),
    body("a list of lengths", &[("content-length", "2, 3")], &["hi"]),
    body("a length and a line", &[("content-length", "2\r\nx: y")], &["hi"]),
    body("a coding", &[("transfer-encoding", "chunked")], &["0\r\n\r\nGET $S HTTP/1.1\r\n$H\r\n"]),
    body("a coding and a length", &[("transfer-encoding", "chunked"), ("content-length", "5")], &["0\r\n\r\n"]),
    head("connection", &[("connection", "close")]),
    head("connection that names fields", &[("connection", "x-mine"), ("x-mine", "1")]),
    head("keep-alive", &[("keep-alive", "timeout=5")]),
    head("proxy-connection", &[("proxy-connection", "keep-alive")]),
    head("upgrade", &[("upgrade", "websocket")]),
    head("te", &[("te", "gzip")]),
    head("a name in upper case", &[("X-Mine", "1")]),
    head("a coding's name in upper case", &[("Transfer-Encoding", "chunked")]),
    head("a line's end in a value", &[("x", "y\r\ntransfer-encoding: chunked")]),
    head("a request in a value", &[("x", "y\r\n\r\nGET $S HTTP/1.1\r\n$H\r\n")]),
    head("LF in a value", &[("x", "y\ntransfer-encoding: chunked")]),
    head("CR in a value", &[("x", "y\rz")]),
    head("a zero byte in a value", &[("x", "y\0z")]),
    head("a line's end in a name", &[("x: y\r\nz", "1")]),
    head("a colon in a name", &[("x: y", "1")]),
    head("a space in a name", &[("x y", "1")]),
    head("an empty name", &[("", "1")]),
    head("a name beyond ASCII", &[("x\u{e9}", "1")]),
    head("a path with a space", &[GET, HTTP, (":path", "$T x"), HOST, KEY]),
    head("a path with a request", &[GET, HTTP, (":path", "$T HTTP/1.1\r\nhost: a\r\n\r\nGET $S"), HOST, KEY]),
    head("a path with LF", &[GET, HTTP, (":path", "$T\nx"), HOST, KEY]),
    head("an empty path", &[GET, HTTP, (":path", ""), HOST, KEY]),
    head("a path without a slash", &[GET, HTTP, (":path", "a$T"), HOST, KEY]),
    head("an asterisk without OPTIONS", &[GET, HTTP, (":path", "*"), HOST, KEY]),
    head("no path", &[GET, HTTP, HOST, KEY]),
    head("no method", &[HTTP, PATH, HOST, KEY]),
    head("two paths", &[GET, HTTP, PATH, (":path", "$S"), HOST, KEY]),
    head("two methods", &[GET, (":method", "POST"), HTTP, PATH, HOST, KEY]),
    head("two authorities", &[GET, HTTP, PATH, HOST, (":authority", "other.example"), KEY]),
    head("a pseudo-header behind a field", &[GET, HTTP, HOST, KEY, PATH]),
    head("an unknown pseudo-header", &[GET, HTTP, PATH, HOST, (":evil", "1"), KEY]),
    head("a status", &[GET, HTTP, PATH, HOST, (":status", "200"), KEY]),
    head("a method with a space", &[(":method", "GET $S HTTP/1.1\r\nx:"), HTTP, PATH, HOST, KEY]),
    head("an empty method", &[(":method", ""), HTTP, PATH, HOST, KEY]),
    head("a scheme with a host", &[GET, (":scheme", "http://other.example/?"), PATH, HOST, KEY]),
    head("another host", &[GET, HTTP, PATH, HOST, ("host", "other.example"), KEY]),
    head("two hosts", &[GET, HTTP, PATH, ("host", "$HOST"), ("host", "other.example"), KEY]),
    head("a user in the authority", &[GET, HTTP, PATH, (":authority", "user@$HOST"), KEY]),
    head("a space in the authority", &[GET, HTTP, PATH, (":authority", "$HOST other.example"), KEY]),
    head("a path in the authority", &[GET, HTTP, PATH, (":authority", "$HOST/other"), KEY]),
    head("no host", &[GET, HTTP, PATH, KEY]),
    head("a protocol without CONNECT", &[GET, (":protocol", "websocket"), HTTP, PATH, HOST, KEY]),
    head("CONNECT with a path", &[(":method", "CONNECT"), HTTP, PATH, HOST, KEY]),
    head("CONNECT", &[(":method", "CONNECT"), HOST, KEY]),
    body(
        "CONNECT to another protocol",
        &[(":method", "CONNECT"), (":protocol", "h2c"), HTTP, PATH, HOST, KEY],
        &["GET $S HTTP/1.1\r\n$H\r\n"],
    ),
    head("CONNECT without a path", &[(":method", "CONNECT"), (":protocol", "websocket"), HTTP, HOST, KEY]),
    behind("a coding behind the body", &[("transfer-encoding", "chunked")]),
    behind("a connection behind the body", &[("connection", "close")]),
    behind("a line's end behind the body", &[("x", "y\r\n\r\nGET $S HTTP/1.1")]),
    behind("upper case behind the body", &[("X", "y")]),
];

/// They reach their target, with these fields beside the gateway's own.
const PASSED: &[(Sent, &[Field])] = &[
    (head("plain", &[]), &[]),
    (body("a body", &[("content-length", "5")], &["he", "llo"]), &[]),
    (body("a body without a length", &[], &["he", "", "llo"]), &[]),
    (body("a body that looks like a request", &[], &["0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"]), &[]),
    (head("the host alone", &[GET, HTTP, PATH, ("host", "$HOST"), KEY]), &[]),
    (head("the same host twice", &[GET, HTTP, PATH, HOST, ("host", "$HOST"), KEY]), &[]),
    (head("te", &[("te", "trailers"), ("x", "y")]), &[("x", "y")]),
    (head("cookies", &[("cookie", "a=b"), ("cookie", "c=d")]), &[("cookie", "a=b; c=d")]),
    (
        head(
            "who asks",
            &[
                ("x-forwarded-for", "6.6.6.6"),
                ("forwarded", "for=6.6.6.6"),
                ("x-real-ip", "6.6.6.6"),
                ("x_forwarded_for", "6.6.6.6"),
                ("impersonate-user", "root"),
                ("hoop-identity", "me"),
                ("hoop_identity", "me"),
                ("x-forwarded-user", "root"),
            ],
        ),
        &[],
    ),
    (
        behind("fields behind the body", &[("x-sum", "1"), ("content-length", "99"), ("x-forwarded-for", "6.6.6.6")]),
        &[],
    ),
    (behind("a pseudo-header behind the body", &[(":path", "$S"), ("x-sum", "1")]), &[]),
];

fn send(case: &Case<'_>, client: &mut Http2, sent: &Sent) -> u32 {
    let method = if sent.body.is_empty() { "GET" } else { "POST" };
    let usual = [(":method", method), HTTP, PATH, HOST, KEY];
    let begin: &[Field] = if sent.fields.first().is_some_and(|(name, _)| name.starts_with(':')) { &[] } else { &usual };
    let bytes = |text: &str| case.bytes(&text.replace("$TOKEN", &case.target.token));
    let encode = |fields: &[Field]| fields.iter().map(|(name, value)| (bytes(name), bytes(value))).collect::<Vec<_>>();
    let pieces: Vec<_> = sent.body.iter().map(|piece| bytes(piece)).collect();
    client.ask(&encode(&[begin, sent.fields].concat()), &pieces, &encode(sent.trailers))
}

/// Somebody asks on this connection, or on a new one where it was ended, and gets the answer to that.
fn goes_on(case: &Case<'_>, client: &mut Http2) {
    let after = [GET, HTTP, (":path", "$T/after"), HOST, KEY];
    let sent = head("after", &[]);
    let ask = |client: &mut Http2| {
        let fields = after.map(|(name, value)| {
            let value = value.replace("$TOKEN", &case.target.token);
            (case.bytes(name), case.bytes(&value))
        });
        let stream = client.ask(&fields, &[], &[]);
        client.end(stream)
    };
    let expected = End::Answer { status: 200, body: format!("{}/after", case.path) };
    let mut end = ask(client);
    if end == End::Gone {
        end = ask(&mut Http2::dial(stand().port));
    }
    assert_eq!(end, expected, "{} {}", case.name, sent.name);
}

#[test]
fn what_is_malformed_over_http2_reaches_nobody() {
    each(REFUSED, |target, sent| {
        let case = Case::new(target, sent.name);
        let mut client = Http2::dial(stand().port);
        let stream = send(&case, &mut client, sent);
        let end = client.end(stream);
        let is_refused = matches!(end, End::Reset | End::Gone | End::Answer { status: 400..=499 | 501, .. });
        assert!(is_refused, "{}: {end:?}", case.name);
        goes_on(&case, &mut client);
        let whole: Vec<_> = case.received().into_iter().filter(|request| request.is_whole).collect();
        assert!(whole.iter().all(|request| request.target.ends_with("/after")), "{}: {whole:?}", case.name);
    });
}

#[test]
fn what_is_well_formed_over_http2_reaches_its_target_as_it_was_asked() {
    each(PASSED, |target, (sent, fields)| {
        let case = Case::new(target, sent.name);
        let mut client = Http2::dial(stand().port);
        let stream = send(&case, &mut client, sent);
        assert_eq!(client.end(stream), End::Answer { status: 200, body: case.path.clone() }, "{}", case.name);
        goes_on(&case, &mut client);
        let received = case.received();
        let [asked, after] = &received[..] else { panic!("{}: {received:?}", case.name) };
        assert_eq!((asked.target.as_str(), after.target.as_str()), (&*case.path, &*format!("{}/after", case.path)));
        assert_eq!(String::from_utf8_lossy(&asked.body), sent.body.concat(), "{}", case.name);
        assert!(asked.trailers.iter().all(|line| line == "x-sum: 1"), "{}: {:?}", case.name, asked.trailers);
        let own = |name: &str| OWN.contains(&name) || super::FRAMING.contains(&name);
        let mut others: Vec<_> = asked.fields.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        others.retain(|(name, _)| !own(name) && *name != "te");
        assert_eq!(others, *fields, "{}", case.name);
        assert_eq!(asked.all("x-forwarded-for"), ["127.0.0.1"], "{}", case.name);
    });
}

#[test]
fn a_head_over_http2_has_a_limit() {
    let long = "x".repeat(70 << 10);
    each(&[()], |target: &Target, ()| {
        let case = Case::new(target, "a long field");
        let mut client = Http2::dial(stand().port);
        let bytes = |text: &str| case.bytes(&text.replace("$TOKEN", &case.target.token));
        let mut fields: Vec<_> = [GET, HTTP, PATH, HOST, KEY].iter().map(|(a, b)| (bytes(a), bytes(b))).collect();
        fields.push((b"x".to_vec(), long.clone().into_bytes()));
        let stream = client.ask(&fields, &[], &[]);
        let end = client.end(stream);
        assert!(matches!(end, End::Reset | End::Gone | End::Answer { status: 431, .. }), "{}: {end:?}", case.name);
        assert_eq!(case.received(), [], "{}", case.name);
    });
}
