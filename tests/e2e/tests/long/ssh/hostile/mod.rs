//! Servers that mean harm, as the clients do that are among the tests that take less long.

mod servers;
#[allow(dead_code, reason = "the other tests need the rest")]
#[path = "../../../e2e/ssh/hostile/stand.rs"]
mod stand;

use stand::*;
