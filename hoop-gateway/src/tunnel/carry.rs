//! A channel: the gateway's end of one `Carry` stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use hoop_core::{Code, Denial};
use hoop_proto::tunnel::v1::{
    CarryDown, CarryUp, Failure, HttpMessage, Ready, SshMessage, carry_down, carry_up, http_message, ready, ssh_message,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, PollSender, WaitForCancellationFutureOwned};
use tonic::{Status, Streaming};

use super::registry::Attachment;

/// A `Carry` stream as the agent dialled it, its ticket verified.
pub(super) struct Dialled {
    pub(super) up: Streaming<CarryUp>,
    /// Boxed: a queue has room for 32 from its beginning, whatever they take.
    pub(super) down: mpsc::Sender<Box<carry_down::Body>>,
}

/// How many messages may wait for the tunnel: a request of HTTP that is short leaves as a whole, with its head, its body and the
/// end of it. More would only hide that the target is slow.
pub(super) const DOWN_QUEUE: usize = 3;

/// One channel of a session. Dropping it ends the channel: the agent then ends the target's connection in its own way.
pub struct Channel {
    receiver: ChannelReceiver,
    sender: ChannelSender,
}

/// What comes from the target.
pub struct ChannelReceiver {
    up: Streaming<CarryUp>,
    place: Arc<Place>,
    /// Whether there was nothing when it was looked at last.
    waits: bool,
    lost: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// What goes to the target.
pub struct ChannelSender {
    down: PollSender<Box<carry_down::Body>>,
    place: Arc<Place>,
}

/// The channel among those of its agent; it is one of them until both of its directions have ended.
struct Place {
    number: u64,
    attachment: Arc<Attachment>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.attachment.cancelled(self.number);
        self.attachment.channel_closed();
    }
}

/// What arrives on a channel.
#[derive(Debug)]
pub enum Received {
    /// Bytes of the target. Where one chunk ends means nothing.
    Data(Bytes),
    /// What is said over SSH beside that.
    Ssh(ssh_message::Body),
    /// What is said of an exchange of HTTP beside that.
    Http(http_message::Body),
    /// The target closed its connection in order, after all its bytes.
    Closed,
}

impl Channel {
    pub(super) fn new(number: u64, dialled: Dialled, attachment: Arc<Attachment>) -> Self {
        let lost = Box::pin(attachment.lost().clone().cancelled_owned());
        attachment.channel_opened();
        let place = Arc::new(Place { number, attachment });
        Self {
            receiver: ChannelReceiver { up: dialled.up, place: Arc::clone(&place), waits: false, lost },
            sender: ChannelSender { down: PollSender::new(dialled.down), place },
        }
    }

    /// Waits until the target's login is done.
    ///
    /// # Errors
    /// The agent's account of why it failed; with the target's own ErrorResponse frame where it is the target that
    /// refused.
    pub(super) async fn ready(&mut self) -> Result<ready::Target, OpenFailure> {
        let receiver = &mut self.receiver;
        let frame = std::future::poll_fn(|cx| receiver.poll_frame(cx)).await?;
        match frame {
            Some(carry_up::Body::Ready(Ready { target: Some(target) })) => Ok(target),
            Some(carry_up::Body::Failed(failure)) => Err(OpenFailure::from(failure)),
            _ => Err(receiver.place.violation().into()),
        }
    }

    /// As [`ChannelReceiver::poll_receive`].
    ///
    /// # Errors
    /// The same.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, Denial>> {
        self.receiver.poll_receive(cx)
    }

    /// As [`ChannelSender::poll_ready`].
    ///
    /// # Errors
    /// The same.
    pub fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Denial>> {
        self.sender.poll_ready(cx)
    }

    /// Sends bytes to the target, after [`poll_send_ready`](Self::poll_send_ready) said that it can.
    ///
    /// # Errors
    /// A [`Denial`] when the channel has ended.
    pub fn send(&mut self, bytes: Bytes) -> Result<(), Denial> {
        self.sender.start_send(carry_down::Body::Data(bytes))
    }

    /// Both directions, each on its own. The channel ends with the later of them.
    pub fn split(self) -> (ChannelReceiver, ChannelSender) {
        (self.receiver, self.sender)
    }

    /// What [`split`](Self::split) has taken apart.
    pub fn join(receiver: ChannelReceiver, sender: ChannelSender) -> Self {
        Self { receiver, sender }
    }

    /// Asks the agent to cancel what runs on the target, in the target's own way. Best effort, as it is there.
    pub fn canceller(&self) -> Canceller {
        let Place { number, attachment } = &*self.receiver.place;
        Canceller { attachment: Arc::clone(attachment), channel: *number }
    }

    /// The name of its agent.
    pub fn agent(&self) -> &str {
        self.receiver.place.attachment.name()
    }

    /// The way that it goes: other channels of its session go the same.
    pub fn route(&self) -> Route {
        let Place { number, attachment } = &*self.receiver.place;
        Route { attachment: Arc::clone(attachment), channel: *number }
    }
}

