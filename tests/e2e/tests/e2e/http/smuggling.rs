//! Requests that one server reads otherwise than another does, and answers that one client reads otherwise than another. Each
//! is sent as bytes to the gateway's door, for targets with three parsers of their own, each with a tap before it.
//!
//! What counts is that both ends of a connection always agree where a message ends: whoever asks gets the answer to that and
//! nothing of another, and targets get the requests that the table says, with the fields that it says.

mod answers;
mod client;
mod http2;
mod passed;
mod refused;
mod tap;
mod targets;
mod upgrades;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use client::{Client, Reply};
use hoop_testkit::{Gateway, Options};
use passed::{Asked, PASSED, Passed};
use refused::{BODIES, HEADS, MISDIRECTED};
use serde_json::{Value, json};
use tap::{Received, Tap};
use targets::Server;

const AGENT: &str = "local";

/// The fields that the gateway says itself to a target.
const OWN: [&str; 6] = ["host", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "hoop-identity"];

/// The fields that say how long a body is.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

struct Stand {
    port: u16,
    targets: Vec<Target>,
    _gateway: Gateway,
}

/// A service, the tap before it, and the token of a role for it.
struct Target {
    name: &'static str,
    tap: Tap,
    token: String,
    _server: Server,
}

fn stand() -> &'static Stand {
    static STAND: OnceLock<Stand> = OnceLock::new();
    STAND.get_or_init(|| {
        let gateway = Gateway::start(&Options::default());
        let mut port = 0;
        let targets = targets::all().into_iter().map(|server| {
            let tap = Tap::on(server.port);
            let token;
            (port, token) = role(&gateway, server.name, tap.port);
            Target { name: server.name, tap, token, _server: server }
        });
        let targets = targets.collect();
        Stand { port, targets, _gateway: gateway }
    })
}

/// Makes a role to a port of this machine: the door's port, and a token.
fn role(gateway: &Gateway, name: &str, port: u16) -> (u16, String) {
    let target = json!({ "kind": "http", "url": format!("http://127.0.0.1:{port}") });
    gateway.api().post(
        "/api/v1/roles",
        &json!({ "name": name, "agent": AGENT, "target": target, "plugins": super::unmasked() }),
    );
    let made = gateway.api().post(&format!("/api/v1/roles/{name}/credentials"), &json!({}));
    let text = |field: &str| made[field].as_str().unwrap_or_else(|| panic!("no {field} in {made}"));
    let port = made["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("the door has a port");
    (port, format!("hoopw_{}.{}", text("user"), text("password")))
}

/// One use of a case: its marks stand for paths that no other has.
struct Case<'a> {
    target: &'a Target,
    name: String,
    path: String,
}

impl<'a> Case<'a> {
    fn new(target: &'a Target, name: &str) -> Self {
        static LAST: AtomicUsize = AtomicUsize::new(100_000);
        let path = format!("/case-{}", LAST.fetch_add(1, Ordering::Relaxed));
        Self { target, name: format!("{name} ({})", target.name), path }
    }

    /// The text with what its marks stand for, as Latin-1.
    fn bytes(&self, text: &str) -> Vec<u8> {
        let text = self.text(text);
        text.chars().map(|char| u8::try_from(char).expect("a byte for each character")).collect()
    }

    fn text(&self, text: &str) -> String {
        let host = format!("127.0.0.1:{}", stand().port);
        let key = format!("Hoop-Token: {}\r\n", self.target.token);
        let smuggled = format!("/smuggled{}", self.path);
        text.replace("$OWN", &format!("{}.localhost:{}", self.target.name, stand().port))
            .replace("$HOST", &host)
            .replace("$H", &format!("Host: {host}\r\n{key}"))
            .replace("$K", &key)
            .replace("$T", &self.path)
            .replace("$S", &smuggled)
    }

    /// What reached the target of it, in the order of the paths: the agent may have used several connections.
    fn received(&self) -> Vec<Received> {
        let mut received = self.target.tap.requests(&self.path);
        received.sort_by(|a, b| a.target.cmp(&b.target));
        received
    }

    #[track_caller]
    fn reply(&self, client: &mut Client, is_head: bool) -> Reply {
        let reply = client.reply(is_head).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        reply.unwrap_or_else(|| panic!("{}: no answer", self.name))
    }

