//! What somebody must agree to while a session runs. A statement and a command wait here, whatever their protocol; a request over
//! HTTP is refused meanwhile, and goes through once when it is sent again.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::id::ReviewId;
use hoop_core::{Agreed, Ask, Asked, Code, Decided, Denial, Reviewer, SessionContext};
use tokio::sync::Mutex;

use super::Sessions;
use super::hold::Leaving;
use crate::plugins::audit::MOST_SHOWN;
use crate::review::{About, Asking, Place, refusal};
use crate::store::{Review, ReviewKind, ReviewState};

/// How long whoever sends a request again is told that nobody has agreed; then they ask anew.
const TOLD: TimeDelta = TimeDelta::seconds(60);
/// How often an approval is looked for that somebody else has just used.
const LOOKS: usize = 3;

/// The source of the refusal of a request that waits: for this review.
#[derive(Debug, thiserror::Error)]
#[error("review {0} is not decided on")]
pub(crate) struct WaitsFor(pub(crate) ReviewId);

/// Asks for what is done in one session.
pub(super) struct Asks {
    sessions: Sessions,
    context: Arc<SessionContext>,
    /// Two requests that are the same ask once.
    requests: Arc<Mutex<()>>,
}

impl Asks {
    pub(super) fn of(sessions: &Sessions, context: &Arc<SessionContext>) -> Arc<Self> {
        Arc::new(Self { sessions: sessions.clone(), context: Arc::clone(context), requests: Arc::default() })
    }

    fn question(&self, ask: &Ask) -> Result<Question, Denial> {
        let about = self.sessions.parts().reviews.about(&ask.subject).map_err(|_| too_long(ask))?;
        Ok(Question {
            sessions: self.sessions.clone(),
            context: Arc::clone(&self.context),
            rule: ask.rule.clone(),
            group: ask.group.clone(),
            hint: ask.hint.clone(),
            about,
        })
    }
}

impl Reviewer for Asks {
    fn ask(&self, ask: &Ask) -> Result<Asked, Denial> {
        let question = self.question(ask)?;
        if question.about.kind == ReviewKind::Request {
            let requests = Arc::clone(&self.requests);
            let until = Box::pin(async move {
                let _first = requests.lock().await;
                question.comes_again().await
            });
            return Ok(Asked { review: None, notice: None, until });
        }
        self.sessions.ready()?;
        let place = self.sessions.parts().reviews.place(self.context.principal.user)?;
        let id = ReviewId::new(&*self.sessions.parts().clock);
        let notice = Some(question.notice(id));
        let until = Box::pin(async move { Decided { review: Some(id), result: question.wait(id, place).await } });
        Ok(Asked { review: Some(id), notice, until })
    }
}

/// Something that somebody is asked about.
struct Question {
    sessions: Sessions,
    context: Arc<SessionContext>,
    rule: String,
    group: String,
    hint: Option<String>,
    about: About,
}

