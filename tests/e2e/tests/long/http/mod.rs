//! HTTP with much to move.

#[path = "../../e2e/http/autobahn.rs"]
mod autobahn;
#[path = "../../e2e/http/bulk.rs"]
mod bulk;
#[allow(dead_code, reason = "the other tests need the rest")]
#[path = "../../e2e/http/stand.rs"]
mod stand;

use hoop_testkit::{Gateway, Node, Options, direct_only};
use serde_json::json;

use stand::*;

/// As [`bulk::moves_both_ways`], with more than a machine of these tests has memory for.
#[test]
fn ten_gigabytes_are_kept_nowhere() {
    if direct_only() {
        return;
    }
    bulk::moves_both_ways(10 << 30);
}

/// Messages and fragments of up to 16 MiB.
#[test]
fn the_large_cases_that_implementations_are_measured_by() {
    if direct_only() {
        return;
    }
    let (gateway, node) = (Gateway::start(&Options::default()), Node::start());
    let target = json!({ "kind": "http", "url": node.url() });
    let role = json!({ "name": "node", "agent": AGENT, "target": target, "plugins": unmasked() });
    gateway.api().post("/api/v1/roles", &role);
    let (count, worse) = autobahn::worse(&node, &Client::new(&gateway, "node"), &["-i", "9.*"]);
    assert!(count > 50 && worse.is_empty(), "{count}: {worse:#?}");
}
