//! What russh asks of the runtime: tasks and a clock, under the names of the published `russh-util`, for which it stands in where
//! Hoop's own programs are built (`[patch.crates-io]`).
//!
//! The published crate wraps the future of a connection in another one, which keeps room for it twice: 13 KiB more for a client's, and
//! 15 for that to a target. docs/adr/0077-spawn-of-russh.md has the decision.

pub mod runtime;
pub mod time;
