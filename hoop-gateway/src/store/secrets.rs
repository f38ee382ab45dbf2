//! Secrets of roles as they are stored: encrypted, under a key that the store does not have.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hoop_core::id::{OrgId, RoleId};

use super::Result;

/// A secret for one field of a role's target, encrypted under a data key of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// The organisation.
    pub org: OrgId,
    /// The role.
    pub role: RoleId,
    /// The field of its target.
    pub field: String,
    /// Names the operator's key that the data key is wrapped with.
    pub key_id: String,
    /// The data key, wrapped.
    pub wrapped_key: Vec<u8>,
    /// The secret under the data key.
    pub ciphertext: Vec<u8>,
    /// When it was typed in.
    pub updated_at: DateTime<Utc>,
}

/// A secret whose data key was wrapped again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrapped {
    /// The secret as it was read.
    pub before: StoredSecret,
    /// Names the operator's key that the data key is wrapped with now.
    pub key_id: String,
    /// The data key, wrapped with it.
    pub wrapped_key: Vec<u8>,
}

/// Secrets of roles.
#[async_trait]
pub trait RoleSecrets: Send + Sync {
    /// Keeps a secret, in the place of the one before. Says whether there is such a role.
    async fn put(&self, secret: &StoredSecret) -> Result<bool>;
    /// Those of a role, by field.
    async fn of_role(&self, org: OrgId, role: RoleId) -> Result<Vec<StoredSecret>>;
    /// Removes one. Says whether there was one.
    async fn delete(&self, org: OrgId, role: RoleId, field: &str) -> Result<bool>;
    /// Those of every role of every organisation.
    async fn all(&self) -> Result<Vec<StoredSecret>>;
    /// Replaces the data keys of these secrets by the same ones wrapped again: all of them, or none when one is not any
    /// more what it was. Says whether it did.
    async fn rewrap(&self, secrets: &[Rewrapped]) -> Result<bool>;
}

const _: Option<&dyn RoleSecrets> = None;
