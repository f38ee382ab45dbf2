//! What is held in memory of bodies and messages that are read as a whole: so much of a session, and so much of all together. Whoever
//! asks for more is refused and may come again; nobody waits, since those who hold a part would wait for each other.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::{io, mem};

use hoop_core::{Code, Denial};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a body or a message may hold without being counted, in bytes: no more than is on its way in any case.
const FREE: usize = 64 * 1024;
/// More is counted in steps of so many bytes, which keeps counting rare.
const STEP: usize = 64 * 1024;

/// How much may be held at once.
#[derive(Debug)]
pub(crate) struct Budget {
    most: usize,
    held: AtomicUsize,
    /// What it is a part of.
    of: Option<Arc<Self>>,
}

impl Budget {
    /// So many bytes.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: AtomicUsize::new(0), of: None })
    }

    /// So many of these, for a session.
    pub(crate) fn part(self: &Arc<Self>, most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: AtomicUsize::new(0), of: Some(Arc::clone(self)) })
    }

    /// # Errors
    /// [`Code::GatewayBusy`] when others hold it; [`Code::LimitExceeded`] when there is no more, whoever holds it.
    fn take(&self, more: usize, all: usize) -> Result<(), Denial> {
        if all > self.most {
            return Err(self.too_much());
        }
        let grown = |held: usize| held.checked_add(more).filter(|held| *held <= self.most);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).map_err(|_| self.busy())?;
        match &self.of {
            Some(of) => of.take(more, all).inspect_err(|_| {
                self.held.fetch_sub(more, Ordering::Relaxed);
            }),
            None => Ok(()),
        }
    }

    fn give(&self, less: usize) {
        self.held.fetch_sub(less, Ordering::Relaxed);
        if let Some(of) = &self.of {
            of.give(less);
        }
    }

    fn whose(&self) -> &'static str {
        if self.of.is_some() { "the session" } else { "the gateway" }
    }

    fn busy(&self) -> Denial {
        let reason = format!("{} holds as much of bodies and messages as it may at once", self.whose());
        Denial::new("gateway", Code::GatewayBusy, reason).hint("try again in a moment, with fewer at once")
    }

    fn too_much(&self) -> Denial {
        let reason = format!("{} may hold {} bytes, and this body or message needs more", self.whose(), self.most);
        Denial::new("gateway", Code::LimitExceeded, reason).hint("send less at once, or ask an administrator")
    }
}

/// What one body, or one direction of messages, holds. Dropping it gives that back.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Arc<Budget>,
    counted: usize,
}

impl Held {
    /// Nothing yet.
    pub(crate) fn of(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), counted: 0 }
    }

    /// Holds so many bytes from now on, be it more or less than before.
    ///
    /// # Errors
    /// [`Code::GatewayBusy`] and [`Code::LimitExceeded`]; it holds what it did before.
    pub(crate) fn cover(&mut self, bytes: usize) -> Result<(), Denial> {
        let counted = bytes.saturating_sub(FREE).div_ceil(STEP).saturating_mul(STEP);
        match counted.checked_sub(self.counted) {
            Some(0) => {}
            Some(more) => self.budget.take(more, counted)?,
            None => self.budget.give(self.counted - counted),
        }
        self.counted = counted;
        Ok(())
    }

    /// The same, for who goes on with what is held; nothing is left here.
    pub(crate) fn take(&mut self) -> Self {
        Self { budget: Arc::clone(&self.budget), counted: mem::take(&mut self.counted) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.give(self.counted);
    }
}

/// Counts what is read of one end of a WebSocket since its last message. The library keeps the buffers of the longest one for as long
/// as the socket is open, both where it is read and where it is written, and so does this.
#[derive(Debug, Clone)]
pub(crate) struct Meter(Arc<Mutex<Read>>);

#[derive(Debug)]
struct Read {
    bytes: usize,
    most: usize,
    held: Held,
}

impl Meter {
    pub(crate) fn of(budget: &Arc<Budget>) -> Self {
        Self(Arc::new(Mutex::new(Read { bytes: 0, most: 0, held: Held::of(budget) })))
    }

    /// The message has gone on.
    pub(crate) fn rest(&self) {
        self.0.lock().bytes = 0;
    }

    fn read(&self, bytes: usize) -> Result<(), Denial> {
        /// As it is read, and as it is written.
        const COPIES: usize = 2;
        let mut read = self.0.lock();
        read.bytes = read.bytes.saturating_add(bytes);
        if read.bytes > read.most {
            let all = COPIES.saturating_mul(read.bytes);
            read.held.cover(all)?;
            read.most = read.bytes;
        }
        Ok(())
    }
}

