//! Sessions: the one path to any target, whichever door a caller came in by.
//!
//! ```text
//! Sessions::open ─▶ policy ─▶ a row in the store ─▶ (a review) ─▶ chain opens ─▶ agent dials back ─▶ Session
//! Session::close ─▶ chain closes (the recording is sealed) ─▶ the row gets its one outcome
//! ```
//!
//! **Invariants.** No channel to a target exists without a `Session`, but for the one that `Sessions::try_target` closes
//! as soon as the target's login is done, and the one on which `Sessions::check_target` asks what the role says. A session ends once: `Session::close` consumes
//! it, and one that is dropped is closed as [`Outcome::Aborted`] and counted as a bug.

mod ask;
mod control;
mod hold;
mod jump;
mod open;
pub(crate) mod recheck;
mod registry;
mod role;
mod target;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use hoop_core::id::{OrgId, RequestId, SessionId};
use hoop_core::{Clock, Code, Denial, Outcome, PluginChain, Policy, ResourceRole, SessionChain, SessionContext};
use hoop_proto::tunnel::v1::{PostgresReady, ready};
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

pub(crate) use ask::WaitsFor;
pub(crate) use control::{Asked, Control};
pub(crate) use hold::{Held, Tell};
pub(crate) use jump::{fits, jump_of};
pub(crate) use open::Opening;
pub(crate) use registry::{CancelKey, Live, Pass};
pub use target::Reached;
pub(crate) use target::{HttpUrl, http_target, postgres_target, ssh_target};

use crate::api::LiveSessions;
use crate::changes::{Changes, Subject};
use crate::plugins::audit::Closed;
use crate::review::Reviews;
use crate::secrets::SecretKeeper;
use crate::store::{Ended, Store, StoreError};
use crate::telemetry::Telemetry;
use crate::tunnel::{Agents, Channel, OpenFailure, OpenTarget};
use registry::Registry;

/// What sessions are made of; the gateway puts it together.
pub struct SessionParts {
    /// Remembers every session.
    pub store: Arc<dyn Store>,
    /// Decides who may open one.
    pub policy: Arc<dyn Policy>,
    /// The plugins, in order.
    pub chain: PluginChain,
    /// The way to targets.
    pub agents: Agents,
    /// Secrets of roles that the gateway keeps.
    pub secrets: SecretKeeper,
    /// What somebody must agree to.
    pub reviews: Reviews,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Tells that they open and end.
    pub changes: Arc<Changes>,
    /// Counts them.
    pub telemetry: Arc<Telemetry>,
    /// Owns what a session leaves to be done when it is dropped.
    pub tasks: TaskTracker,
}

/// The sessions of a gateway.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

/// The sessions of a gateway, for as long as somebody else keeps them; see [`Sessions::downgrade`].
#[derive(Clone)]
pub struct WeakSessions {
    inner: Weak<Inner>,
}

impl WeakSessions {
    /// The sessions, while they are there.
    pub fn upgrade(&self) -> Option<Sessions> {
        self.inner.upgrade().map(|inner| Sessions { inner })
    }
}

struct Inner {
    parts: SessionParts,
    registry: Registry,
    draining: Mutex<Option<Denial>>,
}

impl Sessions {
    /// No session yet.
    pub fn new(parts: SessionParts) -> Self {
        Self { inner: Arc::new(Inner { parts, registry: Registry::default(), draining: Mutex::new(None) }) }
    }

    /// Takes what audit says of a session's log when it closes, to be stored with the session.
    pub fn log_closed(&self, closed: Closed) {
        self.inner.registry.log_closed(closed);
    }

    /// Whether a new session would be taken.
    ///
    /// # Errors
    /// The refusal it would get.
    pub fn ready(&self) -> Result<(), Denial> {
        match &*self.inner.draining.lock() {
            Some(denial) => Err(denial.clone()),
            None => Ok(()),
        }
    }

