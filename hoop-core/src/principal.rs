//! Who asks.

use std::sync::Arc;

use crate::id::{OrgId, UserId};

/// An authenticated caller and the groups it belongs to at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The organisation it belongs to; nothing of another one is ever visible to it.
    pub org: OrgId,
    /// Its lasting identity: names and addresses change, this does not.
    pub user: UserId,
    /// The name it is shown by, for example `alice@example.com`.
    pub name: Arc<str>,
    /// The groups, by name.
    pub groups: Arc<[Arc<str>]>,
    /// A person or a program.
    pub kind: PrincipalKind,
}

/// What kind of caller it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program with an account of its own.
    ServiceAccount,
}

impl Principal {
    /// Whether the caller belongs to the group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|name| &**name == group)
    }
}
