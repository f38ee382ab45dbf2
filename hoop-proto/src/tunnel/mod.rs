//! The tunnel between an agent and a gateway: the gRPC services of `proto/hoop/v1`, and how their versions are settled.

pub mod codec;
mod secret;
pub mod version;

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
