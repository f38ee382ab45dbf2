//! Deciding: who may, and that it is done once.

use hoop_core::id::ReviewId;
use hoop_core::{Code, Denial};

use super::{BY, Reviews};
use crate::auth::token::unavailable;
use crate::store::{Review, ReviewDecision, ReviewState, User, in_time};

impl Reviews {
    /// Decides for a user, and tells whoever waits. The store has the last word: between the look here and its own, anything
    /// may have changed.
    ///
    /// # Errors
    /// As of [`may_decide`]; [`Code::Conflict`] when it was decided on, or its time is over; [`Code::StoreUnavailable`].
    pub(crate) async fn decide(&self, review: &Review, by: &User, decision: &ReviewDecision) -> Result<Review, Denial> {
        may_decide(review, by)?;
        let reviews = self.inner.store.reviews();
        let done = in_time(reviews.decide(review.org, review.id, decision)).await.map_err(unavailable)?;
        let now = in_time(reviews.get(review.org, review.id)).await.map_err(unavailable)?;
        let now = now.ok_or_else(|| gone(review.id))?;
        if !done {
            return Err(too_late(&now));
        }
        let (what, by) = (now.state.as_str(), &decision.user_name);
        tracing::info!(review = %now.id, user = now.user_name, role = now.role_name, by, what, "review decided");
        self.tell(&now, what);
        self.wake(now.id);
        Ok(now)
    }
}

/// Whether a user may decide on a review, whatever became of it.
///
/// # Errors
/// [`Code::AccessDenied`], with the reason.
pub(crate) fn may_decide(review: &Review, user: &User) -> Result<(), Denial> {
    let no = |reason: String| Denial::new(BY, Code::AccessDenied, reason);
    let group = &review.group;
    if user.id == review.user {
        return Err(no("nobody decides on what they asked for themself".to_owned())
            .hint(format!("ask somebody else of group {group}")));
    }
    if user.service.is_some() || user.disabled {
        return Err(no("only people decide on reviews, and only those who are let in".to_owned()));
    }
    if !user.groups.contains(group) {
        let reason = format!("only members of group {group} decide on review {}", review.id);
        return Err(no(reason).hint("an administrator puts people into groups"));
    }
    Ok(())
}

/// Why a review was not there to be decided on.
fn too_late(review: &Review) -> Denial {
    let id = review.id;
    let reason = match (review.state, review.decided_name.as_deref()) {
        (ReviewState::Pending, _) => format!("review {id} cannot be decided on by you any more"),
        (ReviewState::Withdrawn, _) => format!("review {id} was withdrawn: whoever asked went away"),
        (ReviewState::Expired, _) => format!("review {id} has expired"),
        (state, by) => format!("review {id} was {} by {} already", state.as_str(), by.unwrap_or("somebody")),
    };
    Denial::new(BY, Code::Conflict, reason).hint("hoop reviews list shows those that wait")
}

fn gone(id: ReviewId) -> Denial {
    Denial::new(BY, Code::NotFound, format!("there is no review {id}"))
}
