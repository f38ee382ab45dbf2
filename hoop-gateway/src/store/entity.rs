//! The things that a store keeps.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use hoop_core::id::{AgentId, CredentialId, EventId, OrgId, RequestId, ReviewId, RoleId, SessionId, TokenId, UserId};
use hoop_core::{PrincipalKind, ResourceRole};
use serde::{Deserialize, Serialize};

use crate::auth::Scope;

/// A user: somebody, or a program with an account of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The organisation.
    pub org: OrgId,
    /// The lasting identity.
    pub id: UserId,
    /// The name to sign in with, unique in the organisation.
    pub name: String,
    /// What the user may do to the gateway.
    pub kind: UserKind,
    /// The groups.
    pub groups: Vec<String>,
    /// Argon2id hash of the password, in PHC form; none for a user who cannot sign in with one.
    pub password_hash: Option<String>,
    /// Whether the password was given by somebody else and must be changed.
    pub must_change_password: bool,
    /// Whether the user is shut out.
    pub disabled: bool,
    /// What there is to know of a program's account; none for a person.
    pub service: Option<ServiceAccount>,
    /// When the user was added.
    pub created_at: DateTime<Utc>,
}

/// What a program's account has beside what every user has. It is a member without a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    /// For people.
    pub description: String,
    /// Who added it, by the name at that time.
    pub created_by: Option<String>,
}

impl User {
    /// A person or a program.
    pub const fn principal_kind(&self) -> PrincipalKind {
        if self.service.is_some() { PrincipalKind::ServiceAccount } else { PrincipalKind::User }
    }
}

/// What a user may do to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserKind {
    /// Everything.
    Admin,
    /// Read everything, change nothing.
    Auditor,
    /// Use the roles that they may reach.
    Member,
}

impl UserKind {
    /// The name as the API and the store spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::Member => "member",
        }
    }
}

/// A resource role, and who may reach it.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// What the chain and the proxies know of it.
    pub role: ResourceRole,
    /// Members of these groups may reach it, as if an access rule said so. `*` stands for everyone.
    pub allowed_groups: Vec<String>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The organisation.
    pub org: OrgId,
    /// The lasting identity.
    pub id: AgentId,
    /// The name that roles know it by, unique in the organisation.
    pub name: String,
    /// SHA-256 of its token.
    pub token_hash: [u8; 32],
    /// The token before, while both may be good.
    pub old_key: Option<OldKey>,
    /// When its token was taken away.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it last attached.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// The token that an agent had before its last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldKey {
    /// SHA-256 of it.
    pub token_hash: [u8; 32],
    /// Until when it lets the agent in.
    pub good_until: DateTime<Utc>,
}

impl Agent {
    /// Whether the token with this SHA-256 is the agent's, and good at this time.
    pub fn admits(&self, token_hash: &[u8; 32], at: DateTime<Utc>) -> bool {
        let old = || self.old_key.as_ref().is_some_and(|old| old.token_hash == *token_hash && at < old.good_until);
        self.revoked_at.is_none() && (self.token_hash == *token_hash || old())
    }
}

/// A time-limited credential for native clients, bound to one user and one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The organisation.
    pub org: OrgId,
    /// The lasting identity.
    pub id: CredentialId,
    /// The login name.
    pub login: String,
    /// Whose it is.
    pub user: UserId,
    /// What for.
    pub role: RoleId,
    /// The API token that it was made with, and ends with; none where somebody was signed in.
    pub token: Option<TokenId>,
    /// SCRAM's salt.
    pub salt: Vec<u8>,
    /// SCRAM's iteration count.
    pub iterations: u32,
    /// SCRAM's StoredKey.
    pub stored_key: Vec<u8>,
    /// SCRAM's ServerKey.
    pub server_key: Vec<u8>,
    /// Until when a session can be opened with it.
    pub expires_at: DateTime<Utc>,
    /// When it was taken away.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When a session was last opened with it.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A token of the API: that of a sign-in, or one for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The organisation.
    pub org: OrgId,
    /// The lasting identity.
    pub id: TokenId,
    /// Whose it is.
    pub user: UserId,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// What it is for; none for a sign-in, with which its user may do whatever they may.
    pub grant: Option<Grant>,
    /// Until when it is good.
    pub expires_at: DateTime<Utc>,
    /// When it was taken away.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute; none for a sign-in.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What an API token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// For people.
    pub name: String,
    /// What may be done with it, of what its user may do.
    pub scopes: BTreeSet<Scope>,
}

/// A session.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// The organisation.
    pub org: OrgId,
    /// The id.
    pub id: SessionId,
    /// The request that opened it.
    pub request_id: RequestId,
    /// Who.
    pub user: UserId,
    /// The user's name at that time.
    pub user_name: String,
    /// What for.
    pub role: RoleId,
    /// The role's name at that time.
    pub role_name: String,
    /// Through which agent.
    pub agent: String,
    /// In which access mode.
    pub mode: String,
    /// From where.
    pub source: Option<String>,
    /// What the client calls itself.
    pub application: Option<String>,
    /// The database.
    pub database: Option<String>,
    /// `opening`, `running` or `closed`.
    pub state: String,
    /// When it opened.
    pub started_at: DateTime<Utc>,
    /// The review by which it was let in, where it needed one.
    pub review: Option<ReviewId>,
    /// How it ended, once it has.
    pub ended: Option<Ended>,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// When.
    pub at: DateTime<Utc>,
    /// The outcome's stable text.
    pub outcome: String,
    /// The stable code of the refusal behind it.
    pub code: Option<String>,
    /// Why, for people.
    pub reason: Option<String>,
    /// Sums over the session, as the recording counts them.
    pub totals: Option<serde_json::Value>,
    /// Chain head of the recording: with it, a recording whose end was cut off is told from one that never had one.
    pub log_head: Option<String>,
    /// Records of the recording.
    pub log_records: Option<u64>,
}

/// What somebody did, or tried to do, through the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The organisation.
    pub org: OrgId,
    /// The id.
    pub id: EventId,
    /// The request that it was.
    pub request_id: RequestId,
    /// Who, where the caller is known.
    pub user: Option<UserId>,
    /// The caller's name at that time, or the name that an unknown caller gave.
    pub user_name: Option<String>,
    /// The token that the request came with.
    pub token: Option<TokenId>,
    /// The token's name; that of a sign-in has none.
    pub token_name: Option<String>,
    /// The method and the route, such as `POST /api/v1/agents/{name}/rotate`.
    pub action: String,
    /// The path, with its query.
    pub subject: String,
    /// From where.
    pub source: Option<String>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The stable code of a refusal.
    pub code: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

/// A group, as its members make it, and what names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Group {
    /// The name.
    pub name: String,
    /// How many users are in it.
    pub members: u64,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What there is.
    pub items: Vec<T>,
    /// Whether there is more after the last one.
    pub more: bool,
}
