//! Wire formats, sans I/O: the tunnel between agent and gateway, and the native protocols' frames.

#![forbid(unsafe_code)]

pub mod dsn;
pub mod postgres;
pub mod ssh;
pub mod tunnel;
