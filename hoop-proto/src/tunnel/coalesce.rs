//! A connection that many sessions share, flushed once for several of them that are ready.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::Poller;

/// How many bytes are gathered at most; what is longer is not copied.
const MOST_BYTES: usize = 16 * 1024;
/// How many flushes are made in one at most: the other end begins with the first sessions while the rest are still to come.
const MOST_FLUSHES: u16 = 16;
/// After so many turns in a row that brought nothing, flushes are made at once for a while.
const PATIENCE: u8 = 4;
/// How many flushes are made at once then.
const AT_ONCE: u8 = 32;

/// Gathers short writes, and puts flushes off until the tasks that are ready have had their turn, or until there are several,
/// so that what these tasks write leaves in one TLS record and one system call, and wakes the other end once.
///
/// A runtime polls the task of a connection right after the session that wrote to it, before the other sessions that are
/// ready; among many sessions each one's message would travel alone. Where waiting brings nothing, as with a single session,
/// it is seldom tried.
///
/// It is for a task that flushes whenever it is polled, as that of an HTTP/2 connection does: a flush that is put off says
/// that it is done, and the task is woken to make up for it.
#[derive(Debug)]
pub struct Coalescing<S> {
    io: S,
    gathered: Vec<u8>,
    /// How much of it has been written.
    written: usize,
    turn: Arc<Turn>,
    _turns: AbortOnDropHandle<()>,
    poller: Option<Poller>,
    /// Whether a flush waits for the end of a turn.
    awaited: bool,
    /// Flushes since the last that was made.
    put_off: u16,
    /// Whether this turn brought more than the flush that waits for its end.
    gained: bool,
    /// The last turns that brought nothing.
    in_vain: u8,
    /// Flushes that are made at once.
    at_once: u8,
}

/// A turn of all tasks that are ready.
#[derive(Debug, Default)]
struct Turn {
    asked: Notify,
    over: AtomicBool,
    connection: AtomicWaker,
}

impl Turn {
    /// Ends each turn that is asked for.
    async fn run(self: Arc<Self>) {
        loop {
            self.asked.notified().await;
            behind_the_others().await;
            self.over.store(true, Ordering::Release);
            self.connection.wake();
        }
    }
}

/// Resolves when the tasks that are ready have been polled. (`yield_now` would look for what the network brings, too: a
/// system call more.)
pub(super) async fn behind_the_others() {
    let mut queued = false;
    poll_fn(|cx| {
        if queued {
            return Poll::Ready(());
        }
        queued = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl<S> Coalescing<S> {
    /// Around a connection; *above* TLS, so that what is gathered is one record. It needs a runtime. What looks for more is told of
    /// what comes and leaves.
    pub fn new(io: S, poller: Option<Poller>) -> Self {
        let turn = Arc::<Turn>::default();
        #[expect(clippy::disallowed_methods, reason = "it ends with this connection, and has nothing to finish")]
        let turns = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&turn).run()));
        Self {
            io,
            gathered: Vec::new(),
            written: 0,
            turn,
            _turns: turns,
            poller,
            awaited: false,
            put_off: 0,
            gained: false,
            in_vain: 0,
            at_once: AT_ONCE,
        }
    }

    /// Something has come, or left.
    fn note(&self) {
        if let Some(poller) = &self.poller {
            poller.note();
        }
    }

    /// Whether a flush of what is gathered is to be made now; otherwise the task is woken for it.
    fn is_due(&mut self, cx: &Context<'_>) -> bool {
        if self.awaited {
            self.gained = true;
            self.put_off += 1;
            return self.put_off >= MOST_FLUSHES;
        }
        if self.at_once > 0 {
            self.at_once -= 1;
            return true;
        }
        (self.awaited, self.gained, self.put_off) = (true, false, 1);
        self.turn.connection.register(cx.waker());
        self.turn.asked.notify_one();
        false
    }

    /// Whether the turn that a flush waits for is over.
    fn has_turned(&mut self) -> bool {
        if !self.awaited || !self.turn.over.swap(false, Ordering::Acquire) {
            return false;
        }
        self.awaited = false;
        self.in_vain = if self.gained { 0 } else { self.in_vain + 1 };
        if self.in_vain == PATIENCE {
            (self.in_vain, self.at_once) = (PATIENCE - 1, AT_ONCE);
        }
        true
    }
}

