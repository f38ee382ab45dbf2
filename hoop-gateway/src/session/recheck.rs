//! Sessions that run are asked about again: who loses access loses it within seconds, and not at the next login.

use std::collections::HashSet;
use std::time::Duration;

use hoop_core::id::{OrgId, TokenId};
use hoop_core::{AccessRequest, Code, Decision, Denial, PolicyError};

use super::Sessions;
use super::open::ask;
use super::registry::Admitted;
use crate::access::{Access, unmet};
use crate::store::StoreError;

/// How long a session can outlive what allows it: a change that another gateway made, a time that is over.
const EVERY: Duration = Duration::from_secs(2);

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

async fn look(sessions: &Sessions, access: &Access) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    access.reload().await?;
    sessions.recheck().await?;
    sessions.recheck_tokens().await?;
    Ok(())
}

impl Sessions {
    /// Ends the sessions that the policy does not allow any more.
    ///
    /// # Errors
    /// When the policy has no answer; every session goes on.
    async fn recheck(&self) -> Result<(), PolicyError> {
        let running = self.inner.registry.admitted();
        let at = self.parts().clock.now();
        let asks: Vec<_> = running
            .iter()
            .map(|Admitted { context, .. }| AccessRequest { since: Some(context.started_at), ..ask(context, at) })
            .collect();
        if asks.is_empty() {
            return Ok(());
        }
        let decisions = self.parts().policy.decide_all(&asks).await?;
        for ((Admitted { context, control, .. }, ask), decision) in running.iter().zip(&asks).zip(decisions) {
            if let Err(why) = allowed_still(ask, decision) {
                tracing::info!(session = %context.id, code = %why.code, reason = why.reason, "session is not allowed any more");
                control.end(why);
            }
        }
        Ok(())
    }

    /// Ends the sessions of which an API token was taken away, as by a logout. One that has expired opens no more sessions,
    /// and those that run go on, as with credentials.
    ///
    /// # Errors
    /// When the store does not answer; every session goes on.
    async fn recheck_tokens(&self) -> Result<(), StoreError> {
        let running = self.inner.registry.admitted();
        let of =
            |session: &Admitted| session.tokens.iter().map(|token| (session.context.org, *token)).collect::<Vec<_>>();
        let mut gone: HashSet<(OrgId, TokenId)> = running.iter().flat_map(of).collect();
        for (org, id) in gone.clone() {
            let token = self.parts().store.tokens().get(org, id).await?;
            if token.is_some_and(|token| token.revoked_at.is_none()) {
                gone.remove(&(org, id));
            }
        }
        for session in running.iter().filter(|session| of(session).iter().any(|token| gone.contains(token))) {
            let why = "this session is not allowed any more: the token or login that it came in by was taken away";
            tracing::info!(session = %session.context.id, "token of the session was revoked");
            session.control.end(Denial::new("gateway", Code::AccessRevoked, why).hint("hoop login, and connect again"));
        }
        Ok(())
    }
}

fn allowed_still(ask: &AccessRequest<'_>, decision: Decision) -> Result<(), Denial> {
    let refused = match decision {
        Decision::Allow(obligations) => match unmet(ask, &obligations) {
            Ok(()) => return Ok(()),
            Err(denial) if denial.code == Code::SessionExpired => return Err(denial),
            Err(denial) => denial,
        },
        Decision::Deny(denial) => denial,
    };
    let reason = format!("this session is not allowed any more: {}", refused.reason);
    Err(Denial { code: Code::AccessRevoked, reason, ..refused })
}
