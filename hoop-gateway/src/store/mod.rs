//! What a gateway remembers. Each kind of thing has a small trait of its own, so that a vendor can replace one or all;
//! each method is one transaction. [`SqlStore`] is the store that comes with the gateway, on SQLite or PostgreSQL.

mod admissions;
pub mod backup;
mod engine;
mod entity;
mod idempotency;
mod reviews;
mod secrets;
mod session_filter;
mod sign_ins;
#[cfg(test)]
pub(crate) mod tests;
mod url;
mod user_keys;
mod versions;

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hoop_core::id::{AgentId, CredentialId, EventId, OrgId, RoleId, SessionId, TokenId, UserId};
use hoop_core::{PrincipalKind, ResourceRole};

pub use admissions::{Admissions, Holder};
pub use engine::{Checked, SqlStore};
pub use entity::{
    Agent, Credential, Ended, Event, Grant, Group, OldKey, Page, Role, ServiceAccount, Session, Token, User, UserKind,
};
pub use idempotency::{Claim, Earlier, Idempotency, KeptAnswer};
pub use reviews::{Review, ReviewDecision, ReviewFilter, ReviewKind, ReviewState, Reviews};
pub use secrets::{Rewrapped, RoleSecrets, StoredSecret};
pub use session_filter::{SessionFilter, SessionState};
pub use sign_ins::{Binding, SignInDecision, SignInRequest, SignInRequests, SignInState};
pub use url::StoreUrl;
pub use user_keys::{UserKey, UserKeys};
pub use versions::Versions;

use crate::access::AccessRule;

/// The store cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is one of this name already.
    #[error("{what} already exists")]
    Exists {
        /// What: `user alice`, `role shop`.
        what: String,
    },
    /// Nobody could change the gateway any more.
    #[error("this is the last administrator who can sign in, and there must be one")]
    LastAdmin,
    /// The database was written by a newer gateway.
    #[error("the database {database} is from a newer version of the gateway; upgrade this one")]
    Newer {
        /// Where.
        database: String,
    },
    /// The database has a schema that is not from this gateway, or from no gateway at all.
    #[error(
        "version {version} of the schema of {database} is not the one that this gateway makes: it was changed by hand, or by another build; restore a backup, or use the gateway that made it"
    )]
    Changed {
        /// Where.
        database: String,
        /// The first version of the schema that is another.
        version: i64,
    },
    /// The schema is of an older gateway.
    #[error(
        "the schema of {database} is from an older version of the gateway; bring it up to date first: hoop-gateway store migrate"
    )]
    Behind {
        /// Where.
        database: String,
    },
    /// There is something in the store that would be lost.
    #[error("the store {database} is not empty; nothing was changed in it")]
    NotEmpty {
        /// Where.
        database: String,
    },
    /// The URL is of no engine that there is. It may be a password in the wrong place, and is not repeated.
    #[error("the URL of the store is neither sqlite:FILE nor postgres://USER@HOST/DATABASE")]
    Url,
    /// A backup is not whole, or does not fit.
    #[error("the backup cannot be used: {reason}")]
    Backup {
        /// Why.
        reason: String,
    },
    /// A backup cannot be read or written.
    #[error("the backup cannot be read or written")]
    File(#[source] io::Error),
    /// A text has a NUL character, which not every database can store.
    #[error("a text with a NUL character cannot be stored")]
    Nul,
    /// The database does not answer as it should.
    #[error("the store does not answer")]
    Database(#[source] sqlx::Error),
    /// A stored value is not of the form that this version writes.
    #[error("a stored {what} cannot be read")]
    Corrupt {
        /// What kind of value.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// PostgreSQL's code for a text that it has no characters for: from a string of ours, that is NUL.
const NOT_IN_REPERTOIRE: &str = "22021";

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(|error| error.code()).as_deref() {
            Some(NOT_IN_REPERTOIRE) => Self::Nul,
            _ => Self::Database(error),
        }
    }
}

/// The tables, those first that others refer to: what a backup holds. A test compares it with the schema.
pub(crate) const TABLES: &[&str] = &[
    "orgs",
    "users",
    "memberships",
    "agents",
    "agent_old_keys",
    "roles",
    "role_secrets",
    "access_rules",
    "tokens",
    "credentials",
    "user_keys",
    "sessions",
    "events",
    "idempotency",
    "sign_in_requests",
    "reviews",
];

/// The result of asking a store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// How long a look-up may take on which it hangs who may do what.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a store answers in time. One that hangs is as good as away, and holds nothing else up.
///
/// # Errors
/// The store's own, and [`StoreError::Database`] after three seconds.
pub(crate) async fn in_time<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    answer.unwrap_or_else(|late| Err(StoreError::Database(sqlx::Error::Io(late.into()))))
}

