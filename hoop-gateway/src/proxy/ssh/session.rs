//! One session: which channels it has, what the target opens, and how it ends.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use hoop_core::{ChannelEnd, ChannelId, Code, Denial, Forward, Outcome, SessionChain, SshAllow};
use hoop_proto::tunnel::v1::{SshChannel, SshDirectStreamlocal, SshDirectTcpip, open, ssh_channel, ssh_message};
use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, Disconnect};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::listen::{Answer, Listen, Question, no_listener};
use super::words::{self, no_zeros, words};
use super::{forward, program};
use crate::proxy::chain::SharedChain;
use crate::proxy::pump::expired;
use crate::session::{Asked as ControlAsked, Control};
use crate::tunnel::{self, Agents, ChannelReceiver, ChannelSender, OpenTarget, Received, Route, violation};

/// How long channels may take to tell their ends.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How many channels a client may have at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Channels, of programs and of forwarded connections alike.
    pub(crate) channels: usize,
}

/// What a client asks for, beside the login.
pub(crate) enum Asked {
    /// A channel.
    Channel(Wanted, Channel<Msg>, Opened),
    /// That the target listens, and on which port.
    Forward { at: Listen, answer: Answer },
    /// That it does not any more.
    CancelForward { at: Listen, answer: oneshot::Sender<Option<u32>> },
}

/// Whether the client has its channel already.
pub(crate) enum Opened {
    /// It waits for the answer.
    Wanted(ChannelOpenHandle),
    /// It was needed to ask something.
    Begun(Begun),
}

/// What was asked for on a channel that was needed to ask something: it is done afterwards.
pub(crate) struct Begun(pub(crate) Vec<ChannelMsg>);

impl Opened {
    /// The client has its channel. Gives what was asked for on it already.
    pub(crate) async fn accept(self) -> Vec<ChannelMsg> {
        match self {
            Self::Wanted(reply) => {
                reply.accept().await;
                Vec::new()
            }
            Self::Begun(Begun(messages)) => messages,
        }
    }

    /// It does not get one. A channel that it has ends without a word: it is dropped with the session.
    pub(super) async fn reject(self, why: ChannelOpenFailure) {
        if let Self::Wanted(reply) = self {
            reply.reject(why).await;
        }
    }
}

/// The kind of channel that a client asks for.
pub(crate) enum Wanted {
    /// For a program.
    Program,
    /// To an address, as seen from the target.
    DirectTcpip(SshDirectTcpip),
    /// To a socket on the target.
    DirectStreamlocal(SshDirectStreamlocal),
}

/// What all channels of a session share.
pub(super) struct Shared {
    pub(super) chain: SharedChain,
    pub(super) allow: SshAllow,
    /// Whether programs may have terminals.
    pub(super) terminal: bool,
    pub(super) client: Handle,
    /// What is said of the connection to the agent.
    pub(super) connection: tokio::sync::Mutex<ChannelSender>,
    agents: Agents,
    route: Route,
    target: OpenTarget,
    /// Cancelled when the session ends.
    pub(super) ending: CancellationToken,
    why: OnceLock<Denial>,
}

impl Shared {
    /// Opens a channel of the tunnel beside the connection's own.
    pub(super) async fn open(&self, kind: ssh_channel::Kind) -> Result<tunnel::Channel, Denial> {
        let connection = self.route.channel();
        let target = OpenTarget {
            target: open::Target::SshChannel(SshChannel { connection, kind: Some(kind) }),
            ..self.target.clone()
        };
        // What is needed to open one is given back before the channel is served.
        let opened = Box::pin(self.agents.open_beside(&self.route, target)).await;
        opened.map(|(channel, _)| channel).map_err(|failure| failure.denial)
    }

    /// Ends the session: what cannot be recorded, masked or decided does not go on.
    pub(super) fn fail(&self, why: Denial) {
        let _ = self.why.set(why);
        self.ending.cancel();
    }

    /// An agent that says what nobody asked it.
    pub(super) fn violation(&self) -> Denial {
        violation(self.route.agent())
    }

    /// Why the session ends, where the user is to be told.
    pub(super) fn why(&self) -> Option<&Denial> {
        self.why.get()
    }
}

/// What a session is made of.
pub(crate) struct Parts {
    pub(crate) chain: SessionChain,
    /// The connection's own channel of the tunnel.
    pub(crate) connection: tunnel::Channel,
    pub(crate) agents: Agents,
    pub(crate) target: OpenTarget,
    pub(crate) allow: SshAllow,
    /// Whether programs may have terminals.
    pub(crate) terminal: bool,
    pub(crate) client: Handle,
    pub(crate) asked: mpsc::Receiver<Box<Asked>>,
    pub(crate) limits: Limits,
}

