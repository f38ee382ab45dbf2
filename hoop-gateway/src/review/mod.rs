//! Reviews: what somebody must agree to before it is done, who may, and who waits for it.
//!
//! ```text
//! Sessions::open ─▶ ask ─▶ a row of the store ─▶ decided, denied, expired, withdrawn
//!                    └─▶ wait ◀── told by whoever decides here, or by the look every two seconds
//! ```
//!
//! A statement, a command or a request of a session that runs is asked for in the same way (`session/ask.rs`).
//!
//! **Invariants.** Nobody decides on what they have asked for. Of many who decide at once, one does: the store finds the
//! state before. An approval is bound to what was asked, by its hash, and is used by a session of whoever asked, or by none. Who waits
//! holds no transaction, no lock and no task of its own.

mod asking;
mod decide;
mod places;
#[cfg(test)]
mod tests;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use dashmap::DashMap;
use hoop_core::id::{EventId, OrgId, ReviewId, SessionId, UserId};
use hoop_core::{Clock, Code, Denial, Detector, Subject as Asked};
use tokio::sync::Notify;

pub(crate) use asking::{About, Asking};
pub(crate) use decide::may_decide;
pub(crate) use places::Place;

use crate::auth::token::unavailable;
use crate::changes::{Changes, Subject};
use crate::plugins::audit::{self, Shower, TooLong};
use crate::store::{Event, Review, ReviewKind, ReviewState, Store, in_time};
use places::Places;

/// How long somebody may take to decide, and how much may wait for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReviewLimits {
    /// A review that nobody has decided on expires after this time. An approval that was asked for before there is a session is
    /// good as long.
    pub timeout: Duration,
    /// Sessions, statements and commands that wait at once.
    pub held: usize,
}

impl Default for ReviewLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30 * 60), held: 256 }
    }
}

/// Reviews that one user may have asked for and nobody has decided on; as many of their sessions may wait.
const MOST_OF_A_USER: u32 = 16;

/// The reviews of a gateway.
#[derive(Clone)]
pub struct Reviews {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    changes: Arc<Changes>,
    limits: ReviewLimits,
    /// Those for which somebody waits here.
    waiting: DashMap<ReviewId, Arc<Notify>>,
    places: Arc<Places>,
    shower: Shower,
}

