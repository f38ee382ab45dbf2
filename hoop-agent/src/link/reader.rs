//! What a target sends, read in pieces for the tunnel.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::io::AsyncRead;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::io::poll_read_buf;

/// The read half of a target.
type TargetRead = Box<dyn AsyncRead + Send + Unpin>;

/// Smallest and largest piece.
const SMALLEST: usize = 4 * 1024;
const LARGEST: usize = 64 * 1024;
/// What comes of one answer after so much is gathered to the largest pieces.
const MUCH: usize = 512 * 1024;
/// How long what is gathered waits for more.
const PAUSE: Duration = Duration::from_millis(1);

/// Reads the target into a buffer that is small while little comes, and large while much does.
///
/// A server that sends much of an answer does so in pieces of its own buffer's size (PostgreSQL's is 8 KiB), and each would
/// wake the agent, the gateway and the client for itself. So what comes of a long answer is gathered first, where the end of
/// an answer can be seen: the end leaves at once, and what is short is never gathered.
pub(crate) struct TargetReader {
    read: TargetRead,
    buffer: BytesMut,
    size: usize,
    /// Whether an answer ends with these bytes; `None` where that cannot be seen.
    is_end: Option<fn(&[u8]) -> bool>,
    /// How much of an answer has come without a pause.
    streak: usize,
    /// When something that was gathered came last.
    last: Instant,
    wait: Option<Pin<Box<Sleep>>>,
    /// What the target failed with, behind what is gathered.
    failed: Option<io::Error>,
}

impl TargetReader {
    /// A reader that passes on what comes, as it comes.
    pub(crate) fn new(read: TargetRead) -> Self {
        Self {
            read,
            buffer: BytesMut::new(),
            size: SMALLEST,
            is_end: None,
            streak: 0,
            last: Instant::now(),
            wait: None,
            failed: None,
        }
    }

    /// A reader that gathers long answers, of which this tells the end. Where it does not, what is gathered waits for a
    /// millisecond; where it tells one that is none, a piece is shorter than it could be.
    pub(crate) fn gathering(read: TargetRead, is_end: fn(&[u8]) -> bool) -> Self {
        Self { is_end: Some(is_end), ..Self::new(read) }
    }

