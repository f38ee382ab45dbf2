//! HTTP with much to move.

#[path = "../../e2e/http/bulk.rs"]
mod bulk;
#[allow(dead_code, reason = "the other tests need the rest")]
#[path = "../../e2e/http/stand.rs"]
mod stand;

use hoop_testkit::direct_only;

use stand::*;

/// As [`bulk::moves_both_ways`], with more than a machine of these tests has memory for.
#[test]
fn ten_gigabytes_are_kept_nowhere() {
    if direct_only() {
        return;
    }
    bulk::moves_both_ways(10 << 30);
}
