//! One channel: dial `Carry`, log in to the target, and carry bytes.
//!
//! The stream up to the gateway reads the target's socket when HTTP/2 asks for more, so that a client that does not read
//! stops the target, with no queue in between.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt as _, Stream};
use hoop_core::Code;
use hoop_proto::tunnel::v1::{CarryDown, CarryStart, CarryUp, Closed, Failure, Open, Ready, carry_up};
use tokio::io::AsyncWrite;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use tracing::Instrument as _;

use super::attach::Channels;
use super::reader::TargetReader;
use super::{Link, chain};
use crate::error::TargetFailure;
use crate::target::{self, Served, Sink, Target};
use crate::trace;

/// The write half of a target.
pub(crate) type TargetWrite = Box<dyn AsyncWrite + Send + Unpin>;

/// Serves one channel to its end. A panic in it ends here.
pub(super) async fn run(link: Link, open: Box<Open>, channels: Channels, lost: CancellationToken) {
    let channel = open.channel;
    let session = open.session.clone();
    let served = std::panic::AssertUnwindSafe(serve(&link, open, &channels)).catch_unwind();
    tokio::select! {
        served = served => if served.is_err() {
            tracing::error!(channel, session, "channel ended by a panic");
        },
        () = lost.cancelled() => {}
    }
    channels.lock().remove(&channel);
}

async fn serve(link: &Link, open: Box<Open>, channels: &Channels) {
    // What opening takes is large, and given back before the channel is served.
    let Some((mut down, mut target)) = Box::pin(opened(link, open, channels)).await else { return };
    // An idle channel has room for what its own protocol needs, and no other.
    match &mut target {
        target::Down::Bytes(target) => Box::pin(carry_down(link, &mut down, target)).await,
        #[cfg(feature = "ssh")]
        target::Down::Ssh(target) => Box::pin(carry_down(link, &mut down, target)).await,
        #[cfg(feature = "http")]
        target::Down::Http(target) => Box::pin(carry_down(link, &mut down, target)).await,
    }
}

/// What comes from the gateway, and where it goes; `None` when there is no channel.
async fn opened(link: &Link, mut open: Box<Open>, channels: &Channels) -> Option<(Streaming<CarryDown>, target::Down)> {
    let deadline = Duration::from_millis(u64::from(open.connect_timeout_ms.clamp(100, 120_000)));
    let (up, login) = UpStream::new(open.ticket.clone());
    let mut client = link.client(&link.carry).max_decoding_message_size(4 << 20);
    let mut request = link.authorize(up);
    if let Ok(id) = open.request_id.parse() {
        request.metadata_mut().insert("hoop-request-id", id);
    }
    let served = |channel| channels.lock().get(&channel).cloned();
    // The gateway is dialled while the target is logged in to: neither waits for the other.
    let carried = Box::pin(client.carry(request));
    let target = Box::pin(log_in(link, &open, deadline, served));
    let (carried, target) = tokio::join!(carried, target);
    // They were for the login, and the session may last.
    open.secrets.clear();
    let mut down = match carried {
        Ok(response) => response.into_inner(),
        Err(status) => {
            tracing::warn!(session = open.session, error = %chain(&status), "carry stream was refused");
            return None;
        }
    };
    match target {
        Ok(target) => {
            let Target { ready, up, down: sink, served } = target;
            channels.lock().insert(open.channel, served);
            tracing::info!(session = open.session, request = open.request_id, role = open.role, "target connected");
            // The gateway may be gone by now; then there is nobody to tell.
            let _ = login.send(Ok((ready, up)));
            Some((down, sink))
        }
        Err(failure) => {
            tracing::warn!(session = open.session, request = open.request_id, role = open.role, code = %failure.code, reason = failure.reason, "target refused");
            let _ = login.send(Err(failure.into_wire()));
            // The gateway ends the stream once it has read why.
            let _ = timeout(Duration::from_secs(5), down.message()).await;
            None
        }
    }
}

async fn log_in(
    link: &Link,
    open: &Open,
    deadline: Duration,
    served: impl Fn(u64) -> Option<Served>,
) -> Result<Target, TargetFailure> {
    let span = trace::target(open, link.settings.continue_trace);
    let target = timeout(deadline, target::connect(open, &link.settings, served)).instrument(span.clone()).await;
    let target = target.unwrap_or_else(|_| Err(too_late(open, deadline)));
    target.inspect_err(|failure| trace::failed(&span, failure))
}