    /// What the target sent, 64 KiB at most; empty at its end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            match self.poll_more(cx) {
                Poll::Pending if self.buffer.is_empty() => {
                    self.shrink();
                    return Poll::Pending;
                }
                Poll::Pending => {
                    ready!(self.poll_pause(cx));
                    self.streak = 0;
                }
                Poll::Ready(Err(error)) if self.buffer.is_empty() => return Poll::Ready(Err(error)),
                Poll::Ready(Err(error)) => self.failed = Some(error),
                Poll::Ready(Ok(len)) if len > 0 && self.waits_for_more(len) => continue,
                Poll::Ready(Ok(_)) => {}
            }
            return Poll::Ready(Ok(self.buffer.split().freeze()));
        }
    }

    /// Reads once, behind what is gathered.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        let held = self.buffer.len();
        if self.buffer.capacity() - held < self.size / 2 {
            self.buffer.reserve(self.size - held);
        }
        let room = self.buffer.capacity().min(LARGEST) - held;
        let len = ready!(poll_read_buf(Pin::new(&mut self.read), cx, &mut (&mut self.buffer).limit(room)))?;
        if len == room {
            self.size = (self.size * 2).min(LARGEST);
        }
        Poll::Ready(Ok(len))
    }

    /// Whether what has been read is to be gathered with what comes next.
    fn waits_for_more(&mut self, len: usize) -> bool {
        let Some(is_end) = self.is_end else { return false };
        if is_end(&self.buffer) {
            self.streak = 0;
            return false;
        }
        self.streak = self.streak.saturating_add(len);
        if self.streak < MUCH {
            return false;
        }
        self.size = LARGEST;
        self.last = Instant::now();
        self.buffer.len() < LARGEST
    }

    /// Resolves once nothing has come for a while.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.last + PAUSE;
        // One timer for many pieces: to set one is a system call where it ends before all others.
        let wait = self.wait.get_or_insert_with(|| Box::pin(sleep_until(until)));
        loop {
            ready!(wait.as_mut().poll(cx));
            if wait.deadline() >= until {
                break;
            }
            wait.as_mut().reset(until);
        }
        self.wait = None;
        Poll::Ready(())
    }

    /// An idle channel keeps no buffer; a busy one that waits for a moment keeps half of it.
    fn shrink(&mut self) {
        self.size = (self.size / 2).max(SMALLEST);
        if self.size == SMALLEST {
            self.buffer = BytesMut::new();
            self.wait = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures::stream;
    use tokio::io::{AsyncWriteExt as _, DuplexStream};
    use tokio::task::unconstrained;
    use tokio_util::io::StreamReader;

    use super::*;

    const PIECE: usize = 8 * 1024;

    fn ends_with_dot(sent: &[u8]) -> bool {
        sent.ends_with(b".")
    }

    fn gathering(read: impl AsyncRead + Send + Unpin + 'static) -> TargetReader {
        TargetReader::gathering(Box::new(read), ends_with_dot)
    }

    async fn next(reader: &mut TargetReader) -> Bytes {
        poll_fn(|cx| reader.poll_read(cx)).await.unwrap()
    }

    /// Reads what is sent in pieces, each once the one before it has been taken.
    async fn one_by_one(reader: &mut TargetReader, target: &mut DuplexStream, len: usize) -> Vec<usize> {
        // A reader that is pending has nothing to read, rather than no budget.
        unconstrained(take(reader, target, len)).await
    }

    async fn take(reader: &mut TargetReader, target: &mut DuplexStream, len: usize) -> Vec<usize> {
        let mut lens = Vec::new();
        let mut rest = len;
        while rest > 0 {
            target.write_all(&vec![b'x'; PIECE.min(rest)]).await.unwrap();
            while let Poll::Ready(piece) = futures::poll!(poll_fn(|cx| reader.poll_read(cx))) {
                lens.push(piece.unwrap().len());
            }
            rest -= PIECE.min(rest);
        }
        lens
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_short_leaves_at_once_and_what_is_long_in_large_pieces() {
        let (mut target, read) = tokio::io::duplex(PIECE);
        let mut reader = gathering(read);
        let short = one_by_one(&mut reader, &mut target, MUCH - PIECE).await;
        assert!(short.iter().all(|len| *len <= PIECE), "{short:?}");
        assert_eq!(short.iter().sum::<usize>(), MUCH - PIECE);
        let long = one_by_one(&mut reader, &mut target, 4 * LARGEST).await;
        let (_not_yet_much, gathered) = long.split_first().unwrap();
        assert_eq!(gathered, [LARGEST; 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_an_answer_leaves_at_once_and_what_pauses_after_a_millisecond() {
        let (mut target, read) = tokio::io::duplex(PIECE);
        let mut reader = gathering(read);
        one_by_one(&mut reader, &mut target, MUCH + 2 * PIECE).await;
        target.write_all(b"the end.").await.unwrap();
        let before = Instant::now();
        assert!(next(&mut reader).await.ends_with(b"the end."));
        assert_eq!(before.elapsed(), Duration::ZERO);

        one_by_one(&mut reader, &mut target, MUCH + 2 * PIECE).await;
        target.write_all(b"a notice").await.unwrap();
        let before = Instant::now();
        assert!(next(&mut reader).await.ends_with(b"a notice"));
        assert!(before.elapsed() >= PAUSE && before.elapsed() < 3 * PAUSE, "{:?}", before.elapsed());

        target.write_all(b"another").await.unwrap();
        let before = Instant::now();
        assert_eq!(&next(&mut reader).await[..], b"another");
        assert_eq!(before.elapsed(), Duration::ZERO, "the target has paused");
    }

    #[tokio::test]
    async fn what_is_gathered_leaves_before_the_end_and_before_an_error() {
        let ends: [Option<io::Error>; 2] = [None, Some(io::ErrorKind::ConnectionReset.into())];
        for end in ends {
            let kind = end.as_ref().map(io::Error::kind);
            let sent = [Ok(Bytes::from(vec![b'x'; MUCH])), Ok(Bytes::from_static(b"rest"))];
            let mut reader = gathering(StreamReader::new(stream::iter(sent.into_iter().chain(end.map(Err)))));
            let mut all = 0;
            let failed = loop {
                match poll_fn(|cx| reader.poll_read(cx)).await {
                    Ok(piece) if piece.is_empty() => break None,
                    Ok(piece) => all += piece.len(),
                    Err(error) => break Some(error.kind()),
                }
            };
            assert_eq!((all, failed), (MUCH + 4, kind));
        }
    }
}
