//! Opening a session: everything that is decided before anything reaches a target.

use std::net::SocketAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hoop_core::id::{CredentialId, RequestId, SessionId};
use hoop_core::{
    AccessMode, AccessRequest, Code, Decision, Denial, Obligations, Outcome, Principal, ResourceRole, SessionChain,
    SessionContext, Target,
};
use hoop_proto::tunnel::v1::open;
use tracing::{Instrument as _, info_span};

use super::ask::Asks;
use super::control::Control;
use super::hold::{Allowed, Holding, Tell};
use super::jump::through;
use super::role::unchanged;
use super::{Pass, Session, Sessions, finish};
use crate::access::unmet;
use crate::auth::token::unavailable;
use crate::changes::Subject;
use crate::proxy::postgres::error::refused_login;
use crate::secrets::SealedSecrets;
use crate::store::{self, in_time};
use crate::telemetry::span::{self, TARGET};
use crate::tunnel::{OpenFailure, OpenTarget};

/// What a door knows of a session that is to be opened.
pub(crate) struct Opening {
    /// The request, as it is in the log since the first byte.
    pub(crate) request_id: RequestId,
    /// Who.
    pub(crate) principal: Principal,
    /// The API tokens and keys behind it: the session ends with any of them.
    pub(crate) passes: Vec<Pass>,
    /// The credential that was shown, where one was.
    pub(crate) credential: Option<CredentialId>,
    /// What for.
    pub(crate) role: ResourceRole,
    /// How.
    pub(crate) mode: AccessMode,
    /// From where.
    pub(crate) source: Option<SocketAddr>,
    /// Which database.
    pub(crate) database: Option<Arc<str>>,
    /// What the client calls itself.
    pub(crate) application: Option<Arc<str>>,
    /// What for, in the caller's own words.
    pub(crate) reason: Option<Arc<str>>,
    /// Where the agent is to connect, and how.
    pub(crate) target: open::Target,
    /// Where the door hears that somebody must agree first.
    pub(crate) told: Option<Tell>,
}

impl Sessions {
    /// Opens a session: asks the policy, remembers the session, waits for somebody's agreement where the policy asks for one,
    /// opens the chain, and has the agent log in to the target.
    ///
    /// # Errors
    /// The refusal; with the target's own error where it is the target that refused. A refused session has its outcome.
    pub(crate) async fn open(&self, opening: Opening) -> Result<Session, OpenFailure> {
        let parts = self.parts();
        let opened = self.begin(opening).await;
        match &opened {
            Ok(_) => parts.telemetry.sessions_opened.increment(1),
            Err(_) => parts.telemetry.sessions_refused.increment(1),
        }
        opened
    }

    async fn begin(&self, opening: Opening) -> Result<Session, OpenFailure> {
        self.ready()?;
        let (target, passes, credential) = (opening.target.clone(), opening.passes.clone(), opening.credential);
        let told = opening.told.clone();
        let mut context = self.context(opening);
        span::is_about(&context);
        let control = Arc::new(Control::default());
        // It is in the registry before it is in the store: a shutdown that sees no session has none.
        let live = self.inner.registry.enter(context.org, context.id, Arc::clone(&control));
        let mut begun = Begun { sessions: self.clone(), context: Some(context.clone()), chain: None };
        // Neither needs the other; nothing further is done before both are.
        let (remembered, decided) = tokio::join!(
            self.remember(&context).instrument(info_span!(target: TARGET, "store")),
            self.decide(&context).instrument(info_span!(target: TARGET, "policy")),
        );
        if let Err(denial) = remembered {
            begun.let_go();
            return Err(denial.into());
        }
        let holding = Holding { told: told.as_ref(), control: &control, passes: &passes };
        let allowed = match decided {
            // Seldom is anything held: what that needs is on the heap.
            Ok(allowed) if allowed.0.review.is_some() => Box::pin(self.reviewed(&mut context, allowed, holding)).await,
            Ok((obligations, secrets)) => Ok(Allowed { obligations, secrets, agreed: None }),
            Err(denial) => Err(denial),
        };
        let (Obligations { rule, expires_at, .. }, secrets, agreed) = match allowed {
            Ok(Allowed { obligations, secrets, agreed }) => (obligations, secrets, agreed),
            Err(denial) => return Err(begun.refuse(denial.into()).await),
        };
        context.expires_at = expires_at;
        let jumps = match self.jumps(&context.role).await {
            Ok(jumps) => jumps,
            Err(denial) => return Err(begun.refuse(denial.into()).await),
        };
        let (context, target) = (Arc::new(context), through(target, &jumps));
        self.inner.registry.admit(&context, passes, jumps.clone(), agreed.clone());
        let chained = self.parts().chain.open(&context).instrument(info_span!(target: TARGET, "chain")).await;
        match chained {
            Ok(chain) => begun.chain = Some(chain.reviewed_by(Asks::of(self, &context))),
            Err(denial) => return Err(begun.refuse(denial.into()).await),
        }
        let secrets = match self.with_jumps(secrets, &context.role, &jumps).await {
            Ok(secrets) => secrets,
            Err(denial) => return Err(begun.refuse(denial.into()).await),
        };
        let target = OpenTarget {
            org: context.org,
            agent: Arc::clone(&context.role.agent),
            session: context.id,
            request_id: context.request_id,
            role: Arc::clone(&context.role.name),
            target,
            secrets,
        };
        // The agent's way to the target, and the login there.
        let agent = info_span!(target: TARGET, "agent", agent = %context.role.agent);
        let (channel, ready) = match self.parts().agents.open(target.clone()).instrument(agent).await {
            Ok(opened) => opened,
            Err(mut failure) => {
                if let (Target::Postgres(_), Some(chain)) = (&context.role.target, &mut begun.chain) {
                    refused_login(chain, &mut failure);
                }
                return Err(begun.refuse(failure).await);
            }
        };
        self.note_running(&context, credential);
        let owner = Some(context.principal.user);
        self.parts().changes.tell(context.org, Subject::Session, context.id, owner, "opened");
        tracing::info!(
            session = %context.id, request = %context.request_id, user = %context.principal.name, role = %context.role.name,
            rule = rule.as_deref(), agent = %context.role.agent, database = context.database.as_deref(), source = context.source.map(tracing::field::display),
            "session opened"
        );
        Ok(Session {
            context,
            control,
            ready,
            reviewed: agreed.is_some(),
            target,
            sessions: self.clone(),
            channel: Some(channel),
            chain: begun.let_go(),
            finished: false,
            _live: live,
        })
    }

