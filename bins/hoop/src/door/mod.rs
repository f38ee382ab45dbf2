//! How a gateway's native door is reached: dialled, or through the gateway's port 8010 where nothing else is reachable.

mod tls;
mod tunnel;

use std::time::Duration;

use clap::{Args, ValueEnum};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::api::Api;
use crate::credentials::Credential;
use crate::failure::Failure;
use crate::output::printable;
use crate::shell::Shell;
use tls::Tls;
use tunnel::Tunnel;

/// How long a door may take to be there before the tunnel is taken.
const NEAR: Duration = Duration::from_secs(2);
/// What may wait between a client in this process and its connection.
const BETWEEN: usize = 64 * 1024;

/// What is said of the way.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Route {
    /// The way to the gateway.
    #[arg(long, env = "HOOP_VIA", value_name = "WAY", default_value = "auto")]
    pub(crate) via: Via,
}

/// The way to a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// The native port where it answers within two seconds, and else the tunnel.
    Auto,
    /// The native port.
    Native,
    /// The port that agents use, 8010 as a rule.
    Tunnel,
}

/// A connection, whichever way it goes.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
/// One of them.
pub(crate) type Wire = Box<dyn Io>;

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// The door that a credential is for.
#[derive(Clone)]
pub(crate) enum Door {
    /// It is dialled.
    Native { host: String, port: u16, protocol: &'static str, tls: Option<Tls> },
    /// It is reached through port 8010.
    Tunnel(Box<Tunnel>),
}

impl Door {
    /// The door of a credential that this API gave.
    pub(crate) async fn of(
        credential: &Credential,
        api: &Api,
        Route { via }: Route,
        shell: &Shell,
    ) -> Result<Self, Failure> {
        let Credential { host, port, .. } = credential.clone();
        // Clients of other kinds encrypt themselves.
        let encrypts = credential.is_http() && credential.is_encrypted();
        let tls = encrypts.then(|| Tls::of(credential, api.trust())).transpose()?;
        let native = Self::Native { host, port, protocol: credential.protocol(), tls };
        let tunnel = || match &credential.tunnel {
            Some(tunnel) => Ok(Self::Tunnel(Box::new(Tunnel::new(tunnel, credential.protocol(), api)?))),
            None => Err(Failure::new(1, "this gateway has no tunnel for clients").hint("--via native")),
        };
        match via {
            Via::Native => credential.check_transport(api.allows_http()).map(|()| native),
            Via::Tunnel => tunnel(),
            Via::Auto if credential.tunnel.is_none() => credential.check_transport(api.allows_http()).map(|()| native),
            Via::Auto if credential.check_transport(api.allows_http()).is_err() => tunnel(),
            Via::Auto => match timeout(NEAR, native.dial()).await {
                Ok(Ok(_)) => Ok(native),
                Ok(Err(_)) | Err(_) => {
                    let Credential { host, port, .. } = credential;
                    if shell.verbose {
                        let host = printable(host);
                        eprintln!("{host}:{port} does not answer: connections go through the tunnel");
                    }
                    tunnel()
                }
            },
        }
    }

    /// Whether clients of this machine need a port of it to get there.
    pub(crate) const fn is_tunnel(&self) -> bool {
        matches!(self, Self::Tunnel(_))
    }

    /// A connection to it.
    pub(crate) async fn dial(&self) -> Result<Wire, Failure> {
        self.dial_for_protocol(b"http/1.1").await
    }

    /// A connection to it; where this program encrypts it, the next protocol is this one (ALPN).
    pub(crate) async fn dial_for_protocol(&self, alpn: &[u8]) -> Result<Wire, Failure> {
        let (host, port, protocol, tls) = match self {
            Self::Tunnel(tunnel) => return tunnel.dial().await,
            Self::Native { host, port, protocol, tls } => (host, port, protocol, tls),
        };
        let silent = |error: std::io::Error| {
            let host = printable(host);
            let text = format!("the gateway's door for {protocol} at {host}:{port} does not answer: {error}");
            Failure::new(Failure::UNAVAILABLE, text)
        };
        match tls {
            None => Ok(Box::new(tcp(host, *port).await.map_err(silent)?)),
            Some(tls) => Ok(Box::new(tls.dial(host, *port, alpn).await.map_err(silent)?)),
        }
    }

    /// A connection that a client in this process may drop with its last words: `tasks` has whoever sees them off.
    ///
    /// The system does so for a socket. A stream of the tunnel that is dropped is broken off.
    pub(crate) async fn dial_for(&self, tasks: &TaskTracker) -> Result<Wire, Failure> {
        let mut far = self.dial().await?;
        if !self.is_tunnel() {
            return Ok(far);
        }
        let (near, mut between) = tokio::io::duplex(BETWEEN);
        tasks.spawn(async move {
            // An end that breaks off is the other end's to notice.
            let _ = tokio::io::copy_bidirectional(&mut between, &mut far).await;
        });
        Ok(Box::new(near))
    }
}

async fn tcp(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}
