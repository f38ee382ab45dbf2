//! Wire formats, sans I/O: the tunnel between agent and gateway, the native protocols' frames, and what goes to a terminal.

#![forbid(unsafe_code)]

pub mod dsn;
pub mod http;
pub mod postgres;
pub mod ssh;
pub mod terminal;
pub mod tunnel;
