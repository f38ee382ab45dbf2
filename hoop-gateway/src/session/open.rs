//! Opening a session: everything that is decided before anything reaches a target.

use std::net::SocketAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hoop_core::id::{RequestId, SessionId};
use hoop_core::{
    AccessMode, AccessRequest, Code, Decision, Denial, Obligations, Outcome, Principal, ResourceRole, SessionContext,
    Target,
};
use hoop_proto::tunnel::v1::open;
use tracing::{Instrument as _, info_span};

use super::control::Control;
use super::jump::through;
use super::role::unchanged;
use super::{Pass, Session, Sessions, finish};
use crate::access::unmet;
use crate::auth::token::unavailable;
use crate::changes::Subject;
use crate::proxy::postgres::error::refused_login;
use crate::store;
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
}

impl Sessions {
    /// Opens a session: asks the policy, remembers the session, opens the chain, and has the agent log in to the target.
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
        let (target, passes) = (opening.target.clone(), opening.passes.clone());
        let mut context = self.context(opening);
        span::is_about(&context);
        let control = Arc::new(Control::default());
        // It is in the registry before it is in the store: a shutdown that sees no session has none.
        let live = self.inner.registry.enter(context.org, context.id, Arc::clone(&control));
        self.remember(&context).instrument(info_span!(target: TARGET, "store")).await?;
        let decided = self.decide(&context).instrument(info_span!(target: TARGET, "policy")).await;
        let Obligations { rule, expires_at, .. } = match decided {
            Ok(obligations) => obligations,
            Err(denial) => return Err(self.refuse(&context, None, denial.into()).await),
        };
        context.expires_at = expires_at;
        let jumps = match self.jumps(&context.role).await {
            Ok(jumps) => jumps,
            Err(denial) => return Err(self.refuse(&context, None, denial.into()).await),
        };
        let (context, target) = (Arc::new(context), through(target, &jumps));
        self.inner.registry.admit(&context, passes, jumps.clone());
        let chained = self.parts().chain.open(&context).instrument(info_span!(target: TARGET, "chain")).await;
        let mut chain = match chained {
            Ok(chain) => chain,
            Err(denial) => return Err(self.refuse(&context, None, denial.into()).await),
        };
        // Those who may not open it do not have it looked up.
        let secrets = match self.secrets(&context.role, &jumps).await {
            Ok(secrets) => secrets,
            Err(denial) => return Err(self.refuse(&context, Some(chain), denial.into()).await),
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
                if let Target::Postgres(_) = context.role.target {
                    refused_login(&mut chain, &mut failure);
                }
                return Err(self.refuse(&context, Some(chain), failure).await);
            }
        };
        self.note_running(&context);
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
            target,
            sessions: self.clone(),
            channel: Some(channel),
            chain: Some(chain),
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
            ended: None,
        };
        self.parts().store.sessions().open(&session).await.map_err(unavailable)
    }

    async fn decide(&self, context: &SessionContext) -> Result<Obligations, Denial> {
        let ask = ask(context, context.started_at);
        let (decided, stored) = tokio::join!(self.parts().policy.decide(&ask), self.stored(&context.role));
        let obligations = match decided {
            Ok(Decision::Allow(obligations)) => unmet(&ask, &obligations).map(|()| obligations)?,
            Ok(Decision::Deny(denial)) => return Err(denial),
            Err(error) => return Err(Denial::failed("access policy", error).with_code(Code::StoreUnavailable)),
        };
        // Between the door and here it may have been pointed elsewhere.
        unchanged(&context.role, stored.map_err(unavailable)?.as_ref())?;
        Ok(obligations)
    }

    async fn refuse(
        &self,
        context: &SessionContext,
        chain: Option<hoop_core::SessionChain>,
        failure: OpenFailure,
    ) -> OpenFailure {
        finish(self, context, chain, &Outcome::Denied(failure.denial.clone())).await;
        failure
    }

    /// The first statement does not wait for the store: a session that is noted as running too late has ended already,
    /// and stays so.
    fn note_running(&self, context: &SessionContext) {
        let (store, org, id) = (Arc::clone(&self.parts().store), context.org, context.id);
        self.parts().tasks.spawn(async move {
            if let Err(error) = store.sessions().running(org, id).await {
                tracing::warn!(session = %id, error = &error as &dyn std::error::Error, "session could not be noted as running");
            }
        });
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
