//! The body of a request, as it comes through the tunnel.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A piece of a body.
pub(super) enum Piece {
    Data(Bytes),
    /// The end, with what follows the body.
    End(Option<Box<HeaderMap>>),
}

/// The body of a request.
pub(super) enum RequestBody {
    /// All of it, and its length is said to the target; `None` once it has gone.
    Whole(Option<Bytes>),
    /// All of it; how long it is, the head says or nobody.
    Short(Option<Bytes>),
    Streamed(Pieces),
}

/// A body that comes piece by piece. One piece waits at most: a target that does not read stops the tunnel's stream.
pub(super) struct Pieces {
    pieces: mpsc::Receiver<Piece>,
    /// Cancelled when the exchange is over: what is missing then does not come any more.
    over: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

/// The rest of the body does not come. The target must not take what it has for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the request was given up")]
pub(super) struct GivenUp;

impl RequestBody {
    /// None at all.
    pub(super) const fn none() -> Self {
        Self::Whole(None)
    }

    /// One that comes through the sender, until `over` is cancelled.
    pub(super) fn streamed(over: CancellationToken) -> (mpsc::Sender<Piece>, Self) {
        let (send, pieces) = mpsc::channel(1);
        (send, Self::Streamed(Pieces { pieces, over: Box::pin(over.cancelled_owned()), ended: false }))
    }
}

impl Pieces {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, GivenUp>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = match self.pieces.poll_recv(cx) {
            Poll::Ready(piece) => piece,
            Poll::Pending => {
                ready!(self.over.as_mut().poll(cx));
                None
            }
        };
        self.ended = !matches!(piece, Some(Piece::Data(_)));
        Poll::Ready(match piece {
            Some(Piece::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Piece::End(trailers)) => trailers.map(|trailers| Ok(Frame::trailers(*trailers))),
            None => Some(Err(GivenUp)),
        })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = GivenUp;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, GivenUp>>> {
        match &mut *self {
            Self::Whole(whole) | Self::Short(whole) => Poll::Ready(whole.take().map(|data| Ok(Frame::data(data)))),
            Self::Streamed(pieces) => pieces.poll_next(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) | Self::Short(whole) => whole.as_ref().is_none_or(Bytes::is_empty),
            Self::Streamed(pieces) => pieces.ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => SizeHint::with_exact(whole.as_ref().map_or(0, Bytes::len) as u64),
            Self::Short(_) | Self::Streamed(_) => SizeHint::default(),
        }
    }
}
