//! The connection of a session, and which transport a channel of it takes.
//!
//! The library's flow control is that of the whole transport: a channel that is not read stops all channels beside it. So a
//! channel gets a transport of its own while there are few; transports whose channels have ended serve the next ones.

use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt as _};
use hoop_core::Code;
use hoop_proto::tunnel::v1::{
    Closed, SshChannel, SshDirectStreamlocal, SshDirectTcpip, SshFailure, SshForwarding, SshMessage,
    SshStreamlocalForward, SshTarget, SshTcpipForward, SuppliedSecret, carry_up, ssh_channel, ssh_message,
};
use parking_lot::Mutex;
use russh::client::Msg;
use russh::{Channel, ChannelOpenFailure};
use tokio::sync::mpsc;

use super::incoming::{Incoming, Listening};
use super::transport::{Busy, Seen, Transport};
use crate::agent::Settings;
use crate::error::TargetFailure;

/// Most transports of one session.
const MOST_TRANSPORTS: usize = 8;
/// Messages of a connection that wait for the tunnel.
const QUEUE: usize = 80;

/// A session's connection.
pub(crate) struct Connection {
    /// The session's name, for the logs of both sides.
    session: String,
    target: SshTarget,
    /// The one that the server listens on for us.
    first: Arc<Transport>,
    others: Mutex<Vec<Arc<Transport>>>,
    incoming: Arc<Incoming>,
}

impl Connection {
    /// Connects and logs in. Gives what goes up to the gateway, too; that ends with the first transport.
    pub(super) async fn open(
        session: &str,
        target: SshTarget,
        supplied: &[SuppliedSecret],
        settings: &Settings,
    ) -> Result<(Arc<Self>, Seen, BoxStream<'static, carry_up::Body>), TargetFailure> {
        let (tell, told) = mpsc::channel(QUEUE);
        let incoming = Arc::new(Incoming::new(tell));
        let (first, seen) = Transport::open(&target, supplied, settings, &incoming, session).await?;
        let up = up(told, first.gone.clone());
        let connection =
            Self { session: session.to_owned(), target, first: Arc::new(first), others: Mutex::default(), incoming };
        Ok((Arc::new(connection), seen, up))
    }

    /// Opens a channel, or accepts one that the server has opened.
    pub(super) async fn channel(
        &self,
        wanted: &SshChannel,
        supplied: &[SuppliedSecret],
        settings: &Settings,
    ) -> Result<(Channel<Msg>, Busy), TargetFailure> {
        if let Some(ssh_channel::Kind::Incoming(number)) = &wanted.kind {
            let (channel, reply) = self.incoming.take(*number).ok_or_else(withdrawn)?;
            reply.accept().await;
            return Ok((channel, self.first.busy()));
        }
        let busy = self.transport(supplied, settings).await?;
        let handle = &busy.transport().handle;
        let opened = match &wanted.kind {
            Some(ssh_channel::Kind::Session(_)) => handle.channel_open_session().await,
            Some(ssh_channel::Kind::DirectTcpip(to)) => {
                let SshDirectTcpip { host, port, originator_host, originator_port } = to.clone();
                handle.channel_open_direct_tcpip(host, port, originator_host, originator_port).await
            }
            Some(ssh_channel::Kind::DirectStreamlocal(SshDirectStreamlocal { path })) => {
                handle.channel_open_direct_streamlocal(path.clone()).await
            }
            Some(ssh_channel::Kind::Incoming(_)) | None => return Err(withdrawn()),
        };
        opened.map(|channel| (channel, busy)).map_err(|error| self.not_opened(&error))
    }

    /// A transport for one more channel: one that has none, a new one, or the one with the fewest.
    async fn transport(&self, supplied: &[SuppliedSecret], settings: &Settings) -> Result<Busy, TargetFailure> {
        if let Some(free) = self.least(|transport| transport.channels() == 0) {
            return Ok(free);
        }
        if self.others.lock().len() + 1 < MOST_TRANSPORTS {
            match Transport::open(&self.target, supplied, settings, &self.incoming, &self.session).await {
                Ok((another, _)) => {
                    let another = Arc::new(another);
                    let busy = another.busy();
                    self.others.lock().push(another);
                    return Ok(busy);
                }
                // A server may take no more logins, or none with a code that is good once: what there is has to do.
                Err(failure) => tracing::debug!(reason = failure.reason, "no other transport, channels share one"),
            }
        }
        self.least(|_| true).ok_or_else(|| lost("the SSH server ended the connection"))
    }

