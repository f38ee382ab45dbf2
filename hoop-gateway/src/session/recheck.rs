//! Sessions that run are asked about again: who loses access loses it within seconds, and not at the next login.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hoop_core::id::{OrgId, SessionId};
use hoop_core::{AccessRequest, Code, Decision, Denial, SessionContext};

use super::hold::other_group;
use super::open::ask;
use super::registry::Admitted;
use super::role::unchanged;
use super::{Control, Pass, Sessions};
use crate::access::{Access, unmet, unreadable};
use crate::auth::token::unavailable;
use crate::store::{StoreError, in_time};

/// How long a session can outlive what allows it: a change that another gateway made, a time that is over.
const EVERY: Duration = Duration::from_secs(2);

/// How long a policy may think about all sessions. The one of the gateway has a deadline for each look-up; this is for one that
/// hangs.
const THOUGHT: Duration = Duration::from_secs(30);

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Looks at rules and running sessions when something changed, and every two seconds. Runs until it is dropped.
pub(crate) async fn watch(sessions: Sessions, access: Access) {
    let mut failing = false;
    loop {
        tokio::select! {
            () = access.changed() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
        match look(&sessions, &access).await {
            Ok(()) => failing = false,
            // Said once: what cannot be decided is decided when it can be again, and nobody new gets in meanwhile.
            Err(error) if !failing => {
                failing = true;
                let error = &*error;
                tracing::warn!(error, "running sessions cannot be looked at again; they go on meanwhile");
            }
            Err(_) => {}
        }
    }
}

/// Each is looked at whatever becomes of the others: rules that cannot be read keep nobody in who is shut out otherwise.
pub(super) async fn look(sessions: &Sessions, access: &Access) -> Result<(), Error> {
    let read = access.reload().await;
    let passes = sessions.recheck_passes().await;
    sessions.recheck().await?;
    passes?;
    Ok(read?)
}

impl Sessions {
    /// Ends the sessions that the policy does not allow any more, and those whose role leads elsewhere by now.
    ///
    /// # Errors
    /// When the policy has no answer, or the store; sessions of which nothing is known go on.
    async fn recheck(&self) -> Result<(), Error> {
        let running = self.inner.registry.admitted();
        let decided = self.ask_again(&running).await;
        self.compare_roles(&running).await?;
        decided
    }

    async fn ask_again(&self, running: &[Admitted]) -> Result<(), Error> {
        let at = self.parts().clock.now();
        let asks: Vec<_> = running
            .iter()
            .map(|Admitted { context, .. }| AccessRequest { since: Some(context.started_at), ..ask(context, at) })
            .collect();
        if asks.is_empty() {
            return Ok(());
        }
        let decisions = tokio::time::timeout(THOUGHT, self.parts().policy.decide_all(&asks)).await??;
        for ((Admitted { context, control, agreed, .. }, ask), decision) in running.iter().zip(&asks).zip(decisions) {
            if let Err(why) = allowed_still(ask, decision, agreed.as_deref()) {
                end(context, control, why);
            }
        }
        Ok(())
    }

    /// Ends the sessions of which an API token, a key or a credential was taken away, as by a logout. One that has expired opens no more
    /// sessions, and those that run go on, as with credentials.
    ///
    /// # Errors
    /// When the store does not answer; every session goes on.
    async fn recheck_passes(&self) -> Result<(), StoreError> {
        let running = self.inner.registry.admitted();
        let of =
            |session: &Admitted| session.passes.iter().map(|pass| (session.context.org, *pass)).collect::<Vec<_>>();
        let mut gone: HashSet<(OrgId, Pass)> = running.iter().flat_map(of).collect();
        for (org, pass) in gone.clone() {
            if self.is_there(org, pass).await? {
                gone.remove(&(org, pass));
            }
        }
        for session in &running {
            let Some((_, pass)) = of(session).into_iter().find(|pass| gone.contains(pass)) else { continue };
            tracing::info!(session = %session.context.id, ?pass, "what the session came in by was taken away");
            session.control.end(taken_away(pass));
        }
        Ok(())
    }

    pub(super) async fn is_there(&self, org: OrgId, pass: Pass) -> Result<bool, StoreError> {
        let store = &self.parts().store;
        match pass {
            Pass::Token(id) => {
                let token = in_time(store.tokens().get(org, id)).await?;
                Ok(token.is_some_and(|token| token.revoked_at.is_none()))
            }
            Pass::Key(id) => Ok(in_time(store.user_keys().get(org, id)).await?.is_some()),
            Pass::Credential(id) => {
                let credential = in_time(store.credentials().get(org, id)).await?;
                Ok(credential.is_some_and(|credential| credential.revoked_at.is_none()))
            }
        }
    }

    /// Asks anew whether a session that runs may go on, and what it was allowed by is there still.
    ///
    /// # Errors
    /// The refusal of one that may not; [`Code::StoreUnavailable`].
    pub(super) async fn still_allowed(&self, id: SessionId) -> Result<(), Denial> {
        let over = || Denial::new("gateway", Code::AccessRevoked, "the session has ended");
        let Admitted { context, passes, jumps, agreed, .. } = self.inner.registry.admitted_one(id).ok_or_else(over)?;
        let ask = AccessRequest { since: Some(context.started_at), ..ask(&context, self.parts().clock.now()) };
        let decision = self.parts().policy.decide(&ask).await;
        let decision =
            decision.map_err(|error| Denial::failed("access policy", error).with_code(Code::StoreUnavailable))?;
        allowed_still(&ask, decision, agreed.as_deref())?;
        self.passes_are_good(&context, &passes).await?;
        for role in std::iter::once(&*context.role).chain(jumps.iter()) {
            unchanged(role, self.stored(role).await.map_err(unavailable)?.as_ref())?;
        }
        Ok(())
    }

    /// Looks each role up once.
    async fn compare_roles(&self, running: &[Admitted]) -> Result<(), Error> {
        let mut roles = HashMap::new();
        for Admitted { context, control, jumps, .. } in running {
            for role in std::iter::once(&*context.role).chain(jumps.iter()) {
                let stored = match roles.entry((role.org, role.id)) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => place.insert(match self.stored(role).await {
                        Err(error @ StoreError::Corrupt { .. }) => {
                            Err(unreadable(error).with_code(Code::AccessRevoked))
                        }
                        stored => Ok(stored?),
                    }),
                };
                let compared = stored.as_ref().map_err(Denial::clone);
                if let Err(why) = compared.and_then(|stored| unchanged(role, stored.as_ref())) {
                    end(context, control, why);
                    break;
                }
            }
        }
        Ok(())
    }
}

