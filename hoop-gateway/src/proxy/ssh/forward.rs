//! Forwarded connections. Their bytes are not looked at; where they go, and how many there are, is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hoop_core::{
    ChannelClosed, ChannelEnd, ChannelId, Code, Denial, Fault, Forward, ForwardKind, Interest, Request, Response,
};
use hoop_proto::tunnel::v1::{SshEof, SshIncoming, ssh_channel, ssh_incoming, ssh_message};
use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};

use super::session::{Opened, Shared};
use super::words::{self, no_zeros};
use crate::tunnel::{self, ChannelReceiver, ChannelSender, Received};

/// How long the target may take to end a connection whose client has.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// A connection of the client, to an address or a socket as seen from the target.
pub(super) async fn direct(
    shared: Arc<Shared>,
    id: ChannelId,
    kind: ssh_channel::Kind,
    channel: Channel<Msg>,
    reply: Opened,
) {
    let opened = open_direct(&shared, id, kind).await;
    match opened {
        Ok(tunnel) => {
            reply.accept().await;
            carry(&shared, id, channel, tunnel).await;
        }
        Err(denial) => {
            let failure = words::open_failure(&denial);
            closed(&shared, id, ChannelEnd::Refused(denial), 0, 0).await;
            reply.reject(failure).await;
        }
    }
}

async fn open_direct(shared: &Shared, id: ChannelId, kind: ssh_channel::Kind) -> Result<tunnel::Channel, Denial> {
    let (allowed, forward) = match &kind {
        ssh_channel::Kind::DirectTcpip(to) => (
            shared.allow.allows_direct_tcpip(&to.host, to.port),
            Forward {
                channel: id,
                kind: ForwardKind::DirectTcpip,
                host: bytes(&to.host),
                port: to.port,
                originator: bytes(&format!("{}:{}", to.originator_host, to.originator_port)),
            },
        ),
        ssh_channel::Kind::DirectStreamlocal(to) => (
            shared.allow.allows_direct_streamlocal(&to.path),
            Forward {
                channel: id,
                kind: ForwardKind::DirectStreamlocal,
                host: bytes(&to.path),
                port: 0,
                originator: Bytes::new(),
            },
        ),
        _ => return Err(Denial::new("gateway", Code::Unsupported, "there are no such channels")),
    };
    let (kind_of, to) = (forward.kind, name(&forward));
    let texts = no_zeros("an address", &forward.host).and(no_zeros("an address", &forward.originator));
    // What the role does not allow is recorded as well.
    ask(shared, forward).await?;
    texts?;
    if !allowed {
        return Err(not_allowed(kind_of, &to));
    }
    shared.open(kind).await
}

/// A connection that the target has accepted for the client, or one to the client's agent.
pub(super) async fn incoming(shared: Arc<Shared>, id: ChannelId, incoming: SshIncoming, full: bool) {
    let number = incoming.number;
    match open_incoming(&shared, id, incoming, full).await {
        Ok((channel, tunnel)) => carry(&shared, id, channel, tunnel).await,
        Err(denial) => {
            closed(&shared, id, ChannelEnd::Refused(denial), 0, 0).await;
            let _ = shared.connection.lock().await.ssh(ssh_message::Body::Reject(number)).await;
        }
    }
}

async fn open_incoming(
    shared: &Shared,
    id: ChannelId,
    incoming: SshIncoming,
    full: bool,
) -> Result<(Channel<Msg>, tunnel::Channel), Denial> {
    let number = incoming.number;
    let kind = incoming.kind.ok_or_else(|| Denial::new("tunnel", Code::Unsupported, "there are no such channels"))?;
    let forward = match &kind {
        ssh_incoming::Kind::ForwardedTcpip(from) => Forward {
            channel: id,
            kind: ForwardKind::ForwardedTcpip,
            host: bytes(&from.host),
            port: from.port,
            originator: bytes(&format!("{}:{}", from.originator_host, from.originator_port)),
        },
        ssh_incoming::Kind::ForwardedStreamlocal(from) => Forward {
            channel: id,
            kind: ForwardKind::ForwardedStreamlocal,
            host: bytes(&from.path),
            port: 0,
            originator: Bytes::new(),
        },
        ssh_incoming::Kind::X11(from) => Forward {
            channel: id,
            kind: ForwardKind::X11,
            host: Bytes::new(),
            port: 0,
            originator: bytes(&format!("{}:{}", from.originator_host, from.originator_port)),
        },
        ssh_incoming::Kind::AuthAgent(_) => {
            Forward { channel: id, kind: ForwardKind::Agent, host: Bytes::new(), port: 0, originator: Bytes::new() }
        }
    };
    ask(shared, forward).await?;
    if full {
        return Err(Denial::new("gateway", Code::LimitExceeded, "the session has as many channels as it may"));
    }
    let opened = match kind {
        ssh_incoming::Kind::ForwardedTcpip(from) => {
            let (origin, port) = (from.originator_host, from.originator_port);
            shared.client.channel_open_forwarded_tcpip(from.host, from.port, origin, port).await
        }
        ssh_incoming::Kind::ForwardedStreamlocal(from) => {
            shared.client.channel_open_forwarded_streamlocal(from.path).await
        }
        ssh_incoming::Kind::X11(from) if shared.allow.x11_forwarding => {
            shared.client.channel_open_x11(from.originator_host, from.originator_port).await
        }
        ssh_incoming::Kind::X11(_) => return Err(not_allowed(ForwardKind::X11, "the client's display")),
        ssh_incoming::Kind::AuthAgent(_) if shared.allow.agent_forwarding => shared.client.channel_open_agent().await,
        ssh_incoming::Kind::AuthAgent(_) => return Err(not_allowed(ForwardKind::Agent, "the client's agent")),
    };
    let channel = opened.map_err(|error| {
        Denial::new("gateway", Code::ChannelDenied, "the client does not take the connection").caused_by(error)
    })?;
    let tunnel = shared.open(ssh_channel::Kind::Incoming(number)).await?;
    Ok((channel, tunnel))
}

