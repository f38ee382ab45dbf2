//! What reaches a running session from outside: its end, and cancel requests.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::task::AtomicWaker;
use hoop_core::Denial;
use parking_lot::Mutex;
use std::task::{Context, Poll};

/// The strings by which a running session is held. The pump polls it.
#[derive(Default)]
pub(crate) struct Control {
    ended: Mutex<Option<Denial>>,
    is_ended: AtomicBool,
    cancelled: AtomicBool,
    waker: AtomicWaker,
}

/// What is asked of a session.
#[derive(Debug)]
pub(crate) enum Asked {
    /// It must end, for this reason.
    End(Denial),
    /// What runs in it is to be cancelled.
    Cancel,
}

impl Control {
    /// Ends the session. The first reason counts.
    pub(crate) fn end(&self, why: Denial) {
        self.ended.lock().get_or_insert(why);
        self.is_ended.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Asks to cancel what runs.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// What was asked since the last time.
    pub(crate) fn poll_asked(&self, cx: &Context<'_>) -> Poll<Asked> {
        // Two loads while nobody asks; the waker is there before they are read.
        self.waker.register(cx.waker());
        if self.is_ended.load(Ordering::Acquire)
            && let Some(why) = self.ended.lock().clone()
        {
            return Poll::Ready(Asked::End(why));
        }
        if self.cancelled.load(Ordering::Acquire) && self.cancelled.swap(false, Ordering::AcqRel) {
            return Poll::Ready(Asked::Cancel);
        }
        Poll::Pending
    }
}