/// Everything that a gateway remembers.
pub trait Store: Send + Sync {
    /// Users.
    fn users(&self) -> &dyn Users;
    /// Resource roles.
    fn roles(&self) -> &dyn Roles;
    /// Secrets of roles.
    fn role_secrets(&self) -> &dyn RoleSecrets;
    /// Access rules.
    fn access_rules(&self) -> &dyn AccessRules;
    /// Several things at once, for those who are let in.
    fn admissions(&self) -> &dyn Admissions;
    /// Agents.
    fn agents(&self) -> &dyn Agents;
    /// Credentials of native clients.
    fn credentials(&self) -> &dyn Credentials;
    /// API tokens.
    fn tokens(&self) -> &dyn Tokens;
    /// Public keys of users.
    fn user_keys(&self) -> &dyn UserKeys;
    /// Sessions.
    fn sessions(&self) -> &dyn Sessions;
    /// The trail of what was done through the API.
    fn events(&self) -> &dyn Events;
    /// Changes that are made only to what they were meant for.
    fn versions(&self) -> &dyn Versions;
    /// Requests that act once.
    fn idempotency(&self) -> &dyn Idempotency;
    /// Sign-ins that somebody decides on in a browser.
    fn sign_in_requests(&self) -> &dyn SignInRequests;
    /// What somebody must agree to before it is done.
    fn reviews(&self) -> &dyn Reviews;
}

const _: Option<&dyn Store> = None;

/// Users.
#[async_trait]
pub trait Users: Send + Sync {
    /// Adds a user.
    async fn create(&self, user: &User) -> Result<()>;
    /// Adds the very first user of an organisation. Says whether it was: of several at once, exactly one is.
    async fn create_first(&self, user: &User) -> Result<bool>;
    /// Finds one by name.
    async fn by_name(&self, org: OrgId, name: &str) -> Result<Option<User>>;
    /// Finds one.
    async fn get(&self, org: OrgId, id: UserId) -> Result<Option<User>>;
    /// By name: at most `limit` after the name `after`, of everybody or of one kind.
    async fn list(&self, org: OrgId, of: Option<PrincipalKind>, after: Option<&str>, limit: u32) -> Result<Page<User>>;
    /// The groups that have members, and those that access rules and roles name, by name: at most `limit` after the name `after`.
    async fn groups(&self, org: OrgId, after: Option<&str>, limit: u32) -> Result<Page<Group>>;
}

/// Resource roles.
#[async_trait]
pub trait Roles: Send + Sync {
    /// Adds a role.
    async fn create(&self, role: &Role) -> Result<()>;
    /// Finds one by name.
    async fn by_name(&self, org: OrgId, name: &str) -> Result<Option<Role>>;
    /// Finds one.
    async fn get(&self, org: OrgId, id: RoleId) -> Result<Option<Role>>;
    /// By name: at most `limit` after the name `after`.
    async fn list(&self, org: OrgId, after: Option<&str>, limit: u32) -> Result<Page<Role>>;
    /// The names of those that an agent serves, by name: the first `limit`.
    async fn of_agent(&self, org: OrgId, agent: &str, limit: u32) -> Result<Vec<String>>;
}

/// Access rules.
#[async_trait]
pub trait AccessRules: Send + Sync {
    /// Adds a rule.
    async fn create(&self, rule: &AccessRule) -> Result<()>;
    /// Finds one by name.
    async fn by_name(&self, org: OrgId, name: &str) -> Result<Option<AccessRule>>;
    /// By name: at most `limit` after the name `after`.
    async fn list(&self, org: OrgId, after: Option<&str>, limit: u32) -> Result<Page<AccessRule>>;
    /// Every rule of every organisation, by name.
    async fn all(&self) -> Result<Vec<AccessRule>>;
}

/// Agents.
#[async_trait]
pub trait Agents: Send + Sync {
    /// Adds an agent.
    async fn create(&self, agent: &Agent) -> Result<()>;
    /// Finds the one whose token, or the one before, has this SHA-256; whether it is still good is said by
    /// [`Agent::admits`].
    async fn by_token(&self, hash: &[u8; 32]) -> Result<Option<Agent>>;
    /// Finds one by name.
    async fn by_name(&self, org: OrgId, name: &str) -> Result<Option<Agent>>;
    /// By name: at most `limit` after the name `after`.
    async fn list(&self, org: OrgId, after: Option<&str>, limit: u32) -> Result<Page<Agent>>;
    /// Gives an agent another token, which also lets a revoked one in again. The one before stays good until
    /// `old_until`, unless it was revoked. Says whether there was such an agent.
    async fn rotate(&self, org: OrgId, id: AgentId, hash: &[u8; 32], old_until: Option<DateTime<Utc>>) -> Result<bool>;
    /// Takes an agent's tokens away. Says whether there was one.
    async fn revoke(&self, org: OrgId, id: AgentId, at: DateTime<Utc>) -> Result<bool>;
    /// Notes that an agent was there.
    async fn seen(&self, org: OrgId, id: AgentId, at: DateTime<Utc>) -> Result<()>;
}

