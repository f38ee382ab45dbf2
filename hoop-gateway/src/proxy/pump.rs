//! The pump: one task a session, both directions in it.
//!
//! Each direction stops on its own, when its reader is slow or the chain holds it, and the other goes on. Nothing is read
//! from one end before what was read last has left for the other, so a session's memory does not depend on what flows.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use hoop_core::{Code, Denial, Outcome};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::io::poll_read_buf;

use crate::session::{Asked, Control};
use crate::tunnel::{Channel, Received, violation};

/// Smallest and largest piece that is read from a client at once.
const SMALLEST: usize = 4 * 1024;
const LARGEST: usize = 64 * 1024;
/// Most that is read ahead of a client that waits for somebody.
const AHEAD: usize = 64 * 1024;
/// Pieces that are written to a client with one call.
const PIECES: usize = 16;
/// Pieces for the target that together are at most this long leave as one message of the tunnel.
const TOGETHER: usize = 64 * 1024;
/// How long a client may take to read the last message.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a protocol makes of the bytes of both ends: a state machine without I/O.
pub(crate) trait Relay: Send {
    /// Takes whole messages off the front of what the client sent.
    ///
    /// # Errors
    /// [`Stop`] ends the session.
    fn on_client(&mut self, inbox: &mut BytesMut) -> Result<(), Stop>;
    /// Takes what the target sent, all of it.
    ///
    /// # Errors
    /// [`Stop`] ends the session.
    fn on_target(&mut self, bytes: Bytes) -> Result<(), Stop>;
    /// Goes on with what the chain held, when that is over; says whether anything did.
    ///
    /// # Errors
    /// [`Stop`] ends the session.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Result<bool, Stop>;
    /// Whether it can take more of the client.
    fn takes_client(&self) -> bool;
    /// Whether it waits for somebody, maybe for long: what the client sends meanwhile is read up to a limit, so that its end is seen.
    fn waits_long(&self) -> bool;
    /// Whether it can take more of the target.
    fn takes_target(&self) -> bool;
    /// The client asks to cancel what runs. Says whether the target must be asked.
    fn on_cancel(&mut self) -> bool;
    /// Whether the target is to be asked to cancel, for a reason of the relay's own.
    fn cancels(&mut self) -> bool;
    /// What leaves for the target.
    fn to_target(&mut self) -> &mut Outbox;
    /// What leaves for the client.
    fn to_client(&mut self) -> &mut Outbox;
    /// Tells the client, in its protocol, why the session ends. Nothing when that cannot be said at this point.
    fn last_words(&mut self, why: &Denial) -> Option<Bytes>;
}

/// Why a relay stops.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The client ended the session in its protocol's own way.
    Completed,
    /// The session must end.
    Denied(Denial),
}

impl From<Denial> for Stop {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

/// Pieces on their way out, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pieces: VecDeque<Bytes>,
}

impl Outbox {
    /// Adds a piece.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.pieces.push_back(piece);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The next piece; small ones together.
    fn next(&mut self) -> Option<Bytes> {
        let first = self.pieces.pop_front()?;
        let Some(second) = self.pieces.front() else { return Some(first) };
        if first.len() + second.len() > TOGETHER {
            return Some(first);
        }
        let mut together = BytesMut::with_capacity((first.len() + second.len()).next_power_of_two());
        together.extend_from_slice(&first);
        while let Some(piece) = self.pieces.pop_front_if(|piece| together.len() + piece.len() <= TOGETHER) {
            together.extend_from_slice(&piece);
        }
        Some(together.freeze())
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(front) = self.pieces.front_mut() {
            if written < front.len() {
                drop(front.split_to(written));
                return;
            }
            written -= front.len();
            self.pieces.pop_front();
        }
        // An idle session keeps no room for a burst.
        if self.pieces.capacity() > 64 {
            self.pieces = VecDeque::new();
        }
    }
}