impl<S: AsyncWrite + Unpin> Coalescing<S> {
    /// Writes what is gathered.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.gathered.len() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.gathered[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        if !self.gathered.is_empty() {
            self.note();
        }
        self.gathered.clear();
        (self.written, self.put_off) = (0, 0);
        Poll::Ready(Ok(()))
    }

    /// Makes room for so many bytes more.
    fn poll_room(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<()>> {
        if self.gathered.len() + length > MOST_BYTES { self.poll_drain(cx) } else { Poll::Ready(Ok(())) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Coalescing<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.note();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalescing<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_room(cx, buf.len()))?;
        if buf.len() > MOST_BYTES {
            this.note();
            return Pin::new(&mut this.io).poll_write(cx, buf);
        }
        this.gathered.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let length = bufs.iter().map(|buf| buf.len()).sum();
        ready!(this.poll_room(cx, length))?;
        if length > MOST_BYTES {
            this.note();
            return Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        }
        for buf in bufs {
            this.gathered.extend_from_slice(buf);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let turned = this.has_turned();
        if !this.gathered.is_empty() {
            if !turned && this.written == 0 && !this.is_due(cx) {
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_drain(cx))?;
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
    use tokio::task::yield_now;
    use tokio_util::task::TaskTracker;

    use super::*;

    const SESSIONS: u8 = 8;
    const MESSAGES: usize = 200;
    const LENGTH: usize = 10;

    /// What sessions leave for the task of their connection.
    #[derive(Default)]
    struct Queue {
        messages: Mutex<VecDeque<Vec<u8>>>,
        ended: AtomicBool,
        task: AtomicWaker,
    }

    impl Queue {
        fn push(&self, message: Vec<u8>) {
            self.messages.lock().expect("no panic").push_back(message);
            self.task.wake();
        }

        fn end(&self) {
            self.ended.store(true, Ordering::Release);
            self.task.wake();
        }

        /// The task of the connection: it writes what there is, and flushes, whenever it is polled.
        async fn run<S: AsyncWrite + Unpin>(self: Arc<Self>, mut io: Coalescing<S>) -> io::Result<()> {
            poll_fn(|cx| {
                self.task.register(cx.waker());
                loop {
                    let mut messages = self.messages.lock().expect("no panic");
                    let Some(message) = messages.front_mut() else { break };
                    let count = ready!(Pin::new(&mut io).poll_write(cx, message))?;
                    drop(message.drain(..count));
                    if message.is_empty() {
                        messages.pop_front();
                    }
                }
                ready!(Pin::new(&mut io).poll_flush(cx))?;
                if self.ended.load(Ordering::Acquire) { Pin::new(&mut io).poll_shutdown(cx) } else { Poll::Pending }
            })
            .await
        }
    }

    /// Counts what is written.
    struct Counting(DuplexStream, Arc<AtomicUsize>);

    impl AsyncWrite for Counting {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let written = ready!(Pin::new(&mut self.0).poll_write(cx, buf))?;
            self.1.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(Ok(written))
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    /// Sessions that send a message in each turn. What arrives, and in how many writes.
    async fn sent(sessions: u8, room: usize) -> (Vec<u8>, usize) {
        let (near, mut far) = duplex(room);
        let (queue, writes) = (Arc::<Queue>::default(), Arc::<AtomicUsize>::default());
        let connection = TaskTracker::new()
            .spawn(Arc::clone(&queue).run(Coalescing::new(Counting(near, Arc::clone(&writes)), None)));
        let reader = TaskTracker::new().spawn(async move {
            let mut read = Vec::new();
            far.read_to_end(&mut read).await.map(|_| read)
        });
        let session = |number| {
            let queue = Arc::clone(&queue);
            TaskTracker::new().spawn(async move {
                for message in 0..MESSAGES {
                    queue.push([number, u8::try_from(message).expect("fewer than 256")].repeat(LENGTH / 2));
                    yield_now().await;
                }
            })
        };
        for session in (0..sessions).map(session).collect::<Vec<_>>() {
            session.await.expect("no panic");
        }
        queue.end();
        connection.await.expect("no panic").expect("a pipe takes it");
        (reader.await.expect("no panic").expect("a pipe gives it"), writes.load(Ordering::Relaxed))
    }

    /// The messages of one session, in the order in which they arrived.
    fn of(session: u8, arrived: &[u8]) -> Vec<u8> {
        arrived.chunks(LENGTH).filter(|message| message[0] == session).map(|message| message[1]).collect()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn sessions_that_are_ready_share_a_write() {
        let (arrived, writes) = sent(SESSIONS, 1 << 20).await;
        let messages = MESSAGES * usize::from(SESSIONS);
        assert_eq!(arrived.len(), messages * LENGTH);
        assert!(writes < messages / 2, "{writes} writes for {messages} messages");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn nothing_is_lost_where_writes_block() {
        let all: Vec<_> = (0..MESSAGES).map(|message| u8::try_from(message).expect("fewer than 256")).collect();
        for room in [1, 7, LENGTH, 64] {
            let (arrived, _) = sent(SESSIONS, room).await;
            for session in 0..SESSIONS {
                assert_eq!(of(session, &arrived), all, "session {session}, room {room}");
            }
        }
    }

    /// A flush that is put off is made up for although nobody writes any more.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn the_last_message_leaves_by_itself() {
        let (near, mut far) = duplex(1 << 10);
        let queue = Arc::<Queue>::default();
        let connection = TaskTracker::new().spawn(Arc::clone(&queue).run(Coalescing::new(near, None)));
        for number in 0..u8::MAX {
            queue.push(vec![number]);
            assert_eq!(far.read_u8().await.expect("it arrives"), number);
        }
        queue.end();
        connection.await.expect("no panic").expect("a pipe takes it");
    }
}
