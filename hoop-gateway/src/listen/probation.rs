//! A connection on which nobody is known yet: it is read only so far, whatever its protocol would let the other end send ahead.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Reads so many bytes, and the rest once its other end is known.
pub(super) struct Probation<S> {
    io: S,
    left: usize,
    /// Resolves once it is known; none from then on.
    known: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl<S> Probation<S> {
    /// At most this many bytes before `known` is cancelled.
    pub(super) fn new(io: S, most: usize, known: CancellationToken) -> Self {
        Self { io, left: most, known: Some(Box::pin(known.cancelled_owned())) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Probation<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.known.as_mut().is_some_and(|known| known.as_mut().poll(cx).is_ready()) {
            this.known = None;
        }
        if this.known.is_none() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        if this.left == 0 {
            return Poll::Pending;
        }
        let most = buf.remaining().min(this.left);
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
        ready!(Pin::new(&mut this.io).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buf.advance(read);
        this.left -= read;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Probation<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn what_a_stranger_sends_is_read_so_far_and_the_rest_once_they_are_known() {
        let (io, mut other) = duplex(64);
        let known = CancellationToken::new();
        let mut io = Probation::new(io, 10, known.clone());
        other.write_all(&[1; 30]).await.expect("there is room");
        let mut read = [0; 30];
        assert_eq!(io.read(&mut read[..4]).await.expect("the first"), 4);
        assert_eq!(io.read(&mut read).await.expect("the last"), 6);
        let mut rest = Box::pin(io.read_exact(&mut read[..20]));
        assert!(futures::poll!(&mut rest).is_pending());
        known.cancel();
        assert_eq!(rest.await.expect("it goes on"), 20);
        assert_eq!(read[..20], [1; 20]);
    }

    #[tokio::test]
    async fn its_end_is_seen_and_it_can_be_written_to() {
        let (io, mut other) = duplex(64);
        let mut io = Probation::new(io, 10, CancellationToken::new());
        io.write_all(b"no").await.expect("there is room");
        let mut told = [0; 2];
        other.read_exact(&mut told).await.expect("told");
        drop(other);
        assert_eq!((&told, io.read(&mut [0; 4]).await.expect("the end")), (b"no", 0));
    }
}