/// A session that runs.
pub(crate) struct SshProxy {
    shared: Arc<Shared>,
    receiver: ChannelReceiver,
    asked: mpsc::Receiver<Box<Asked>>,
    /// Who waits for an answer of the server, in the order of the questions.
    answers: VecDeque<Question>,
    channels: JoinSet<()>,
    last: u32,
    limits: Limits,
}

impl SshProxy {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { chain, connection, agents, target, allow, terminal, client, asked, limits } = parts;
        let route = connection.route();
        let (receiver, sender) = connection.split();
        let shared = Shared {
            chain: SharedChain::new(chain),
            allow,
            terminal,
            client,
            connection: tokio::sync::Mutex::new(sender),
            agents,
            route,
            target,
            ending: CancellationToken::new(),
            why: OnceLock::new(),
        };
        let channels = JoinSet::new();
        Self { shared: Arc::new(shared), receiver, asked, answers: VecDeque::new(), channels, last: 0, limits }
    }

    /// Serves until the session ends, what is asked for `first` before all else; `left` resolves when the client is gone. Gives the chain back, and how it ended.
    pub(crate) async fn run(
        mut self,
        first: Vec<Asked>,
        control: &Control,
        lasts: Option<Duration>,
        left: impl Future<Output = Outcome>,
    ) -> (Option<SessionChain>, Outcome) {
        for first in first {
            Box::pin(self.on_asked(first)).await;
        }
        let outcome = self.serve(control, lasts, left).await;
        if let Some(why) = outcome.denial() {
            let _ = self.shared.why.set(why.clone());
        }
        self.shared.ending.cancel();
        let ended = async { while self.channels.join_next().await.is_some() {} };
        let _ = timeout(LAST_WORDS, ended).await;
        self.channels.shutdown().await;
        if let Some(why) = outcome.denial() {
            Box::pin(disconnect(&self.shared.client, why)).await;
        }
        (self.shared.chain.take(), outcome)
    }

    /// What takes much room is boxed: an idle session has none of it.
    async fn serve(
        &mut self,
        control: &Control,
        lasts: Option<Duration>,
        left: impl Future<Output = Outcome>,
    ) -> Outcome {
        let time_is_over = async {
            match lasts {
                Some(lasts) => tokio::time::sleep(lasts).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(left, time_is_over);
        let ending = self.shared.ending.clone();
        loop {
            tokio::select! {
                outcome = &mut left => return outcome,
                Some(asked) = self.asked.recv() => Box::pin(self.on_asked(*asked)).await,
                received = self.receiver.receive() => match received {
                    Ok(Received::Ssh(message)) => Box::pin(self.on_message(message)).await,
                    Ok(Received::Closed) => return target_closed().into(),
                    Ok(Received::Data(_) | Received::Http(_)) => return self.shared.violation().into(),
                    Err(denial) => return denial.into(),
                },
                asked = std::future::poll_fn(|cx| control.poll_asked(cx)) => match asked {
                    ControlAsked::End(why) => return why.into(),
                    // There is no statement to cancel.
                    ControlAsked::Cancel => {}
                },
                () = &mut time_is_over => return expired().into(),
                () = ending.cancelled() => {
                    let why = self.shared.why().cloned();
                    return why.map_or(Outcome::Completed, Outcome::from);
                }
                Some(_) = self.channels.join_next() => {}
            }
        }
    }

    async fn on_asked(&mut self, asked: Asked) {
        match asked {
            Asked::Channel(_, _, reply) if self.channels.len() >= self.limits.channels => {
                reply.reject(ChannelOpenFailure::ResourceShortage).await;
            }
            Asked::Channel(wanted, channel, reply) => {
                let (shared, id) = (Arc::clone(&self.shared), self.next());
                match wanted {
                    Wanted::Program => self.channels.spawn(program::serve(shared, id, channel, reply)),
                    Wanted::DirectTcpip(to) => {
                        let kind = ssh_channel::Kind::DirectTcpip(to);
                        self.channels.spawn(forward::direct(shared, id, kind, channel, reply))
                    }
                    Wanted::DirectStreamlocal(to) => {
                        let kind = ssh_channel::Kind::DirectStreamlocal(to);
                        self.channels.spawn(forward::direct(shared, id, kind, channel, reply))
                    }
                };
            }
            // Nobody would know that it listens.
            Asked::Forward { answer, .. } if answer.is_late() => {}
            Asked::Forward { at, answer } => match self.may_listen(&at).await {
                Ok(()) => self.ask(at.clone().request(), Question::Listen(at, answer)).await,
                Err(denial) => {
                    tracing::info!(session = %self.shared.target.session, %denial, "forward refused");
                    let end = ChannelEnd::Refused(denial.clone());
                    forward::closed(&self.shared, ChannelId(0), end, 0, 0).await;
                    self.not_listened(answer, denial);
                }
            },
            Asked::CancelForward { at, answer } => {
                if no_zeros("an address", at.text().as_bytes()).is_ok() {
                    self.ask(at.cancel(), Question::Cancel(answer)).await;
                }
            }
        }
    }

    async fn ask(&mut self, body: ssh_message::Body, question: Question) {
        if self.shared.connection.lock().await.ssh(body).await.is_ok() {
            self.answers.push_back(question);
        }
    }

    /// A client that has not waited so long takes it for refused.
    async fn listens(&mut self, at: Listen, answer: Answer) {
        if answer.tell(at.port()) {
            let (nobody, _) = oneshot::channel();
            self.ask(at.cancel(), Question::Cancel(nobody)).await;
        }
    }

    /// A client that was promised otherwise is told in the only way that is left.
    fn not_listened(&self, answer: Answer, why: Denial) {
        match answer {
            Answer::Owed(answer) => drop(answer),
            Answer::Promised => self.shared.fail(why),
        }
    }

    async fn may_listen(&self, at: &Listen) -> Result<(), Denial> {
        let request = Forward {
            channel: ChannelId(0),
            kind: at.kind(),
            host: Bytes::copy_from_slice(at.text().as_bytes()),
            port: at.port(),
            originator: Bytes::new(),
        };
        // What the role does not allow is recorded as well.
        forward::ask(&self.shared, request).await?;
        no_zeros("an address", at.text().as_bytes())?;
        at.allowed(&self.shared.allow)
    }

    async fn on_message(&mut self, message: ssh_message::Body) {
        match message {
            ssh_message::Body::Forwarding(forwarding) => match self.answers.pop_front() {
                Some(Question::Listen(at, answer)) => self.listens(at.on(forwarding.port), answer).await,
                Some(Question::Cancel(answer)) => drop(answer.send(Some(forwarding.port))),
                None => {}
            },
            ssh_message::Body::Failure(_) => {
                if let Some(Question::Listen(at, answer)) = self.answers.pop_front() {
                    self.not_listened(answer, no_listener(&at));
                }
            }
            ssh_message::Body::Incoming(incoming) => {
                let (shared, id) = (Arc::clone(&self.shared), self.next());
                let full = self.channels.len() >= self.limits.channels;
                self.channels.spawn(forward::incoming(shared, id, incoming, full));
            }
            // Nothing else is said of a connection.
            _ => self.shared.fail(self.shared.violation()),
        }
    }

    fn next(&mut self) -> ChannelId {
        self.last += 1;
        ChannelId(self.last)
    }
}

/// Tells a client that has no session why: on every channel that it opens, until it leaves.
pub(crate) async fn refuse_all(
    client: &Handle,
    first: Vec<Asked>,
    mut asked: mpsc::Receiver<Box<Asked>>,
    why: &Denial,
    left: impl Future<Output = Outcome>,
) {
    let mut first = first.into_iter();
    let told = async {
        loop {
            let next = match first.next() {
                Some(first) => Some(first),
                None => asked.recv().await.map(|asked| *asked),
            };
            let Some(next) = next else { return };
            match next {
                Asked::Channel(Wanted::Program, channel, reply) => {
                    let begun = reply.accept().await;
                    let terminal = begun.iter().any(|message| matches!(message, ChannelMsg::RequestPty { .. }));
                    program::refuse(client, channel, why, terminal).await;
                }
                Asked::Channel(_, _, reply) => reply.reject(words::open_failure(why)).await,
                // An answer that is dropped is a refusal.
                Asked::Forward { .. } | Asked::CancelForward { .. } => {}
            }
        }
    };
    tokio::select! {
        () = told => {}
        _ = left => return,
        () = tokio::time::sleep(LAST_WORDS) => {}
    }
    disconnect(client, why).await;
}

async fn disconnect(client: &Handle, why: &Denial) {
    let text = String::from_utf8_lossy(&words(why, false)).trim().replace('\n', " ");
    // A client that reads nothing is told nothing.
    let told = client.disconnect(Disconnect::ByApplication, text, String::new());
    let _ = timeout(LAST_WORDS, told).await;
}

fn target_closed() -> Denial {
    Denial::new("target", Code::TargetLost, "the SSH server ended the connection")
        .hint("connect again; what ran there may have been ended")
}
