//! What is asked for, and what an approval of it is bound to.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::id::{RequestId, ReviewId, SessionId};
use hoop_core::{AccessMode, Principal, ResourceRole, SessionContext};

use crate::store::{Review, ReviewKind, ReviewState};

/// The longest reason that is kept, in characters.
const REASON: usize = 4096;

/// What is asked for within a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    /// What it is.
    pub(crate) kind: ReviewKind,
    /// What runs when somebody agrees, as they read it.
    pub(crate) text: String,
    /// A hash over what runs.
    pub(crate) hash: [u8; 32],
}

/// Somebody wants to use a role, or to do something in a session of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    /// The request that asks.
    pub(crate) request_id: RequestId,
    /// The session that waits, or in which it is asked for, where there is one already.
    pub(crate) session: Option<SessionId>,
    /// Who.
    pub(crate) principal: &'a Principal,
    /// What for.
    pub(crate) role: &'a ResourceRole,
    /// How.
    pub(crate) mode: AccessMode,
    /// On which database.
    pub(crate) database: Option<&'a str>,
    /// From where.
    pub(crate) source: Option<SocketAddr>,
    /// What for, in their own words.
    pub(crate) reason: Option<&'a str>,
    /// The group of which somebody decides.
    pub(crate) group: &'a str,
    /// The rule that asks for it.
    pub(crate) rule: Option<&'a str>,
    /// What, where it is not the use of the role.
    pub(crate) about: Option<&'a About>,
}

impl<'a> Asking<'a> {
    /// For a session, that it may run.
    pub(crate) fn of(context: &'a SessionContext, group: &'a str, rule: Option<&'a str>) -> Self {
        Self {
            request_id: context.request_id,
            session: Some(context.id),
            principal: &context.principal,
            role: &context.role,
            mode: context.mode,
            database: context.database.as_deref(),
            source: context.source,
            reason: context.reason.as_deref(),
            group,
            rule,
            about: None,
        }
    }

    /// What an approval is bound to: who, where the role leads and under which rules, on which database, and who decides. One
    /// that was given for something else is no approval of this.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let Principal { org, user, .. } = self.principal;
        let ResourceRole { id, agent, target, plugins, .. } = self.role;
        let asked = (org, user, id, agent, target, plugins, self.mode, self.database, self.group);
        // Maps of these are in the order of their keys.
        let mut text = serde_json::to_vec(&asked).expect("ids, texts and settings are JSON");
        if let Some(About { kind, hash, .. }) = self.about {
            // Behind a JSON document this is of no session, whatever it says.
            text.extend_from_slice(kind.as_str().as_bytes());
            text.extend_from_slice(hash);
        }
        *blake3::hash(&text).as_bytes()
    }

    /// The review of it.
    pub(super) fn review(&self, id: ReviewId, now: DateTime<Utc>, timeout: Duration) -> Review {
        let timeout = TimeDelta::from_std(timeout).unwrap_or(TimeDelta::MAX);
        Review {
            org: self.principal.org,
            id,
            request_id: self.request_id,
            session: self.session,
            user: self.principal.user,
            user_name: self.principal.name.to_string(),
            role: self.role.id,
            role_name: self.role.name.to_string(),
            mode: self.mode.as_str().to_owned(),
            database: self.database.map(str::to_owned),
            source: self.source.map(|source| source.to_string()),
            group: self.group.to_owned(),
            rule: self.rule.map(str::to_owned),
            reason: self.reason.map(|reason| reason.chars().take(REASON).collect()),
            kind: self.about.map_or(ReviewKind::Session, |about| about.kind),
            subject: self.about.map(|about| about.text.clone()),
            asked_hash: self.hash(),
            state: ReviewState::Pending,
            decided_by: None,
            decided_name: None,
            decided_at: None,
            comment: None,
            good_until: None,
            good_once: true,
            used_by: None,
            used_at: None,
            created_at: now,
            expires_at: now.checked_add_signed(timeout).unwrap_or(DateTime::<Utc>::MAX_UTC),
        }
    }
}
