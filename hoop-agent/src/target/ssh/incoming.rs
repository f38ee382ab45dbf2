//! Channels that the server opens: they wait here until the gateway asks for them.

use std::collections::HashMap;

use hoop_proto::tunnel::v1::{SshIncoming, ssh_incoming, ssh_message};
use parking_lot::Mutex;
use russh::Channel;
use russh::client::{ChannelOpenHandle, Msg};
use tokio::sync::mpsc;

/// Most channels that wait at once; a server that opens more is refused.
const MOST: usize = 64;

/// A channel that the server has opened, and that nobody has answered.
pub(super) type Waiting = (Channel<Msg>, ChannelOpenHandle);

/// What the server may open, and what it has opened.
pub(super) struct Incoming {
    state: Mutex<State>,
    /// Boxed: a queue has room for 32 from its beginning, whatever they take.
    tell: mpsc::Sender<Box<ssh_message::Body>>,
}

#[derive(Default)]
struct State {
    next: u64,
    waiting: HashMap<u64, Waiting>,
    /// Where the server listens for us.
    listening: Vec<Listening>,
    agent: bool,
    display: bool,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listening {
    /// On a port, of whatever address.
    Port(u32),
    /// On a socket.
    Socket(String),
}

impl Incoming {
    /// Nothing yet. `tell` is told of every channel.
    pub(super) fn new(tell: mpsc::Sender<Box<ssh_message::Body>>) -> Self {
        Self { state: Mutex::default(), tell }
    }

    /// The server may open channels to the client's agent from now on.
    pub(super) fn lend_agent(&self) {
        self.state.lock().agent = true;
    }

    /// The server may open channels to the client's display from now on.
    pub(super) fn lend_display(&self) {
        self.state.lock().display = true;
    }

    /// The server listens there for us.
    pub(super) fn listens(&self, at: Listening) {
        self.state.lock().listening.push(at);
    }

    /// It does not any more.
    pub(super) fn listens_no_more(&self, at: &Listening) {
        let all = &mut self.state.lock().listening;
        if let Some(place) = all.iter().position(|listening| listening == at) {
            all.swap_remove(place);
        }
    }

    /// The server opens a channel. One that nobody asked for is refused, by dropping its reply.
    pub(super) fn arrive(&self, kind: ssh_incoming::Kind, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        let mut state = self.state.lock();
        let expected = match &kind {
            ssh_incoming::Kind::ForwardedTcpip(to) => state.listening.contains(&Listening::Port(to.port)),
            ssh_incoming::Kind::ForwardedStreamlocal(to) => {
                state.listening.iter().any(|at| matches!(at, Listening::Socket(path) if *path == to.path))
            }
            ssh_incoming::Kind::AuthAgent(_) => state.agent,
            ssh_incoming::Kind::X11(_) => state.display,
        };
        if !expected || state.waiting.len() >= MOST {
            return;
        }
        state.next += 1;
        let number = state.next;
        let told = ssh_message::Body::Incoming(SshIncoming { number, kind: Some(kind) });
        if self.tell.try_send(Box::new(told)).is_ok() {
            state.waiting.insert(number, (channel, reply));
        }
    }

    /// The channel with this number, once.
    pub(super) fn take(&self, number: u64) -> Option<Waiting> {
        self.state.lock().waiting.remove(&number)
    }

    /// Tells the gateway something of the connection. What finds the queue full waits: it answers a request.
    pub(super) async fn tell(&self, body: ssh_message::Body) {
        let _ = self.tell.send(Box::new(body)).await;
    }
}
