//! WebSockets: the cases that implementations are measured by, and those over HTTP/2.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;

use hoop_testkit::clients::{kosoku, python};
use hoop_testkit::{Folder, direct_only, output};
use serde_json::{Value, json};

use super::services::{client, dial, services};
use super::{AGENT, stand};

/// A door for a client that can send no token and knows one path: it puts `lines` into each head, and asks for `/ws`.
fn door(to: String, lines: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address").to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (to, lines) = (to.clone(), lines.clone());
            // One end or the other breaks off in many cases; the client sees it.
            std::thread::spawn(move || relay(client, &to, &lines).ok());
        }
    });
    address
}

fn relay(client: TcpStream, to: &str, lines: &str) -> std::io::Result<()> {
    let target = TcpStream::connect(to)?;
    for io in [&client, &target] {
        io.set_nodelay(true)?;
    }
    let mut from = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && from.read_line(&mut head)? > 0 {}
    let fields: String = head
        .lines()
        .skip(1)
        .filter(|line| !line.to_ascii_lowercase().starts_with("host:") && !line.is_empty())
        .map(|line| format!("{line}\r\n"))
        .collect();
    (&target).write_all(format!("GET /ws HTTP/1.1\r\n{lines}{fields}\r\n").as_bytes())?;
    let back = (target.try_clone()?, client.try_clone()?);
    let down = std::thread::spawn(move || moves(back.0, back.1));
    moves(from, target);
    let _ = down.join();
    Ok(())
}

fn moves(mut from: impl Read, mut to: TcpStream) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// How each case went, and how it was closed. Those of extensions are left out, as none is negotiated, and those of speed.
fn cases(address: &str) -> BTreeMap<String, [String; 2]> {
    let folder = Folder::new("kosoku");
    let mut command = Command::new(kosoku());
    command.args(["-m", "fuzzingclient", "-x", "9.*", "-x", "12.*", "-x", "13.*", "-p", "8", "-o"]).arg(folder.path());
    let ran = output(command.arg(address), b"");
    let index = std::fs::read(folder.join("index.json")).unwrap_or_else(|error| panic!("{error}: {ran}"));
    let index: Value = serde_json::from_slice(&index).expect("a report is JSON");
    let of_server = index.as_object().and_then(|index| index.values().next()).and_then(Value::as_object);
    let cases = of_server.unwrap_or_else(|| panic!("a report of one server: {index}"));
    let told =
        |told: &Value| ["behavior", "behaviorClose"].map(|what| told[what].as_str().unwrap_or("none").to_owned());
    cases.iter().map(|(case, of)| (case.clone(), told(of))).collect()
}

#[test]
fn the_cases_that_implementations_are_measured_by() {
    if direct_only() {
        return;
    }
    let client = client("node");
    let straight = cases(&door(format!("127.0.0.1:{}", services().node.port), "Host: 127.0.0.1\r\n".to_owned()));
    let lines = format!("Host: {}\r\n{}\r\n", client.origin.trim_start_matches("http://"), client.line());
    let through = cases(&door(client.address.clone(), lines));
    assert!(straight.len() > 200, "{straight:?}");
    let passes = |told: &[String; 2]| told.iter().all(|told| matches!(&**told, "OK" | "NON-STRICT" | "INFORMATIONAL"));
    let worse: Vec<_> = straight
        .iter()
        .filter(|(case, told)| passes(told) && !through.get(*case).is_some_and(passes))
        .map(|(case, told)| (case, told, through.get(case)))
        .collect();
    assert!(worse.is_empty(), "{worse:?}");
}

#[test]
fn a_websocket_over_http2() {
    if direct_only() {
        return;
    }
    let client = client("node");
    let host = client.origin.trim_start_matches("http://").to_owned();
    let told = python("web", "websocket_h2.py", &[&client.address, &host, "/ws", &client.token]).ok();
    let expected = "extended CONNECT: 1\nstatus: 200 protocol: one\ntext: grüße\nbytes: True\npong: b'there?'\nclosed: 4001 enough\n";
    assert_eq!(told, expected);
    let refused = python("web", "websocket_h2.py", &[&client.address, &host, "/ws", "hoopw_nobody.x"]).ok();
    assert!(refused.contains("status: 401"), "{refused}");
    assert_eq!(
        super::Client::new(&stand().gateway, "node").websocket("/elsewhere").err(),
        Some(400),
        "the service's own answer"
    );
}

#[test]
fn the_reason_of_a_close_is_a_text_like_any_other() {
    if direct_only() {
        return;
    }
    let target = json!({ "kind": "http", "url": services().node.url() });
    let role = json!({ "name": "node-masked", "agent": AGENT, "target": target });
    stand().gateway.api().post("/api/v1/roles", &role);
    let client = super::Client::new(&stand().gateway, "node-masked");
    let (host, line) = (client.origin.trim_start_matches("http://"), client.line());
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut io = dial(&client.address);
    let head = format!("GET /ws?close=no%20ada%40example.com HTTP/1.1\r\nHost: {host}\r\n{line}\r\n{upgrade}\r\n");
    io.write_all(head.as_bytes()).expect("the door reads");
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !said.ends_with(b".com") {
        io.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&said)));
        said.extend(byte);
    }
    assert!(said.ends_with(b"\x0f\xa1no a***@***.com"), "{}", String::from_utf8_lossy(&said));
}