/// Moves bytes until the session ends; says how it ended. The client is told why, where it is not its own doing.
pub(crate) async fn run<S, R>(
    client: &mut S,
    channel: &mut Channel,
    relay: &mut R,
    control: &Control,
    lasts: Option<Duration>,
) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
    R: Relay,
{
    let expires = lasts.map(|lasts| Box::pin(sleep_until(Instant::now() + lasts)));
    let mut pump = Pump {
        client,
        channel,
        relay,
        control,
        expires,
        inbox: BytesMut::new(),
        size: SMALLEST,
        flush: false,
        cancelling: None,
        last: None,
    };
    let end = std::future::poll_fn(|cx| pump.poll(cx)).await;
    let Pump { client, relay, .. } = pump;
    if let End::Told(outcome) = &end
        && let Some(why) = outcome.denial()
        && let Some(words) = relay.last_words(why)
    {
        relay.to_client().push(words);
    }
    let _ = timeout(LAST_WORDS, say(client, relay.to_client())).await;
    match end {
        End::Told(outcome) | End::Gone(outcome) => outcome,
    }
}

async fn say<S: AsyncWrite + Unpin>(client: &mut S, outbox: &mut Outbox) -> io::Result<()> {
    while let Some(piece) = outbox.next() {
        client.write_all(&piece).await?;
    }
    client.flush().await?;
    client.shutdown().await
}

/// How the pump ended.
enum End {
    /// The client is still there.
    Told(Outcome),
    /// The client ended it, or knows already.
    Gone(Outcome),
}

struct Pump<'a, S, R> {
    client: &'a mut S,
    channel: &'a mut Channel,
    relay: &'a mut R,
    control: &'a Control,
    expires: Option<Pin<Box<Sleep>>>,
    /// What the client sent and the relay has not taken.
    inbox: BytesMut,
    /// How much is read from the client at once.
    size: usize,
    /// Whether something was written that has not left yet, as TLS may keep it.
    flush: bool,
    /// What runs is being cancelled: what is sent meanwhile would be hit in its place.
    cancelling: Option<oneshot::Receiver<()>>,
    /// How it ends, once everything for the target has left.
    last: Option<Outcome>,
}

