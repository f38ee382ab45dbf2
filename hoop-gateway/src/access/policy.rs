//! The access policy that comes with the gateway.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use async_trait::async_trait;
use hoop_core::{AccessRequest, Code, Decision, Denial, Policy, PolicyError};

use super::evaluate::{Question, Ruling, evaluate};
use super::live::Access;
use super::rule::RuleDefinition;
use crate::store::{Role, Store, StoreError, User, in_time};

/// Access rules decide, and the groups of roles. It asks the store for user and role each time, so that a change of them
/// holds at once, whatever a credential was issued for. Nobody new gets in by rules that could not be read for ten seconds.
#[derive(Clone)]
pub struct AccessPolicy {
    store: Arc<dyn Store>,
    access: Access,
}

impl AccessPolicy {
    /// A policy on the users and roles of this store, and on these rules.
    pub fn new(store: Arc<dyn Store>, access: Access) -> Self {
        Self { store, access }
    }

    fn answer(&self, ask: &AccessRequest<'_>, user: Option<&User>, role: Option<&Role>) -> Decision {
        let Some(role) = role else { return Decision::Deny(gone(ask)) };
        let Some(user) = user.filter(|user| !user.disabled) else { return Decision::Deny(shut_out(ask)) };
        let (rules, own) = (self.access.rules(ask.principal.org), RuleDefinition::of_role(role));
        let question = Question::of(ask, user, &role.role);
        let ruling = evaluate(rules.iter().chain(&own), &question);
        match (ruling.denial(&question), ruling) {
            (None, Ruling::Allowed(_, obligations)) => Decision::Allow(obligations),
            (denial, _) => Decision::Deny(denial.unwrap_or_else(|| shut_out(ask))),
        }
    }
}

#[async_trait]
impl Policy for AccessPolicy {
    async fn decide(&self, ask: &AccessRequest<'_>) -> Result<Decision, PolicyError> {
        self.access.refresh().await.map_err(failed)?;
        let (org, user, role) = (ask.principal.org, ask.principal.user, ask.role.id);
        let both = in_time(self.store.admissions().user_and_role(org, user, role)).await.map_err(failed)?;
        if let Some((user, role)) = both {
            return Ok(self.answer(ask, Some(&user), Some(&role)));
        }
        // Which of them is not there is told to whoever asks for it.
        let role = in_time(self.store.roles().get(org, role)).await.map_err(failed)?;
        Ok(self.answer(ask, None, role.as_ref()))
    }

    /// Looks each user and each role up once. One that cannot be read is the end of its own sessions, and of no others.
    async fn decide_all(&self, asks: &[AccessRequest<'_>]) -> Result<Vec<Decision>, PolicyError> {
        let (mut users, mut roles) = (HashMap::new(), HashMap::new());
        for ask in asks {
            let (org, user, role) = (ask.principal.org, ask.principal.user, ask.role.id);
            if let Entry::Vacant(place) = users.entry((org, user)) {
                place.insert(found(in_time(self.store.users().get(org, user)).await)?);
            }
            if let Entry::Vacant(place) = roles.entry((org, role)) {
                place.insert(found(in_time(self.store.roles().get(org, role)).await)?);
            }
        }
        let decide = |ask: &AccessRequest<'_>| {
            let org = ask.principal.org;
            let user = users.get(&(org, ask.principal.user)).map_or(Ok(None), |user| user.as_ref().map(Option::as_ref));
            let role = roles.get(&(org, ask.role.id)).map_or(Ok(None), |role| role.as_ref().map(Option::as_ref));
            match (user, role) {
                (Ok(user), Ok(role)) => self.answer(ask, user, role),
                (Err(denial), _) | (_, Err(denial)) => Decision::Deny(Denial::clone(denial)),
            }
        };
        Ok(asks.iter().map(decide).collect())
    }
}

fn gone(ask: &AccessRequest<'_>) -> Denial {
    let reason = format!("there is no role {} any more", ask.role.name);
    Denial::new("access policy", Code::RoleNotFound, reason).hint("ask an administrator which role replaces it")
}

fn shut_out(ask: &AccessRequest<'_>) -> Denial {
    let (user, role) = (&ask.principal.name, &ask.role.name);
    let reason = format!("user {user} may not use role {role}: the user is disabled, or not there any more");
    Denial::new("access policy", Code::AccessDenied, reason).hint("ask an administrator")
}

/// What is stored and cannot be read allows nobody anything; that says nothing of what else is stored.
fn found<T>(read: Result<Option<T>, StoreError>) -> Result<Result<Option<T>, Denial>, PolicyError> {
    match read {
        Err(error @ StoreError::Corrupt { .. }) => Ok(Err(unreadable(error))),
        read => read.map(Ok).map_err(failed),
    }
}

/// The refusal of whoever needs a row that cannot be read.
pub(crate) fn unreadable(error: StoreError) -> Denial {
    Denial::failed("access policy", error).hint("ask an administrator to look at the gateway's log")
}

fn failed(error: StoreError) -> PolicyError {
    PolicyError(Box::new(error))
}

impl std::fmt::Debug for AccessPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessPolicy").field("access", &self.access).finish_non_exhaustive()
    }
}
