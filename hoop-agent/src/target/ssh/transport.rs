//! One connection to a server: TCP, the key exchange, the login.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hoop_core::Code;
use hoop_proto::tunnel::v1::{
    SshAuthAgent, SshForwardedStreamlocal, SshForwardedTcpip, SshTarget, SshX11, SuppliedSecret, ssh_incoming,
};
use parking_lot::Mutex;
use russh::client::{self, ChannelOpenHandle, Handle, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, Disconnect, Preferred, SshId, cipher, compression};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::host_key::{self, Trust};
use super::incoming::Incoming;
use super::login;
use crate::agent::Settings;
use crate::error::TargetFailure;

/// The server is asked for a sign of life after this much silence …
const KEEPALIVE: Duration = Duration::from_secs(20);
/// … and is lost when it has not answered so many times.
const KEEPALIVES: usize = 3;
/// What a server may send on a channel before it is read.
const WINDOW_BYTES: u32 = 2 << 20;
/// Pieces of a channel that wait for the tunnel. Then the whole transport waits: the library has no other way.
const PIECES: usize = 16;

/// What a server has shown of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Its identification string.
    pub(super) server_id: String,
    /// Its host key, as files have it.
    pub(super) host_key: String,
}

/// A connection that is logged in to.
pub(super) struct Transport {
    pub(super) handle: Handle<Client>,
    /// Channels that are open, or about to be.
    channels: AtomicUsize,
    /// Cancelled when it has ended.
    pub(super) gone: CancellationToken,
    /// What it runs through.
    jump: Option<Box<Transport>>,
}

/// A channel's place on its transport.
pub(super) struct Busy(Arc<Transport>);

