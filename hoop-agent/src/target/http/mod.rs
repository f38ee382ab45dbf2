//! Services that speak HTTP: exchanges over HTTP/1.1 ([RFC 9112]) and HTTP/2 ([RFC 9113]), WebSockets ([RFC 6455]) and gRPC.
//!
//! A session has one [`Connection`] here, with a pool of its own: no other session's requests go the same way. Its channels ride
//! `Carry` streams of their own, and each carries one exchange after the other.
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455
//! [RFC 9112]: https://www.rfc-editor.org/rfc/rfc9112
//! [RFC 9113]: https://www.rfc-editor.org/rfc/rfc9113

mod body;
mod channel;
mod connection;
mod cookie;
mod dial;
mod failure;
mod login;
mod oauth;
mod request;
mod response;
mod sigv4;
#[cfg(test)]
mod tests;
mod tls;
mod websocket;

use std::sync::Arc;

use hoop_core::Code;
use hoop_proto::tunnel::v1::{HttpReady, HttpTarget, Ready, SuppliedSecret, ready};
use tokio_util::sync::CancellationToken;

pub(crate) use channel::Down;
use connection::Connection;

use super::Target;
use crate::agent::Settings;
use crate::error::TargetFailure;

/// What the link keeps of a channel.
#[derive(Clone)]
pub(crate) struct Served {
    connection: Arc<Connection>,
    /// Cancelled when the channel has ended.
    gone: CancellationToken,
}

impl Served {
    /// Ends the channel, and with it the exchange that it carries.
    pub(crate) fn give_up(&self) {
        self.gone.cancel();
    }
}

/// Finds the secrets and makes a first connection, for a session.
pub(super) async fn connect(
    target: &HttpTarget,
    supplied: &[SuppliedSecret],
    settings: &Settings,
) -> Result<Target, TargetFailure> {
    // A socket's file has no port: its URL's is the one that counts, as for PostgreSQL.
    let host = if target.socket.is_empty() { &target.host } else { &target.socket };
    allowed(settings, host, target.port)?;
    let connection = Arc::new(Connection::open(target, supplied, settings).await?);
    // With the session's own channel all others end, and all connections.
    let end = connection.end();
    Ok(channel(connection, end))
}

/// Opens a channel beside those that a session has.
pub(super) fn open(served: &Served) -> Target {
    let connection = Arc::clone(&served.connection);
    let gone = connection.end().child_token();
    channel(connection, gone)
}

fn channel(connection: Arc<Connection>, gone: CancellationToken) -> Target {
    let (up, down) = channel::halves(Arc::clone(&connection), gone.clone());
    Target {
        ready: Ready { target: Some(ready::Target::Http(HttpReady {})) },
        up: super::Up::Messages(up),
        down: super::Down::Http(down),
        served: super::Served::Http(Served { connection, gone }),
    }
}

/// Whether the agent's owner lets it dial this address.
fn allowed(settings: &Settings, host: &str, port: u32) -> Result<(), TargetFailure> {
    if settings.allows_target(host, port) {
        return Ok(());
    }
    let reason = format!("the agent does not allow the target {host}:{port}");
    Err(TargetFailure::new(Code::AgentRefused, reason).hint("allow it in the agent's configuration: targets"))
}