    /// The transport with the fewest channels among those that fit.
    fn least(&self, fits: impl Fn(&Transport) -> bool) -> Option<Busy> {
        let mut others = self.others.lock();
        others.retain(|transport| !transport.gone.is_cancelled());
        let all = std::iter::once(&self.first).chain(others.iter());
        let fitting = all.filter(|transport| !transport.gone.is_cancelled() && fits(transport));
        fitting.min_by_key(|transport| transport.channels()).map(Transport::busy)
    }

    fn not_opened(&self, error: &russh::Error) -> TargetFailure {
        let host = &self.target.host;
        let (code, reason) = match error {
            russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed) => {
                (Code::TargetUnavailable, format!("{host} could not connect there"))
            }
            russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited) => {
                (Code::TargetUnavailable, format!("the SSH server on {host} does not allow that channel"))
            }
            russh::Error::ChannelOpenFailure(failure) => (
                Code::TargetUnavailable,
                format!("the SSH server on {host} opens no channel: {}", failure.description()),
            ),
            other => (Code::TargetLost, format!("the connection to {host} broke: {other}")),
        };
        TargetFailure::new(code, reason)
    }

    /// The server may open channels to the client's agent.
    pub(super) fn lend_agent(&self) {
        self.incoming.lend_agent();
    }

    /// The server may open channels to the client's display.
    pub(super) fn lend_display(&self) {
        self.incoming.lend_display();
    }

    /// A request of the gateway that concerns the connection. It is answered before the next one is looked at.
    pub(super) async fn take(&self, body: ssh_message::Body) {
        match body {
            ssh_message::Body::TcpipForward(SshTcpipForward { host, port }) => {
                let chosen = self.first.handle.tcpip_forward(host, port).await;
                let port = chosen.map(|chosen| if port == 0 { chosen } else { port });
                if let Ok(port) = port {
                    self.incoming.listens(Listening::Port(port));
                }
                self.answer(port).await;
            }
            ssh_message::Body::CancelTcpipForward(SshTcpipForward { host, port }) => {
                let cancelled = self.first.handle.cancel_tcpip_forward(host, port).await;
                if cancelled.is_ok() {
                    self.incoming.listens_no_more(&Listening::Port(port));
                }
                self.answer(cancelled.map(|()| port)).await;
            }
            ssh_message::Body::StreamlocalForward(SshStreamlocalForward { path }) => {
                let listens = self.first.handle.streamlocal_forward(path.clone()).await;
                if listens.is_ok() {
                    self.incoming.listens(Listening::Socket(path));
                }
                self.answer(listens.map(|()| 0)).await;
            }
            ssh_message::Body::CancelStreamlocalForward(SshStreamlocalForward { path }) => {
                let cancelled = self.first.handle.cancel_streamlocal_forward(path.clone()).await;
                if cancelled.is_ok() {
                    self.incoming.listens_no_more(&Listening::Socket(path));
                }
                self.answer(cancelled.map(|()| 0)).await;
            }
            // Dropping it refuses it.
            ssh_message::Body::Reject(number) => drop(self.incoming.take(number)),
            _ => {}
        }
    }

    async fn answer(&self, port: Result<u32, russh::Error>) {
        self.incoming
            .tell(match port {
                Ok(port) => ssh_message::Body::Forwarding(SshForwarding { port }),
                Err(_) => ssh_message::Body::Failure(SshFailure {}),
            })
            .await;
    }

    /// Ends everything.
    pub(super) async fn end(&self) {
        let others = std::mem::take(&mut *self.others.lock());
        for transport in others.iter().chain(std::iter::once(&self.first)) {
            transport.end().await;
        }
    }
}

fn up(
    told: mpsc::Receiver<Box<ssh_message::Body>>,
    gone: tokio_util::sync::CancellationToken,
) -> BoxStream<'static, carry_up::Body> {
    let messages = futures::stream::unfold((told, gone), |(mut told, gone)| async move {
        let body = tokio::select! {
            body = told.recv() => body?,
            () = gone.cancelled() => return None,
        };
        Some((carry_up::Body::Ssh(SshMessage { body: Some(*body) }), (told, gone)))
    });
    let end = futures::stream::once(async { carry_up::Body::Closed(Closed { failure: None }) });
    messages.chain(end).boxed()
}

fn withdrawn() -> TargetFailure {
    TargetFailure::new(Code::TargetUnavailable, "the channel is not there any more")
}

fn lost(reason: &str) -> TargetFailure {
    TargetFailure::new(Code::TargetLost, reason)
}
