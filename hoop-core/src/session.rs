//! A session: one use of one role by one principal, from the first byte to its one outcome.

use std::net::SocketAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::access::AccessMode;
use crate::id::{OrgId, RequestId, SessionId};
use crate::principal::Principal;
use crate::role::ResourceRole;

/// What is known of a session when it opens; it does not change while it runs.
#[derive(Debug, Clone)]
pub struct SessionContext {
    /// The session's id.
    pub id: SessionId,
    /// The organisation.
    pub org: OrgId,
    /// The request that opened it; it is in every log line and on the agent's side too.
    pub request_id: RequestId,
    /// Who.
    pub principal: Arc<Principal>,
    /// What for.
    pub role: Arc<ResourceRole>,
    /// How.
    pub mode: AccessMode,
    /// When it was opened.
    pub started_at: DateTime<Utc>,
    /// When it ends at the latest, where a time box was granted.
    pub expires_at: Option<DateTime<Utc>>,
    /// Where the client connected from.
    pub source: Option<SocketAddr>,
    /// The database the client named, or the role's own.
    pub database: Option<Arc<str>>,
    /// What the client calls itself, for example `psql` (PostgreSQL's `application_name`).
    pub application: Option<Arc<str>>,
    /// What for, in the caller's own words, where it was said.
    pub reason: Option<Arc<str>>,
}

/// Where a session is in its life.
///
/// ```text
/// Opening ──▶ Running ──▶ Closed
///    │                      ▲
///    └──────────────────────┘   denied, or no agent
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Policy, plugins and the agent are being asked.
    Opening,
    /// Requests and responses flow.
    Running,
    /// Its one outcome is recorded. There is no way back.
    Closed,
}

impl SessionState {
    /// Whether a session in this state may become `next`.
    pub const fn may_become(self, next: Self) -> bool {
        matches!((self, next), (Self::Opening, Self::Running | Self::Closed) | (Self::Running, Self::Closed))
    }

    /// The name as the API and the CLI spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Running => "running",
            Self::Closed => "closed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SessionState::{self, Closed, Opening, Running};

    #[test]
    fn a_closed_session_stays_closed() {
        for next in [Opening, Running, Closed] {
            assert!(!Closed.may_become(next));
        }
        assert!(Opening.may_become(Running) && Opening.may_become(Closed) && Running.may_become(Closed));
        assert!(!Running.may_become(Opening) && !SessionState::Running.may_become(Running));
    }
}
