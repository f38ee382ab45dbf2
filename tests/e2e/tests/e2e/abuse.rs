//! What no client sends. That connection ends, and nothing else notices.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use hoop_testkit::wire::{VERSION_3, Wire, message, startup};
use hoop_testkit::{direct_only, memory, psql};

use crate::stand::{PLAIN, Target, stand};

fn target() -> Target {
    stand().target(PLAIN, "postgres")
}

fn door() -> String {
    if direct_only() { format!("127.0.0.1:{}", stand().postgres.port) } else { stand().gateway.address() }
}

/// Sends bytes, and gives what came until the door closed the connection.
#[track_caller]
fn closed_after(bytes: &[u8]) -> Vec<u8> {
    let mut wire = Wire::connect(&door()).expect("the door is open");
    // The door may close before everything is sent.
    let _ = wire.send(bytes);
    let _ = wire.socket.shutdown(Shutdown::Write);
    wire.read_to_end().unwrap_or_else(|| panic!("{:?} was not closed", &bytes[..bytes.len().min(32)]))
}

fn ssl_request() -> Vec<u8> {
    startup(80_877_103, &[])
}

fn gss_request() -> Vec<u8> {
    startup(80_877_104, &[])
}

fn works() {
    assert_eq!(psql(&target().gateway, &["-c", "select 1"]).ok(), "1\n");
}

#[test]
fn lengths_that_cannot_be() {
    for length in [0_u32, 1, 3, 4, 7, 10_001, 1 << 20, (1 << 31) - 1, 1 << 31, u32::MAX] {
        let mut bytes = length.to_be_bytes().to_vec();
        closed_after(&bytes);
        bytes.extend(VERSION_3.to_be_bytes());
        bytes.extend(b"user\0x\0\0");
        closed_after(&bytes);
    }
    works();
}