impl Question {
    fn asking(&self) -> Asking<'_> {
        Asking { about: Some(&self.about), ..Asking::of(&self.context, &self.group, Some(&self.rule)) }
    }

    /// What the user is told while it waits.
    fn notice(&self, id: ReviewId) -> String {
        let Self { rule, group, about, .. } = self;
        let kind = about.kind.as_str();
        format!(
            "rule {rule} wants somebody of group {group} to agree to this {kind} first, and it waits for them; they agree with: \
             hoop reviews approve {id}; it goes on by itself then, and Ctrl-C takes it back"
        )
    }

    /// Waits until somebody has agreed. Dropped, the review is taken back.
    async fn wait(self, id: ReviewId, _place: Place) -> Result<Agreed, Denial> {
        let reviews = &self.sessions.parts().reviews;
        let mut leaving = Leaving::with(&self.sessions, &self.context, id);
        let asked = reviews.ask(id, &self.asking()).await.inspect_err(|_| leaving.stays())?;
        let decided = reviews.agreed(&asked).await;
        leaving.stays();
        self.used(&decided.map_err(|denial| self.hinted(denial))?).await
    }

    /// Uses an approval of the same request, or says what it waits for.
    async fn comes_again(&self) -> Decided {
        for _ in 0..LOOKS {
            match self.before().await {
                Ok(Before::Agreed(review)) => match self.used(&review).await {
                    // Another gateway was faster.
                    Err(denial) if denial.code == Code::Conflict => {}
                    result => return Decided { review: Some(review.id), result },
                },
                Ok(Before::Refused(review, denial)) => {
                    return Decided { review: Some(review), result: Err(self.hinted(denial)) };
                }
                Ok(Before::Waits(review)) => return waits(&review),
                Ok(Before::Nothing) => {
                    let id = ReviewId::new(&*self.sessions.parts().clock);
                    return match self.sessions.parts().reviews.ask(id, &self.asking()).await {
                        Ok(review) => waits(&review),
                        Err(denial) => Decided { review: None, result: Err(denial) },
                    };
                }
                Err(denial) => return Decided { review: None, result: Err(denial) },
            }
        }
        Decided { review: None, result: Err(used_up()) }
    }

    /// What the same request has come to before.
    async fn before(&self) -> Result<Before, Denial> {
        let now = self.sessions.parts().clock.now();
        let before = self.sessions.parts().reviews.asked_before(&self.asking()).await?;
        if let Some(agreed) = before.iter().find(|review| is_good(review, now)) {
            return Ok(Before::Agreed(agreed.clone()));
        }
        if let Some(waits) = before.iter().find(|review| is_open(review, now)) {
            return Ok(Before::Waits(waits.clone()));
        }
        let Some(last) = before.into_iter().next() else { return Ok(Before::Nothing) };
        let since = match last.state {
            ReviewState::Denied => last.decided_at,
            ReviewState::Expired => Some(last.expires_at),
            ReviewState::Pending | ReviewState::Approved | ReviewState::Withdrawn => None,
        };
        match refusal(&last) {
            Some(denial) if since.is_some_and(|since| now < since + TOLD) => Ok(Before::Refused(last.id, denial)),
            _ => Ok(Before::Nothing),
        }
    }

    /// Uses an approval. What let the session in is asked anew first: who was shut out meanwhile stays out.
    async fn used(&self, review: &Review) -> Result<Agreed, Denial> {
        self.sessions.still_allowed(self.context.id).await?;
        if !self.sessions.parts().reviews.take(review, self.context.id).await? {
            return Err(used_up());
        }
        let by = review.decided_name.clone().unwrap_or_default();
        Ok(Agreed { by, comment: review.comment.clone() })
    }

    /// What to do next is the rule's to say, where it does.
    fn hinted(&self, denial: Denial) -> Denial {
        match (&self.hint, denial.code) {
            (Some(hint), Code::ReviewDenied | Code::ReviewExpired) => denial.hint(hint.clone()),
            _ => denial,
        }
    }
}

/// What a request has come to before.
enum Before {
    Agreed(Review),
    Waits(Review),
    Refused(ReviewId, Denial),
    Nothing,
}

fn is_good(review: &Review, now: DateTime<Utc>) -> bool {
    review.state == ReviewState::Approved
        && review.used_at.is_none()
        && review.good_until.is_some_and(|until| now < until)
}

fn is_open(review: &Review, now: DateTime<Utc>) -> bool {
    review.state == ReviewState::Pending && now < review.expires_at
}

fn waits(review: &Review) -> Decided {
    let id = review.id;
    let hint =
        format!("they agree with: hoop reviews approve {id}; the same request, sent again, goes through then, once");
    let denial = refusal(review).unwrap_or_else(used_up).hint(hint).caused_by(WaitsFor(id));
    Decided { review: Some(id), result: Err(denial) }
}

fn used_up() -> Denial {
    Denial::new("review", Code::Conflict, "the approval was used already, or its time is over").hint("ask again")
}

/// Whoever decides reads all of what they agree to.
fn too_long(ask: &Ask) -> Denial {
    let (rule, code) = (
        &ask.rule,
        match &ask.subject {
            hoop_core::Subject::Statement { .. } => Code::StatementDenied,
            hoop_core::Subject::Command(_) => Code::CommandDenied,
            _ => Code::RequestDenied,
        },
    );
    let reason = format!(
        "rule {rule} wants somebody of group {} to agree to it, and it is longer than the {MOST_SHOWN} bytes that can be reviewed",
        ask.group
    );
    Denial::new(ask.by, code, reason).hint("do less at once")
}
