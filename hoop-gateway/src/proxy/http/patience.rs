//! How long a client may send nothing of a body that it owes.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hoop_core::{Code, Denial};
use tokio::time::sleep;

/// For how long the gateway waits for more of a body. Once the target has begun its answer both ends know what they do, and either
/// may rest as it likes.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    /// None of a body that is a stream from the beginning.
    most: Option<Duration>,
    answered: Arc<AtomicBool>,
}

impl Patience {
    /// For so long.
    pub(super) fn new(most: Duration) -> Self {
        Self { most: Some(most), answered: Arc::default() }
    }

    /// For ever.
    pub(super) fn endless() -> Self {
        Self { most: None, answered: Arc::default() }
    }

    /// The answer has begun.
    pub(super) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// What comes next.
    ///
    /// # Errors
    /// [`Code::ClientTimeout`] when nothing does for too long.
    pub(super) async fn next<T>(&self, coming: impl Future<Output = T>) -> Result<T, Denial> {
        let coming = pin!(coming);
        tokio::select! {
            biased;
            came = coming => Ok(came),
            late = self.late() => Err(late),
        }
    }

    async fn late(&self) -> Denial {
        let Some(most) = self.most else { return pending().await };
        sleep(most).await;
        if self.answered.load(Ordering::Relaxed) {
            return pending().await;
        }
        let reason = format!("nothing came of the body of the request for {most:?}");
        Denial::new("gateway", Code::ClientTimeout, reason).hint("send it again, without such pauses")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(60);
    const MOMENT: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn who_sends_nothing_for_too_long_is_late() {
        let patience = Patience::new(MOST);
        for rests in [Duration::ZERO, MOST - MOMENT, MOST] {
            patience.next(sleep(rests)).await.unwrap_or_else(|denial| panic!("{rests:?}: {denial}"));
        }
        let late = patience.next(sleep(MOST + MOMENT)).await.expect_err("too late");
        assert_eq!((late.code, late.hint.is_some()), (Code::ClientTimeout, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_may_rest_and_so_may_who_is_answered() {
        Patience::endless().next(sleep(1000 * MOST)).await.expect("a stream");
        let patience = Patience::new(MOST);
        // Those that wait already, too.
        let (rested, ()) = tokio::join!(patience.next(sleep(1000 * MOST)), async {
            sleep(MOST - MOMENT).await;
            patience.answered();
        });
        rested.expect("it is answered");
        patience.next(sleep(1000 * MOST)).await.expect("it is answered");
    }
}