    fn context(&self, opening: Opening) -> SessionContext {
        let clock = &*self.parts().clock;
        SessionContext {
            id: SessionId::new(clock),
            org: opening.principal.org,
            request_id: opening.request_id,
            principal: Arc::new(opening.principal),
            role: Arc::new(opening.role),
            mode: opening.mode,
            started_at: clock.now(),
            expires_at: None,
            source: opening.source,
            database: opening.database,
            application: opening.application,
            reason: opening.reason,
        }
    }

    async fn remember(&self, context: &SessionContext) -> Result<(), Denial> {
        let session = store::Session {
            org: context.org,
            id: context.id,
            request_id: context.request_id,
            user: context.principal.user,
            user_name: context.principal.name.to_string(),
            role: context.role.id,
            role_name: context.role.name.to_string(),
            agent: context.role.agent.to_string(),
            mode: context.mode.as_str().to_owned(),
            source: context.source.map(|source| source.to_string()),
            application: context.application.as_deref().map(str::to_owned),
            database: context.database.as_deref().map(str::to_owned),
            state: "opening".to_owned(),
            started_at: context.started_at,
            review: None,
            ended: None,
        };
        self.parts().store.sessions().open(&session).await.map_err(unavailable)
    }

    /// What the policy obliges to, and the secrets of the role, still encrypted.
    pub(super) async fn decide(&self, context: &SessionContext) -> Result<(Obligations, SealedSecrets), Denial> {
        let ask = ask(context, context.started_at);
        let stored = in_time(self.parts().store.admissions().role_and_secrets(context.org, context.role.id));
        let (decided, stored) = tokio::join!(self.parts().policy.decide(&ask), stored);
        let obligations = match decided {
            Ok(Decision::Allow(obligations)) => unmet(&ask, &obligations).map(|()| obligations)?,
            Ok(Decision::Deny(denial)) => return Err(denial),
            Err(error) => return Err(Denial::failed("access policy", error).with_code(Code::StoreUnavailable)),
        };
        // Between the door and here it may have been pointed elsewhere.
        let (role, secrets) = stored.map_err(unavailable)?.unzip();
        unchanged(&context.role, role.as_ref())?;
        Ok((obligations, self.parts().secrets.sealed(&context.role, secrets.unwrap_or_default())))
    }

    /// Beside the role's own secrets those of the machines on the way.
    async fn with_jumps(
        &self,
        own: SealedSecrets,
        role: &ResourceRole,
        jumps: &[ResourceRole],
    ) -> Result<SealedSecrets, Denial> {
        if jumps.is_empty() { Ok(own) } else { self.secrets(role, jumps).await }
    }

    /// The first statement does not wait for the store: a session that is noted as running too late has ended already,
    /// and stays so.
    fn note_running(&self, context: &SessionContext, credential: Option<CredentialId>) {
        let (store, org, id) = (Arc::clone(&self.parts().store), context.org, context.id);
        let now = self.parts().clock.now();
        self.parts().tasks.spawn(async move {
            if let Some(credential) = credential
                && let Err(error) = store.credentials().used(org, credential, now).await
            {
                tracing::warn!(%credential, error = &error as &dyn std::error::Error, "use of a credential could not be noted");
            }
            if let Err(error) = store.sessions().running(org, id).await {
                tracing::warn!(session = %id, error = &error as &dyn std::error::Error, "session could not be noted as running");
            }
        });
    }
}

/// A session that the store may know and that is not open yet. Dropped as such, it ends: its client is gone.
struct Begun {
    sessions: Sessions,
    context: Option<SessionContext>,
    chain: Option<SessionChain>,
}

impl Begun {
    /// What becomes of it is told by somebody else.
    fn let_go(mut self) -> Option<SessionChain> {
        self.context = None;
        self.chain.take()
    }

    async fn refuse(mut self, failure: OpenFailure) -> OpenFailure {
        let chain = self.chain.take();
        if let Some(context) = &self.context {
            finish(&self.sessions, context, chain, &Outcome::Denied(failure.denial.clone())).await;
        }
        self.context = None;
        failure
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let Some(context) = self.context.take() else { return };
        let (sessions, chain) = (self.sessions.clone(), self.chain.take());
        let tasks = sessions.parts().tasks.clone();
        tasks.spawn(async move { finish(&sessions, &context, chain, &Outcome::ClientLost).await });
    }
}

/// The question whether the session may be opened at this time.
pub(super) fn ask(context: &SessionContext, at: DateTime<Utc>) -> AccessRequest<'_> {
    AccessRequest {
        principal: &context.principal,
        role: &context.role,
        mode: context.mode,
        source: context.source.map(|source| source.ip()),
        at,
        reason: context.reason.as_deref(),
        since: None,
    }
}