    /// The stream ends here, with no answer to anything else.
    #[track_caller]
    fn ends(&self, client: &mut Client) {
        assert!(client.is_at_end(), "{}: something follows: {:?}", self.name, client.reply(false));
    }

    /// Somebody asks on this connection, and gets the answer to that.
    #[track_caller]
    fn goes_on(&self, client: &mut Client) {
        client.send(&self.bytes("GET $T/after HTTP/1.1\r\n$H\r\n"), usize::MAX);
        let reply = self.reply(client, false);
        assert_eq!((reply.status, reply.body), (200, format!("{}/after", self.path)), "{}", self.name);
    }
}

/// Runs every case for every target, whose requests go one after the other.
fn each<T: Sync>(cases: &[T], check: impl Fn(&Target, &T) + Sync) {
    std::thread::scope(|scope| {
        for target in &stand().targets {
            scope.spawn(|| cases.iter().for_each(|case| check(target, case)));
        }
    });
}

#[test]
fn a_head_that_can_be_read_in_two_ways_is_refused_and_reaches_nobody() {
    each(HEADS, |target, (name, sent)| {
        for piece in [usize::MAX, 7] {
            let case = Case::new(target, name);
            let mut client = Client::dial(stand().port);
            client.send(&case.bytes(sent), piece);
            let reply = case.reply(&mut client, false);
            assert_eq!(reply.status, 400, "{}: {reply:?}", case.name);
            assert_eq!(reply.field("connection"), Some("close"), "{}", case.name);
            case.ends(&mut client);
            assert_eq!(case.received(), [], "{}", case.name);
        }
    });
}

#[test]
fn a_request_for_another_host_is_answered_by_no_role() {
    each(MISDIRECTED, |target, (name, sent)| {
        let case = Case::new(target, name);
        let mut client = Client::dial(stand().port);
        client.send(&case.bytes(sent), usize::MAX);
        let reply = case.reply(&mut client, false);
        assert_eq!(reply.status, 421, "{}: {reply:?}", case.name);
        let problem: Value = serde_json::from_str(&reply.body).expect("a problem document");
        assert_eq!(problem["code"], "misdirected", "{}: {problem}", case.name);
        assert!(problem["hint"].as_str().is_some_and(|hint| hint.contains("without a proxy")), "{}", case.name);
        case.goes_on(&mut client);
        let targets: Vec<_> = case.received().into_iter().map(|request| request.target).collect();
        assert_eq!(targets, [format!("{}/after", case.path)], "{}", case.name);
    });
}

#[test]
fn a_request_that_names_the_role_s_own_host_in_full_goes_on() {
    let sent = "GET http://$OWN$T HTTP/1.1\r\nHost: $OWN\r\n$K\r\n";
    each(&[()], |target, ()| {
        let case = Case::new(target, "the role's own host");
        let mut client = Client::dial(stand().port);
        client.send(&case.bytes(sent), usize::MAX);
        let reply = case.reply(&mut client, false);
        assert_eq!((reply.status, &reply.body), (200, &case.path), "{}", case.name);
        case.goes_on(&mut client);
    });
}

#[test]
fn a_refusal_comes_behind_the_answers_to_what_was_asked_before() {
    each(HEADS, |target, (name, sent)| {
        let case = Case::new(target, name);
        let mut client = Client::dial(stand().port);
        client.send(&case.bytes(&format!("GET $T/before HTTP/1.1\r\n$H\r\n{sent}")), usize::MAX);
        let before = case.reply(&mut client, false);
        assert_eq!((before.status, before.body), (200, format!("{}/before", case.path)), "{}", case.name);
        assert_eq!(case.reply(&mut client, false).status, 400, "{}", case.name);
        case.ends(&mut client);
        let targets: Vec<_> = case.received().into_iter().map(|request| request.target).collect();
        assert_eq!(targets, [format!("{}/before", case.path)], "{}", case.name);
    });
}

