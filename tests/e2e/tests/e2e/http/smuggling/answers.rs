//! Targets that answer in ways that can be read in two, or with more or less than one answer.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::OnceLock;

use hoop_testkit::{Gateway, Options};

use super::client::Client;
use super::role;

/// What a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gets {
    /// That the target cannot be understood.
    Refusal,
    /// The beginning of an answer, and the end of its connection.
    Part,
    /// One answer, with this body.
    Answer(&'static str),
}

use Gets::{Answer, Part, Refusal};

/// What a target says to a request, whether it closes the connection then, and what becomes of it. An answer that nobody asked
/// for has the body `stray`.
const ANSWERS: &[(&str, &str, bool, Gets)] = &[
    ("plain", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, Answer("hi")),
    ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false, Answer("hi")),
    ("up to the end", "HTTP/1.1 200 OK\r\n\r\nhi", true, Answer("hi")),
    (
        "length and coding",
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        false,
        Refusal,
    ),
    (
        "coding and length",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        false,
        Refusal,
    ),
    ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\nhi", false, Refusal),
    ("a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2, 40\r\n\r\nhi", false, Refusal),
    ("two equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi", false, Refusal),
    ("a list of equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi", false, Refusal),
    ("a length with a plus", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi", false, Refusal),
    ("a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nhi", false, Refusal),
    ("a length that overflows", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhi", false, Refusal),
    ("a body that is too short", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", true, Part),
    ("a body that is too long", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi, and more", false, Answer("hi")),
    (
        "two answers",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray",
        false,
        Answer("hi"),
    ),
    (
        "two answers behind a folded one",
        "HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray",
        false,
        Refusal,
    ),
    (
        "a body behind 204",
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray",
        false,
        Answer(""),
    ),
    ("a body behind 304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nstray", false, Answer("")),
    (
        "chunks and an answer",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray",
        false,
        Answer("hi"),
    ),
    ("gzip as a coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi", true, Refusal),
    (
        "a coding before its colon",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        false,
        Refusal,
    ),
    ("a folded field", "HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 2\r\n\r\nhi", false, Refusal),
    ("LF everywhere", "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", false, Answer("hi")),
    ("CR in a field", "HTTP/1.1 200 OK\r\nX: y\rz\r\nContent-Length: 2\r\n\r\nhi", false, Refusal),
    ("a zero byte in a field", "HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 2\r\n\r\nhi", false, Refusal),
    ("no colon", "HTTP/1.1 200 OK\r\nX\r\nContent-Length: 2\r\n\r\nhi", false, Refusal),
    ("a space in a name", "HTTP/1.1 200 OK\r\nX Y: z\r\nContent-Length: 2\r\n\r\nhi", false, Refusal),
    ("no status", "HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", true, Refusal),
    ("a status that is none", "HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nhi", true, Refusal),
    ("a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nhi", true, Refusal),
    ("HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", true, Refusal),
    ("no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", true, Refusal),
    ("HTTP/0.9", "hi", true, Refusal),
    ("nothing", "", true, Refusal),
    ("half a head", "HTTP/1.1 200 OK\r\nContent-Le", true, Refusal),
    ("a size with a plus", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\nhi\r\n0\r\n\r\n", false, Part),
    ("a size with 0x", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n", false, Part),
    (
        "a size that overflows",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nhi\r\n0\r\n\r\n",
        false,
        Part,
    ),
    ("LF behind a size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n", false, Part),
    (
        "a chunk that is too long",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi, and more\r\n0\r\n\r\n",
        false,
        Part,
    ),
    ("chunks without an end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", true, Part),
    (
        "101 that nobody asked for",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray",
        false,
        Refusal,
    ),
    ("100 before", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, Answer("hi")),
    (
        "103 before",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        false,
        Answer("hi"),
    ),
    ("100 and nothing", "HTTP/1.1 100 Continue\r\n\r\n", true, Refusal),
    (
        "fields of the connection",
        "HTTP/1.1 200 OK\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nhi",
        false,
        Answer("hi"),
    ),
];

struct Stand {
    port: u16,
    token: String,
    _gateway: Gateway,
}

fn stand() -> &'static Stand {
    static STAND: OnceLock<Stand> = OnceLock::new();
    STAND.get_or_init(|| {
        let gateway = Gateway::start(&Options::default());
        let (port, token) = role(&gateway, "hostile", serve());
        Stand { port, token, _gateway: gateway }
    })
}

/// A server that says what the path names; `/marker/…` is answered with itself.
fn serve() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    std::thread::spawn(move || {
        for agent in listener.incoming().flatten() {
            // It ends with its connection, and what went wrong shows at the client.
            std::thread::spawn(move || answer(agent));
        }
    });
    port
}

fn answer(mut agent: TcpStream) -> std::io::Result<()> {
    let mut read = BufReader::new(agent.try_clone()?);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        let mut path = String::new();
        while read.read_line(&mut line)? > 2 {
            if path.is_empty() {
                line.split(' ').nth(1).unwrap_or_default().clone_into(&mut path);
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or_default();
            }
            line.clear();
        }
        if path.is_empty() {
            return Ok(());
        }
        std::io::copy(&mut read.by_ref().take(length), &mut std::io::sink())?;
        let (bytes, closes) = said(&path);
        agent.write_all(&bytes)?;
        if closes {
            return Ok(());
        }
    }
}

fn said(path: &str) -> (Vec<u8>, bool) {
    static FLOODS: OnceLock<HashMap<&str, Vec<u8>>> = OnceLock::new();
    let floods = FLOODS.get_or_init(|| {
        let hi = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n";
        HashMap::from([
            ("/flood/continue", "HTTP/1.1 100 Continue\r\n\r\n".repeat(100_000).into_bytes()),
            ("/flood/head", format!("{hi}X: {}\r\n\r\nhi", "y".repeat(4 << 20)).into_bytes()),
            ("/flood/fields", format!("{hi}{}\r\nhi", "X: y\r\n".repeat(10_000)).into_bytes()),
            (
                "/flood/extension",
                format!(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;{}\r\nhi\r\n0\r\n\r\n",
                    "a".repeat(1 << 20)
                )
                .into_bytes(),
            ),
            (
                "/flood/trailers",
                format!(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n{}\r\n",
                    "X: y\r\n".repeat(100_000)
                )
                .into_bytes(),
            ),
        ])
    });
    if let Some(flood) = floods.get(path) {
        return (flood.clone(), true);
    }
    if let Some((_, said, closes, _)) =
        path.strip_prefix("/answer/").and_then(|at| ANSWERS.get(at.parse::<usize>().ok()?))
    {
        return (said.as_bytes().to_vec(), *closes);
    }
    (format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()).into_bytes(), false)
}

fn ask(client: &mut Client, method: &str, path: &str) {
    let Stand { port, token, .. } = stand();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHoop-Token: {token}\r\n\r\n");
    client.send(request.as_bytes(), usize::MAX);
}

/// Asks for something on a connection that has been used, or on a new one where that was ended, and gets the answer to it. More
/// than once: what was left on a connection of the agent's would be an answer of the next that uses it.
#[track_caller]
fn goes_on(mut client: Option<Client>, name: &str) {
    for round in 0..4 {
        let path = format!("/marker/{}/{round}", name.replace(' ', "-"));
        let mut used = client.take().unwrap_or_else(|| Client::dial(stand().port));
        ask(&mut used, "GET", &path);
        let reply = used.reply(false).unwrap_or_else(|error| panic!("behind {name}: {error}"));
        let reply = reply.unwrap_or_else(|| panic!("behind {name}: no answer"));
        assert_eq!((reply.status, reply.body), (200, path), "behind {name}");
        client = (round % 2 == 0).then_some(used);
    }
}

#[track_caller]
fn gets(name: &str, path: &str, gets: Gets) {
    let mut client = Client::dial(stand().port);
    ask(&mut client, "GET", path);
    let reply = client.reply(false);
    let got = reply.as_ref().ok().and_then(Option::as_ref);
    if let Some(reply) = got {
        let leaked = ["x-mine", "keep-alive", "connection", "upgrade"].iter().any(|field| reply.field(field).is_some());
        assert!(!leaked, "{name}: {reply:?}");
    }
    let is_refusal = got.is_some_and(|reply| reply.status == 502);
    let is_answer = |body: &str| got.is_some_and(|reply| reply.status < 400 && reply.body == body);
    let is_right = match gets {
        Refusal => is_refusal,
        // The head may be lost with what follows it.
        Part => !matches!(reply, Ok(Some(_))),
        Answer(body) => is_answer(body),
    };
    assert!(is_right, "{name}: {gets:?}, and not {reply:?}");
    goes_on(matches!(reply, Ok(Some(_))).then_some(client), name);
}

#[test]
fn an_answer_is_one_or_none() {
    for (at, (name, _, _, expected)) in ANSWERS.iter().enumerate() {
        gets(name, &format!("/answer/{at}"), *expected);
    }
}

#[test]
fn an_answer_to_head_has_no_body() {
    for (at, (name, said, ..)) in ANSWERS.iter().enumerate().take(2) {
        let mut client = Client::dial(stand().port);
        ask(&mut client, "HEAD", &format!("/answer/{at}"));
        let reply = client.reply(true).expect("an answer").expect("an answer");
        assert!(reply.status == 200 || reply.status == 502, "{name}: {reply:?} to {said:?}");
        goes_on(Some(client), name);
    }
}

#[test]
fn a_flood_ends_before_it_costs_much() {
    gets("a flood of 100", "/flood/continue", Refusal);
    gets("a huge head", "/flood/head", Refusal);
    gets("a flood of fields", "/flood/fields", Refusal);
    gets("a huge extension", "/flood/extension", Part);
    gets("a flood of trailers", "/flood/trailers", Part);
}