/// Credentials of native clients.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// Adds a credential.
    async fn create(&self, credential: &Credential) -> Result<()>;
    /// Finds the one with this login.
    async fn by_login(&self, login: &str) -> Result<Option<Credential>>;
    /// Finds one.
    async fn get(&self, org: OrgId, id: CredentialId) -> Result<Option<Credential>>;
    /// The latest first: at most `limit` that are older than `before`, of everyone or of one user.
    async fn list(
        &self,
        org: OrgId,
        of: Option<UserId>,
        before: Option<CredentialId>,
        limit: u32,
    ) -> Result<Page<Credential>>;
    /// Notes that it was used.
    async fn used(&self, org: OrgId, id: CredentialId, at: DateTime<Utc>) -> Result<()>;
    /// Takes it away. Says whether there was one of this user, or of anyone when no user is given.
    async fn revoke(&self, org: OrgId, id: CredentialId, of: Option<UserId>, at: DateTime<Utc>) -> Result<bool>;
    /// Takes all of a user's away that are good still; says which.
    async fn revoke_all(&self, org: OrgId, user: UserId, at: DateTime<Utc>) -> Result<Vec<CredentialId>>;
}

/// Tokens of the API.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Adds a token.
    async fn create(&self, token: &Token) -> Result<()>;
    /// Finds the one with this SHA-256, and its user.
    async fn by_hash(&self, hash: &[u8; 32]) -> Result<Option<(Token, User)>>;
    /// Finds one.
    async fn get(&self, org: OrgId, id: TokenId) -> Result<Option<Token>>;
    /// Those that are no sign-ins, the latest first: at most `limit` that are older than `before`, of everyone or of one
    /// user.
    async fn list(&self, org: OrgId, of: Option<UserId>, before: Option<TokenId>, limit: u32) -> Result<Page<Token>>;
    /// Notes that it was used.
    async fn used(&self, org: OrgId, id: TokenId, at: DateTime<Utc>) -> Result<()>;
    /// Takes it away, with the credentials and keys that were made with it. Says whether there was one of this user, or of anyone
    /// when no user is given.
    async fn revoke(&self, org: OrgId, id: TokenId, of: Option<UserId>, at: DateTime<Utc>) -> Result<bool>;
    /// Takes all of a user's away, but for the one to be kept, with the credentials and keys that were made with them.
    async fn revoke_all(&self, org: OrgId, user: UserId, keep: Option<TokenId>, at: DateTime<Utc>) -> Result<()>;
}

/// Sessions.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Adds a session that opens.
    async fn open(&self, session: &Session) -> Result<()>;
    /// The session runs.
    async fn running(&self, org: OrgId, id: SessionId) -> Result<()>;
    /// The session has ended, in this one way. A session that has ended already stays as it is.
    async fn close(&self, org: OrgId, id: SessionId, ended: &Ended) -> Result<bool>;
    /// Finds one.
    async fn get(&self, org: OrgId, id: SessionId) -> Result<Option<Session>>;
    /// The latest first: at most `limit` of those that the filter takes and that are older than `before`.
    async fn list(
        &self,
        org: OrgId,
        filter: &SessionFilter,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Page<Session>>;
    /// The sessions of a user that have not ended.
    async fn open_of(&self, org: OrgId, user: UserId) -> Result<Vec<SessionId>>;
    /// Ends every session that has not ended: at start, they are those of a gateway that died.
    async fn close_orphans(&self, at: DateTime<Utc>) -> Result<u64>;
}

/// The trail of what was done through the API. It only grows.
#[async_trait]
pub trait Events: Send + Sync {
    /// Adds an event.
    async fn add(&self, event: &Event) -> Result<()>;
    /// The latest first: at most `limit` that are older than `before`.
    async fn list(&self, org: OrgId, before: Option<EventId>, limit: u32) -> Result<Page<Event>>;
}

impl<T> Page<T> {
    /// The page of what was found when one more than `limit` was asked for.
    pub fn cut(mut items: Vec<T>, limit: u32) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        Self { items, more }
    }
}

impl Role {
    /// What the chain and the proxies know of the role.
    pub fn resource_role(&self) -> &ResourceRole {
        &self.role
    }
}
