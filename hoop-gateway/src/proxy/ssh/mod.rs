//! SSH: channels of programs, files and forwarded connections.

mod chain;
pub(crate) mod files;
