//! What russh asks of the runtime: tasks and a clock, under the names of the published `russh-util`, for which it stands in where
//! Hoop's own programs are built (`[patch.crates-io]`).
//!
//! A connection is a task of tokio as it is. The published crate wraps its future in another one, which keeps room for it twice:
//! 13 to 15 KiB more for each connection. docs/adr/0077-spawn-of-russh.md has the decision.

pub mod runtime;
pub mod time;