    /// Takes no new sessions, waits up to `grace` for those that run, and then ends them; those that wait for a review end at
    /// once. Returns when all have ended, or a little after that.
    pub async fn drain(&self, grace: Duration) {
        let why = self.refuse_new();
        self.inner.registry.end_held(&why);
        if tokio::time::timeout(grace, self.inner.registry.emptied()).await.is_ok() {
            return;
        }
        self.inner.registry.end_all(&why);
        if tokio::time::timeout(LAST_WORDS, self.inner.registry.emptied()).await.is_err() {
            tracing::error!(
                sessions = self.inner.registry.count(),
                "sessions that did not end in time are left to recovery"
            );
        }
    }

    /// Takes no new sessions and ends those that run, without waiting for them.
    pub fn stop(&self) {
        let why = self.refuse_new();
        self.inner.registry.end_all(&why);
    }

    fn refuse_new(&self) -> Denial {
        let why = Denial::new("gateway", Code::GatewayDraining, "the gateway is shutting down")
            .hint("connect again in a moment; what was not acknowledged may or may not have run");
        *self.inner.draining.lock() = Some(why.clone());
        why
    }

    /// A handle that does not keep the sessions alive, for what they themselves own: the plugins.
    pub fn downgrade(&self) -> WeakSessions {
        WeakSessions { inner: Arc::downgrade(&self.inner) }
    }

    /// Cancels what runs in the session with this key. A key that nobody has cancels nothing.
    pub(crate) fn cancel(&self, key: &CancelKey) {
        self.inner.registry.cancel(key);
    }

    pub(crate) fn parts(&self) -> &SessionParts {
        &self.inner.parts
    }
}

/// How long a session that is ended may take to tell its client and to seal its recording.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The pause before the end of a session is offered to the store again, and how often it is: for an hour at least.
const RETRY: Duration = Duration::from_secs(2);
const RETRIES: u32 = 1800;

#[async_trait]
impl LiveSessions for Sessions {
    fn count(&self) -> usize {
        self.inner.registry.count()
    }

    fn end(&self, org: OrgId, id: SessionId, why: Denial) -> bool {
        self.inner.registry.end(org, id, why)
    }

    async fn try_target(&self, role: &ResourceRole, request: RequestId) -> Result<Reached, OpenFailure> {
        Self::try_target(self, role, request).await
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("running", &self.inner.registry.count()).finish_non_exhaustive()
    }
}

/// A session that runs: its target is logged in to, and nothing has been exchanged yet.
pub(crate) struct Session {
    /// What is known of it.
    pub(crate) context: Arc<SessionContext>,
    /// Ends it from outside, and passes cancel requests on.
    pub(crate) control: Arc<Control>,
    /// What the target said at its login.
    pub(crate) ready: ready::Target,
    /// Whether somebody had to agree: how long it took to open says nothing then.
    pub(crate) reviewed: bool,
    /// Where the target is, for whoever has to ask it something beside the session.
    pub(crate) target: OpenTarget,
    sessions: Sessions,
    channel: Option<Channel>,
    chain: Option<SessionChain>,
    finished: bool,
    _live: Live,
}

impl Session {
    /// The chain and the channel, for the proxy; they come back in [`close`](Self::close).
    pub(crate) fn take(&mut self) -> Option<(SessionChain, Channel)> {
        Some((self.chain.take()?, self.channel.take()?))
    }

    /// What a PostgreSQL server said at the login.
    ///
    /// # Errors
    /// A [`Denial`] when the agent logged in to something else.
    pub(crate) fn postgres(&self) -> Result<PostgresReady, Denial> {
        match &self.ready {
            ready::Target::Postgres(ready) => Ok(ready.clone()),
            _ => Err(crate::tunnel::violation(&self.context.role.agent)),
        }
    }

