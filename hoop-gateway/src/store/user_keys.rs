//! Public keys of users.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hoop_core::id::{KeyId, OrgId, TokenId, UserId};

use super::{Page, Result};

/// A public key with which a user comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserKey {
    /// The organisation.
    pub org: OrgId,
    /// The lasting identity.
    pub id: KeyId,
    /// Whose it is.
    pub user: UserId,
    /// For people.
    pub name: String,
    /// `SHA256:` and the hash in base64, as OpenSSH prints it; unique in the organisation.
    pub fingerprint: String,
    /// The key as one line of OpenSSH's, without a comment.
    pub public_key: String,
    /// The API token that it was added with, and ends with; none where somebody was signed in.
    pub token: Option<TokenId>,
    /// Until when a session can be opened with it; none: until it is removed.
    pub expires_at: Option<DateTime<Utc>>,
    /// When a session was last opened with it, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// Public keys of users.
#[async_trait]
pub trait UserKeys: Send + Sync {
    /// Adds a key, unless its user has this many already; says whether it did.
    async fn create(&self, key: &UserKey, most: u32) -> Result<bool>;
    /// Finds the one with this fingerprint.
    async fn by_fingerprint(&self, org: OrgId, fingerprint: &str) -> Result<Option<UserKey>>;
    /// Finds one.
    async fn get(&self, org: OrgId, id: KeyId) -> Result<Option<UserKey>>;
    /// The latest first: at most `limit` that are older than `before`, of everyone or of one user.
    async fn list(&self, org: OrgId, of: Option<UserId>, before: Option<KeyId>, limit: u32) -> Result<Page<UserKey>>;
    /// Notes that it was used.
    async fn used(&self, org: OrgId, id: KeyId, at: DateTime<Utc>) -> Result<()>;
    /// Removes it. Says whether there was one of this user, or of anyone when no user is given.
    async fn delete(&self, org: OrgId, id: KeyId, of: Option<UserId>) -> Result<bool>;
    /// Removes all of a user's; says which.
    async fn delete_all(&self, org: OrgId, user: UserId) -> Result<Vec<KeyId>>;
}

const _: Option<&dyn UserKeys> = None;