impl<S, R> Pump<'_, S, R>
where
    S: AsyncRead + AsyncWrite + Unpin,
    R: Relay,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.poll_asked(cx).and_then(|()| self.turn(cx)) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    /// Moves what can be moved, until nothing can.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            let held = self.relay.poll_held(cx).map_err(stopped)?;
            let up = self.client_to_target(cx)?;
            let down = self.target_to_client(cx)?;
            if !(held || up || down) {
                return Ok(());
            }
        }
    }

    fn poll_asked(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        while let Poll::Ready(asked) = self.control.poll_asked(cx) {
            match asked {
                Asked::End(why) => return Err(End::Told(why.into())),
                Asked::Cancel => {
                    if self.relay.on_cancel() {
                        self.channel.canceller().cancel();
                    }
                }
            }
        }
        if let Some(expires) = &mut self.expires
            && expires.as_mut().poll(cx).is_ready()
        {
            return Err(End::Told(expired().into()));
        }
        Ok(())
    }

    /// Whether anything moved.
    fn client_to_target(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut moved = false;
        loop {
            if self.relay.cancels() {
                self.cancelling = Some(self.channel.canceller().cancel_first());
            }
            if let Some(cancelling) = &mut self.cancelling {
                if cancelling.poll_unpin(cx).is_pending() {
                    return Ok(moved);
                }
                self.cancelling = None;
            }
            while !self.relay.to_target().is_empty() {
                match self.channel.poll_send_ready(cx) {
                    Poll::Pending => return Ok(moved),
                    Poll::Ready(ready) => ready.map_err(lost)?,
                }
                if let Some(piece) = self.relay.to_target().next() {
                    self.channel.send(piece).map_err(lost)?;
                    moved = true;
                }
            }
            if let Some(outcome) = self.last.take() {
                return Err(End::Gone(outcome));
            }
            if !self.relay.takes_client() {
                return self.look_for_client(cx).map(|()| moved);
            }
            match self.relay.on_client(&mut self.inbox) {
                Ok(()) => {}
                // What was sent before it still goes to the target.
                Err(Stop::Completed) => self.last = Some(Outcome::Completed),
                Err(Stop::Denied(denial)) => return Err(End::Told(denial.into())),
            }
            if self.last.is_some() || !self.relay.to_target().is_empty() || !self.relay.takes_client() {
                moved = true;
                continue;
            }
            match self.read_client(cx) {
                Poll::Pending => return Ok(moved),
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => self.last = Some(Outcome::ClientLost),
                Poll::Ready(Ok(_)) => moved = true,
            }
        }
    }

    fn read_client(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.inbox.capacity() - self.inbox.len() < self.size / 2 {
            self.inbox.reserve(self.size);
        }
        let room = self.inbox.capacity() - self.inbox.len();
        match poll_read_buf(Pin::new(&mut *self.client), cx, &mut self.inbox) {
            Poll::Pending => {
                // An idle session keeps no large buffer.
                self.size = (self.size / 2).max(SMALLEST);
                if self.inbox.is_empty() && self.size == SMALLEST {
                    self.inbox = BytesMut::new();
                }
                Poll::Pending
            }
            Poll::Ready(Ok(len)) => {
                if len >= room {
                    self.size = (self.size * 2).min(LARGEST);
                }
                Poll::Ready(Ok(len))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }

    /// Whether anything moved.
    fn target_to_client(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut moved = false;
        loop {
            match self.write_client(cx) {
                Poll::Pending => return Ok(moved),
                Poll::Ready(Ok(wrote)) => moved |= wrote,
                Poll::Ready(Err(_)) => return Err(End::Gone(Outcome::ClientLost)),
            }
            if !self.relay.takes_target() {
                return Ok(moved);
            }
            match self.channel.poll_receive(cx) {
                Poll::Pending => return Ok(moved),
                Poll::Ready(Ok(Received::Data(bytes))) => self.relay.on_target(bytes).map_err(stopped)?,
                Poll::Ready(Ok(Received::Ssh(_) | Received::Http(_))) => {
                    return Err(lost(violation(self.channel.agent())));
                }
                Poll::Ready(Ok(Received::Closed)) => return Err(End::Told(closed().into())),
                Poll::Ready(Err(denial)) => return Err(lost(denial)),
            }
            moved = true;
        }
    }

    /// Sees whether a client is there still for which something waits long. What it sends is kept for later.
    fn look_for_client(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        while self.relay.waits_long() && self.inbox.len() < AHEAD {
            match self.read_client(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Err(End::Gone(Outcome::ClientLost)),
                Poll::Ready(Ok(_)) => {}
            }
        }
        Ok(())
    }

    /// Writes until nothing is left, and says whether anything was.
    fn write_client(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut wrote = false;
        while !self.relay.to_client().is_empty() {
            let outbox = self.relay.to_client();
            let written = if self.client.is_write_vectored() {
                let mut slices = [IoSlice::new(&[]); PIECES];
                let mut count = 0;
                for (slice, piece) in slices.iter_mut().zip(&outbox.pieces) {
                    *slice = IoSlice::new(piece);
                    count += 1;
                }
                ready!(Pin::new(&mut *self.client).poll_write_vectored(cx, slices.get(..count).unwrap_or_default()))?
            } else {
                let front = outbox.pieces.front().map_or(&[][..], |piece| piece);
                ready!(Pin::new(&mut *self.client).poll_write(cx, front))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.relay.to_client().advance(written);
            self.flush = true;
            wrote = true;
        }
        if self.flush {
            ready!(Pin::new(&mut *self.client).poll_flush(cx))?;
            self.flush = false;
        }
        Poll::Ready(Ok(wrote))
    }
}

/// The refusal for who was given a time.
pub(crate) fn expired() -> Denial {
    Denial::new("gateway", Code::SessionExpired, "the time that was granted for this session is over")
        .hint("ask for access again")
}

fn stopped(stop: Stop) -> End {
    match stop {
        Stop::Completed => End::Gone(Outcome::Completed),
        Stop::Denied(denial) => End::Told(denial.into()),
    }
}

fn lost(denial: Denial) -> End {
    End::Told(denial.into())
}

fn closed() -> Denial {
    Denial::new("target", Code::TargetLost, "the target closed the connection")
        .hint("connect again; what was not acknowledged may or may not have run")
}