#[test]
fn a_body_that_can_be_read_in_two_ways_never_ends_for_its_target() {
    each(BODIES, |target, (name, body)| {
        for piece in [usize::MAX, 5] {
            let case = Case::new(target, name);
            let mut client = Client::dial(stand().port);
            client.send(&case.bytes(&format!("POST $T HTTP/1.1\r\n$HTransfer-Encoding: chunked\r\n\r\n{body}")), piece);
            let reply = case.reply(&mut client, false);
            assert_eq!(reply.status, 400, "{}: {reply:?}", case.name);
            case.ends(&mut client);
        }
    });
    for (target, received) in stand()
        .targets
        .iter()
        .flat_map(|target| target.tap.requests("/case-").into_iter().map(move |request| (target, request)))
    {
        assert!(!received.target.contains("smuggled"), "{}: {received:?}", target.name);
    }
}

#[test]
fn a_head_has_a_limit() {
    let long = "x".repeat(33 << 10);
    let many = "X: y\r\n".repeat(101);
    each(
        &[
            ("a long target", format!("GET $T?{long} HTTP/1.1\r\n$H\r\n")),
            ("a long value", format!("GET $T HTTP/1.1\r\n$HX: {long}\r\n\r\n")),
            ("a long name", format!("GET $T HTTP/1.1\r\n$H{long}: y\r\n\r\n")),
            ("a line without end", long.clone()),
            ("many fields", format!("GET $T HTTP/1.1\r\n$H{many}\r\n")),
        ],
        |target, (name, sent)| {
            let case = Case::new(target, name);
            let mut client = Client::dial(stand().port);
            client.send(&case.bytes(sent), usize::MAX);
            assert_eq!(case.reply(&mut client, false).status, 431, "{}", case.name);
            case.ends(&mut client);
            assert_eq!(case.received(), [], "{}", case.name);
        },
    );
}

#[test]
fn what_can_be_read_in_one_way_reaches_its_target_as_it_was_asked() {
    each(PASSED, |target, Passed { name, sent, asked, goes_on }| {
        for piece in [usize::MAX, 11] {
            let case = Case::new(target, name);
            let mut client = Client::dial(stand().port);
            client.send(&case.bytes(sent), piece);
            for asked in *asked {
                let is_head = asked.method == "HEAD";
                let reply = case.reply(&mut client, is_head);
                let body = if is_head { String::new() } else { case.text(asked.target) };
                assert_eq!((reply.status, reply.body), (200, body), "{}", case.name);
            }
            if *goes_on {
                case.goes_on(&mut client)
            } else {
                case.ends(&mut client)
            }
            let mut received = case.received();
            let all = received.len();
            received.retain(|request| !request.target.ends_with("/after"));
            assert_eq!(all - received.len(), usize::from(*goes_on), "{}", case.name);
            assert_eq!(received.len(), asked.len(), "{}: {received:?}", case.name);
            received.iter().zip(*asked).for_each(|(received, asked)| is_as_asked(&case, received, asked));
        }
    });
}

/// The target got this request, with these fields and the gateway's own, and no others.
fn is_as_asked(case: &Case<'_>, received: &Received, asked: &Asked) {
    let Case { name, .. } = case;
    assert!(received.is_whole, "{name}");
    assert_eq!((received.method.as_str(), &received.target), (asked.method, &case.text(asked.target)), "{name}");
    assert_eq!(String::from_utf8_lossy(&received.body), case.text(asked.body), "{name}");
    assert!(received.trailers.iter().all(|line| line == "x-sum: 1"), "{name}: {:?}", received.trailers);
    let is_others =
        |(field, _): &&(String, String)| !OWN.contains(&field.as_str()) && !FRAMING.contains(&field.as_str());
    let mut others: Vec<_> = received.fields.iter().filter(is_others).map(|(a, b)| (a.as_str(), b.as_str())).collect();
    others.sort_unstable();
    // What names the fields behind a body goes with them.
    others.retain(|field| received.trailers.is_empty() || *field != ("trailer", "X-Sum"));
    assert_eq!(others, asked.fields, "{name}");
    let host = format!("127.0.0.1:{}", stand().port);
    for (field, value) in [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "http"), ("x-forwarded-host", &host)]
    {
        assert_eq!(received.all(field), [value], "{name}");
    }
    assert_eq!(received.all("host"), [format!("127.0.0.1:{}", case.target.tap.port)], "{name}");
    let identity = received.all("hoop-identity");
    assert!(matches!(identity[..], [token] if token.split('.').count() == 3), "{name}: {identity:?}");
}
