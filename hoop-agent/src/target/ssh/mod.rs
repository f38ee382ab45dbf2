//! SSH: connect, recognize the host, log in, and open channels ([RFC 4253], [RFC 4252], [RFC 4254]).
//!
//! A session has one [`Connection`] here. Its channels ride `Carry` streams of their own.
//!
//! [RFC 4252]: https://www.rfc-editor.org/rfc/rfc4252
//! [RFC 4253]: https://www.rfc-editor.org/rfc/rfc4253
//! [RFC 4254]: https://www.rfc-editor.org/rfc/rfc4254

mod channel;
mod connection;
mod host_key;
mod incoming;
mod login;
mod mint;
mod transport;

use std::sync::Arc;

use hoop_core::Code;
use hoop_proto::tunnel::v1::{Ready, SshChannel, SshChannelReady, SshReady, SshTarget, SuppliedSecret, ready};

pub(crate) use channel::Down;
pub(crate) use connection::Connection;

use super::{Served, Target};
use crate::agent::Settings;
use crate::error::TargetFailure;

/// Connects and logs in, for a session.
pub(super) async fn connect(
    session: &str,
    target: &SshTarget,
    supplied: &[SuppliedSecret],
    settings: &Settings,
) -> Result<Target, TargetFailure> {
    allowed(target, settings)?;
    let (connection, seen, up) = Connection::open(session, target.clone(), supplied, settings).await?;
    let ready = SshReady { server_id: seen.server_id, host_key: seen.host_key };
    Ok(Target {
        ready: Ready { target: Some(ready::Target::Ssh(ready)) },
        up: super::Up::Messages(up),
        down: super::Down::Ssh(Down::Connection(Arc::clone(&connection))),
        served: Served::Ssh(connection),
    })
}

/// Whether the agent goes there, and to every machine on the way.
fn allowed(target: &SshTarget, settings: &Settings) -> Result<(), TargetFailure> {
    for target in std::iter::successors(Some(target), |target| target.jump.as_deref()) {
        if !settings.allows_target(&target.host, target.port) {
            let reason = format!("the agent does not allow the target {}:{}", target.host, target.port);
            return Err(
                TargetFailure::new(Code::AgentRefused, reason).hint("allow it in the agent's configuration: targets")
            );
        }
    }
    Ok(())
}

/// Opens a channel on a connection.
pub(super) async fn open(
    connection: &Arc<Connection>,
    wanted: &SshChannel,
    supplied: &[SuppliedSecret],
    settings: &Settings,
) -> Result<Target, TargetFailure> {
    let (channel, busy) = connection.channel(wanted, supplied, settings).await?;
    let (up, down) = channel::halves(channel, busy, Arc::clone(connection));
    Ok(Target {
        ready: Ready { target: Some(ready::Target::SshChannel(SshChannelReady {})) },
        up: super::Up::Messages(up),
        down: super::Down::Ssh(down),
        served: Served::Nothing,
    })
}
