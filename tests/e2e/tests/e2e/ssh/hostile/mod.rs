//! Clients that mean harm. Each case is followed by a look at somebody else, on the same gateway and the same agent; and the memory of
//! neither runs away.
//!
//! There are 117 strangers and 104 callers here, and 100 servers among the tests that take longer; and a few of what takes more than
//! one step.

mod callers;
mod stand;
mod strangers;

use stand::*;
