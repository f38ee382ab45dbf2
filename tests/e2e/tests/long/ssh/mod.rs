//! SSH with many at once, with much to move, and with those who mean harm.

mod crowd;
mod hostile;
#[allow(dead_code, reason = "the other tests need the rest")]
#[path = "../../e2e/ssh/stand.rs"]
mod stand;
mod trees;

use stand::*;