/// An end whose reading is counted; a refusal is an error of reading.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    io: S,
    meter: Meter,
}

impl<S> Metered<S> {
    pub(crate) const fn new(io: S, meter: Meter) -> Self {
        Self { io, meter }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = polled {
            self.meter.read(buf.filled().len() - before).map_err(io::Error::other)?;
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn code(covered: Result<(), Denial>) -> Option<Code> {
        covered.err().map(|denial| denial.code)
    }

    #[test]
    fn a_session_holds_as_much_as_it_may_and_no_byte_more() {
        let all = Budget::new(10 * STEP);
        let session = all.part(4 * STEP);
        let (mut one, mut other) = (Held::of(&session), Held::of(&session));
        one.cover(FREE + 3 * STEP).expect("it is there");
        other.cover(FREE + STEP).expect("to the last byte");
        assert_eq!(code(other.cover(FREE + STEP + 1)), Some(Code::GatewayBusy));
        other.cover(FREE).expect("less is never refused");
        one.cover(FREE + 4 * STEP).expect("what was given back");
        assert_eq!(code(one.cover(FREE + 4 * STEP + 1)), Some(Code::LimitExceeded), "it would never fit");
        assert_eq!(code(other.cover(FREE + 1)), Some(Code::GatewayBusy));
        other.cover(FREE).expect("what is on its way counts for nothing");
        drop(one);
        other.cover(FREE + 4 * STEP).expect("it is given back");
    }

    #[test]
    fn all_sessions_together_hold_no_more_than_the_gateway_may() {
        let all = Budget::new(3 * STEP);
        let sessions = [all.part(2 * STEP), all.part(2 * STEP), all.part(4 * STEP)];
        let [mut one, mut other, mut third] = sessions.each_ref().map(Held::of);
        one.cover(FREE + 2 * STEP).expect("it is there");
        assert_eq!(code(other.cover(FREE + 2 * STEP)), Some(Code::GatewayBusy), "of the gateway");
        // What was refused took nothing from its session.
        other.cover(FREE + STEP).expect("the last");
        assert_eq!(code(third.cover(FREE + 4 * STEP)), Some(Code::LimitExceeded), "more than the gateway may");
        let mut moved = one.take();
        drop(one);
        assert_eq!(code(third.cover(FREE + 1)), Some(Code::GatewayBusy), "who goes on holds it");
        moved.cover(0).expect("less");
        third.cover(FREE + 2 * STEP).expect("it is given back");
    }

    #[test]
    fn nothing_is_lost_where_many_come_and_go_at_once() {
        const MANY: usize = 8;
        let (all, begin) = (Budget::new(5 * STEP), Barrier::new(MANY));
        let session = all.part(4 * STEP);
        std::thread::scope(|scope| {
            for number in 0..MANY {
                let (session, begin) = (&session, &begin);
                scope.spawn(move || {
                    begin.wait();
                    for round in 0..1000 {
                        let mut held = Held::of(session);
                        let _ = held.cover(FREE + (number + round) % 5 * STEP);
                        assert!(session.held.load(Ordering::Relaxed) <= 4 * STEP);
                    }
                });
            }
        });
        assert_eq!((session.held.load(Ordering::Relaxed), all.held.load(Ordering::Relaxed)), (0, 0));
    }

    #[tokio::test]
    async fn an_end_that_says_more_than_may_be_held_is_read_no_further() {
        let budget = Budget::new(STEP);
        let meter = Meter::of(&budget);
        let mut io = Metered::new(io::Cursor::new(vec![0; 1 << 20]), meter.clone());
        let mut message = vec![0; FREE];
        io.read_exact(&mut message).await.expect("twice that is just held");
        io.read_exact(&mut [0]).await.expect_err("one byte more is not");
        meter.rest();
        io.read_exact(&mut message).await.expect("the next message takes the same place");
        let error = io.read_exact(&mut [0]).await.expect_err("one byte more is not");
        assert_eq!(budget.held.load(Ordering::Relaxed), STEP, "it is kept while the socket is open");
        let denial = error.into_inner().and_then(|error| error.downcast::<Denial>().ok()).expect("the refusal");
        assert_eq!(denial.code, Code::LimitExceeded);
        drop((io, meter));
        assert_eq!(budget.held.load(Ordering::Relaxed), 0);
    }
}
