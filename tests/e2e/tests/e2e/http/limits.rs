//! What a session, a head, a body and a target may take, and who is stopped by it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use hoop_testkit::clients::python;
use hoop_testkit::{Gateway, Options, direct_only, memory, output, until};
use serde_json::{Value, json};

use super::grpc::{begun, calls};
use super::service::{Service, get, head, role_in};
use super::services::{SOON, client, dial, say};
use super::{AGENT, Client, command, stand};

/// What the windows and buffers between a target and a client that does not read may hold, in bytes.
const ON_THE_WAY: u64 = 32 << 20;

#[test]
fn who_does_not_read_stops_its_own_target_and_nobody_else() {
    if direct_only() {
        return;
    }
    let gateway = Gateway::start(&Options { processes: true, ..Options::default() });
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let service = Service::start(move |io| {
        let mut io = BufReader::new(io);
        while let Some(head) = head(&mut io) {
            let endless = head.starts_with("GET /endless");
            let begin = if endless { "Transfer-Encoding: chunked\r\n\r\n" } else { "Content-Length: 2\r\n\r\nok" };
            let mut write = io.get_ref();
            let _ = write.write_all(format!("HTTP/1.1 200 OK\r\n{begin}").as_bytes());
            let chunk = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
            while endless && write.write_all(&chunk).is_ok() {
                counted.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
        }
    });
    let client = role_in(&gateway, "endless", &service.url);
    assert_eq!(client.ask(&[], "/warm").0, 200);
    let parts = ["gateway", "agent"].map(|part| (part, gateway.pid(part)));
    let before = parts.map(|(_, pid)| memory::resident(pid));
    let silent: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut io = dial(&client.address);
            io.write_all(get(&client, "/endless").as_bytes()).expect("the door reads");
            io.read_exact(&mut [0]).expect("the answer has begun");
            io
        })
        .collect();
    for number in 0..100 {
        assert_eq!(client.ask(&[], &format!("/beside/{number}")), (200, "ok".to_owned()));
    }
    let (sent, most) = (sent.load(Ordering::Relaxed), 4 * ON_THE_WAY);
    assert!(sent < most, "{sent} bytes were sent to clients that read nothing");
    for ((part, pid), before) in parts.into_iter().zip(before) {
        let now = memory::resident(pid);
        assert!(now < before + most, "the {part} went from {before} to {now} bytes");
    }
    drop(silent);
    assert_eq!(client.ask(&[], "/after"), (200, "ok".to_owned()));
}