impl ChannelReceiver {
    /// The next bytes of the target. Cancel safe.
    ///
    /// # Errors
    /// A [`Denial`] with [`Code::AgentLost`], [`Code::TargetLost`] or what else ended the channel.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, Denial>> {
        match ready!(self.poll_frame(cx))? {
            Some(carry_up::Body::Data(data)) => Poll::Ready(Ok(Received::Data(data))),
            Some(carry_up::Body::Ssh(SshMessage { body: Some(body) })) => Poll::Ready(Ok(Received::Ssh(body))),
            Some(carry_up::Body::Http(HttpMessage { body: Some(body) })) => Poll::Ready(Ok(Received::Http(body))),
            Some(carry_up::Body::Closed(closed)) => Poll::Ready(match closed.failure {
                None => Ok(Received::Closed),
                Some(failure) => Err(OpenFailure::from(failure).denial),
            }),
            None => Poll::Ready(Err(self.place.agent_lost())),
            Some(_) => Poll::Ready(Err(self.place.violation())),
        }
    }

    /// As [`poll_receive`](Self::poll_receive).
    ///
    /// # Errors
    /// The same.
    pub async fn receive(&mut self) -> Result<Received, Denial> {
        std::future::poll_fn(|cx| self.poll_receive(cx)).await
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<carry_up::Body>, Denial>> {
        let next = Pin::new(&mut self.up).poll_next(cx);
        // What was waited for has come just now; what was there already may have come from an agent that is gone.
        if std::mem::replace(&mut self.waits, next.is_pending()) && matches!(next, Poll::Ready(Some(Ok(_)))) {
            self.place.attachment.hear();
        }
        match next {
            Poll::Ready(Some(Ok(CarryUp { body: Some(body) }))) => Poll::Ready(Ok(Some(body))),
            Poll::Ready(Some(Ok(CarryUp { body: None }))) => Poll::Ready(Err(self.place.violation())),
            Poll::Ready(Some(Err(status))) => Poll::Ready(Err(self.place.agent_lost().caused_by(status))),
            Poll::Ready(None) => Poll::Ready(Ok(None)),
            Poll::Pending if self.lost.as_mut().poll(cx).is_ready() => Poll::Ready(Err(self.place.agent_lost())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl ChannelSender {
    /// Whether something for the target can be sent now.
    ///
    /// # Errors
    /// A [`Denial`] when the channel has ended.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Denial>> {
        match ready!(self.down.poll_reserve(cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(_) => Poll::Ready(Err(self.place.agent_lost())),
        }
    }

    pub(super) fn start_send(&mut self, body: carry_down::Body) -> Result<(), Denial> {
        self.down.send_item(Box::new(body)).map_err(|_| self.place.agent_lost())
    }

    /// Sends a message to the target, once it takes it.
    ///
    /// # Errors
    /// A [`Denial`] when the channel has ended.
    pub async fn send(&mut self, body: carry_down::Body) -> Result<(), Denial> {
        std::future::poll_fn(|cx| self.poll_ready(cx)).await?;
        self.start_send(body)
    }

    /// Sends bytes to the target, once it takes them.
    ///
    /// # Errors
    /// A [`Denial`] when the channel has ended.
    pub async fn data(&mut self, bytes: Bytes) -> Result<(), Denial> {
        self.send(carry_down::Body::Data(bytes)).await
    }

    /// Sends what is said over SSH beside bytes, in its order among them.
    ///
    /// # Errors
    /// A [`Denial`] when the channel has ended.
    pub async fn ssh(&mut self, body: ssh_message::Body) -> Result<(), Denial> {
        self.send(carry_down::Body::Ssh(SshMessage { body: Some(body) })).await
    }

    /// Sends what is said of an exchange of HTTP beside bytes, in its order among them.
    ///
    /// # Errors
    /// A [`Denial`] when the channel has ended.
    pub async fn http(&mut self, body: http_message::Body) -> Result<(), Denial> {
        self.send(carry_down::Body::Http(HttpMessage { body: Some(body) })).await
    }
}

impl Place {
    fn agent_lost(&self) -> Denial {
        agent_lost(self.attachment.name())
    }

    fn violation(&self) -> Denial {
        violation(self.attachment.name())
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Place { number, attachment } = &*self.receiver.place;
        f.debug_struct("Channel").field("number", number).field("agent", &attachment.name()).finish()
    }
}

/// The process of an agent that a channel goes through, and the channel's number there.
#[derive(Clone)]
pub struct Route {
    pub(super) attachment: Arc<Attachment>,
    pub(super) channel: u64,
}

impl Route {
    /// The name of the agent.
    pub fn agent(&self) -> &str {
        self.attachment.name()
    }

    /// The number of the channel.
    pub const fn channel(&self) -> u64 {
        self.channel
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route").field("agent", &self.attachment.name()).field("channel", &self.channel).finish()
    }
}

/// An agent that says what nobody asked it.
pub(crate) fn violation(agent: &str) -> Denial {
    Denial::new("tunnel", Code::AgentLost, format!("agent {agent} does not keep to the tunnel's protocol"))
        .hint("check that the agent's version fits the gateway's")
}

/// The refusal for everyone whose agent went away.
pub(super) fn agent_lost(agent: &str) -> Denial {
    Denial::new("tunnel", Code::AgentLost, format!("agent {agent} went away while the session ran"))
        .hint("connect again once the agent is back; what was not acknowledged may or may not have run")
}

/// Cancels what runs on a channel.
#[derive(Clone)]
pub struct Canceller {
    attachment: Arc<Attachment>,
    channel: u64,
}

impl Canceller {
    /// Sends the request to the agent. Best effort: a cancel that comes too late, or finds the control stream full,
    /// cancels nothing, as on the target itself.
    pub fn cancel(&self) {
        self.attachment.cancel(self.channel);
    }

    /// As [`cancel`](Self::cancel), by who wants to go on: what is sent once this has resolved, whichever way, is not hit by
    /// it. An agent of version 1 of the tunnel does not say; with one it resolves at once.
    pub fn cancel_first(&self) -> oneshot::Receiver<()> {
        self.attachment.cancel_first(self.channel)
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canceller").field("channel", &self.channel).finish()
    }
}

/// A channel that could not be opened.
#[derive(Debug)]
pub struct OpenFailure {
    /// Why.
    pub denial: Denial,
    /// What the target itself said, when it is the target that refused, and empty otherwise: PostgreSQL's ErrorResponse as a
    /// whole frame; the host key that an SSH server showed and the role does not trust, as one line of OpenSSH's.
    pub target_error: Bytes,
}

impl From<Denial> for OpenFailure {
    fn from(denial: Denial) -> Self {
        Self { denial, target_error: Bytes::new() }
    }
}

impl From<Failure> for OpenFailure {
    /// What an agent says of a failure. A code that this version does not know is the target's unavailability.
    fn from(failure: Failure) -> Self {
        let code = failure.code.parse().unwrap_or(Code::TargetUnavailable);
        let mut denial = Denial::new("agent", code, clip(failure.reason));
        if !failure.hint.is_empty() {
            denial = denial.hint(clip(failure.hint));
        }
        Self { denial, target_error: failure.target_error }
    }
}

/// What an agent says goes to users and logs: no more than a paragraph of it.
fn clip(mut text: String) -> String {
    const LONGEST: usize = 1024;
    if text.len() > LONGEST {
        let end = text.floor_char_boundary(LONGEST);
        text.truncate(end);
    }
    text
}

/// The down direction of a `Carry` stream as gRPC sends it.
pub struct CarryDownStream {
    bodies: mpsc::Receiver<Box<carry_down::Body>>,
    lost: CancellationToken,
}

impl CarryDownStream {
    pub(super) const fn new(bodies: mpsc::Receiver<Box<carry_down::Body>>, lost: CancellationToken) -> Self {
        Self { bodies, lost }
    }
}

impl Stream for CarryDownStream {
    type Item = Result<CarryDown, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.bodies.poll_recv(cx) {
            Poll::Ready(Some(body)) => Poll::Ready(Some(Ok(CarryDown { body: Some(*body) }))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if self.lost.is_cancelled() => {
                Poll::Ready(Some(Err(Status::unavailable("the attachment ended"))))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