/// A refusal by policy is that of this connection; any other ends the session.
pub(super) async fn ask(shared: &Shared, forward: Forward) -> Result<(), Denial> {
    if !shared.chain.wants(Interest::COMMANDS) {
        return Ok(());
    }
    let asked = shared.chain.request(Request::Forward(forward), async |_| {}).await;
    asked.map(drop).inspect_err(|denial| {
        if matches!(denial.code.fault(), Fault::Gateway | Fault::Target) {
            shared.fail(denial.clone());
        }
    })
}

/// Moves bytes until both directions have ended.
async fn carry(shared: &Shared, id: ChannelId, channel: Channel<Msg>, tunnel: tunnel::Channel) {
    let (read, write) = channel.split();
    let (receiver, sender) = tunnel.split();
    let (mut bytes_in, mut bytes_out) = (0, 0);
    {
        // What a client has sent before it closed the channel still goes to the target: the stream is not given up before it
        // has ended there.
        let sent = async {
            up(read, sender, &mut bytes_in).await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        let moved = async {
            tokio::select! {
                () = sent => {}
                () = down(receiver, &write, &mut bytes_out) => {}
            }
        };
        tokio::select! {
            () = moved => {}
            () = shared.ending.cancelled() => {}
        }
    }
    closed(shared, id, ChannelEnd::Closed, bytes_in, bytes_out).await;
    let _ = write.close().await;
}

/// Until the client closes the channel: what it says last may be that it sends nothing more.
async fn up(mut read: ChannelReadHalf, mut sender: ChannelSender, moved: &mut u64) {
    while let Some(message) = read.wait().await {
        let sent = match message {
            ChannelMsg::Data { data } => {
                *moved += data.len() as u64;
                sender.data(data).await
            }
            ChannelMsg::Eof => sender.ssh(ssh_message::Body::Eof(SshEof {})).await,
            ChannelMsg::Close => return,
            _ => Ok(()),
        };
        if sent.is_err() {
            // The other direction hears of it, and of what was said last.
            std::future::pending::<()>().await;
        }
    }
}

/// Until the target closes the channel.
async fn down(mut receiver: ChannelReceiver, write: &ChannelWriteHalf<Msg>, moved: &mut u64) {
    loop {
        let written = match receiver.receive().await {
            Ok(Received::Data(data)) => {
                *moved += data.len() as u64;
                write.data_bytes(data).await
            }
            Ok(Received::Ssh(ssh_message::Body::Eof(_))) => write.eof().await,
            Ok(Received::Ssh(_) | Received::Http(_)) => Ok(()),
            Ok(Received::Closed) | Err(_) => return,
        };
        if written.is_err() {
            // The client is gone; the end is that of the other direction.
            std::future::pending::<()>().await;
        }
    }
}

pub(super) async fn closed(shared: &Shared, channel: ChannelId, end: ChannelEnd, bytes_in: u64, bytes_out: u64) {
    if !shared.chain.wants(Interest::COMMANDS) {
        return;
    }
    let closed = Response::ChannelClosed(ChannelClosed { channel, end, bytes_in, bytes_out });
    if let Err(denial) = shared.chain.response(closed).await {
        shared.fail(denial);
    }
}

/// What the role does not allow.
pub(super) fn not_allowed(kind: ForwardKind, to: &str) -> Denial {
    let reason = format!("this role does not allow {} for {to}", kind.as_str());
    Denial::new("gateway", Code::ChannelDenied, reason).hint("ask an administrator for a role that does")
}

fn name(forward: &Forward) -> String {
    let host = String::from_utf8_lossy(&forward.host);
    if forward.port == 0 { host.into_owned() } else { format!("{host}:{}", forward.port) }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
