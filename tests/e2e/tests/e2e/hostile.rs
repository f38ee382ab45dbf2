//! A target that keeps to no protocol, as a server that somebody has taken over. What it says is masked or ends its own
//! session; nothing else notices.

use std::sync::OnceLock;

use hoop_testkit::wire::{Message, VERSION_3, Wire, message};
use hoop_testkit::{Answer, FakePostgres, direct_only, psql};
use serde_json::json;

use crate::stand::{AGENT, PLAIN, id, stand};

const SECRET: &str = "canary.three@canary-leak.example.com";
/// Longer than what is read of a target at once.
const LONG: usize = 3 << 20;

/// What a case may come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The session ends, and the client is told why.
    Ended,
    /// The client sees it without the secret.
    Masked,
    /// The result is not shown, and the session goes on.
    Refused,
}

use End::{Ended, Masked, Refused};

/// A case: the query that asks for it, what the server says then, and what comes of it.
struct Case {
    query: &'static str,
    says: Vec<u8>,
    end: End,
    /// Whether the server hangs up after it.
    closes: bool,
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn count(count: usize) -> [u8; 2] {
    u16::try_from(count).expect("few").to_be_bytes()
}

/// RowDescription of columns of these types.
fn described(types: &[u32]) -> Vec<u8> {
    let column = |oid: &u32| [&b"c\0"[..], &[0; 6], &oid.to_be_bytes(), &[0xff; 6], &[0, 0]].concat();
    let columns: Vec<u8> = types.iter().flat_map(column).collect();
    message(b'T', &[&count(types.len())[..], &columns].concat())
}

/// DataRow.
fn row(cells: &[&str]) -> Vec<u8> {
    let cell =
        |cell: &&str| [&u32::try_from(cell.len()).expect("a short text").to_be_bytes()[..], cell.as_bytes()].concat();
    let cells_: Vec<u8> = cells.iter().flat_map(cell).collect();
    message(b'D', &[&count(cells.len())[..], &cells_].concat())
}

/// CommandComplete and ReadyForQuery.
fn done() -> Vec<u8> {
    [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat()
}

/// ErrorResponse or NoticeResponse.
fn notice(kind: u8, severity: &str) -> Vec<u8> {
    let fields = [("S", severity), ("V", severity), ("C", "01000"), ("M", SECRET), ("D", SECRET), ("W", SECRET)];
    let mut body: Vec<u8> =
        fields.iter().flat_map(|(letter, value)| [letter.as_bytes(), &text(value)].concat()).collect();
    body.push(0);
    message(kind, &body)
}

fn setting() -> Vec<u8> {
    message(b'S', &[text("application_name"), text(SECRET)].concat())
}

/// A header alone.
fn header(kind: u8, length: u32) -> Vec<u8> {
    [&[kind][..], &length.to_be_bytes()].concat()
}

const INT4: u32 = 23;
const TEXT: u32 = 25;
const HUGE: u32 = (1 << 31) - 1;

fn case(query: &'static str, end: End, says: &[Vec<u8>]) -> Case {
    Case { query, says: says.concat(), end, closes: false }
}

fn cases() -> Vec<Case> {
    let many = SECRET.repeat(LONG / SECRET.len());
    let copy_out = message(b'H', &[0, 0, 1, 0, 0]);
    let copy_both = message(b'W', &[0, 0, 1, 0, 0]);
    let copied = message(b'd', format!("{SECRET}\n").as_bytes());
    let closing = |query, says: &[Vec<u8>]| Case { closes: true, ..case(query, Ended, says) };
    vec![
        case("as it should be", Masked, &[described(&[TEXT]), row(&[SECRET]), done()]),
        case("rows that were not described", Ended, &[row(&[SECRET]), done()]),
        case("long rows that were not described", Ended, &[row(&[&many]), done()]),
        case("more columns", Ended, &[described(&[TEXT]), row(&["x", SECRET]), done()]),
        case("more columns where nothing is searched", Ended, &[described(&[INT4]), row(&["1", SECRET]), done()]),
        case("more columns, and long", Ended, &[described(&[INT4]), row(&["1", &many]), done()]),
        case("fewer columns", Ended, &[described(&[TEXT, INT4]), row(&[SECRET]), done()]),
        case("no count", Ended, &[described(&[TEXT]), message(b'D', b""), row(&[SECRET]), done()]),
        case(
            "a row after the end",
            Ended,
            &[described(&[INT4]), row(&["1"]), message(b'C', b"SELECT 1\0"), row(&[SECRET]), done()],
        ),
        case("a row after everything", Ended, &[described(&[TEXT]), row(&["x"]), done(), row(&[SECRET])]),
        case("described twice", Masked, &[described(&[INT4]), described(&[TEXT]), row(&[SECRET]), done()]),
        case(
            "a cell beyond its row",
            Refused,
            &[described(&[TEXT]), message(b'D', &[&[0, 1, 0, 0, 0xff, 0xff], SECRET.as_bytes()].concat()), done()],
        ),
        case(
            "a cell of an impossible length",
            Refused,
            &[
                described(&[TEXT]),
                message(b'D', &[&[0, 1, 0xff, 0xff, 0xff, 0xfe], SECRET.as_bytes()].concat()),
                done(),
            ],
        ),
        case("copied rows without a copy", Ended, &[copied.clone(), done()]),
        case("copied rows in a result", Ended, &[described(&[INT4]), copied.clone(), done()]),
        case("rows in a copy", Ended, &[copy_out, row(&[SECRET]), done()]),
        case("replication", Ended, &[copy_both.clone(), copied, done()]),
        case("rows in replication", Ended, &[copy_both, row(&[SECRET]), done()]),
        closing("a huge row", &[described(&[TEXT]), header(b'D', HUGE), many.clone().into_bytes()]),
        closing(
            "a huge row where nothing is searched",
            &[described(&[INT4]), header(b'D', HUGE), many.clone().into_bytes()],
        ),
        closing("a huge notice", &[header(b'N', HUGE), many.clone().into_bytes()]),
        closing("a huge message of no kind", &[header(b'!', HUGE), many.into_bytes()]),
        closing("half a row", &[described(&[TEXT]), header(b'D', 100), SECRET.into()]),
        case("an impossible length", Ended, &[header(b'D', 3), SECRET.into()]),
        case("garbage", Ended, &[vec![0xff; 64], SECRET.into()]),
        case("a message of no kind", Ended, &[message(b'!', SECRET.as_bytes()), done()]),
        case("a message that has no body", Ended, &[message(b'I', SECRET.as_bytes()), message(b'Z', b"I")]),
        case("an answer to no question", Ended, &[message(b'1', b""), done()]),
        case("a login in the session", Ended, &[message(b'R', &[&[0, 0, 0, 5][..], b"salt"].concat()), done()]),
        case("ready twice", Ended, &[done(), message(b'Z', b"I")]),
        case("an error", Masked, &[notice(b'E', "ERROR"), message(b'Z', b"I")]),
        case("a notice", Masked, &[notice(b'N', "NOTICE"), done()]),
        case("a notification", Masked, &[message(b'A', &[&[0; 4][..], &text("c"), &text(SECRET)].concat()), done()]),
        case("a setting", Masked, &[setting(), done()]),
    ]
}

/// The role of the hostile target, and a URL of it.
fn hostile() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let greeting = [message(b'S', b"client_encoding\0UTF8\0"), notice(b'N', "NOTICE"), setting()].concat();
        let cases = cases();
        let fake = FakePostgres::start(greeting, move |asked| answer(&cases, asked));
        role("hostile", &fake);
        stand().gateway.credential("hostile", "postgres").url
    })
}

