//! Sessions that somebody must agree to: they are held until somebody has, and then everything is asked anew.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use hoop_core::id::ReviewId;
use hoop_core::{Code, Denial, Obligations, SessionContext};
use tokio::sync::mpsc;

use super::control::{Asked, Control};
use super::recheck::taken_away;
use super::{Pass, Sessions};
use crate::auth::token::unavailable;
use crate::review::{Asking, refusal};
use crate::secrets::SealedSecrets;
use crate::store::{Review, ReviewState};

/// Told to a door whose session waits.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// What for.
    pub(crate) review: ReviewId,
    /// The same as a refusal, for who cannot wait: what it waits for, and what to do.
    pub(crate) why: Denial,
}

/// Where a door hears that its session is held. Without one, nobody is told, and the session is held all the same.
pub(crate) type Tell = mpsc::Sender<Held>;

/// What a session is let in with.
pub(super) struct Allowed {
    pub(super) obligations: Obligations,
    pub(super) secrets: SealedSecrets,
    /// The group of which somebody has agreed.
    pub(super) agreed: Option<Arc<str>>,
}

/// What is needed to hold a session.
pub(super) struct Holding<'a> {
    pub(super) told: Option<&'a Tell>,
    pub(super) control: &'a Control,
    pub(super) passes: &'a [Pass],
}

impl Sessions {
    /// Sees to the review that a session needs, where it needs one: uses an approval that is there, or holds the session until
    /// somebody has agreed. What was allowed before is asked anew then; time that was granted counts from that moment.
    ///
    /// # Errors
    /// The refusal: of the review, of whoever ended the session meanwhile, or of the policy that has changed.
    pub(super) async fn reviewed(
        &self,
        context: &mut SessionContext,
        (mut obligations, mut secrets): (Obligations, SealedSecrets),
        holding: Holding<'_>,
    ) -> Result<Allowed, Denial> {
        let reviews = &self.parts().reviews;
        while let Some(group) = obligations.review.clone() {
            let mut standing = reviews.standing(&Asking::of(context, &group, obligations.rule.as_deref())).await?;
            if standing.as_ref().is_none_or(|review| review.state == ReviewState::Pending) {
                let agreed = self.held(context, &group, &obligations, standing, &holding).await?;
                context.started_at = self.parts().clock.now();
                (obligations, secrets) = self.decide(context).await?;
                self.passes_are_good(context, holding.passes).await?;
                standing = Some(agreed).filter(|_| obligations.review.as_ref() == Some(&group));
            }
            // Another session may have used it up meanwhile, or another group decides by now: then it is asked again.
            if let Some(review) = standing
                && reviews.take(&review, context.id).await?
            {
                let until = review.good_until.filter(|_| !review.good_once);
                obligations.expires_at = obligations.expires_at.into_iter().chain(until).min();
                return Ok(Allowed { obligations, secrets, agreed: Some(group) });
            }
        }
        Ok(Allowed { obligations, secrets, agreed: None })
    }

    /// Waits for somebody's agreement. When whoever waits goes away, this is dropped: the review is withdrawn then.
    async fn held(
        &self,
        context: &SessionContext,
        group: &str,
        obligations: &Obligations,
        pending: Option<Review>,
        holding: &Holding<'_>,
    ) -> Result<Review, Denial> {
        let reviews = &self.parts().reviews;
        let _place = reviews.place(context.principal.user)?;
        // From here on a shutdown ends it at once: nobody can agree in time.
        let _held = self.inner.registry.hold(context.id);
        self.ready()?;
        let own = ReviewId::new(&*self.parts().clock);
        let mut leaving = Leaving { sessions: self.clone(), context: Some(context.clone()), own: None };
        let review = match pending {
            Some(review) => review,
            None => {
                leaving.own = Some(own);
                reviews
                    .ask(own, &Asking::of(context, group, obligations.rule.as_deref()))
                    .await
                    .inspect_err(|_| leaving.stays())?
            }
        };
        if let (Some(told), Some(why)) = (holding.told, refusal(&review)) {
            // Who does not listen is not waited for.
            let _ = told.try_send(Held { review: review.id, why });
        }
        let decided = tokio::select! {
            decided = reviews.agreed(&review) => decided,
            why = ended(holding.control) => Err(why),
        };
        let own = leaving.own;
        leaving.stays();
        if let (Err(_), Some(own)) = (&decided, own) {
            self.take_back(context, own).await;
        }
        decided
    }

    /// Nobody needs to decide any more.
    async fn take_back(&self, context: &SessionContext, own: ReviewId) {
        let withdrawn = self.parts().reviews.withdraw(context.org, own, context.principal.user).await;
        if let Err(error) = withdrawn {
            tracing::warn!(review = %own, %error, "review could not be withdrawn; it expires");
        }
    }

    /// What a caller came in by may have been taken away while it waited.
    pub(super) async fn passes_are_good(&self, context: &SessionContext, passes: &[Pass]) -> Result<(), Denial> {
        for pass in passes {
            if !self.is_there(context.org, *pass).await.map_err(unavailable)? {
                return Err(taken_away(*pass));
            }
        }
        Ok(())
    }
}

/// Resolves when the session is to end. There is nothing to cancel yet.
async fn ended(control: &Control) -> Denial {
    poll_fn(|cx| {
        loop {
            match control.poll_asked(cx) {
                Poll::Ready(Asked::End(why)) => return Poll::Ready(why),
                Poll::Ready(Asked::Cancel) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

/// Takes back the review of a session, or of what is done in one, that is dropped while it waits: its client is gone.
pub(super) struct Leaving {
    sessions: Sessions,
    context: Option<SessionContext>,
    /// The review that it has asked for itself.
    own: Option<ReviewId>,
}

impl Leaving {
    /// With this review.
    pub(super) fn with(sessions: &Sessions, context: &SessionContext, own: ReviewId) -> Self {
        Self { sessions: sessions.clone(), context: Some(context.clone()), own: Some(own) }
    }

    /// It is not gone: what becomes of it is somebody else's to tell.
    pub(super) fn stays(&mut self) {
        self.context = None;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let (Some(context), Some(own)) = (self.context.take(), self.own) else { return };
        let sessions = self.sessions.clone();
        let tasks = sessions.parts().tasks.clone();
        tasks.spawn(async move {
            sessions.take_back(&context, own).await;
        });
    }
}

/// The end of a session whose review does not fit any more.
pub(super) fn other_group(role: &str, group: &str) -> Denial {
    let reason = format!("this session is not allowed any more: role {role} needs somebody of group {group} to agree");
    Denial::new("access policy", Code::AccessRevoked, reason).hint("connect again to ask them")
}
