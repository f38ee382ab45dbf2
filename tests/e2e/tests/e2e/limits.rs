//! What is exactly as long as it may be passes, and one byte more is refused in words; nothing else notices.

use std::net::{Shutdown, TcpListener};
use std::sync::OnceLock;

use hoop_testkit::wire::{Message, VERSION_3, Wire, message, startup};
use hoop_testkit::{Gateway, Guarded, Options, direct_only, psql};
use serde_json::json;

use crate::stand::{no_masking, stand};

/// `limits.message_bytes`: type and length count.
const LIMIT: usize = 100_000;
/// Longest first packet, length included.
const STARTUP: usize = 10_000;
/// Longest message of a login, type and length included.
const LOGIN: usize = 4 * 1024;

/// A gateway with a low limit; its roles search rows, or do not.
fn limited() -> &'static (Gateway, Guarded) {
    static LIMITED: OnceLock<(Gateway, Guarded)> = OnceLock::new();
    LIMITED.get_or_init(|| {
        let config = Some(format!("[limits]\nmessage_bytes = {LIMIT}\n"));
        let gateway = Gateway::start(&Options { config, ..Options::default() });
        let agent = gateway.agent("here");
        gateway.role("searched", "here", &stand().postgres, |role| {
            role["plugins"] = json!({ "masking": { "detectors": { "email": "label" } } });
        });
        gateway.role("unsearched", "here", &stand().postgres, |role| {
            role["plugins"] = json!({ "masking": no_masking() });
        });
        (gateway, agent)
    })
}

fn login(role: &str) -> Wire {
    Wire::login(&limited().0.credential(role, "postgres").url).expect("a login")
}

fn kinds(messages: &[Message]) -> String {
    messages.iter().map(|message| char::from(message.kind)).collect()
}

/// A Query of exactly this many bytes.
fn query_of(len: usize) -> Vec<u8> {
    let mut body = b"select 1 --".to_vec();
    body.resize(len - 6, b'x');
    body.push(0);
    let query = message(b'Q', &body);
    assert_eq!(query.len(), len);
    query
}

/// The session goes on, or ends with an error that says what to do; another one goes on.
#[track_caller]
fn goes_on(wire: &mut Wire) {
    wire.query("select 1").expect("a query");
    assert_eq!(kinds(&wire.read_all()), "TDCZ");
}

#[track_caller]
fn is_too_long(error: &Message, severity: &str) {
    let told = (error.kind, error.field(b'S'), error.field(b'C'));
    assert_eq!(told, (b'E', severity.to_owned(), "54000".to_owned()), "{error:?}");
    assert!(error.field(b'M').contains(&(LIMIT + 1).to_string()), "{error:?}");
    assert!(error.field(b'H').contains("limits.message_bytes"), "{error:?}");
}

#[test]
fn a_query() {
    if direct_only() {
        return;
    }
    let (mut wire, mut bystander) = (login("unsearched"), login("unsearched"));
    wire.send(&query_of(LIMIT)).expect("a query");
    assert_eq!(kinds(&wire.read_all()), "TDCZ");
    wire.send(&query_of(LIMIT + 1)).expect("a query");
    let messages = wire.read_all();
    assert_eq!(kinds(&messages), "E");
    is_too_long(&messages[0], "FATAL");
    goes_on(&mut bystander);
}

/// What came before it is done: the batch is refused where it is too long, and not before.
#[test]
fn a_message_behind_others() {
    if direct_only() {
        return;
    }
    let mut wire = login("unsearched");
    wire.send(&[query_of(100), query_of(LIMIT)].concat()).expect("queries");
    assert_eq!(kinds(&wire.read_all()), "TDCZ");
    assert_eq!(kinds(&wire.read_all()), "TDCZ");
    // The header is enough: nobody waits for the rest.
    let too_long = query_of(LIMIT + 1);
    wire.send(&too_long[..5]).expect("a header");
    is_too_long(&wire.read().expect("an error"), "FATAL");
}

#[test]
fn a_piece_of_a_copy() {
    if direct_only() {
        return;
    }
    for (len, expected) in [(LIMIT, "CZ"), (LIMIT + 1, "E")] {
        let mut wire = login("searched");
        wire.query("create temp table t (a text); copy t from stdin").expect("a query");
        while wire.read().expect("a message").kind != b'G' {}
        let mut row = vec![b'x'; len - 6];
        row.push(b'\n');
        wire.send(&[message(b'd', &row), message(b'c', b"")].concat()).expect("rows");
        let messages = wire.read_all();
        assert_eq!(kinds(&messages), expected, "{messages:?}");
        if len > LIMIT {
            is_too_long(&messages[0], "FATAL");
        }
    }
}

