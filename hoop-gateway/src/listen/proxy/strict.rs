//! A client's stream of which the library that parses HTTP sees only what can be read in one way ([`hoop_proto::http`]).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use hoop_proto::http::{Answers, Framing, Limits, Pass, Progress, Violation};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a client that was refused may go on sending: until it has read why. A socket that is closed with something unread
/// takes back what was written to it.
const LINGER: Duration = Duration::from_secs(1);

/// How much a client that was refused may go on sending, in bytes.
const LINGER_BYTES: usize = 1 << 20;

/// How much is read at once behind a head that has not come as a whole, in bytes.
const HOLD_BYTES: usize = 4 << 10;

/// A client's stream. Whoever reads it gets heads that are complete and right, each once the request before it is answered, and
/// bodies as they come. At the first byte that is wrong it gets the end of the stream; the client gets a `400 Bad Request` that
/// names what is wrong, unless the answer to that very request has begun.
///
/// Bodies are read into the reader's buffer and checked there. A head that has not come as a whole is kept back, and so is what
/// the reader's buffer has of the next request. HTTP/2 and what an upgrade leads to pass unchecked.
///
/// It knows from what is written which requests are answered, so it belongs around the stream that a server of HTTP/1 writes to,
/// within TLS.
pub(crate) struct Strict<S> {
    io: S,
    framing: Framing,
    answers: Answers,
    /// What was read and is not the reader's yet.
    held: BytesMut,
    /// How much of it was checked.
    checked: usize,
    violation: Option<Violation>,
    /// What the client is told in the place of an answer.
    refusal: Option<Bytes>,
    linger: Option<Linger>,
    /// Who waits until the request before is answered.
    reader: Option<Waker>,
}

struct Linger {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl<S> Strict<S> {
    /// Nothing was read yet.
    pub(crate) fn new(io: S, limits: Limits) -> Self {
        Self {
            io,
            framing: Framing::new(limits),
            answers: Answers::default(),
            held: BytesMut::new(),
            checked: 0,
            violation: None,
            refusal: None,
            linger: None,
            reader: None,
        }
    }

    /// Whether what comes next has to wait for an answer.
    fn is_gated(&self) -> bool {
        match self.answers.progress() {
            Progress::Awaited => self.framing.is_between(),
            Progress::Begun => self.framing.is_between() || self.framing.is_waiting(),
            Progress::Done | Progress::Switched => false,
        }
    }

    /// How much of these bytes goes on now.
    fn check(&mut self, bytes: &[u8]) -> usize {
        let mut len = 0;
        while self.violation.is_none() && !self.is_gated() {
            match self.framing.check(bytes.get(len..).unwrap_or_default()) {
                Ok(Pass { len: 0, .. }) => break,
                Ok(pass) => {
                    len += pass.len;
                    if pass.head {
                        self.answers.asked(self.framing.is_head(), self.framing.is_waiting());
                    }
                }
                Err(violation) => self.refuse(violation),
            }
        }
        len
    }

    fn check_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        self.checked = self.check(&held);
        self.held = held;
    }

    fn refuse(&mut self, violation: Violation) {
        tracing::debug!(%violation, "what a client sends is not HTTP/1");
        self.violation = Some(violation);
        let is_unanswered = match self.answers.progress() {
            Progress::Awaited => true,
            Progress::Done => self.framing.is_between(),
            Progress::Begun | Progress::Switched => false,
        };
        if is_unanswered {
            self.refusal = Some(refusal(violation));
        }
    }

    fn take_checked(&mut self, buf: &mut ReadBuf<'_>) {
        let len = self.checked.min(buf.remaining());
        buf.put_slice(&self.held[..len]);
        self.held.advance(len);
        self.checked -= len;
        if self.held.is_empty() {
            // Most clients never need it again.
            self.held = BytesMut::new();
        }
    }

    fn wrote(&mut self, bytes: &[u8]) {
        if self.framing.is_off() {
            return;
        }
        self.answers.wrote(bytes);
        match self.answers.progress() {
            Progress::Done => self.framing.declined(),
            Progress::Switched => self.framing.upgraded(),
            Progress::Awaited | Progress::Begun => return,
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Strict<S> {
    /// Reads behind what is held. Whether anything came; nothing does at the end of the stream.
    fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.held.reserve(HOLD_BYTES);
        let read = ready!(tokio_util::io::poll_read_buf(Pin::new(&mut self.io), cx, &mut self.held))?;
        Poll::Ready(Ok(read > 0))
    }

    /// Reads into the reader's buffer, and takes back what does not go on. Whether there is anything to tell the reader.
    fn poll_through(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let bytes = buf.filled().get(before..).unwrap_or_default();
        if bytes.is_empty() {
            return Poll::Ready(Ok(true));
        }
        let len = self.check(bytes);
        if self.violation.is_none() {
            self.held.extend_from_slice(&bytes[len..]);
        }
        buf.set_filled(before + len);
        Poll::Ready(Ok(len > 0))
    }

    /// Tells the client what is wrong, and that nothing more comes.
    fn poll_refuse(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(refusal) = &mut self.refusal else { return Poll::Ready(()) };
        while refusal.has_remaining() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, refusal)) {
                Ok(len) if len > 0 => refusal.advance(len),
                _ => refusal.clear(),
            }
        }
        // A client that is gone by now is not told.
        let _ = ready!(Pin::new(&mut self.io).poll_shutdown(cx));
        Poll::Ready(())
    }

    /// Reads and drops what still comes of a client that was refused.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let begin = || Linger { until: Box::pin(tokio::time::sleep(LINGER)), left: LINGER_BYTES };
        let linger = self.linger.get_or_insert_with(begin);
        let mut dropped = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut dropped);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Pending => return linger.until.as_mut().poll(cx),
                Poll::Ready(Ok(())) if !buf.filled().is_empty() && linger.left > 0 => {
                    linger.left = linger.left.saturating_sub(buf.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Strict<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.checked > 0 {
                this.take_checked(buf);
                return Poll::Ready(Ok(()));
            }
            if this.violation.is_some() {
                ready!(this.poll_refuse(cx));
                return Poll::Ready(Ok(()));
            }
            if this.held.is_empty() {
                // Also while an answer is due: the client may go away.
                if ready!(this.poll_through(cx, buf))? {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            if this.is_gated() {
                this.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            this.check_held();
            if this.checked == 0 && this.violation.is_none() && !ready!(this.poll_hold(cx))? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    /// What is written after a refusal is dropped: whoever asked has its answer.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.refusal.is_some() {
            return Poll::Ready(Ok(buf.len()));
        }
        let len = ready!(Pin::new(&mut this.io).poll_write(cx, buf))?;
        this.wrote(&buf[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.refusal.is_some() {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let len = ready!(Pin::new(&mut this.io).poll_write_vectored(cx, bufs))?;
        let mut left = len;
        for buf in bufs {
            let written = buf.len().min(left);
            this.wrote(&buf[..written]);
            left -= written;
        }
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.refusal.is_some() {
            return this.poll_refuse(cx).map(Ok);
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.violation.is_none() {
            return Pin::new(&mut this.io).poll_shutdown(cx);
        }
        if this.refusal.is_some() {
            ready!(this.poll_refuse(cx));
        } else {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
        }
        this.poll_linger(cx).map(Ok)
    }
}

fn refusal(violation: Violation) -> Bytes {
    let status = violation.status();
    let reason =
        http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    let text = format!("{violation}\n");
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    Bytes::from(head + &text)
}

#[cfg(test)]
mod tests;
