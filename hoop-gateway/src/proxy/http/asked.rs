//! The body of a request, as the door has it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// Who goes on sending after the answer has this long, and this many bytes, to read it; and who sends nothing for a while has.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;
const QUIET: Duration = Duration::from_millis(200);

/// A body that a client sends. Over HTTP/2 one that nobody reads to its end is thrown away for a moment before its stream is
/// reset: clients that see the reset before they have sent what they were about to take the answer for a failure. HTTP/1 has no
/// resets, and its connection is closed.
pub(crate) struct RequestBody {
    /// `None` once it was read to its end.
    body: Option<Incoming>,
    /// Owns what lingers; over HTTP/1 nothing does.
    tasks: Option<TaskTracker>,
}

impl RequestBody {
    /// The body of a request.
    pub(crate) fn of(request: Request<Incoming>, tasks: &TaskTracker) -> Request<Self> {
        let tasks = (request.version() == Version::HTTP_2).then(|| tasks.clone());
        request.map(|body| Self { body: Some(body), tasks })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let (body, tasks) = (self.body.take(), self.tasks.take());
        if let (Some(body), Some(tasks)) = (body.filter(|body| !body.is_end_stream()), tasks) {
            tasks.spawn(async move { timeout(LINGER, throw_away(body)).await.ok() });
        }
    }
}

async fn throw_away(mut body: Incoming) {
    let mut left = LINGER_BYTES;
    while let Ok(Some(Ok(frame))) = timeout(QUIET, body.frame()).await {
        let length = frame.data_ref().map_or(0, Bytes::remaining);
        let Some(rest) = left.checked_sub(length) else { return };
        left = rest;
    }
}
