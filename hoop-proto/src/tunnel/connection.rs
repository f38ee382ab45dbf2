//! A connection whose bytes travel as messages of a stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

/// The longest chunk that is written, in bytes. As much as a target's read brings at once.
const MAX_CHUNK: usize = 64 * 1024;
/// How many chunks may wait for the stream. More would only hide that the other end is slow.
const QUEUE: usize = 2;

/// The queue of what a connection writes. It ends when the connection is shut down or dropped; dropping its receiver breaks
/// the connection.
pub fn chunks() -> (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
    mpsc::channel(QUEUE)
}

/// Both directions of a stream of bytes, to be read from and written to.
///
/// It reads the messages that come in, and nothing ahead of its reader. What is written waits in a queue of two chunks of
/// 64 KiB for whoever sends them; when that is full, writing waits. Flushing does nothing: what is written is on its way.
#[derive(Debug)]
pub struct Connection<S> {
    /// `None` once it has ended.
    incoming: Option<S>,
    unread: Bytes,
    outgoing: PollSender<Bytes>,
}

impl<S> Connection<S> {
    /// A connection that reads what comes in, and writes to one end of [`chunks`].
    pub fn new(incoming: S, outgoing: mpsc::Sender<Bytes>) -> Self {
        Self { incoming: Some(incoming), unread: Bytes::new(), outgoing: PollSender::new(outgoing) }
    }
}

impl<S: Stream<Item = io::Result<Bytes>> + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            let Some(incoming) = &mut self.incoming else { return Poll::Ready(Ok(())) };
            match ready!(Pin::new(incoming).poll_next(cx)).transpose() {
                Ok(Some(bytes)) => self.unread = bytes,
                ended => {
                    self.incoming = None;
                    return Poll::Ready(ended.map(drop));
                }
            }
        }
        let len = self.unread.len().min(buffer.remaining());
        buffer.put_slice(self.unread.get(..len).unwrap_or_default());
        self.unread.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl<S: Unpin> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// Small pieces travel together.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = pieces.iter().map(|piece| piece.len()).sum::<usize>().min(MAX_CHUNK);
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        ready!(self.outgoing.poll_reserve(cx)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        let mut chunk = BytesMut::with_capacity(len);
        for piece in pieces {
            let fits = piece.len().min(len - chunk.len());
            chunk.extend_from_slice(piece.get(..fits).unwrap_or_default());
        }
        self.outgoing.send_item(chunk.freeze()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.close();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Waker;

    use futures::stream;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn connection<S: Stream<Item = io::Result<Bytes>>>(incoming: S) -> (Connection<S>, mpsc::Receiver<Bytes>) {
        let (outgoing, written) = chunks();
        (Connection::new(incoming, outgoing), written)
    }

    /// Runs what nothing outside is waited for.
    fn now<T>(work: impl Future<Output = T>) -> Option<T> {
        match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    #[test]
    fn chunks_mean_nothing_and_the_end_is_told() {
        let parts = [&b"ab"[..], b"", b"cde"].map(|chunk| Ok(Bytes::from_static(chunk)));
        let (mut connection, _written) = connection(stream::iter(parts));
        let mut read = [0; 4];
        assert_eq!(now(connection.read_exact(&mut read)).expect("there").expect("read"), 4);
        assert_eq!(&read, b"abcd");
        assert_eq!(now(connection.read(&mut read)).expect("there").expect("read"), 1);
        for _ in 0..2 {
            assert_eq!(now(connection.read(&mut read)).expect("ended").expect("read"), 0);
        }
    }

    #[test]
    fn a_break_is_told_once() {
        let broken = stream::iter([Err(io::ErrorKind::ConnectionReset.into())]);
        let (mut connection, _written) = connection(broken);
        now(connection.read(&mut [0; 4])).expect("told").expect_err("broken");
        assert_eq!(now(connection.read(&mut [0; 4])).expect("ended").expect("read"), 0);
    }

    #[test]
    fn writing_waits_for_whoever_sends() {
        let (mut connection, mut written) = connection(stream::empty());
        let bytes = vec![7; 3 * MAX_CHUNK];
        assert_eq!(now(connection.write(&bytes)).expect("room").expect("written"), MAX_CHUNK);
        let pieces = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"c")];
        assert_eq!(now(connection.write_vectored(&pieces)).expect("room").expect("written"), 3);
        assert!(now(connection.write(b"more")).is_none(), "two chunks wait already");
        assert_eq!(written.try_recv().expect("sent").len(), MAX_CHUNK);
        assert_eq!(now(connection.write(b"more")).expect("room").expect("written"), 4);
        now(connection.shutdown()).expect("at once").expect("shut down");
        assert_eq!(written.try_recv().expect("sent"), &b"abc"[..]);
        assert_eq!(written.try_recv().expect("sent"), &b"more"[..]);
        assert_eq!(written.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
        now(connection.write(b"late")).expect("at once").expect_err("it is shut down");
    }

    #[test]
    fn nobody_who_sends_is_a_broken_connection() {
        let (mut connection, written) = connection(stream::empty());
        drop(written);
        let error = now(connection.write(b"x")).expect("at once").expect_err("broken");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
