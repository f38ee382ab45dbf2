//! What moves files over SSH, and what a command's text says: SFTP, the protocol of `scp`, and commands as a shell splits
//! them. Everything else of SSH is `russh`'s.
//!
//! The decoders are given bytes as they come, in pieces of any length, and give parts that are views into them. Only what is
//! short is put together: the bytes of files pass as they are.

pub mod scp;
pub mod sftp;
pub mod shell;

mod piece;
