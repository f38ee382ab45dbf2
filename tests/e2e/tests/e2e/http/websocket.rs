//! WebSockets: the cases that implementations are measured by, and those over HTTP/2.

use std::io::{Read as _, Write as _};

use hoop_testkit::clients::python;
use hoop_testkit::direct_only;
use serde_json::json;

use super::services::{client, dial, services};
use super::{AGENT, autobahn, stand};

#[test]
fn the_cases_that_implementations_are_measured_by() {
    if direct_only() {
        return;
    }
    // Those of speed are among what takes minutes, and no extension is negotiated.
    let (count, worse) = autobahn::worse(&services().node, &client("node"), &["-x", "9.*", "-x", "12.*", "-x", "13.*"]);
    assert!(count > 200 && worse.is_empty(), "{count}: {worse:#?}");
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
