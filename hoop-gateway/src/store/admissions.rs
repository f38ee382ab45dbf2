//! What is read when somebody is let in: each time all of it in one look, so that opening a session does not wait for one
//! answer of the store after the other, and what is compared is of one moment.

use async_trait::async_trait;
use hoop_core::id::{CredentialId, OrgId, RoleId, UserId};

use super::{Result, Role, StoredSecret, User};

/// Who has a credential and what it is for, as they are now.
#[derive(Debug, Clone, PartialEq)]
pub struct Holder {
    /// Whose it is.
    pub user: User,
    /// What for.
    pub role: Role,
    /// Whether the credential was taken away.
    pub revoked: bool,
    /// Whether the API token that it was made with was, or is not there any more.
    pub token_revoked: bool,
}

/// Look-ups of several things at once. `None` says that one of them is not there.
#[async_trait]
pub trait Admissions: Send + Sync {
    /// The user and the role of a credential.
    async fn holder(&self, org: OrgId, credential: CredentialId) -> Result<Option<Holder>>;
    /// A user and a role.
    async fn user_and_role(&self, org: OrgId, user: UserId, role: RoleId) -> Result<Option<(User, Role)>>;
    /// A role and the secrets that are kept for it, by field.
    async fn role_and_secrets(&self, org: OrgId, role: RoleId) -> Result<Option<(Role, Vec<StoredSecret>)>>;
}

const _: Option<&dyn Admissions> = None;
