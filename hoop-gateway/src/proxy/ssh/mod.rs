//! SSH: a session whose channels run side by side ([RFC 4254]).
//!
//! ```text
//! client ⇄ russh ⇄ a task for each channel ⇄ a Carry stream for each channel ⇄ agent ⇄ server
//!                         ⇅
//!                   SharedChain
//! ```
//!
//! What is not known here is refused, and never passed. A channel that is not read stops only itself: nothing more is taken
//! from its stream of the tunnel.
//!
//! [RFC 4254]: https://www.rfc-editor.org/rfc/rfc4254

mod files;
mod forward;
mod listen;
mod program;
mod session;
mod words;

pub(crate) use listen::{Answer, Listen};
pub(crate) use session::{Asked, Begun, Limits, Opened, Parts, SshProxy, Wanted, refuse_all};
pub(crate) use words::words;
