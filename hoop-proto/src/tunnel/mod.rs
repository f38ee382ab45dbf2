//! The tunnel of agents and native clients to a gateway: the gRPC services of `proto/hoop/v1`, how their versions are
//! settled, a stream of bytes as a connection, when its socket is read and written, when its core sleeps, and when the other
//! end is lost.

mod busy_poll;
mod coalesce;
pub mod codec;
mod connection;
mod read_ahead;
mod secret;
mod silence;
pub mod version;

pub use busy_poll::{BusyPoll, Poller};
pub use coalesce::Coalescing;
pub use connection::{Connection, chunks};
pub use read_ahead::read_ahead;
pub use silence::Silence;

/// The generated messages and services.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "generated code; the proto files hold the documentation"
)]
pub mod v1 {
    tonic::include_proto!("hoop.v1");
}
