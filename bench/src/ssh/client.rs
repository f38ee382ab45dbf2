//! One client for all ways, in this process, so that what differs is the way.

use std::future::Future;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use russh::client::{self, Handle, Msg};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate, check_known_hosts_path, load_secret_key};
use russh::{Channel, ChannelMsg};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;

use super::stand::{JUMP, JUMP_HOST, Peer, Stand};

/// Where clients run: on the thread that measures.
pub(super) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A program at a terminal of the server. Dropped, it ends with its connection.
pub(super) struct Terminal {
    channel: Channel<Msg>,
    _handle: Handle<Client>,
    _jump: Option<Child>,
}

impl Terminal {
    /// Logs in, and starts a command, or a shell where none is named.
    pub(super) async fn open(stand: &Stand, peer: &Peer, command: Option<&str>) -> Result<Self, russh::Error> {
        let (mut handle, jump) = connect(stand, peer).await?;
        let key = load_secret_key(stand.key(), None)?;
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
        if !handle.authenticate_publickey(&peer.user, key).await?.success() {
            return Err(russh::Error::NotAuthenticated);
        }
        let channel = handle.channel_open_session().await?;
        channel.request_pty(false, "xterm", 80, 24, 0, 0, &[]).await?;
        match command {
            Some(command) => channel.exec(false, command).await?,
            None => channel.request_shell(false).await?,
        }
        Ok(Self { channel, _handle: handle, _jump: jump })
    }

    /// Waits for the program to write something, and gives what it was.
    pub(super) async fn read(&mut self) -> Result<Vec<u8>, russh::Error> {
        loop {
            match self.channel.wait().await {
                Some(ChannelMsg::Data { data }) => return Ok(data.to_vec()),
                Some(ChannelMsg::Close | ChannelMsg::Eof) | None => return Err(russh::Error::Disconnect),
                Some(_) => {}
            }
        }
    }

    /// Types a key.
    pub(super) async fn write(&self, key: u8) -> Result<(), russh::Error> {
        self.channel.data_bytes(vec![key]).await
    }
}

async fn connect(stand: &Stand, peer: &Peer) -> Result<(Handle<Client>, Option<Child>), russh::Error> {
    let client = Client { port: peer.port, known_hosts: stand.known_hosts() };
    let config = Arc::new(client::Config::default());
    if peer.name != JUMP {
        let tcp = TcpStream::connect(("127.0.0.1", peer.port)).await?;
        tcp.set_nodelay(true)?;
        return Ok((boxed(client::connect_stream(config, tcp, client)).await?, None));
    }
    // What `ssh -J` starts, too.
    let mut command = Command::from(stand.ssh(JUMP_HOST));
    command.arg("-W").arg(format!("127.0.0.1:{}", peer.port)).kill_on_drop(true);
    let mut jump = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let ends = jump.stdout.take().zip(jump.stdin.take());
    let (stdout, stdin) = ends.expect("both are pipes");
    let connected = boxed(client::connect_stream(config, tokio::io::join(stdout, stdin), client)).await?;
    Ok((connected, Some(jump)))
}

/// The library's futures are large.
fn boxed<F: Future>(future: F) -> std::pin::Pin<Box<F>> {
    Box::pin(future)
}

/// Recognizes a server.
struct Client {
    port: u16,
    known_hosts: PathBuf,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(check_known_hosts_path("127.0.0.1", self.port, &shown.public_key(), &self.known_hosts)?)
    }
}
