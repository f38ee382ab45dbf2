//! What is asked for, and what an approval of it is bound to.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::id::{RequestId, ReviewId, SessionId};
use hoop_core::{AccessMode, Principal, ResourceRole};

use crate::store::{Review, ReviewState};

/// The longest reason that is kept, in characters.
const REASON: usize = 4096;

/// Somebody wants to use a role.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    /// The request that asks.
    pub(crate) request_id: RequestId,
    /// The session that waits, where there is one already.
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
    /// The access rule that asks for it.
    pub(crate) rule: Option<&'a str>,
}

impl Asking<'_> {
    /// What an approval is bound to: who, where the role leads and under which rules, on which database, and who decides. One
    /// that was given for something else is no approval of this.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let Principal { org, user, .. } = self.principal;
        let ResourceRole { id, agent, target, plugins, .. } = self.role;
        let asked = (org, user, id, agent, target, plugins, self.mode, self.database, self.group);
        // Maps of these are in the order of their keys.
        let text = serde_json::to_vec(&asked).expect("ids, texts and settings are JSON");
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
