//! Sessions that run are asked about again: who loses access loses it within seconds, and not at the next login.

use std::time::Duration;

use hoop_core::{AccessRequest, Code, Decision, Denial, PolicyError};

use super::Sessions;
use super::open::ask;
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
            .map(|(context, _)| AccessRequest { since: Some(context.started_at), ..ask(context, at) })
            .collect();
        if asks.is_empty() {
            return Ok(());
        }
        let decisions = self.parts().policy.decide_all(&asks).await?;
        for (((context, control), ask), decision) in running.iter().zip(&asks).zip(decisions) {
            if let Err(why) = allowed_still(ask, decision) {
                tracing::info!(session = %context.id, code = %why.code, reason = why.reason, "session is not allowed any more");
                control.end(why);
            }
        }
        Ok(())
    }

    /// Ends the sessions whose token was taken away, as by a logout. One that has expired opens no more sessions, and those
    /// that run go on, as with credentials.
    ///
    /// # Errors
    /// When the store does not answer; every session that was not asked about goes on.
    async fn recheck_tokens(&self) -> Result<(), StoreError> {
        for (hash, running) in self.inner.registry.by_token() {
            let found = self.parts().store.tokens().by_hash(&hash).await?;
            if found.is_some_and(|(token, _)| token.revoked_at.is_none()) {
                continue;
            }
            for (session, control) in running {
                tracing::info!(%session, "the token that a session came in by was taken away");
                control.end(taken_away());
            }
        }
        Ok(())
    }
}

fn taken_away() -> Denial {
    let reason = "this session is not allowed any more: the login that it came in by has ended";
    Denial::new("gateway", Code::AccessRevoked, reason).hint("hoop login, and connect again")
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