impl Busy {
    /// The transport.
    pub(super) fn transport(&self) -> &Transport {
        &self.0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.channels.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Transport {
    /// Connects and logs in.
    pub(super) async fn open(
        target: &SshTarget,
        supplied: &[SuppliedSecret],
        settings: &Settings,
        incoming: &Arc<Incoming>,
        session: &str,
    ) -> Result<(Self, Seen), TargetFailure> {
        let jump = match target.jump.as_deref() {
            Some(jump) => Some(Box::pin(Self::jump(jump, supplied, settings, session)).await?),
            None => None,
        };
        let secrets = login::Secrets::find(target, supplied, settings, session).await?;
        let trust = Trust::of(target).await?;
        let io = match &jump {
            Some(jump) => Io::Jump(jump.onward(target).await?),
            None => Io::Tcp(dial(target).await?),
        };
        let gone = CancellationToken::new();
        let shown = Arc::new(Mutex::new(Shown::default()));
        let client = Client {
            trust: trust.clone(),
            shown: Arc::clone(&shown),
            incoming: Arc::clone(incoming),
            _gone: gone.clone().drop_guard(),
        };
        let config = Arc::new(config(&trust));
        let connected = match io {
            Io::Tcp(tcp) => client::connect_stream(config, tcp, client).await,
            Io::Jump(channel) => client::connect_stream(config, channel.into_stream(), client).await,
        };
        let mut handle = connected.map_err(|error| match shown.lock().refused.take() {
            Some(refused) => trust.refused(target.port, &refused),
            None => ended(target, &error),
        })?;
        login::log_in(&mut handle, target, secrets).await?;
        let seen = std::mem::take(&mut shown.lock().seen);
        Ok((Self { handle, channels: AtomicUsize::new(0), gone, jump: jump.map(Box::new) }, seen))
    }

    /// Logs in to a machine on the way. What it opens by itself is refused.
    async fn jump(
        jump: &SshTarget,
        supplied: &[SuppliedSecret],
        settings: &Settings,
        session: &str,
    ) -> Result<Self, TargetFailure> {
        let supplied: Vec<_> = supplied.iter().filter_map(for_jump).collect();
        let incoming = Arc::new(Incoming::new(mpsc::channel(1).0));
        let opened = Self::open(jump, &supplied, settings, &incoming, session).await;
        opened.map(|(transport, _)| transport).map_err(|failure| on_the_way(jump, failure))
    }

    /// A connection to the next machine.
    async fn onward(&self, to: &SshTarget) -> Result<Channel<Msg>, TargetFailure> {
        let opened = self.handle.channel_open_direct_tcpip(to.host.clone(), to.port, "127.0.0.1", 0).await;
        opened.map_err(|error| {
            let why = match &error {
                russh::Error::ChannelOpenFailure(failure) => failure.description().to_owned(),
                other => other.to_string(),
            };
            let reason = format!("{}:{} cannot be reached through its jump host: {why}", to.host, to.port);
            TargetFailure::new(Code::TargetUnavailable, reason)
                .hint("check that the SSH server runs, and that the jump host reaches it and forwards connections")
        })
    }

    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.channels.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    pub(super) fn channels(&self) -> usize {
        self.channels.load(Ordering::Relaxed)
    }

    /// Ends it in the protocol's own way.
    pub(super) async fn end(&self) {
        let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
        if let Some(jump) = &self.jump {
            Box::pin(jump.end()).await;
        }
    }
}

/// What a transport runs on.
enum Io {
    Tcp(TcpStream),
    Jump(Channel<Msg>),
}

/// What the gateway supplies for the jump host, as that one's own.
fn for_jump(secret: &SuppliedSecret) -> Option<SuppliedSecret> {
    let field = secret.field.strip_prefix("jump.")?.to_owned();
    Some(SuppliedSecret { field, value: secret.value.clone() })
}

/// A failure of a machine on the way is not the target's: a host key that it shows is not to be approved as the target's.
fn on_the_way(jump: &SshTarget, failure: TargetFailure) -> TargetFailure {
    let reason = format!("the jump host {}:{}: {}", jump.host, jump.port, failure.reason);
    let hint = match failure.code {
        Code::TargetHostKey => Some("an administrator approves it as the key of the role of that host".to_owned()),
        _ => failure.hint,
    };
    TargetFailure { hint, ..TargetFailure::new(failure.code, reason) }
}

async fn dial(target: &SshTarget) -> Result<TcpStream, TargetFailure> {
    let unreachable = |error: &std::io::Error| {
        let reason = format!("{}:{} cannot be reached: {error}", target.host, target.port);
        TargetFailure::new(Code::TargetUnavailable, reason)
            .hint("check that the SSH server runs, and that the agent's machine reaches it")
    };
    let port = u16::try_from(target.port)
        .map_err(|_| TargetFailure::new(Code::TargetUnavailable, format!("{} is no port", target.port)))?;
    let tcp = TcpStream::connect((target.host.as_str(), port)).await.map_err(|error| unreachable(&error))?;
    tcp.set_nodelay(true).map_err(|error| unreachable(&error))?;
    Ok(tcp)
}

fn config(trust: &Trust) -> client::Config {
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-Hoop_", env!("CARGO_PKG_VERSION")))),
        window_size: WINDOW_BYTES,
        channel_buffer_size: PIECES,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES,
        nodelay: true,
        preferred: Preferred {
            key: trust.algorithms(),
            host_key_certificates: trust.certificate_algorithms(),
            // The fastest first: it is the client that chooses.
            cipher: Cow::Borrowed(&[
                cipher::AES_256_GCM,
                cipher::CHACHA20_POLY1305,
                cipher::AES_256_CTR,
                cipher::AES_128_CTR,
            ]),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        ..client::Config::default()
    }
}

/// A server that ended the connection before the login.
pub(super) fn ended(target: &SshTarget, error: &russh::Error) -> TargetFailure {
    let reason = format!("the SSH server at {}:{} ended the connection: {error}", target.host, target.port);
    TargetFailure::new(Code::TargetUnavailable, reason)
        .hint("look into the server's log; ssh -v from the agent's machine shows more")
}

/// What happened during the key exchange.
#[derive(Default)]
struct Shown {
    seen: Seen,
    refused: Option<PublicKeyOrCertificate>,
}

/// Our end of a transport, as the server sees it.
pub(super) struct Client {
    trust: Trust,
    shown: Arc<Mutex<Shown>>,
    incoming: Arc<Incoming>,
    _gone: DropGuard,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let accepted = self.trust.accepts(shown);
        let mut seen = self.shown.lock();
        match shown {
            PublicKeyOrCertificate::PublicKey { key, hash_alg } => {
                seen.seen.host_key = host_key::line(key);
                if !accepted {
                    seen.refused = Some(PublicKeyOrCertificate::PublicKey { key: key.clone(), hash_alg: *hash_alg });
                }
            }
            PublicKeyOrCertificate::Certificate(certificate) => {
                seen.seen.host_key = certificate.to_openssh().unwrap_or_default();
                if !accepted {
                    seen.refused = Some(PublicKeyOrCertificate::Certificate(certificate.clone()));
                }
            }
        }
        Ok(accepted)
    }

    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        _names: &russh::Names,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let id =
            String::from_utf8_lossy(session.remote_sshid()).chars().filter(|c| !c.is_control()).take(255).collect();
        self.shown.lock().seen.server_id = id;
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        connected_address: &str,
        connected_port: u32,
        originator_address: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let forwarded = SshForwardedTcpip {
            host: connected_address.to_owned(),
            port: connected_port,
            originator_host: originator_address.to_owned(),
            originator_port,
        };
        self.incoming.arrive(ssh_incoming::Kind::ForwardedTcpip(forwarded), channel, reply);
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.incoming.arrive(ssh_incoming::Kind::AuthAgent(SshAuthAgent {}), channel, reply);
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        socket_path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let forwarded = SshForwardedStreamlocal { path: socket_path.to_owned() };
        self.incoming.arrive(ssh_incoming::Kind::ForwardedStreamlocal(forwarded), channel, reply);
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        channel: Channel<Msg>,
        originator_address: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let from = SshX11 { originator_host: originator_address.to_owned(), originator_port };
        self.incoming.arrive(ssh_incoming::Kind::X11(from), channel, reply);
        Ok(())
    }

    // What nobody asked for is refused: a reply that is dropped says so.

    async fn server_channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host_to_connect: &str,
        _port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _socket_path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }
}
