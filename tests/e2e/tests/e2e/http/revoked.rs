//! What runs when its token is taken away: however its client behaves, and however much its target has to say.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use hoop_testkit::direct_only;
use serde_json::{Value, json};

use super::services::{SOON, dial};
use super::{AGENT, Client, stand, unmasked};

const CHUNK: &[u8] = b"8\r\nxxxxxxxx\r\n";

/// What a service has to tell.
#[derive(Debug, PartialEq)]
enum Told {
    /// Nobody takes any more of its answer.
    Stuck,
    /// Nothing more comes of the request.
    Ended,
}

/// How long a service waits until it takes its answer for stuck.
const STUCK: Duration = Duration::from_millis(500);

/// A service that answers at once and without an end.
fn endless() -> (String, Receiver<Told>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
    let (tell, told) = sync_channel(8);
    std::thread::spawn(move || {
        for io in listener.incoming().flatten() {
            let tell = tell.clone();
            std::thread::spawn(move || answer(io, &tell));
        }
    });
    (url, told)
}

fn answer(io: TcpStream, tell: &SyncSender<Told>) {
    let mut write = io.try_clone().expect("a socket can be shared");
    write.set_write_timeout(Some(STUCK)).expect("a socket takes a deadline");
    let mut read = BufReader::new(io);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if read.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let stuck = tell.clone();
    std::thread::spawn(move || {
        let _ = write.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000\r\n\r\n");
        let mut told = false;
        loop {
            match write.write(&[b'x'; 1 << 16]) {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if !std::mem::replace(&mut told, true) {
                        let _ = stuck.send(Told::Stuck);
                    }
                }
                Err(_) => return,
            }
        }
    });
    let mut dropped = vec![0; 1 << 16];
    while read.read(&mut dropped).is_ok_and(|read| read > 0) {}
    let _ = tell.send(Told::Ended);
}

/// The administrator's client of a role that shows everything as it is, with these plugins besides.
fn client(name: &str, url: &str, plugins: &Value) -> Client {
    let mut all = unmasked();
    all.as_object_mut().expect("an object").extend(plugins.as_object().expect("an object").clone());
    let target = json!({ "kind": "http", "url": url });
    let role = json!({ "name": name, "agent": AGENT, "target": target, "plugins": all });
    stand().gateway.api().post("/api/v1/roles", &role);
    Client::new(&stand().gateway, name)
}

fn head(client: &Client, method: &str, fields: &str) -> String {
    let host = client.origin.trim_start_matches("http://");
    format!("{method} /endless HTTP/1.1\r\nHost: {host}\r\n{}\r\n{fields}\r\n", client.line())
}

#[test]
fn who_does_not_read_the_answer_sends_nothing_more_either() {
    if direct_only() {
        return;
    }
    let (url, told) = endless();
    let client = client("revoked-sender", &url, &json!({}));
    let mut io = dial(&client.address);
    io.write_all(head(&client, "POST", "Transfer-Encoding: chunked\r\n").as_bytes()).expect("the door reads");
    io.read_exact(&mut [0]).expect("the answer has begun");
    let mut writes = io.try_clone().expect("a socket can be shared");
    let sending = std::thread::spawn(move || while writes.write_all(CHUNK).is_ok() {});
    assert_eq!(told.recv_timeout(SOON), Ok(Told::Stuck));
    client.leave(&stand().gateway);
    assert_eq!(told.recv_timeout(SOON), Ok(Told::Ended));
    let _ = io.shutdown(Shutdown::Both);
    sending.join().expect("it only writes");
}

#[test]
fn an_answer_without_end_ends_with_its_token() {
    if direct_only() {
        return;
    }
    let (url, told) = endless();
    let client = client("revoked-reader", &url, &json!({}));
    let mut io = dial(&client.address);
    io.write_all(head(&client, "GET", "").as_bytes()).expect("the door reads");
    io.read_exact(&mut [0]).expect("the answer has begun");
    assert_eq!(told.recv_timeout(SOON), Ok(Told::Stuck));
    client.leave(&stand().gateway);
    assert_eq!(told.recv_timeout(SOON), Ok(Told::Ended));
    let (since, mut dropped) = (Instant::now(), vec![0; 1 << 16]);
    while io.read(&mut dropped).is_ok_and(|read| read > 0) {
        assert!(since.elapsed() < SOON, "it goes on and on");
    }
}

#[test]
fn who_has_not_sent_all_is_not_waited_for() {
    if direct_only() {
        return;
    }
    let rule = json!({ "name": "large", "body": [{ "name": "/amount", "above": 1000 }] });
    let (url, _told) = endless();
    let client = client("revoked-waiter", &url, &json!({ "guardrail": { "http": [rule] } }));
    let mut io = dial(&client.address);
    let fields = "Content-Type: application/json\r\nContent-Length: 20\r\nExpect: 100-continue\r\n";
    io.write_all(head(&client, "POST", fields).as_bytes()).expect("the door reads");
    let mut said = String::new();
    let mut lines = BufReader::new(io.try_clone().expect("a socket can be shared"));
    lines.read_line(&mut said).expect("it is asked for");
    assert_eq!(said, "HTTP/1.1 100 Continue\r\n");
    io.write_all(b"{\"amount\":").expect("the door reads");
    client.leave(&stand().gateway);
    said.clear();
    while !said.contains("HTTP/1.1 40") {
        assert!(lines.read_line(&mut said).is_ok_and(|read| read > 0), "an answer: {said}");
    }
}