fn role(name: &str, fake: &FakePostgres) {
    stand().gateway.role(name, AGENT, &stand().postgres, |role| {
        role["target"]["port"] = json!(fake.port);
        role["plugins"] = json!({ "masking": { "detectors": { "email": "label" } } });
    });
}

fn answer(cases: &[Case], asked: &Message) -> Answer {
    let query = String::from_utf8_lossy(&asked.body);
    let case = cases.iter().find(|case| asked.kind == b'Q' && query.trim_end_matches('\0') == case.query);
    match case {
        Some(case) => Answer { bytes: case.says.clone(), closes: case.closes },
        // To Execute, what was never described; a batch ends where it ends.
        None if asked.kind == b'E' => Answer { bytes: row(&[SECRET]), closes: false },
        None => Answer::default(),
    }
}

fn leaks(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

/// What the client was sent, in order, up to the ReadyForQuery or the end.
fn seen(messages: &[Message]) -> Vec<u8> {
    messages.iter().flat_map(|message| message.body.clone()).collect()
}

#[test]
fn nothing_leaks_and_nothing_else_notices() {
    if direct_only() {
        return;
    }
    let mut bystander = Wire::login(&stand().target(PLAIN, "postgres").gateway).expect("a login");
    for case in cases() {
        let mut wire = Wire::login(hostile()).unwrap_or_else(|error| panic!("{}: {error}", case.query));
        wire.query(case.query).expect("a query");
        let mut messages = wire.read_all();
        if messages.last().is_some_and(|last| last.kind == b'Z') && case.end == Ended {
            // What is said after the end comes with the next answer, or before it.
            messages.extend(wire.read_all());
        }
        assert!(!leaks(&seen(&messages)), "{}: {messages:?}", case.query);
        let last = messages.last().unwrap_or_else(|| panic!("{}: nothing was said", case.query));
        match case.end {
            Masked => {
                assert_eq!(last.kind, b'Z', "{}: {messages:?}", case.query);
                assert!(String::from_utf8_lossy(&seen(&messages)).contains("[email]"), "{}: {messages:?}", case.query);
            }
            Refused => {
                assert_eq!(last.kind, b'Z', "{}: {messages:?}", case.query);
                let error = messages.iter().find(|message| message.kind == b'E').expect("an error");
                assert_eq!((error.field(b'S'), error.field(b'C')), ("ERROR".to_owned(), "42501".to_owned()));
            }
            Ended => {
                let told = (last.kind, last.field(b'S'), last.field(b'C'));
                assert_eq!(told, (b'E', "FATAL".to_owned(), "08006".to_owned()), "{}: {messages:?}", case.query);
            }
        }
        bystander.query("select 1").expect("a query");
        let kinds: Vec<u8> = bystander.read_all().into_iter().map(|message| message.kind).collect();
        assert_eq!(kinds, b"TDCZ", "{}", case.query);
    }
    assert_eq!(psql(&stand().target(PLAIN, "postgres").gateway, &["-c", "select 1"]).ok(), "1\n");
}

#[test]
fn a_greeting_is_masked() {
    if direct_only() {
        return;
    }
    let (_, messages) = Wire::login_with(hostile(), VERSION_3, &[]).expect("a login");
    let kinds: Vec<u8> = messages.iter().map(|message| message.kind).collect();
    assert_eq!(kinds, b"SNSKZ", "{messages:?}");
    let greeting = seen(&messages);
    assert!(!leaks(&greeting), "{messages:?}");
    assert_eq!(String::from_utf8_lossy(&greeting).matches("[email]").count(), 4, "{messages:?}");
}

/// A refused login is told as the server words it, and no more of it than may be seen.
#[test]
fn a_refused_login_is_masked() {
    if direct_only() {
        return;
    }
    let fake = FakePostgres::start(notice(b'E', "FATAL"), |_| Answer::default());
    role("hostile-login", &fake);
    let url = stand().gateway.credential("hostile-login", "postgres").url;
    let error = Wire::login(&url).expect_err("refused").to_string();
    assert!(error.starts_with("01000: ") && error.contains("[email]"), "{error}");
    let session = stand().gateway.ended_session("hostile-login");
    assert!(!leaks(session.to_string().as_bytes()), "{session}");
    let shown = stand().gateway.hoop(&["audit", "show", &id(&session)]).ok();
    assert!(!leaks(shown.as_bytes()), "{shown}");
}

/// What is run was never described, and nothing says what is in it.
#[test]
fn a_portal_that_was_not_described_shows_nothing() {
    if direct_only() {
        return;
    }
    let mut wire = Wire::login(hostile()).expect("a login");
    let batch = [message(b'P', b"\0x\0\0\0"), message(b'B', &[0; 8]), message(b'E', &[0; 5]), message(b'S', b"")];
    wire.send(&batch.concat()).expect("a batch");
    let messages = wire.read_all();
    assert!(!leaks(&seen(&messages)), "{messages:?}");
    let last = messages.last().expect("an error");
    assert_eq!((last.kind, last.field(b'S').as_str()), (b'E', "FATAL"), "{messages:?}");
}
