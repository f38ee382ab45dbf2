//! The access policy that comes with the gateway.

use std::sync::Arc;

use async_trait::async_trait;
use hoop_core::{AccessRequest, Code, Decision, Denial, Obligations, Policy, PolicyError};

use crate::store::{Role, Store, StoreError, User, UserKind};

/// The group that everyone is in.
const EVERYONE: &str = "*";

/// Administrators may use every role, others the roles that allow one of their groups; a role that allows `*` is for
/// every user. It asks the store each time, so that a change holds from the next session on, whatever a credential was
/// issued for.
#[derive(Clone)]
pub struct GroupPolicy {
    store: Arc<dyn Store>,
}

impl GroupPolicy {
    /// A policy on the users and roles of this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Policy for GroupPolicy {
    async fn decide(&self, ask: &AccessRequest<'_>) -> Result<Decision, PolicyError> {
        let (org, user, role) = (ask.principal.org, ask.principal.user, ask.role.id);
        let (role, user) = tokio::join!(self.store.roles().get(org, role), self.store.users().get(org, user));
        Ok(match (role.map_err(failed)?, user.map_err(failed)?) {
            (None, _) => Decision::Deny(gone(ask)),
            (Some(role), Some(user)) if allows(&role, &user, ask) => Decision::Allow(Obligations::default()),
            _ => Decision::Deny(denied(ask)),
        })
    }
}

fn allows(role: &Role, user: &User, ask: &AccessRequest<'_>) -> bool {
    let allowed = |group: &String| group == EVERYONE || ask.principal.is_in(group);
    !user.disabled && (user.kind == UserKind::Admin || role.allowed_groups.iter().any(allowed))
}

fn gone(ask: &AccessRequest<'_>) -> Denial {
    let reason = format!("there is no role {} any more", ask.role.name);
    Denial::new("access policy", Code::RoleNotFound, reason).hint("ask an administrator which role replaces it")
}

fn denied(ask: &AccessRequest<'_>) -> Denial {
    let reason = format!("user {} may not use role {}", ask.principal.name, ask.role.name);
    let hint = format!("ask an administrator to add you to a group that role {} allows", ask.role.name);
    Denial::new("access policy", Code::AccessDenied, reason).hint(hint)
}

fn failed(error: StoreError) -> PolicyError {
    PolicyError(Box::new(error))
}

impl std::fmt::Debug for GroupPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupPolicy").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use hoop_core::{AccessMode, Clock as _, SystemClock};

    use super::*;
    use crate::auth::credential::principal;
    use crate::store::SqlStore;
    use crate::store::tests::{role, user};

    /// The code of the refusal; `None` when it is allowed.
    async fn refused(policy: &GroupPolicy, user: &User, role: &Role) -> Option<Code> {
        let principal = principal(user.clone());
        let at = SystemClock.now();
        let ask = AccessRequest { principal: &principal, role: &role.role, mode: AccessMode::Native, source: None, at };
        match policy.decide(&ask).await.expect("the store answers") {
            Decision::Allow(_) => None,
            Decision::Deny(denial) => {
                assert!(denial.reason.contains(&*role.role.name), "{denial}");
                assert!(denial.hint.is_some());
                Some(denial.code)
            }
        }
    }

    #[tokio::test]
    async fn groups_decide_and_the_store_is_asked_each_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("hoop.db").display());
        let store: Arc<dyn Store> = Arc::new(SqlStore::open(&url).await.expect("a store"));
        let policy = GroupPolicy::new(Arc::clone(&store));
        let (mut role, mut alice, mut root) = (role("shop"), user("alice", &["friends"]), user("root", &[]));
        role.allowed_groups = vec!["friends".to_owned()];
        root.kind = UserKind::Admin;
        store.roles().create(&role).await.expect("stored");
        for user in [&alice, &root] {
            store.users().create(user).await.expect("stored");
        }
        assert_eq!(refused(&policy, &alice, &role).await, None);
        assert_eq!(refused(&policy, &root, &role).await, None);
        assert_eq!(refused(&policy, &user("stranger", &["friends"]), &role).await, Some(Code::AccessDenied));

        role.allowed_groups = vec!["others".to_owned()];
        store.roles().update(&role).await.expect("stored");
        assert_eq!(refused(&policy, &alice, &role).await, Some(Code::AccessDenied));

        role.allowed_groups = vec!["*".to_owned()];
        store.roles().update(&role).await.expect("stored");
        assert_eq!(refused(&policy, &alice, &role).await, None);

        for user in [&mut alice, &mut root] {
            user.disabled = true;
            store.users().update(user).await.expect("stored");
            assert_eq!(refused(&policy, user, &role).await, Some(Code::AccessDenied));
        }
        store.roles().delete(role.role.org, role.role.id).await.expect("gone");
        assert_eq!(refused(&policy, &alice, &role).await, Some(Code::RoleNotFound));
    }
}
