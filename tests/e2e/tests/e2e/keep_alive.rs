//! One request after the other over HTTP/1.1.

use std::process::Command;

use hoop_testkit::{Gateway, HttpEcho, Options, direct_only, find, output};
use serde_json::json;

const REQUESTS: usize = 20;

/// The client stops reading an answer that is as long as was said. Its end is seen all the same, so the next request goes the same way.
#[test]
fn requests_of_one_client_share_a_channel_of_the_agent() {
    if direct_only() {
        return;
    }
    let (gateway, echo) = (Gateway::start(&Options::default()), HttpEcho::start());
    let agent = gateway.agent("web");
    let role = json!({ "name": "echo", "agent": "web", "target": { "kind": "http", "url": echo.url() } });
    gateway.api().post("/api/v1/roles", &role);
    let url = gateway.credential_for(gateway.api(), "echo", &json!({})).url;
    let (_, rest) = url.split_once("://").expect("a URL");
    let (known, _) = rest.split_once('@').expect("a URL with a user and a password");
    let door = gateway.ready()["proxy"].as_str().expect("the line has the door");
    let mut curl = Command::new(find("curl", "curl"));
    curl.args(["--silent", "--show-error", "--fail", "--http1.1", "--noproxy", "*", "--user", known]);
    curl.args((0..REQUESTS).map(|number| format!("http://{door}/{number}")));
    let printed = output(&mut curl, b"").ok();
    assert_eq!(printed.matches("GET /").count(), REQUESTS, "{printed}");
    // The session's own channel, and one for all of its requests.
    let log = agent.log();
    assert_eq!(log.matches("target connected").count(), 2, "{log}");
}
