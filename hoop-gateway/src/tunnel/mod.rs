//! The gateway's end of the tunnel: agents attach, and dial one `Carry` stream back for every channel of a session.
//!
//! ```text
//! session ── Agents::open ──▶ Open{ticket} on the agent's Attach stream
//!                              │
//! session ◀── Channel ◀── Carry{ticket} dialled back by that agent, ready once the target's login is done
//! ```
//!
//! **Invariants.** An agent's name comes from its verified token, never from what it says of itself. A ticket is valid
//! once, for the attachment it was sent to. A channel ends when its agent's attachment ends, and that with its key.

mod attach;
mod carry;
mod io;
pub(crate) mod keys;
mod registry;
mod service;
mod ticket;

pub(crate) use carry::violation;
pub use carry::{Canceller, Channel, ChannelReceiver, ChannelSender, OpenFailure, Received, Route};
pub(crate) use io::ChannelIo;
pub use registry::{AgentIdentity, AgentStatus, Agents, OpenTarget, TunnelLimits};
pub(crate) use service::status;
pub use service::{AgentAuthenticator, TunnelService};
