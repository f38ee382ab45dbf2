//! Waiting until a review is decided on. Whoever decides in this gateway wakes who waits; what another gateway on the same
//! store does is found by one look for all of them.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hoop_core::id::ReviewId;
use hoop_core::{Code, Denial};
use tokio::sync::Notify;

use super::{Inner, Reviews, refusal};
use crate::store::{Review, StoreError, in_time};

/// How often the store is asked what became of reviews that are waited for, and which of them have expired.
const EVERY: Duration = Duration::from_secs(2);

impl Reviews {
    /// Waits until somebody has agreed. A store that does not answer meanwhile is asked again. Cancel safe.
    ///
    /// # Errors
    /// The refusal, when somebody has not agreed, or nobody has decided in time.
    pub(crate) async fn agreed(&self, review: &Review) -> Result<Review, Denial> {
        let waiter = self.waiter(review.id);
        loop {
            // From here on it is told: what is decided after the look below wakes it.
            let mut told = pin!(waiter.told.notified());
            told.as_mut().enable();
            let pause = match in_time(self.inner.store.reviews().get(review.org, review.id)).await {
                Ok(Some(review)) => match refusal(&review) {
                    None => return Ok(review),
                    Some(denial) if denial.code != Code::ReviewRequired => return Err(denial),
                    Some(_) => (review.expires_at - self.inner.clock.now()).to_std().unwrap_or_default(),
                },
                Ok(None) => return Err(gone(review.id)),
                Err(_) => EVERY,
            };
            tokio::select! {
                () = told => {}
                () = tokio::time::sleep(pause) => drop(self.look().await),
            }
        }
    }

    fn waiter(&self, id: ReviewId) -> Waiter<'_> {
        let told = Arc::clone(&self.inner.waiting.entry(id).or_default());
        Waiter { reviews: &self.inner, id, told }
    }

    /// Looks after reviews until it is dropped.
    pub(crate) async fn watch(self) {
        let mut failing = false;
        loop {
            tokio::time::sleep(EVERY).await;
            match self.look().await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "reviews cannot be looked at; sessions that wait for one go on waiting");
                }
                Err(_) => {}
            }
        }
    }

    /// Ends reviews whose time is over, and wakes who waits for one that is not pending any more.
    pub(super) async fn look(&self) -> Result<(), StoreError> {
        let (reviews, now) = (self.inner.store.reviews(), self.inner.clock.now());
        let mut pending = in_time(reviews.pending()).await?;
        if pending.iter().any(|(_, _, expires_at)| *expires_at <= now) {
            for review in in_time(reviews.expire(now)).await? {
                tracing::info!(review = %review.id, user = review.user_name, role = review.role_name, "review expired");
                self.note(&review, "expired", 408, Some(Code::ReviewExpired)).await;
            }
            pending.retain(|(_, _, expires_at)| *expires_at > now);
        }
        let pending: HashSet<ReviewId> = pending.into_iter().map(|(_, id, _)| id).collect();
        for waiting in self.inner.waiting.iter().filter(|waiting| !pending.contains(waiting.key())) {
            waiting.notify_waiters();
        }
        Ok(())
    }
}

/// Somebody who waits. With the last of them, the entry goes.
struct Waiter<'a> {
    reviews: &'a Inner,
    id: ReviewId,
    told: Arc<Notify>,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        // One is the map's own, and one this.
        self.reviews.waiting.remove_if(&self.id, |_, told| Arc::strong_count(told) <= 2);
    }
}

fn gone(id: ReviewId) -> Denial {
    Denial::new(super::BY, Code::NotFound, format!("there is no review {id} any more"))
}
