//! Targets: connect, log in with the secret, and hand the connection over. One folder for each protocol.

#[cfg(feature = "http")]
mod http;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "ssh")]
mod ssh;
#[cfg(any(feature = "http", feature = "postgres"))]
mod tls;

use bytes::Bytes;
use hoop_core::Code;
#[cfg(any(feature = "http", feature = "ssh"))]
use hoop_proto::tunnel::v1::carry_up;
#[cfg(any(feature = "http", feature = "postgres", feature = "ssh"))]
use hoop_proto::tunnel::v1::open;
use hoop_proto::tunnel::v1::{Open, Ready, carry_down};
use tokio::io::AsyncWriteExt as _;

#[cfg(feature = "postgres")]
pub(crate) use postgres::ScramKeys;

use crate::agent::Settings;
use crate::error::TargetFailure;
use crate::link::{TargetReader, TargetWrite};

/// The target protocols that this build serves.
pub(crate) const PROTOCOLS: &[&str] = &[
    #[cfg(feature = "postgres")]
    "postgres",
    #[cfg(feature = "ssh")]
    "ssh",
    #[cfg(feature = "http")]
    "http",
];

/// A target that is logged in to.
pub(crate) struct Target {
    /// What the gateway must know of the login.
    pub(crate) ready: Ready,
    /// What comes from it.
    pub(crate) up: Up,
    /// What goes to it.
    pub(crate) down: Down,
    /// What the link keeps of it while it is served.
    pub(crate) served: Served,
}

/// What comes from a target.
pub(crate) enum Up {
    /// Bytes; first those that were read beyond the login.
    Bytes { buffered: Bytes, read: TargetReader },
    /// Messages, to the last one: `Closed`.
    #[cfg(any(feature = "http", feature = "ssh"))]
    Messages(futures::stream::BoxStream<'static, carry_up::Body>),
}

/// What goes to a target.
pub(crate) enum Down {
    Bytes(BytesDown),
    #[cfg(feature = "ssh")]
    Ssh(ssh::Down),
    #[cfg(feature = "http")]
    Http(http::Down),
}

/// The target takes nothing more.
pub(crate) struct Ended;

/// Where what the gateway sends goes, in each protocol's own way.
pub(crate) trait Sink {
    /// Passes one message on, once the target takes it.
    fn take(&mut self, body: carry_down::Body) -> impl Future<Output = Result<(), Ended>> + Send;

    /// Nothing more is here for it now: what waits for more goes on.
    fn settle(&mut self) -> impl Future<Output = Result<(), Ended>> + Send {
        std::future::ready(Ok(()))
    }

    /// Says goodbye.
    fn end(&mut self) -> impl Future<Output = ()> + Send;
}

/// Bytes, and what ends the connection in the protocol's own way.
pub(crate) struct BytesDown {
    pub(crate) write: TargetWrite,
    pub(crate) goodbye: Bytes,
}

impl Sink for BytesDown {
    async fn take(&mut self, body: carry_down::Body) -> Result<(), Ended> {
        let carry_down::Body::Data(data) = body else { return Ok(()) };
        let written = async {
            self.write.write_all(&data).await?;
            self.write.flush().await
        };
        written.await.map_err(|_| Ended)
    }

    async fn end(&mut self) {
        let _ = self.write.write_all(&self.goodbye).await;
        let _ = self.write.shutdown().await;
    }
}

/// What the link keeps of a channel while it is served.
#[derive(Clone)]
pub(crate) enum Served {
    /// What runs on it can be cancelled.
    #[cfg(feature = "postgres")]
    Postgres(std::sync::Arc<postgres::Cancel>),
    /// More channels can be opened on it.
    #[cfg(feature = "ssh")]
    Ssh(std::sync::Arc<ssh::Connection>),
    /// As for SSH; and the exchange that it carries can be given up.
    #[cfg(feature = "http")]
    Http(http::Served),
    /// Nothing, or nothing yet.
    Nothing,
}

impl Served {
    /// Cancels what runs. Best effort, as on the target itself.
    #[allow(clippy::unused_async, reason = "a build without targets has nothing to wait for")]
    pub(crate) async fn cancel(&self) {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(cancel) => cancel.send().await,
            #[cfg(feature = "ssh")]
            Self::Ssh(_) => {}
            #[cfg(feature = "http")]
            Self::Http(served) => served.give_up(),
            Self::Nothing => {}
        }
    }
}

/// Connects and logs in to the target that the gateway asks for, or opens one more channel on what is `served` already.
#[allow(clippy::unused_async, reason = "a build without targets has nothing to wait for")]
pub(crate) async fn connect(
    open: &Open,
    settings: &Settings,
    served: impl Fn(u64) -> Option<Served>,
) -> Result<Target, TargetFailure> {
    let _ = (settings, &served);
    match &open.target {
        #[cfg(feature = "postgres")]
        Some(open::Target::Postgres(target)) => postgres::connect(target, &open.secrets, settings).await,
        #[cfg(feature = "ssh")]
        Some(open::Target::Ssh(target)) => ssh::connect(&open.session, target, &open.secrets, settings).await,
        #[cfg(feature = "ssh")]
        Some(open::Target::SshChannel(wanted)) => match served(wanted.connection) {
            Some(Served::Ssh(connection)) => ssh::open(&connection, wanted, &open.secrets, settings).await,
            _ => Err(TargetFailure::new(Code::TargetLost, "the connection to the SSH server has ended")),
        },
        #[cfg(feature = "http")]
        Some(open::Target::Http(target)) => http::connect(target, &open.secrets, settings).await,
        #[cfg(feature = "http")]
        Some(open::Target::HttpChannel(wanted)) => match served(wanted.connection) {
            Some(Served::Http(served)) => Ok(http::open(&served)),
            _ => Err(TargetFailure::new(Code::TargetLost, "the channel that the session began with has ended")),
        },
        _ => Err(unserved()),
    }
}

fn unserved() -> TargetFailure {
    TargetFailure::new(Code::AgentRefused, "this agent does not serve the target's protocol")
        .hint("upgrade the agent, or build it with the protocol's feature")
}
