//! SSH by hand: an end of a connection that says whatever it is told to, also what no implementation would.
//!
//! It knows as much of the protocol as a well-formed key exchange and login need ([RFC 4253], [RFC 4252]), with one algorithm
//! of each kind, and trusts everybody.
//!
//! [RFC 4252]: https://www.rfc-editor.org/rfc/rfc4252
//! [RFC 4253]: https://www.rfc-editor.org/rfc/rfc4253

mod cipher;
mod exchange;
mod payload;
mod peer;
mod server;

pub use payload::{Payload, kind, words};
pub use peer::{Side, SshPeer, is_late};
pub use server::HostileSshd;
