//! Reviews: what somebody of a group must agree to before it is done.
//!
//! ```text
//!            ┌─▶ approved ─▶ used by a session: once, or until its time is over
//! pending ───┼─▶ denied
//!            ├─▶ expired       nobody has decided in time
//!            └─▶ withdrawn     whoever asked went away
//! ```
//!
//! Each arrow is one statement that finds the state before it, so that of many at once exactly one is taken, on every engine.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hoop_core::id::{OrgId, RequestId, ReviewId, RoleId, SessionId, UserId};
use serde::{Deserialize, Serialize};

use super::{Page, Result};

/// What somebody must agree to, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// The organisation.
    pub org: OrgId,
    /// The id.
    pub id: ReviewId,
    /// The request that asked for it.
    pub request_id: RequestId,
    /// The session that waits for it, or in which it was asked for; none where it was asked for before there is one.
    pub session: Option<SessionId>,
    /// Who asks.
    pub user: UserId,
    /// Their name at that time.
    pub user_name: String,
    /// For what.
    pub role: RoleId,
    /// The role's name at that time.
    pub role_name: String,
    /// In which access mode.
    pub mode: String,
    /// On which database.
    pub database: Option<String>,
    /// From where.
    pub source: Option<String>,
    /// The group of which somebody decides.
    pub group: String,
    /// The rule that asks for it: of access, or of guardrail for what happens within a session.
    pub rule: Option<String>,
    /// What for, in the words of whoever asks.
    pub reason: Option<String>,
    /// What it is about.
    pub kind: ReviewKind,
    /// What runs when somebody agrees, without its secrets; none of a session.
    pub subject: Option<String>,
    /// What an approval is bound to: a hash of all that it allows.
    pub asked_hash: [u8; 32],
    /// How far it is.
    pub state: ReviewState,
    /// Who has decided.
    pub decided_by: Option<UserId>,
    /// Their name at that time.
    pub decided_name: Option<String>,
    /// When.
    pub decided_at: Option<DateTime<Utc>>,
    /// What they said to it.
    pub comment: Option<String>,
    /// Until when the approval is good.
    pub good_until: Option<DateTime<Utc>>,
    /// Whether it is good for one session alone.
    pub good_once: bool,
    /// The session that used it last.
    pub used_by: Option<SessionId>,
    /// When.
    pub used_at: Option<DateTime<Utc>>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// Until when it can be decided on.
    pub expires_at: DateTime<Utc>,
}

/// What a review is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReviewKind {
    /// That somebody uses a role.
    Session,
    /// A statement of a session, which waits for it.
    Statement,
    /// A command or a subsystem of a session, which waits for it.
    Command,
    /// A request over HTTP, which is sent again when somebody has agreed.
    Request,
}

impl ReviewKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Session, Self::Statement, Self::Command, Self::Request];

    /// The name as the API and the store spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Statement => "statement",
            Self::Command => "command",
            Self::Request => "request",
        }
    }
}

/// How far a review is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReviewState {
    /// Nobody has decided.
    Pending,
    /// Somebody has agreed.
    Approved,
    /// Somebody has not.
    Denied,
    /// Nobody has decided in time.
    Expired,
    /// Whoever asked went away before anybody had decided.
    Withdrawn,
}

impl ReviewState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Approved, Self::Denied, Self::Expired, Self::Withdrawn];

    /// The name as the API and the store spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// What somebody says to a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewDecision {
    /// Whether they agree.
    pub approve: bool,
    /// Who.
    pub user: UserId,
    /// Their name.
    pub user_name: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What they say to it.
    pub comment: Option<String>,
    /// Until when an approval is good.
    pub good_until: DateTime<Utc>,
    /// Whether it is good for one session alone.
    pub good_once: bool,
}

/// Which reviews are listed: those of which all that is given is true.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReviewFilter {
    /// That this user has asked for, or may see as a member of the group.
    pub of: Option<UserId>,
    /// That are so far.
    pub state: Option<ReviewState>,
    /// For roles that had this name.
    pub role: Option<String>,
}

/// Reviews.
#[async_trait]
pub trait Reviews: Send + Sync {
    /// Adds a review that nobody has decided on. Says whether it did: a user has at most so many that are pending.
    async fn create(&self, review: &Review, most: u32) -> Result<bool>;
    /// Finds one.
    async fn get(&self, org: OrgId, id: ReviewId) -> Result<Option<Review>>;
    /// The latest first: at most `limit` of those that the filter takes and that are older than `before`.
    async fn list(
        &self,
        org: OrgId,
        filter: &ReviewFilter,
        before: Option<ReviewId>,
        limit: u32,
    ) -> Result<Page<Review>>;
    /// One that a session of this user can use for what has this hash: an approval that is good still, or a review that is
    /// pending and of no session yet.
    async fn standing(
        &self,
        org: OrgId,
        user: UserId,
        asked_hash: &[u8; 32],
        at: DateTime<Utc>,
    ) -> Result<Option<Review>>;
    /// What this user has asked for about what has this hash: the latest first, and no more than a few.
    async fn asked_before(&self, org: OrgId, user: UserId, asked_hash: &[u8; 32]) -> Result<Vec<Review>>;
    /// Decides on one. Says whether it did: it was pending and in time, who decides is in its group, enabled, no program,
    /// and not who asked, and an approval of anything but a session is good once. Of several at once, exactly one does.
    async fn decide(&self, org: OrgId, id: ReviewId, decision: &ReviewDecision) -> Result<bool>;
    /// Takes one back that nobody has decided on. Says whether there was one of this user.
    async fn withdraw(&self, org: OrgId, id: ReviewId, user: UserId) -> Result<bool>;
    /// Uses an approval for a session of whoever asked, for what has this hash, and notes it with the session. Says whether it
    /// did: one that is good once is used by one session, and by its own where it has one and waits in it.
    async fn take(&self, review: &Review, session: SessionId, at: DateTime<Utc>) -> Result<bool>;
    /// Those that are pending, with the time until which they are.
    async fn pending(&self) -> Result<Vec<(OrgId, ReviewId, DateTime<Utc>)>>;
    /// Ends those that nobody has decided on in time; gives them.
    async fn expire(&self, at: DateTime<Utc>) -> Result<Vec<Review>>;
    /// Takes back what was asked for in a session and nobody has decided on or used, since its user is shut out; gives those that
    /// were pending.
    async fn revoke_of(&self, org: OrgId, session: SessionId, at: DateTime<Utc>) -> Result<Vec<Review>>;
    /// Takes back those for which sessions wait: at start, they are of a gateway that died.
    async fn withdraw_orphans(&self) -> Result<u64>;
}

const _: Option<&dyn Reviews> = None;
