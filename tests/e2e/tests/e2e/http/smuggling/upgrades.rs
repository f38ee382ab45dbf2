//! Requests for a WebSocket, and what is sent as if one was open.

use super::client::Client;
use super::{Case, each, stand};

const PROPER: &str = "GET $T HTTP/1.1\r\n$HConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/// Requests that ask for a WebSocket and not as one is asked for.
const IMPROPER: &[(&str, &str)] = &[
    (
        "another version",
        "GET $T HTTP/1.1\r\n$HConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    ),
    (
        "no version",
        "GET $T HTTP/1.1\r\n$HConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    ),
    ("no key", "GET $T HTTP/1.1\r\n$HConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"),
    (
        "a short key",
        "GET $T HTTP/1.1\r\n$HConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AA==\r\n\r\n",
    ),
    (
        "no connection",
        "GET $T HTTP/1.1\r\n$HUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    ),
    (
        "another method",
        "POST $T HTTP/1.1\r\n$HConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    ),
];

/// What is sent as if a WebSocket was open, or another protocol.
const RAW: &[&str] = &[
    "\u{81}\u{85}\0\0\0\0hello",
    "\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
    "\u{16}\u{3}\u{1}\0\u{1}\0",
    "GET $S HTTP/1.1\nHost: a\n\n",
];

#[test]
fn nothing_follows_an_upgrade_before_its_answer() {
    let early = "GET $S HTTP/1.1\r\n$H\r\n";
    each(&[early, "GET $S HTTP/1.1\r\n", "\u{81}\u{85}\0\0\0\0hello", "\0"], |target, early| {
        let case = Case::new(target, "early bytes");
        let mut client = Client::dial(stand().port);
        client.send(&case.bytes(&format!("{PROPER}{early}")), usize::MAX);
        assert_eq!(case.reply(&mut client, false).status, 400, "{}", case.name);
        case.ends(&mut client);
        assert!(case.received().iter().all(|request| request.target == case.path), "{}", case.name);
    });
}

#[test]
fn an_upgrade_that_is_not_one_leaves_http_as_it_was() {
    each(IMPROPER, |target, (name, sent)| {
        let case = Case::new(target, name);
        let mut client = Client::dial(stand().port);
        client.send(&case.bytes(sent), usize::MAX);
        let reply = case.reply(&mut client, false);
        assert_eq!(reply.status, 400, "{}: {reply:?}", case.name);
        assert_eq!(case.received(), [], "{}", case.name);
        case.goes_on(&mut client);
        for raw in RAW {
            let mut client = Client::dial(stand().port);
            client.send(&case.bytes(sent), usize::MAX);
            assert_eq!(case.reply(&mut client, false).status, 400, "{}", case.name);
            client.send(&case.bytes(raw), usize::MAX);
            assert_eq!(case.reply(&mut client, false).status, 400, "{}: {}", case.name, raw.escape_debug());
            case.ends(&mut client);
        }
    });
}

#[test]
fn an_upgrade_that_a_target_declines_leaves_http_as_it_was() {
    each(&[()], |target, ()| {
        let case = Case::new(target, "declined");
        let mut client = Client::dial(stand().port);
        client.send(&case.bytes(PROPER), usize::MAX);
        let reply = case.reply(&mut client, false);
        assert!(!matches!(reply.status, 100..=199 | 500..) && reply.body == case.path, "{}: {reply:?}", case.name);
        case.goes_on(&mut client);
        let targets: Vec<_> = case.received().into_iter().map(|request| request.target).collect();
        assert_eq!(targets, [case.path.clone(), format!("{}/after", case.path)], "{}", case.name);
        for raw in RAW {
            let case = Case::new(target, "raw bytes behind an upgrade that was declined");
            let mut client = Client::dial(stand().port);
            client.send(&case.bytes(PROPER), usize::MAX);
            case.reply(&mut client, false);
            client.send(&case.bytes(raw), usize::MAX);
            assert_eq!(case.reply(&mut client, false).status, 400, "{}: {}", case.name, raw.escape_debug());
            case.ends(&mut client);
            assert!(case.received().iter().all(|request| request.target == case.path), "{}", case.name);
        }
    });
}

#[test]
fn connect_opens_no_tunnel() {
    each(&["", "GET $S HTTP/1.1\r\n$H\r\n"], |target, early| {
        let case = Case::new(target, "CONNECT");
        let mut client = Client::dial(stand().port);
        client.send(&case.bytes(&format!("CONNECT $HOST HTTP/1.1\r\n$H\r\n{early}")), usize::MAX);
        let reply = case.reply(&mut client, false);
        assert!((400..600).contains(&reply.status), "{}: {reply:?}", case.name);
        if early.is_empty() {
            case.goes_on(&mut client)
        } else {
            case.ends(&mut client)
        }
        assert!(case.received().iter().all(|request| request.target.ends_with("/after")), "{}", case.name);
    });
}