#[test]
fn garbage() {
    let mut noise = 0x2545_F491_4F6C_DD1D_u64;
    for round in 0..40 {
        let bytes: Vec<u8> = (0..1 + round * 97)
            .map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                noise.to_be_bytes()[0]
            })
            .collect();
        closed_after(&bytes);
    }
    closed_after(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // A TLS hello without an SSLRequest, as of clients with sslnegotiation=direct and of scanners.
    closed_after(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    works();
}

#[test]
fn startup_messages_that_are_not_whole() {
    let whole = startup(VERSION_3, &[("user", "someone"), ("database", "x")]);
    for end in 0..whole.len() {
        closed_after(&whole[..end]);
    }
    // No end, a name without a value, no user.
    closed_after(&message_without_type(b"user\0someone"));
    closed_after(&message_without_type(b"user\0"));
    closed_after(&startup(VERSION_3, &[("database", "x")]));
    closed_after(&startup(VERSION_3, &[]));
    works();
}

fn message_without_type(parameters: &[u8]) -> Vec<u8> {
    let body = [&VERSION_3.to_be_bytes()[..], parameters].concat();
    let length = u32::try_from(body.len() + 4).expect("a small message");
    [&length.to_be_bytes()[..], &body].concat()
}

#[test]
fn a_huge_startup_message() {
    let value = "x".repeat(9_000);
    closed_after(&startup(VERSION_3, &[("user", "someone"), ("options", &value)]));
    let value = "x".repeat(1 << 20);
    closed_after(&startup(VERSION_3, &[("user", "someone"), ("options", &value)]));
    works();
}

/// What a man in the middle puts behind the request must not be taken for what came over TLS [CVE-2021-23222].
#[test]
fn plaintext_after_an_ssl_request() {
    if direct_only() {
        return;
    }
    let injected = [ssl_request(), startup(VERSION_3, &[("user", "someone"), ("database", "x")])].concat();
    let answer = closed_after(&injected);
    assert!(!answer.windows(5).any(|window| window == b"SCRAM"), "it was taken for a login: {answer:?}");
    works();
}

#[test]
fn requests_for_encryption() {
    if direct_only() {
        return;
    }
    let mut wire = Wire::connect(&door()).expect("the door is open");
    wire.send(&gss_request()).expect("a request");
    let mut answer = [0];
    std::io::Read::read_exact(&mut wire.socket, &mut answer).expect("an answer");
    assert_eq!(&answer, b"N", "no GSS here");
    // Twice the same request is one too many, and a startup message after an N is right.
    wire.send(&startup(VERSION_3, &[("user", "someone"), ("database", "postgres")])).expect("a startup message");
    assert_eq!(wire.read().expect("a message").kind, b'R');
    let many: Vec<u8> = std::iter::repeat_with(gss_request).take(50).flatten().collect();
    closed_after(&many);
    works();
}

#[test]
fn messages_that_do_not_belong_into_a_login() {
    let login = startup(VERSION_3, &[("user", "someone"), ("database", "postgres")]);
    let scram = |mechanism: &[u8], data: &[u8]| {
        let length = u32::try_from(data.len()).expect("a small message").to_be_bytes();
        message(b'p', &[mechanism, b"\0", &length, data].concat())
    };
    for second in [
        login.clone(),
        message(b'Q', b"select 1\0"),
        message(b'p', b""),
        message(b'p', b"SCRAM-SHA-256\0"),
        scram(b"NO-SUCH-MECHANISM", b"n,,n=,r=x"),
        scram(b"SCRAM-SHA-256", b"garbage"),
        scram(b"SCRAM-SHA-256", b"n,,n=,r="),
        scram(b"SCRAM-SHA-256", b"p=tls-unique,,n=,r=abcdefgh"),
        scram(b"SCRAM-SHA-256", &[b'x'; 100_000]),
        [&b"p"[..], &u32::MAX.to_be_bytes()].concat(),
        [&b"p"[..], &0_u32.to_be_bytes()].concat(),
    ] {
        closed_after(&[login.clone(), second].concat());
    }
    works();
}

#[test]
fn versions() {
    let target = target();
    // 3.2 is either spoken or negotiated down, as a future 3.99 is; a server of old knows neither 2.0 nor 4.0.
    for version in [VERSION_3 | 2, VERSION_3 | 99] {
        let (mut wire, messages) = Wire::login_with(&target.gateway, version, &[]).expect("a login");
        assert!(messages.iter().any(|message| message.kind == b'v') || version == VERSION_3 | 2, "{messages:?}");
        wire.query("select 1").expect("a query");
        assert!(wire.read_all().iter().any(|message| message.kind == b'D'));
    }
    let (_, messages) = Wire::login_with(&target.gateway, VERSION_3, &[("_pq_.unheard_of", "1")]).expect("a login");
    assert!(messages.iter().any(|message| message.kind == b'v'), "an unknown protocol option is named: {messages:?}");
    for version in [2 << 16, 4 << 16, 0, u32::MAX] {
        closed_after(&startup(version, &[("user", "someone")]));
    }
}

/// The key in a cancel request is the only thing that protects a session from strangers.
#[test]
fn cancel_with_a_wrong_key_does_nothing() {
    let target = target();
    let (mut wire, messages) = Wire::login_with(&target.gateway, VERSION_3, &[]).expect("a login");
    let key = messages.iter().find(|message| message.kind == b'K').expect("key data").body.clone();
    let mut wrong = key.clone();
    *wrong.last_mut().expect("a key is not empty") ^= 1;
    wire.query("select pg_sleep(0.5), 'finished'").expect("a query");
    for key in [&wrong[..], &key[..3], &[0; 8], &[0; 300]] {
        let request = [&80_877_102_u32.to_be_bytes()[..], key].concat();
        let length = u32::try_from(request.len() + 4).expect("a small message");
        assert_eq!(closed_after(&[&length.to_be_bytes()[..], &request].concat()), b"");
    }
    let kinds: Vec<u8> = wire.read_all().into_iter().map(|message| message.kind).collect();
    assert_eq!(kinds, b"TDCZ");
    wire.query("select pg_sleep(60)").expect("a query");
    let started = Instant::now();
    let request = [&80_877_102_u32.to_be_bytes()[..], &key].concat();
    let length = u32::try_from(request.len() + 4).expect("a small message");
    // The statement may not have arrived yet when the first request does, and then there is nothing to cancel.
    let answer = std::thread::scope(|scope| {
        let reader = scope.spawn(|| wire.read_all());
        while !reader.is_finished() && started.elapsed() < Duration::from_secs(9) {
            closed_after(&[&length.to_be_bytes()[..], &request].concat());
        }
        reader.join().expect("the reader")
    });
    let error = answer.iter().find(|message| message.kind == b'E').expect("an error");
    assert_eq!(error.field(b'C'), "57014");
}

/// Bytes that no protocol knows, after a login.
#[test]
fn garbage_inside_a_session() {
    let target = target();
    for bytes in [
        &b"\0\0\0\0\0\0\0\0"[..],
        b"Q\0\0\0\0",
        b"Q\0\0\0\x03",
        b"Q\x7f\xff\xff\xff",
        b"Q\xff\xff\xff\xff",
        b"Z\0\0\0\x05I",
        b"\xff\xff\xff\xff\xff\xff\xff",
        b"P\0\0\0\x05x",
        b"B\0\0\0\x08\0\0\xff\xff",
        b"Q\0\0\0\x0cselect 1",
    ] {
        let mut wire = Wire::login(&target.gateway).expect("a login");
        wire.send(bytes).expect("bytes are sent");
        let _ = wire.socket.shutdown(Shutdown::Write);
        assert!(wire.read_to_end().is_some(), "{bytes:?} was not closed");
    }
    works();
}

#[test]
fn memory_does_not_grow() {
    if direct_only() {
        return;
    }
    let pid = stand().gateway.pid("gateway");
    let round = || {
        for length in [1_u32 << 31, (1 << 31) - 1, 9_999] {
            let opened: Vec<Wire> = (0..100).map(|_| Wire::connect(&door()).expect("the door is open")).collect();
            for mut wire in opened {
                let _ = wire.send(&[&length.to_be_bytes()[..], &VERSION_3.to_be_bytes(), b"user\0"].concat());
                let _ = wire.socket.shutdown(Shutdown::Both);
            }
        }
    };
    // The first rounds fill the allocator's and the runtime's own stores.
    (0..3).for_each(|_| round());
    works();
    let before = memory::resident(pid);
    (0..10).for_each(|_| round());
    works();
    let grown = memory::resident(pid).saturating_sub(before);
    assert!(grown < 8 << 20, "3000 bad connections left {grown} bytes behind");
}

/// One deadline covers everything before a client is authenticated. This is the only test that waits for it.
#[test]
fn silence_ends() {
    if direct_only() {
        return;
    }
    let mut silent = Wire::connect(&door()).expect("the door is open");
    let mut half = Wire::connect(&door()).expect("the door is open");
    half.send(&[0, 0, 0]).expect("bytes are sent");
    let mut asked = Wire::connect(&door()).expect("the door is open");
    asked.send(&startup(VERSION_3, &[("user", "someone"), ("database", "x")])).expect("bytes are sent");
    for wire in [&mut silent, &mut half, &mut asked] {
        wire.socket.set_read_timeout(Some(Duration::from_secs(120))).expect("a timeout");
        assert!(wire.read_to_end().is_some(), "it is still open after two minutes");
    }
}