fn too_late(open: &Open, deadline: Duration) -> TargetFailure {
    TargetFailure::new(
        Code::TargetUnavailable,
        format!("the target of role {} did not answer in {deadline:?}", open.role),
    )
    .hint("check the target's address in the role, and the network between agent and target")
}

/// Passes what the gateway sends on to the target, until either ends; then says goodbye in the target's own way.
async fn carry_down(link: &Link, down: &mut Streaming<CarryDown>, target: &mut impl Sink) {
    while let Ok(Some(frame)) = next(link, down, target).await {
        let Some(body) = frame.body else { continue };
        if target.take(body).await.is_err() {
            // The other half sees the end too and tells the gateway, with what the target said last.
            while let Ok(Some(_)) = down.message().await {}
            break;
        }
    }
    let _ = timeout(Duration::from_secs(2), Box::pin(target.end())).await;
}

/// What the gateway sends next. What had to be waited for has come just now, from a gateway that is alive.
async fn next(
    link: &Link,
    down: &mut Streaming<CarryDown>,
    target: &mut impl Sink,
) -> Result<Option<CarryDown>, Status> {
    if let Some(frame) = down.message().now_or_never() {
        return frame;
    }
    // A target that has ended is seen with the next frame.
    let _ = target.settle().await;
    let frame = down.message().await;
    if frame.is_ok() {
        link.hear();
    }
    frame
}

/// The target's login, once it is done.
type Login = Result<(Ready, target::Up), Failure>;

/// What goes up to the gateway.
struct UpStream {
    state: Up,
}

enum Up {
    Start {
        ticket: Bytes,
        login: oneshot::Receiver<Login>,
    },
    Login(oneshot::Receiver<Login>),
    Buffered(Bytes, TargetReader),
    Reading(TargetReader),
    #[cfg(any(feature = "http", feature = "ssh"))]
    Messages(futures::stream::BoxStream<'static, carry_up::Body>),
    Ended,
}

impl From<target::Up> for Up {
    fn from(up: target::Up) -> Self {
        match up {
            target::Up::Bytes { buffered, read } => Self::Buffered(buffered, read),
            #[cfg(any(feature = "http", feature = "ssh"))]
            target::Up::Messages(messages) => Self::Messages(messages),
        }
    }
}

impl UpStream {
    fn new(ticket: Bytes) -> (Self, oneshot::Sender<Login>) {
        let (done, login) = oneshot::channel();
        (Self { state: Up::Start { ticket, login } }, done)
    }
}

impl Stream for UpStream {
    type Item = CarryUp;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<CarryUp>> {
        loop {
            let (body, next) = match std::mem::replace(&mut self.state, Up::Ended) {
                Up::Start { ticket, login } => (carry_up::Body::Start(CarryStart { ticket }), Up::Login(login)),
                Up::Login(mut login) => match login.poll_unpin(cx) {
                    Poll::Pending => {
                        self.state = Up::Login(login);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(Ok((ready, up)))) => (carry_up::Body::Ready(ready), up.into()),
                    Poll::Ready(Ok(Err(failure))) => (carry_up::Body::Failed(failure), Up::Ended),
                    Poll::Ready(Err(_)) => return Poll::Ready(None),
                },
                Up::Buffered(buffered, reader) if buffered.is_empty() => {
                    self.state = Up::Reading(reader);
                    continue;
                }
                Up::Buffered(buffered, reader) => (carry_up::Body::Data(buffered), Up::Reading(reader)),
                Up::Reading(mut reader) => match reader.poll_read(cx) {
                    Poll::Pending => {
                        self.state = Up::Reading(reader);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(data)) if data.is_empty() => {
                        (carry_up::Body::Closed(Closed { failure: None }), Up::Ended)
                    }
                    Poll::Ready(Ok(data)) => (carry_up::Body::Data(data), Up::Reading(reader)),
                    Poll::Ready(Err(error)) => {
                        (carry_up::Body::Closed(Closed { failure: Some(lost(&error)) }), Up::Ended)
                    }
                },
                #[cfg(any(feature = "http", feature = "ssh"))]
                Up::Messages(mut messages) => match messages.as_mut().poll_next(cx) {
                    Poll::Pending => {
                        self.state = Up::Messages(messages);
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(body)) => (body, Up::Messages(messages)),
                    Poll::Ready(None) => return Poll::Ready(None),
                },
                Up::Ended => return Poll::Ready(None),
            };
            self.state = next;
            return Poll::Ready(Some(CarryUp { body: Some(body) }));
        }
    }
}

fn lost(error: &std::io::Error) -> Failure {
    TargetFailure::new(Code::TargetLost, format!("the connection to the target broke: {error}")).into_wire()
}
