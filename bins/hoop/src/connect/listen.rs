//! `hoop connect --listen`: a port of this machine that leads to the gateway.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::credentials::Credential;
use crate::door::Door;
use crate::failure::Failure;
use crate::output::{self, Format, printable};
use crate::shell::Shell;
use crate::stop::Stop;

/// Connections at once; one more waits.
const CONNECTIONS: usize = 256;

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listen(SocketAddr);

impl Listen {
    /// Any free port, for this machine.
    pub(super) const ANY: Self = Self(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));

    pub(super) async fn bind(self) -> Result<TcpListener, Failure> {
        let Self(address) = self;
        let bound = TcpListener::bind(address).await;
        bound.map_err(|error| Failure::new(1, format!("{address} cannot be listened at: {error}")))
    }
}

impl FromStr for Listen {
    type Err = String;

    /// A port alone is one of this machine, for this machine.
    fn from_str(text: &str) -> Result<Self, String> {
        let port = text.strip_prefix(':').unwrap_or(text).parse();
        let address = port.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)).ok();
        let address = address.or_else(|| text.parse().ok());
        address.map(Self).ok_or_else(|| "a port such as 5433, or an address with it: 127.0.0.1:5433".to_owned())
    }
}

/// Forwards until it is asked to stop. What is sent goes through as it is, TLS too: the client logs in at the gateway.
pub(super) async fn run(
    listen: Listen,
    credential: &Credential,
    door: Door,
    stop: &mut Stop,
    shell: &Shell,
) -> Result<(), Failure> {
    let forward = Forward::bind(listen, door).await?;
    tell(forward.address()?, credential, shell)?;
    tokio::select! {
        never = forward.accept() => match never? {},
        // Ctrl-C is how it is meant to end.
        _ = stop.next() => {}
    }
    forward.finish(Duration::ZERO).await;
    Ok(())
}

/// The credential at a port of this machine.
pub(super) fn through(local: SocketAddr, credential: &Credential) -> Credential {
    let mut through = Credential { port: local.port(), ..credential.clone() };
    through.move_to(local.ip().to_string());
    through
}

fn tell(local: SocketAddr, credential: &Credential, shell: &Shell) -> Result<(), Failure> {
    let through = through(local, credential);
    match shell.format {
        Format::Table | Format::Csv => output::line(&through.url())?,
        format => {
            let data = json!({ "listen": local.to_string(), "url": through.url(), "credential": credential.id });
            output::show(if format == Format::Json { Format::Ndjson } else { format }, &data, &[])?;
        }
    }
    let role = printable(&credential.role);
    shell.tell(format!("{local} leads to role {role} until Ctrl-C, which also ends the credential"));
    Ok(())
}

/// A port of this machine that leads to a door.
pub(super) struct Forward {
    listener: TcpListener,
    door: Door,
    tasks: TaskTracker,
    ended: CancellationToken,
}

impl Forward {
    pub(super) async fn bind(listen: Listen, door: Door) -> Result<Self, Failure> {
        let listener = listen.bind().await?;
        Ok(Self { listener, door, tasks: TaskTracker::new(), ended: CancellationToken::new() })
    }

    pub(super) fn address(&self) -> Result<SocketAddr, Failure> {
        Ok(self.listener.local_addr()?)
    }

    /// Takes connections until it is dropped.
    pub(super) async fn accept(&self) -> Result<Infallible, Failure> {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let place = Arc::clone(&places).acquire_owned().await?;
            let (client, _) = self.listener.accept().await?;
            let (door, ended) = (self.door.clone(), self.ended.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    () = carry(client, &door) => {}
                    () = ended.cancelled() => {}
                }
                drop(place);
            });
        }
    }

    /// Ends every connection; those that are about to end by themselves have so long for it.
    pub(super) async fn finish(self, grace: Duration) {
        self.tasks.close();
        let _ = timeout(grace, self.tasks.wait()).await;
        self.ended.cancel();
        self.tasks.wait().await;
    }
}

async fn carry(mut client: TcpStream, door: &Door) {
    match door.dial().await {
        Ok(mut door) => {
            let _ = client.set_nodelay(true);
            // An end that breaks off is the other end's to notice.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut door).await;
        }
        Err(failure) => eprintln!("hoop: {failure}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_for_this_machine_alone() {
        for (text, expected) in
            [("5433", "127.0.0.1:5433"), (":0", "127.0.0.1:0"), ("0.0.0.0:1", "0.0.0.0:1"), ("[::1]:2", "[::1]:2")]
        {
            assert_eq!(text.parse::<Listen>().expect(text).0.to_string(), expected);
        }
        for wrong in ["", "x", "65536", "localhost", "127.0.0.1"] {
            assert!(wrong.parse::<Listen>().is_err(), "{wrong}");
        }
    }
}
