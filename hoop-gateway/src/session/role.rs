//! A session is of its role as it is stored: one that is pointed elsewhere meanwhile needs a session of its own.

use hoop_core::{Code, Denial, ResourceRole};

use super::Sessions;
use crate::store::{Role, StoreError, in_time};

impl Sessions {
    /// The role as it is stored now.
    pub(super) async fn stored(&self, role: &ResourceRole) -> Result<Option<Role>, StoreError> {
        in_time(self.parts().store.roles().get(role.org, role.id)).await
    }
}

/// Whether a session with this role goes where the stored one says, and under the same rules.
///
/// # Errors
/// The refusal of a session that does not.
pub(super) fn unchanged(role: &ResourceRole, stored: Option<&Role>) -> Result<(), Denial> {
    let Some(Role { role: stored, .. }) = stored else {
        let reason = format!("there is no role {} any more", role.name);
        return Err(Denial::new("gateway", Code::AccessRevoked, reason));
    };
    if (&stored.agent, &stored.target, &stored.plugins) == (&role.agent, &role.target, &role.plugins) {
        return Ok(());
    }
    Err(Denial::new("gateway", Code::AccessRevoked, format!("role {} was changed", role.name)).hint("connect again"))
}
