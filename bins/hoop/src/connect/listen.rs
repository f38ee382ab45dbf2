//! `hoop connect --listen`: a port of this machine that leads to the gateway.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::credentials::Credential;
use crate::failure::Failure;
use crate::output::{self, Format, printable};
use crate::shell::Shell;
use crate::stop::Stop;

/// Connections at once; one more waits.
const CONNECTIONS: usize = 256;

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listen(SocketAddr);

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
    Listen(address): Listen,
    credential: &Credential,
    stop: &mut Stop,
    shell: &Shell,
) -> Result<(), Failure> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| Failure::new(1, format!("{address} cannot be listened at: {error}")))?;
    let local = listener.local_addr()?;
    tell(local, credential, shell)?;
    let (tasks, ended) = (TaskTracker::new(), CancellationToken::new());
    let gateway: Arc<(String, u16)> = Arc::new((credential.host.clone(), credential.port));
    tokio::select! {
        never = accept(listener, &gateway, &tasks, &ended) => never?,
        // Ctrl-C is how it is meant to end.
        _ = stop.next() => {}
    }
    ended.cancel();
    tasks.close();
    tasks.wait().await;
    Ok(())
}

fn tell(local: SocketAddr, credential: &Credential, shell: &Shell) -> Result<(), Failure> {
    let through = Credential { host: local.ip().to_string(), port: local.port(), ..credential.clone() };
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

async fn accept(
    listener: TcpListener,
    gateway: &Arc<(String, u16)>,
    tasks: &TaskTracker,
    ended: &CancellationToken,
) -> Result<(), Failure> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await?;
        let (client, _) = listener.accept().await?;
        let (gateway, ended) = (Arc::clone(gateway), ended.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = forward(client, &gateway) => {}
                () = ended.cancelled() => {}
            }
            drop(place);
        });
    }
}

async fn forward(mut client: TcpStream, gateway: &(String, u16)) {
    let (host, port) = gateway;
    match TcpStream::connect((host.as_str(), *port)).await {
        Ok(mut door) => {
            let _ = client.set_nodelay(true).and_then(|()| door.set_nodelay(true));
            // An end that breaks off is the other end's to notice.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut door).await;
        }
        Err(error) => eprintln!("hoop: the gateway at {}:{port} does not answer: {error}", printable(host)),
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
