//! Changes that are made only to what they were meant for: of two that were made from one reading, one is refused.

use async_trait::async_trait;
use hoop_core::id::{AccessRuleId, OrgId, RoleId, UserId};

use super::{Result, Role, User};
use crate::access::AccessRule;

/// Users, roles and access rules, with a version that each of these changes counts up. Who reads the version first and the thing after
/// it has a thing that is at least of that version, so that no change gets lost unseen.
#[async_trait]
pub trait Versions: Send + Sync {
    /// The version of the user of this name.
    async fn user(&self, org: OrgId, name: &str) -> Result<Option<i64>>;
    /// Replaces everything but the id and the name, if the user is still of this version. Says whether it was. The last
    /// administrator stays one: [`StoreError::LastAdmin`](super::StoreError::LastAdmin).
    async fn update_user(&self, user: &User, version: i64) -> Result<bool>;
    /// Removes the user with all that is theirs but their sessions, if they are still of this version. Says whether they
    /// were. The last administrator stays: [`StoreError::LastAdmin`](super::StoreError::LastAdmin).
    async fn delete_user(&self, org: OrgId, id: UserId, version: i64) -> Result<bool>;
    /// The version of the role of this name.
    async fn role(&self, org: OrgId, name: &str) -> Result<Option<i64>>;
    /// Replaces everything but the id and the name, if the role is still of this version. Says whether it was.
    async fn update_role(&self, role: &Role, version: i64) -> Result<bool>;
    /// Removes the role, if it is still of this version. Says whether it was.
    async fn delete_role(&self, org: OrgId, id: RoleId, version: i64) -> Result<bool>;
    /// The version of the access rule of this name.
    async fn access_rule(&self, org: OrgId, name: &str) -> Result<Option<i64>>;
    /// Replaces what the rule says, if it is still of this version. Says whether it was.
    async fn update_access_rule(&self, rule: &AccessRule, version: i64) -> Result<bool>;
    /// Removes the rule, if it is still of this version. Says whether it was.
    async fn delete_access_rule(&self, org: OrgId, id: AccessRuleId, version: i64) -> Result<bool>;
}

const _: Option<&dyn Versions> = None;
