//! A connection that can be cut, whatever the library does with it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long the client may take to hang up once we have: what we said last is to reach it, and the library would wait for ever.
const LINGER: Duration = Duration::from_secs(2);

/// Reads the end once it is cut, and takes no more writes. It also ends when we have hung up, and the client does not.
pub(super) struct Severable<S> {
    io: S,
    /// One for each direction: their tasks may be others, and both are to hear of it.
    reads: Pin<Box<WaitForCancellationFutureOwned>>,
    writes: Pin<Box<WaitForCancellationFutureOwned>>,
    hung_up: Option<Pin<Box<Sleep>>>,
}

impl<S> Severable<S> {
    pub(super) fn new(io: S, cut: CancellationToken) -> Self {
        let waits = || Box::pin(cut.clone().cancelled_owned());
        Self { io, reads: waits(), writes: waits(), hung_up: None }
    }

    /// A write that the other end does not take ends with the cut, too.
    fn writable(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.writes.as_mut().poll(cx).is_ready() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Severable<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let lingered = self.hung_up.as_mut().is_some_and(|time| time.as_mut().poll(cx).is_ready());
        if lingered || self.reads.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Severable<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.writable(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writable(cx)?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.hung_up.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writable(cx)?;
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
    async fn what_waits_for_the_other_end_is_cut_in_both_directions() {
        let (io, _other) = duplex(16);
        let cut = CancellationToken::new();
        let (mut reader, mut writer) = tokio::io::split(Severable::new(io, cut.clone()));
        let read = async { reader.read(&mut [0; 16]).await.ok() };
        let write = async { writer.write_all(&[0; 64]).await.map_err(|error| error.kind()) };
        let cuts = async {
            tokio::task::yield_now().await;
            cut.cancel();
        };
        let (read, write, ()) = tokio::join!(read, write, cuts);
        assert_eq!((read, write), (Some(0), Err(io::ErrorKind::BrokenPipe)));
    }

    #[tokio::test]
    async fn a_client_that_does_not_hang_up_holds_nothing() {
        let (io, mut other) = duplex(16);
        let (mut reader, mut writer) = tokio::io::split(Severable::new(io, CancellationToken::new()));
        other.write_all(b"bye").await.expect("room");
        writer.shutdown().await.expect("at once");
        let mut said = Vec::new();
        reader.read_to_end(&mut said).await.expect("the end");
        assert_eq!(said, b"bye");
        assert_eq!(other.read(&mut [0; 16]).await.expect("the end"), 0);
    }
}
