//! A channel of a program: a shell, a command or a subsystem, with or without a terminal.

mod client;
mod down;
mod up;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hoop_core::{ChannelClosed, ChannelEnd, ChannelId, Code, Denial, Fault, Interest, OutputStream, Response};
use hoop_proto::tunnel::v1::{SshSession, ssh_channel};
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf};
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;

use super::files::{Files, Moved};
use super::session::{Opened, Shared};
use super::words;
use crate::tunnel::{ChannelReceiver, ChannelSender, Received};
use client::ToClient;

/// How long a client may take to take the last words of a channel.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a client may take to close a channel whose session has ended.
const FAREWELL: Duration = Duration::from_secs(1);
/// Serves a channel from its opening to its end.
pub(super) async fn serve(shared: Arc<Shared>, id: ChannelId, channel: Channel<Msg>, reply: Opened) {
    let opened = shared.open(ssh_channel::Kind::Session(SshSession {})).await;
    let tunnel = match opened {
        Ok(tunnel) => tunnel,
        Err(denial) if matches!(reply, Opened::Begun(_)) => {
            return refuse(&shared.client, channel, &denial, false).await;
        }
        Err(denial) => return reply.reject(words::open_failure(&denial)).await,
    };
    let begun = reply.accept().await;
    let (mut read, write) = channel.split();
    let (mut receiver, sender) = tunnel.split();
    let client = ToClient::new(write, shared.client.clone(), false);
    let program = Program {
        shared: &shared,
        id,
        client,
        sender: Mutex::new(Some(sender)),
        started: OnceLock::new(),
        files: OnceLock::new(),
        waits: Notify::new(),
        bytes_in: AtomicU64::new(0),
        bytes_out: AtomicU64::new(0),
    };
    let ended = tokio::select! {
        ended = program.up(begun, &mut read) => ended,
        ended = program.down(&mut receiver) => ended,
        () = shared.ending.cancelled() => Err(Ended::Session),
    };
    let (is_open, is_over) = (ended.is_err(), matches!(ended, Err(Ended::Session)));
    Box::pin(program.end(ended)).await;
    if is_over {
        // OpenSSH forgets what it has not shown yet when the end of the connection comes with it.
        let _ = timeout(FAREWELL, closed_by_client(&mut read)).await;
    }
    if is_open {
        // What the client has sent still goes to the target: the stream is not given up before it has ended there.
        drop(program.sender.lock().await.take());
        let _ = timeout(LAST_WORDS, ended_by_target(&mut receiver)).await;
    }
}

async fn closed_by_client(read: &mut ChannelReadHalf) {
    while !matches!(read.wait().await, None | Some(ChannelMsg::Close)) {}
}

async fn ended_by_target(receiver: &mut ChannelReceiver) {
    while let Ok(Received::Data(_) | Received::Ssh(_)) = receiver.receive().await {}
}

/// Tells a client why there is no session, on a channel of its own.
pub(super) async fn refuse(client: &Handle, channel: Channel<Msg>, why: &Denial, terminal: bool) {
    let (_, write) = channel.split();
    let client = ToClient::new(write, client.clone(), terminal);
    let _ = timeout(LAST_WORDS, client.refused(why)).await;
}

/// Why a channel ends before the target has closed it.
enum Ended {
    /// The client closed it.
    Client,
    /// It is refused, and nothing else is.
    Refused(Denial),
    /// The session ends.
    Session,
}

struct Program<'a> {
    shared: &'a Shared,
    id: ChannelId,
    client: ToClient,
    sender: Mutex<Option<ChannelSender>>,
    /// What runs.
    started: OnceLock<Started>,
    /// Where it moves files.
    files: OnceLock<Files>,
    /// Told when it waits for somebody.
    waits: Notify,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// A program that was started, or refused.
struct Started {
    /// Whether what it writes is a protocol between two programs.
    exact: bool,
}

impl Program<'_> {
    /// Passes on what was decoded.
    async fn moved(&self, moved: Result<Moved, Denial>) -> Result<(), Ended> {
        let Moved { to_target, to_client, .. } = moved.map_err(|denial| match denial.code.fault() {
            Fault::Gateway => self.fail(denial),
            Fault::Client | Fault::Policy | Fault::Target => Ended::Refused(denial),
        })?;
        for piece in to_target {
            self.data(piece).await?;
        }
        for piece in to_client {
            self.client.write(OutputStream::Stdout, piece).await?;
        }
        Ok(())
    }

    fn fail(&self, denial: Denial) -> Ended {
        self.shared.fail(denial);
        Ended::Session
    }
}

/// The end.
impl Program<'_> {
    async fn end(&self, ended: Result<ChannelEnd, Ended>) {
        let end = match &ended {
            Ok(end) => end.clone(),
            Err(Ended::Refused(denial)) => ChannelEnd::Refused(denial.clone()),
            Err(Ended::Client | Ended::Session) => ChannelEnd::Closed,
        };
        let recorded = self.closed(end).await;
        let told = async {
            match (recorded, ended) {
                // In a strict session the end is shown when it is on disk.
                (Err(denial), _) => self.client.refused(&denial).await,
                (Ok(()), Ok(end)) => self.client.ended(end).await,
                (Ok(()), Err(Ended::Refused(denial))) => self.client.not_run(&denial).await,
                (Ok(()), Err(Ended::Client)) => self.client.close().await,
                (Ok(()), Err(Ended::Session)) => match self.shared.why() {
                    Some(why) => self.client.refused(why).await,
                    None => self.client.close().await,
                },
            }
        };
        let _ = timeout(LAST_WORDS, told).await;
    }

    async fn closed(&self, end: ChannelEnd) -> Result<(), Denial> {
        if let Some(files) = self.files.get() {
            files.close(&self.shared.chain).await.inspect_err(|denial| self.shared.fail(denial.clone()))?;
        }
        if !self.shared.chain.wants(Interest::COMMANDS) {
            return Ok(());
        }
        let (bytes_in, bytes_out) = (self.bytes_in.load(Ordering::Relaxed), self.bytes_out.load(Ordering::Relaxed));
        let closed = ChannelClosed { channel: self.id, end, bytes_in, bytes_out };
        let recorded = self.shared.chain.response(Response::ChannelClosed(closed)).await;
        recorded.map(drop).inspect_err(|denial| self.shared.fail(denial.clone()))
    }
}

/// A plugin made something else of a request or a response.
fn changed() -> Denial {
    Denial::new("gateway", Code::PluginFailed, "a plugin changed a message into one of another kind")
}