/// `limits.open_timeout`: a target that takes the connection and says nothing is given up, and others are not.
#[test]
fn a_target_that_says_nothing() {
    if direct_only() {
        return;
    }
    let config = Some("[limits]\nopen_timeout = \"1s\"\n".to_owned());
    let gateway = Gateway::start(&Options { config, ..Options::default() });
    let _agent = gateway.agent("here");
    // What connects waits in its backlog.
    let silent = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = silent.local_addr().expect("a bound socket").port();
    gateway.role("silent", "here", &stand().postgres, |role| role["target"]["port"] = port.into());
    gateway.role("quick", "here", &stand().postgres, |_| {});
    let refused = psql(&gateway.credential("silent", "postgres").url, &["-c", "select 1"]).failure();
    assert!(refused.contains("did not answer in 1s"), "{refused}");
    assert_eq!(gateway.ended_session("silent")["code"], "target_unavailable");
    assert_eq!(psql(&gateway.credential("quick", "postgres").url, &["-c", "select 1"]).ok(), "1\n");
}

/// Type, length, number of columns and length of the cell.
const AROUND_A_CELL: usize = 11;

#[test]
fn a_row_that_is_searched() {
    if direct_only() {
        return;
    }
    let mut wire = login("searched");
    let mut rows = |rows: &str, len: usize| {
        let long = format!("(repeat('x', {}))", len - AROUND_A_CELL);
        wire.query(&format!("values {}", rows.replace("LONG", &long))).expect("a query");
        wire.read_all()
    };
    for (text, passes, refused) in
        [("LONG", "TDCZ", "TEZ"), ("LONG, ('y')", "TDDCZ", "TEZ"), ("('y'), LONG", "TDDCZ", "TDEZ")]
    {
        assert_eq!(kinds(&rows(text, LIMIT)), passes, "{text}");
        let messages = rows(text, LIMIT + 1);
        assert_eq!(kinds(&messages), refused, "{text}");
        is_too_long(&messages[messages.len() - 2], "ERROR");
    }
    goes_on(&mut wire);
}

#[test]
fn a_row_that_nobody_reads_may_be_of_any_length() {
    if direct_only() {
        return;
    }
    let mut wire = login("unsearched");
    for len in [LIMIT, LIMIT + 1, 20 * LIMIT] {
        wire.query(&format!("select repeat('x', {})", len - AROUND_A_CELL)).expect("a query");
        let messages = wire.read_all();
        assert_eq!(kinds(&messages), "TDCZ");
        assert_eq!(messages[1].body.len() + 5, len);
    }
    goes_on(&mut wire);
}

/// A StartupMessage of exactly this many bytes.
fn startup_of(len: usize) -> Vec<u8> {
    let empty = startup(VERSION_3, &[("user", "someone"), ("options", "")]).len();
    let packet = startup(VERSION_3, &[("user", "someone"), ("options", &"x".repeat(len - empty))]);
    assert_eq!(packet.len(), len);
    packet
}

#[test]
fn the_first_packet() {
    if direct_only() {
        return;
    }
    let door = limited().0.address();
    let mut wire = Wire::connect(&door).expect("the door is open");
    wire.send(&startup_of(STARTUP)).expect("a packet");
    assert_eq!(wire.read().expect("a message").kind, b'R', "it is asked who it is");
    // As on the server, nobody is told: a client of the protocol never sends it.
    let mut wire = Wire::connect(&door).expect("the door is open");
    let _ = wire.send(&startup_of(STARTUP + 1));
    assert_eq!(wire.read_to_end(), Some(Vec::new()));
    psql(&limited().0.credential("unsearched", "postgres").url, &["-c", "select 1"]).ok();
}

#[test]
fn a_message_of_a_login() {
    if direct_only() {
        return;
    }
    let error = |len: usize| {
        let mut wire = Wire::connect(&limited().0.address()).expect("the door is open");
        wire.send(&startup(VERSION_3, &[("user", "someone"), ("database", "postgres")])).expect("a packet");
        assert_eq!(wire.read().expect("a message").kind, b'R');
        let first = vec![b'x'; len - 5 - b"SCRAM-SHA-256\0".len() - 4];
        let length = u32::try_from(first.len()).expect("a short text").to_be_bytes();
        let answer = message(b'p', &[b"SCRAM-SHA-256\0", &length[..], &first].concat());
        assert_eq!(answer.len(), len);
        let _ = wire.send(&answer);
        let _ = wire.socket.shutdown(Shutdown::Write);
        wire.read().expect("an error")
    };
    let (longest, longer) = (error(LOGIN), error(LOGIN + 1));
    for error in [&longest, &longer] {
        assert_eq!((error.kind, error.field(b'S'), error.field(b'C')), (b'E', "FATAL".to_owned(), "08P01".to_owned()));
    }
    assert!(!longest.field(b'M').contains("4096"), "it is read: {longest:?}");
    assert!(longer.field(b'M').contains("4097") && longer.field(b'M').contains("4096"), "{longer:?}");
}
