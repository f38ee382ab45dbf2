//! WebSockets: the cases that implementations are measured by, and those over HTTP/2.

use hoop_testkit::clients::python;
use hoop_testkit::direct_only;

use super::services::{client, services};
use super::{autobahn, stand};

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
