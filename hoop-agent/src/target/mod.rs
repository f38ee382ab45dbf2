//! Targets: connect, log in with the secret, and hand the connection over. One folder for each protocol.

#[cfg(feature = "postgres")]
mod postgres;

use bytes::Bytes;
use hoop_core::Code;
use hoop_proto::tunnel::v1::{Open, Ready, open};

use crate::agent::Settings;
use crate::error::TargetFailure;
use crate::link::{TargetRead, TargetWrite};

/// The target protocols that this build serves.
pub(crate) const PROTOCOLS: &[&str] = &[
    #[cfg(feature = "postgres")]
    "postgres",
];

/// A target that is logged in to.
pub(crate) struct Target {
    /// What the gateway must know of the login.
    pub(crate) ready: Ready,
    pub(crate) read: TargetRead,
    /// What was read beyond the login.
    pub(crate) buffered: Bytes,
    pub(crate) write: TargetWrite,
    /// What ends the connection in the protocol's own way.
    pub(crate) goodbye: Bytes,
    pub(crate) canceller: Canceller,
}

/// Cancels what runs on a target.
#[derive(Clone)]
pub(crate) enum Canceller {
    #[cfg(feature = "postgres")]
    Postgres(std::sync::Arc<postgres::Cancel>),
}

impl Canceller {
    /// Best effort, as on the target itself.
    #[allow(clippy::unused_async, reason = "a build without targets has nothing to wait for")]
    pub(crate) async fn cancel(&self) {
        match *self {
            #[cfg(feature = "postgres")]
            Self::Postgres(ref cancel) => cancel.send().await,
        }
    }
}

/// Connects and logs in to the target that the gateway asks for.
#[allow(clippy::unused_async, reason = "a build without targets has nothing to wait for")]
pub(crate) async fn connect(open: &Open, settings: &Settings) -> Result<Target, TargetFailure> {
    #[cfg(not(feature = "postgres"))]
    let _ = settings;
    match &open.target {
        #[cfg(feature = "postgres")]
        Some(open::Target::Postgres(target)) => postgres::connect(target, &open.secrets, settings).await,
        #[cfg(not(feature = "postgres"))]
        Some(open::Target::Postgres(_)) => Err(unserved()),
        _ => Err(unserved()),
    }
}

fn unserved() -> TargetFailure {
    TargetFailure::new(Code::AgentRefused, "this agent does not serve the target's protocol")
        .hint("upgrade the agent, or build it with the protocol's feature")
}