    /// Makes a cancel key of this many secret bytes by which the client can cancel what runs. `process` is the target's
    /// own, which clients show and compare; 0 where there is none.
    pub(crate) fn cancel_key(&self, process: i32, secret_bytes: usize) -> CancelKey {
        self.sessions.inner.registry.cancel_key(self.context.id, process, secret_bytes)
    }

    /// Ends the session. The chain is closed first, so that the recording is sealed before anyone hears of the end.
    pub(crate) async fn close(mut self, chain: SessionChain, outcome: Outcome) {
        let (context, sessions) = (Arc::clone(&self.context), self.sessions.clone());
        finish(&sessions, &context, Some(chain), &outcome).await;
        self.finished = true;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        tracing::error!(session = %self.context.id, "session was dropped without being closed; this is a bug");
        let (context, sessions, chain) = (Arc::clone(&self.context), self.sessions.clone(), self.chain.take());
        let tasks = self.sessions.parts().tasks.clone();
        tasks.spawn(async move { finish(&sessions, &context, chain, &Outcome::Aborted).await });
    }
}

/// Closes the chain and writes the session's one outcome.
async fn finish(sessions: &Sessions, context: &SessionContext, chain: Option<SessionChain>, outcome: &Outcome) {
    if let Some(chain) = chain {
        chain.close(outcome).await;
    }
    let code = outcome.denial().map(|denial| denial.code);
    if matches!(code, Some(Code::SessionKilled | Code::AccessRevoked))
        && let Err(error) = sessions.parts().reviews.revoke_of(context.org, context.id).await
    {
        tracing::warn!(session = %context.id, %error, "reviews of a session that was ended could not be taken back");
    }
    let ended = ended(sessions, context.id, outcome);
    let store = sessions.parts().store.sessions();
    if let Err(error) = store.close(context.org, context.id, &ended).await {
        tracing::warn!(
            session = %context.id,
            error = &error as &dyn std::error::Error,
            "end of a session could not be stored; it is tried again until the store answers"
        );
        let (sessions, org, id) = (sessions.clone(), context.org, context.id);
        sessions.parts().tasks.clone().spawn(async move { store_later(&sessions, org, id, &ended).await });
    }
    let owner = Some(context.principal.user);
    sessions.parts().changes.tell(context.org, Subject::Session, context.id, owner, "ended");
    let denial = outcome.denial();
    tracing::info!(
        session = %context.id,
        request = %context.request_id,
        outcome = outcome.as_str(),
        code = denial.map(|denial| denial.code.as_str()),
        reason = denial.map(|denial| denial.reason.as_str()),
        cause = denial.and_then(std::error::Error::source),
        "session closed"
    );
}

/// Stores the end of a session once the store answers again. A gateway that stops before that leaves it to the next start.
async fn store_later(sessions: &Sessions, org: OrgId, id: SessionId, ended: &Ended) {
    for _ in 0..RETRIES {
        tokio::time::sleep(RETRY).await;
        match sessions.parts().store.sessions().close(org, id, ended).await {
            Ok(_) => return,
            Err(StoreError::Database(sqlx::Error::PoolClosed)) => break,
            Err(_) => {}
        }
    }
    tracing::error!(session = %id, "end of a session was not stored; the next start of the gateway closes it");
}

fn ended(sessions: &Sessions, id: SessionId, outcome: &Outcome) -> Ended {
    let log = sessions.inner.registry.take_log(id);
    let sealed = log.as_ref().and_then(|closed| closed.log.as_ref());
    let denial = outcome.denial();
    Ended {
        at: sessions.parts().clock.now(),
        outcome: outcome.as_str().to_owned(),
        code: denial.map(|denial| denial.code.as_str().to_owned()),
        reason: denial.map(|denial| denial.reason.clone()),
        totals: log.as_ref().and_then(|closed| serde_json::to_value(&closed.totals).ok()),
        log_head: sealed.map(|log| blake3::Hash::from(log.head).to_hex().to_string()),
        log_records: sealed.map(|log| log.records),
    }
}
