//! SSH with many at once, and with those who mean harm.

mod crowd;
mod hostile;
#[allow(dead_code, reason = "the other tests need the rest")]
#[path = "../../e2e/ssh/stand.rs"]
mod stand;

use stand::*;