pub(super) fn taken_away(pass: Pass) -> Denial {
    let (what, next) = match pass {
        Pass::Token(_) => ("token or login", "sign in again or use another token, and connect again"),
        Pass::Credential(_) => ("credential", "get a new one (hoop connect), and connect again"),
        Pass::Key(_) => ("key", "add a key (hoop keys add), and connect again"),
    };
    let why = format!("this session is not allowed any more: the {what} that it came in by was taken away");
    Denial::new("gateway", Code::AccessRevoked, why).hint(next)
}

fn end(context: &SessionContext, control: &Control, why: Denial) {
    tracing::info!(session = %context.id, code = %why.code, reason = why.reason, "session is not allowed any more");
    control.end(why);
}

/// Whether a session may go on to which somebody of this group has agreed, if it needed that.
fn allowed_still(ask: &AccessRequest<'_>, decision: Decision, agreed: Option<&str>) -> Result<(), Denial> {
    let refused = match decision {
        Decision::Allow(obligations) => match unmet(ask, &obligations) {
            Ok(()) => match obligations.review.as_deref().filter(|group| Some(*group) != agreed) {
                None => return Ok(()),
                Some(group) => return Err(other_group(&ask.role.name, group)),
            },
            Err(denial) if denial.code == Code::SessionExpired => return Err(denial),
            Err(denial) => denial,
        },
        Decision::Deny(denial) => denial,
    };
    let reason = format!("this session is not allowed any more: {}", refused.reason);
    Err(Denial { code: Code::AccessRevoked, reason, ..refused })
}
