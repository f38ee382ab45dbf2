//! The tunnel of agents and native clients to a gateway: the gRPC services of `proto/hoop/v1`, how their versions are
//! settled, and a stream of bytes as a connection.

pub mod codec;
mod connection;
mod secret;
pub mod version;

pub use connection::{Connection, chunks};

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