#[test]
fn a_target_may_take_its_time_and_no_more() {
    if direct_only() {
        return;
    }
    let config = "[limits]\nhttp_answer = \"1s\"\n".to_owned();
    let gateway = Gateway::start(&Options { config: Some(config), ..Options::default() });
    let (stays, gone) = std::sync::mpsc::sync_channel::<()>(1);
    let gone = std::sync::Mutex::new(gone);
    let service = Service::start(move |io| {
        let mut io = BufReader::new(io);
        while let Some(head) = head(&mut io) {
            if head.starts_with("GET /now") {
                break;
            }
            // It reads nothing of a body, and nothing else before the other end has gone.
            if head.starts_with("POST") {
                let _ = gone.lock().expect("no test panics while it has it").recv();
                return;
            }
        }
        let _ = io.get_ref().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let client = role_in(&gateway, "late", &service.url);
    let (code, said) = client.ask(&[], "/never");
    let said: Value = serde_json::from_str(&said).expect("a problem");
    assert_eq!((code, &said["code"]), (504, &json!("target_timeout")), "{said}");
    let upload = ["-w", "\n%{http_code}", "-H", &client.line(), "-H", "Expect:", "--data-binary", "@-"];
    let mut curl = command(&[&upload[..], &[&client.at("/upload")]].concat());
    let said = output(&mut curl, &vec![b'x'; 64 << 20]).ok();
    assert!(said.contains("took nothing more of the request") && said.ends_with("\n504"), "{said}");
    drop(stays);
    // A machine with much to do may need that time itself.
    until(SOON, "an answer in time", || (client.ask(&[], "/now") == (200, "ok".to_owned())).then_some(()));
}

/// `limits.http_session_held_bytes`.
#[test]
fn a_session_holds_as_much_of_bodies_as_it_may_and_another_its_own() {
    if direct_only() {
        return;
    }
    let config = "[limits]\nhttp_session_held_bytes = 1048576\n".to_owned();
    let gateway = Gateway::start(&Options { config: Some(config), ..Options::default() });
    let rule = json!({ "name": "amount", "paths": ["/decided"], "body": [{ "name": "/amount", "above": 1000 }] });
    super::role(&gateway, "held", &stand().app, |role| role["plugins"]["guardrail"] = json!({ "http": [rule] }));
    let (client, other) = (Client::new(&gateway, "held"), Client::new(&gateway, "held"));
    let body = |bytes: usize| format!("{{\"amount\":1,\"text\":\"{}\"}}", "x".repeat(bytes));
    let ask = |client: &Client, bytes: usize| {
        let options = ["-i", "-H", &client.line(), "-H", "Content-Type: application/json", "-H", "Expect:"];
        let mut curl = command(&[&options[..], &["--data-binary", "@-", &client.at("/decided")]].concat());
        output(&mut curl, body(bytes).as_bytes()).ok()
    };
    assert!(ask(&client, 200_000).starts_with("HTTP/1.1 200"), "alone it fits");
    let (host, whole) = (client.origin.trim_start_matches("http://"), body(500_000));
    let (most, last) = whole.split_at(whole.len() - 1);
    let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close", whole.len());
    let head = format!("POST /decided HTTP/1.1\r\nHost: {host}\r\n{}\r\n{fields}\r\n\r\n", client.line());
    let is = |told: &str, code: u16| told.starts_with(&format!("HTTP/1.1 {code}"));
    // Who comes first while the long one is still on its way may be in its way, too.
    let (refused, short, elsewhere) = until(SOON, "one that holds it and one too many", || {
        let mut io = dial(&client.address);
        io.write_all(head.as_bytes()).and_then(|()| io.write_all(most.as_bytes())).expect("the door reads");
        let told = until(SOON, "one too many", || {
            let told = ask(&client, 200_000);
            io.set_nonblocking(true).expect("a socket can be asked");
            let is_answered = io.peek(&mut [0]).is_ok();
            io.set_nonblocking(false).expect("a socket can be asked");
            (is(&told, 503) || is_answered).then_some(told)
        });
        let beside = (ask(&client, 1000), ask(&other, 200_000));
        let mut answer = String::new();
        let _ = io.write_all(last.as_bytes()).and_then(|()| io.read_to_string(&mut answer));
        (is(&told, 503) && is(&answer, 200)).then_some((told, beside.0, beside.1))
    });
    assert!(refused.contains("\"code\":\"gateway_busy\"") && refused.contains("retry-after: "), "{refused}");
    assert!(is(&short, 200), "what is short is not counted: {short}");
    assert!(is(&elsewhere, 200), "another session holds its own: {elsewhere}");
    until(SOON, "room again", || ask(&client, 200_000).starts_with("HTTP/1.1 200").then_some(()));
}

/// `limits.http_body_idle`.
#[test]
fn who_sends_nothing_of_a_body_is_told_so_and_streams_may_rest() {
    if direct_only() {
        return;
    }
    let config = "[limits]\nhttp_body_idle = \"1s\"\n".to_owned();
    let gateway = Gateway::start(&Options { config: Some(config), ..Options::default() });
    let (tell, told) = std::sync::mpsc::sync_channel(8);
    let tell = Mutex::new(tell);
    let service = Service::start(move |io| {
        let mut io = BufReader::new(io);
        while let Some(head) = head(&mut io) {
            let mut write = io.get_ref();
            if head.starts_with("GET ") {
                let _ = write.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                continue;
            }
            let duplex = head.starts_with("POST /duplex");
            if duplex {
                let _ = write.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n");
            }
            let mut body = String::new();
            while io.read_line(&mut body).unwrap_or(0) > 0 && !body.ends_with("0\r\n\r\n") {}
            let _ = tell.lock().expect("no test panics while it has it").send(body);
            if duplex {
                let _ = io.get_ref().write_all(b"3\r\nend\r\n0\r\n\r\n");
            }
        }
    });
    let target = json!({ "kind": "http", "url": service.url });
    let role = json!({ "name": "silent", "agent": AGENT, "target": target, "plugins": super::unmasked() });
    gateway.api().post("/api/v1/roles", &role);
    let client = Client::new(&gateway, "silent");
    let target = json!({ "kind": "http", "url": calls().url() });
    gateway.api().post("/api/v1/roles", &json!({ "name": "calls", "agent": AGENT, "target": target }));
    let host = client.origin.trim_start_matches("http://").to_owned();
    let post = |path: &str, rest: &str| format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{}\r\n{rest}", client.line());
    // These rest for as long as all that follows takes.
    let calls = Client::new(&gateway, "calls");
    let mut call = begun(&calls, "rests").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut said = BufReader::new(call.stdout.take().expect("a pipe"));
    let mut first = String::new();
    said.read_line(&mut first).expect("the call has begun");
    assert_eq!(first, "rests\n");
    let mut duplex = BufReader::new(dial(&client.address));
    duplex.get_ref().write_all(post("/duplex", "Transfer-Encoding: chunked\r\n\r\n").as_bytes()).expect("it reads");
    while !first.contains("begun") {
        assert!(duplex.read_line(&mut first).expect("the answer has begun") > 0, "{first}");
    }
    for rest in ["Content-Length: 100\r\n\r\nten bytes.", "Transfer-Encoding: chunked\r\n\r\n"] {
        let answer = say(&client.address, post("/upload", rest).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"code\":\"client_timeout\""), "{answer}");
        assert!(answer.contains("connection: close") && answer.contains("nothing came of the body"), "{answer}");
        let came = told.recv_timeout(SOON).expect("the target sees the end");
        assert!(!came.contains("0\r\n\r\n"), "it does not look whole: {came}");
    }
    let said_h2 = python("web", "early_h2.py", &[&client.address, &host, "/upload", &client.token]).ok();
    assert!(said_h2.starts_with("408 ") && said_h2.ends_with("\nreset: 0\nnext: 200\n"), "{said_h2}");
    let _ = told.recv_timeout(SOON).expect("the target sees the end");
    call.stdin.take().expect("a pipe").write_all(b"\n").expect("it reads");
    first.clear();
    said.read_line(&mut first).expect("the call is answered");
    assert_eq!((first.as_str(), call.wait().expect("an own child").success()), ("b'8'\n", true));
    duplex.get_ref().write_all(b"4\r\nmore\r\n0\r\n\r\n").expect("it reads");
    first.clear();
    while !first.contains("end") {
        assert!(duplex.read_line(&mut first).expect("the answer goes on") > 0, "{first}");
    }
}

/// `limits.http_exchanges`: one more waits. `limits.http_idle`: a session without a request ends.
#[test]
fn a_session_has_as_many_requests_at_once_as_it_may_and_ends_without_one() {
    if direct_only() {
        return;
    }
    let config = "[limits]\nhttp_exchanges = 1\nhttp_idle = \"1s\"\n".to_owned();
    let gateway = Gateway::start(&Options { config: Some(config), ..Options::default() });
    let (come, came) = std::sync::mpsc::sync_channel(4);
    let (release, released) = std::sync::mpsc::sync_channel::<()>(1);
    let (come, released) = (std::sync::Mutex::new(come), std::sync::Mutex::new(released));
    let service = Service::start(move |io| {
        let mut io = BufReader::new(io);
        while let Some(head) = head(&mut io) {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let _ = come.lock().expect("no test panics while it has it").send(path.clone());
            if path == "/held" {
                let _ = released.lock().expect("no test panics while it has it").recv();
            }
            let _ = io.get_ref().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let (client, beside) = (role_in(&gateway, "one-at-once", &service.url), role_in(&gateway, "beside", &service.url));
    std::thread::scope(|scope| {
        let held = scope.spawn(|| client.ask(&[], "/held"));
        assert_eq!(came.recv_timeout(SOON).expect("the target is asked"), "/held");
        let next = scope.spawn(|| client.ask(&[], "/next"));
        for _ in 0..20 {
            assert_eq!(beside.ask(&[], "/beside").0, 200);
            assert_eq!(came.recv_timeout(SOON).expect("another session waits for nothing"), "/beside");
        }
        release.send(()).expect("the service waits");
        assert_eq!(held.join().expect("it is answered").0, 200);
        assert_eq!(next.join().expect("it is answered").0, 200);
        assert_eq!(came.recv_timeout(SOON).expect("its turn has come"), "/next");
    });
    for role in ["one-at-once", "beside"] {
        assert_eq!(gateway.ended_session(role)["outcome"], "completed");
    }
}

/// Lines of a head with this many bytes.
fn padded(client: &Client, bytes: usize) -> String {
    let line = format!("X-Much: {}\r\n", "x".repeat(990));
    get(client, "/told").replacen("\r\n\r\n", &format!("\r\nConnection: close\r\n{}\r\n", line.repeat(bytes / 1000)), 1)
}

#[test]
fn a_head_is_as_long_as_it_must_be() {
    if direct_only() {
        return;
    }
    let client = client("echo");
    let told = say(&client.address, padded(&client, 10_000).as_bytes());
    assert!(told.starts_with("HTTP/1.1 200") && told.matches("x-much: ").count() == 10, "{told}");
    let told = say(&client.address, padded(&client, 100_000).as_bytes());
    assert!(told.starts_with("HTTP/1.1 431"), "{told}");
    let field = format!("X-Much: {}", "x".repeat(10_000));
    assert_eq!(client.ask(&["--http2-prior-knowledge", "-H", &field], "/told").0, 200);
    assert_eq!(client.ask(&[], "/told").0, 200);
}