impl Reviews {
    /// The reviews of this store. Whoever decides reads nothing that `hidden` finds.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        changes: Arc<Changes>,
        limits: ReviewLimits,
        hidden: Vec<Arc<dyn Detector>>,
    ) -> Self {
        let places = Arc::new(Places::new(limits.held, MOST_OF_A_USER));
        let (waiting, shower) = (DashMap::new(), Shower::new(hidden));
        Self { inner: Arc::new(Inner { store, clock, changes, limits, waiting, places, shower }) }
    }

    /// What whoever decides is to read, and what an approval of it is bound to.
    ///
    /// # Errors
    /// [`TooLong`] where they could not read all of it.
    pub(crate) fn about(&self, asked: &Asked) -> Result<About, TooLong> {
        let kind = match asked {
            Asked::Statement { .. } => ReviewKind::Statement,
            Asked::Command(_) => ReviewKind::Command,
            Asked::Request { .. } => ReviewKind::Request,
            _ => return Err(TooLong),
        };
        Ok(About { kind, text: self.inner.shower.show(asked)?, hash: audit::hash(asked) })
    }

    /// A place for one more session of this user that waits.
    ///
    /// # Errors
    /// [`Code::Throttled`] when too many do.
    pub(crate) fn place(&self, user: UserId) -> Result<Place, Denial> {
        Arc::clone(&self.inner.places).take(user)
    }

    /// An approval that a session can use for what is asked, or a review that it can wait for.
    ///
    /// # Errors
    /// [`Code::StoreUnavailable`].
    pub(crate) async fn standing(&self, asking: &Asking<'_>) -> Result<Option<Review>, Denial> {
        let (org, user, now) = (asking.principal.org, asking.principal.user, self.inner.clock.now());
        let hash = asking.hash();
        let found = self.inner.store.reviews().standing(org, user, &hash, now);
        in_time(found).await.map_err(unavailable)
    }

    /// What was asked for before that is the same: the latest first. What nobody has decided on in time has expired.
    ///
    /// # Errors
    /// [`Code::StoreUnavailable`].
    pub(crate) async fn asked_before(&self, asking: &Asking<'_>) -> Result<Vec<Review>, Denial> {
        let (org, user) = (asking.principal.org, asking.principal.user);
        let hash = asking.hash();
        let before = || in_time(self.inner.store.reviews().asked_before(org, user, &hash));
        let (reviews, now) = (before().await.map_err(unavailable)?, self.inner.clock.now());
        // The look that would find so is made now and then; until it is, the user would not be told.
        if reviews.iter().any(|review| review.state == ReviewState::Pending && review.expires_at <= now) {
            self.look().await.map_err(unavailable)?;
            return before().await.map_err(unavailable);
        }
        Ok(reviews)
    }

    /// Takes back what was asked for in a session whose user is shut out.
    ///
    /// # Errors
    /// [`Code::StoreUnavailable`].
    pub(crate) async fn revoke_of(&self, org: OrgId, session: SessionId) -> Result<(), Denial> {
        let revoked = self.inner.store.reviews().revoke_of(org, session, self.inner.clock.now());
        for review in in_time(revoked).await.map_err(unavailable)? {
            self.note(&review, "withdrawn", 200, None).await;
            self.wake(review.id);
        }
        Ok(())
    }

    /// Asks the group. Nobody has decided when this returns.
    ///
    /// # Errors
    /// [`Code::Throttled`] when the user has asked for too many already; [`Code::StoreUnavailable`].
    pub(crate) async fn ask(&self, id: ReviewId, asking: &Asking<'_>) -> Result<Review, Denial> {
        let review = asking.review(id, self.inner.clock.now(), self.inner.limits.timeout);
        let made = self.inner.store.reviews().create(&review, MOST_OF_A_USER);
        if !in_time(made).await.map_err(unavailable)? {
            let reason = format!("{MOST_OF_A_USER} reviews that you asked for wait for somebody already");
            return Err(
                Denial::new(BY, Code::Throttled, reason).hint("wait for them, or withdraw one: hoop reviews list")
            );
        }
        tracing::info!(
            review = %review.id, user = review.user_name, role = review.role_name, group = review.group,
            session = review.session.map(tracing::field::display), "review asked for"
        );
        self.note(&review, "asked", 202, None).await;
        Ok(review)
    }

    /// Takes one back that nobody has decided on, since whoever asked went away, or does not need it any more. Says whether it
    /// was there to be taken back.
    ///
    /// # Errors
    /// [`Code::StoreUnavailable`].
    pub(crate) async fn withdraw(&self, org: OrgId, id: ReviewId, user: UserId) -> Result<bool, Denial> {
        let reviews = self.inner.store.reviews();
        if !in_time(reviews.withdraw(org, id, user)).await.map_err(unavailable)? {
            return Ok(false);
        }
        if let Some(review) = in_time(reviews.get(org, id)).await.map_err(unavailable)? {
            self.note(&review, "withdrawn", 200, None).await;
        }
        self.wake(id);
        Ok(true)
    }

    /// Uses an approval for a session. Says whether it could be used.
    ///
    /// # Errors
    /// [`Code::StoreUnavailable`].
    pub(crate) async fn take(&self, review: &Review, session: SessionId) -> Result<bool, Denial> {
        let taken = self.inner.store.reviews().take(review, session, self.inner.clock.now());
        in_time(taken).await.map_err(unavailable)
    }

    /// Tells of a change of a review, and leaves an event of it in the audit trail.
    async fn note(&self, review: &Review, what: &'static str, status: u16, code: Option<Code>) {
        self.tell(review, what);
        let event = Event {
            org: review.org,
            id: EventId::new(&*self.inner.clock),
            request_id: review.request_id,
            user: Some(review.user),
            user_name: Some(review.user_name.clone()),
            token: None,
            token_name: None,
            action: format!("review {what}"),
            subject: format!("/api/v1/reviews/{}", review.id),
            source: review.source.clone(),
            status,
            code: code.map(|code| code.to_string()),
            at: self.inner.clock.now(),
        };
        if let Err(error) = self.inner.store.events().add(&event).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, action = event.action, subject = event.subject, "event could not be stored");
        }
    }

    fn tell(&self, review: &Review, what: &'static str) {
        let group = Some(review.group.as_str());
        self.inner.changes.tell_group(review.org, Subject::Review, review.id, (Some(review.user), group), what);
    }

    fn wake(&self, id: ReviewId) {
        if let Some(waiting) = self.inner.waiting.get(&id) {
            waiting.notify_waiters();
        }
    }

    /// Until when an approval is good that is given now: for this time, or for the one session.
    pub(crate) fn good_until(&self, lasts: Option<Duration>) -> DateTime<Utc> {
        let lasts = TimeDelta::from_std(lasts.unwrap_or(self.inner.limits.timeout)).unwrap_or(TimeDelta::MAX);
        let now = self.inner.clock.now();
        now.checked_add_signed(lasts).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

/// What refuses.
const BY: &str = "review";

/// The refusal of whoever asked, unless somebody has agreed.
pub(crate) fn refusal(review: &Review) -> Option<Denial> {
    let Review { group, id, .. } = review;
    let what = what(review);
    let denial = match review.state {
        ReviewState::Approved => return None,
        ReviewState::Pending => {
            let until = review.expires_at.format("%H:%M");
            let reason = format!(
                "somebody of group {group} must agree to {what} first: review {id} waits for them until {until} UTC"
            );
            Denial::new(BY, Code::ReviewRequired, reason).hint(format!("they agree with: hoop reviews approve {id}"))
        }
        ReviewState::Denied => {
            let who = review.decided_name.as_deref().unwrap_or("somebody");
            let said = review.comment.as_deref().map(|comment| format!(": {comment}")).unwrap_or_default();
            let reason = format!("{who} of group {group} has not agreed to {what} (review {id}){said}");
            Denial::new(BY, Code::ReviewDenied, reason).hint("talk to them, and ask again")
        }
        ReviewState::Expired => {
            let reason = format!("nobody of group {group} has decided on review {id} for {what} in time");
            Denial::new(BY, Code::ReviewExpired, reason).hint("find somebody of the group, and ask again")
        }
        ReviewState::Withdrawn => {
            Denial::new(BY, Code::Cancelled, format!("review {id} was withdrawn")).hint("ask again")
        }
    };
    Some(denial)
}

/// What a review is about, in words.
fn what(review: &Review) -> String {
    let rule = review.rule.as_deref().unwrap_or("of a plugin");
    match review.kind {
        ReviewKind::Session => format!("role {}", review.role_name),
        kind => format!("this {}, as rule {rule} wants it", kind.as_str()),
    }
}

impl std::fmt::Debug for Reviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Inner { limits, waiting, .. } = &*self.inner;
        f.debug_struct("Reviews").field("limits", limits).field("waiting", &waiting.len()).finish_non_exhaustive()
    }
}
