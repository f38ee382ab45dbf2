//! PostgreSQL: connect over TCP or a Unix-domain socket, with or without TLS as `sslmode` says, log in, cancel.

mod cancel;
mod login;
mod scram;
mod socket;
mod tls;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hoop_core::Code;
use hoop_proto::postgres::{backend, frontend};
use hoop_proto::tunnel::v1::{PostgresReady, PostgresTarget, Ready, SuppliedSecret, ready};
use tracing::{Instrument as _, info_span};

pub(super) use cancel::Cancel;
pub(crate) use scram::ScramKeys;

use super::{BytesDown, Down, Served, Target, Up};
use crate::agent::Settings;
use crate::error::TargetFailure;
use crate::link::TargetReader;
use crate::trace::TARGET;
use login::Login;
use socket::{Socket, SslMode};
use tls::Tls;

/// Where a server is, and how to reach it. Serves the session and its cancel requests alike.
pub(super) struct Address {
    host: String,
    port: u16,
    sslmode: SslMode,
    tls: Option<Tls>,
}

pub(super) async fn connect(
    target: &PostgresTarget,
    supplied: &[SuppliedSecret],
    settings: &Settings,
) -> Result<Target, TargetFailure> {
    if !settings.allows_target(&target.host, target.port) {
        let reason = format!("the agent does not allow the target {}:{}", target.host, target.port);
        return Err(
            TargetFailure::new(Code::AgentRefused, reason).hint("allow it in the agent's configuration: targets")
        );
    }
    let secrets = async {
        // Each may be a request to a vault.
        let password = settings.secrets.find("password", &target.password, supplied);
        let (password, address) = tokio::try_join!(password, address(target, supplied, settings))?;
        Ok::<_, TargetFailure>((password, Arc::new(address)))
    };
    let (password, address) = Box::pin(secrets.instrument(info_span!(target: TARGET, "secrets"))).await?;
    let socket = dial(&address).await?;
    let login = Login::new(target, password.as_ref(), &settings.scram_keys);
    match log_in(socket, &login, &address).await {
        // libpq's `allow`: without TLS first, and with it when the server insists.
        Err(failure) if address.sslmode == SslMode::Allow && refuses_plain(&failure) => {
            let encrypted = Arc::new(Address { sslmode: SslMode::Require, ..address.again() });
            let socket = dial(&encrypted).await?;
            log_in(socket, &login, &encrypted).await
        }
        other => other,
    }
}

async fn dial(address: &Address) -> Result<Socket, TargetFailure> {
    address.connect().instrument(info_span!(target: TARGET, "connect")).await
}

/// Whether the server refused because the connection is not encrypted (28000, no matching line in `pg_hba.conf`).
fn refuses_plain(failure: &TargetFailure) -> bool {
    failure.code == Code::TargetLoginFailed && failure.reason.contains("28000")
}

async fn address(
    target: &PostgresTarget,
    supplied: &[SuppliedSecret],
    settings: &Settings,
) -> Result<Address, TargetFailure> {
    let port = u16::try_from(target.port)
        .map_err(|_| TargetFailure::new(Code::TargetUnavailable, format!("{} is no port", target.port)))?;
    let sslmode = target.sslmode.parse()?;
    let tls = if sslmode == SslMode::Disable || target.host.starts_with('/') {
        None
    } else {
        Some(Tls::new(target, sslmode, supplied, &settings.secrets).await?)
    };
    Ok(Address { host: target.host.clone(), port, sslmode, tls })
}

impl Address {
    fn again(&self) -> Self {
        Self { host: self.host.clone(), port: self.port, sslmode: self.sslmode, tls: self.tls.clone() }
    }
}

async fn log_in(mut socket: Socket, login: &Login<'_>, address: &Arc<Address>) -> Result<Target, TargetFailure> {
    let login = login.run(&mut socket).instrument(info_span!(target: TARGET, "login")).await?;
    let cancel = Cancel { address: Arc::clone(address), process: login.process, key: login.key };
    let ready = PostgresReady { greeting: login.greeting, protocol: login.protocol, process: login.process };
    let (read, write) = tokio::io::split(socket.io);
    Ok(Target {
        ready: Ready { target: Some(ready::Target::Postgres(ready)) },
        up: Up::Bytes {
            buffered: login.buffered,
            read: TargetReader::gathering(Box::new(read), backend::ends_with_ready_for_query),
        },
        down: Down::Bytes(BytesDown { write: Box::new(write), goodbye: terminate() }),
        served: Served::Postgres(Arc::new(cancel)),
    })
}

fn terminate() -> Bytes {
    let mut out = BytesMut::new();
    frontend::write_bare(frontend::TERMINATE, &mut out);
    out.freeze()
}
