//! A service that does what a test says, and the role that leads to it.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use hoop_testkit::Gateway;
use serde_json::json;

use super::{AGENT, Client, stand};

/// A service that does with each connection what the test says. It ends with the test's process.
pub(super) struct Service {
    pub(super) url: String,
}

impl Service {
    pub(super) fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for io in listener.incoming().flatten() {
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || serve(io));
            }
        });
        Self { url }
    }
}

/// A role of the shared gateway to a URL, and the administrator's client.
pub(super) fn role(name: &str, url: &str) -> Client {
    role_in(&stand().gateway, name, url)
}

pub(super) fn role_in(gateway: &Gateway, name: &str, url: &str) -> Client {
    let target = json!({ "kind": "http", "url": url });
    gateway.api().post("/api/v1/roles", &json!({ "name": name, "agent": AGENT, "target": target }));
    Client::new(gateway, name)
}

/// Reads the head of a request; `None` when there is none any more.
pub(super) fn head(io: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if io.read_line(&mut head).unwrap_or(0) == 0 {
            return None;
        }
    }
    Some(head)
}

pub(super) fn get(client: &Client, path: &str) -> String {
    let host = client.origin.trim_start_matches("http://");
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{}\r\n\r\n", client.line())
}
