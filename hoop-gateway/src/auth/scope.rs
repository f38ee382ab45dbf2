//! What an API token is for. Scopes only take away: a token never may more than its owner.

use std::collections::BTreeSet;

use hoop_core::{Code, Denial};
use serde::{Deserialize, Serialize};

use crate::store::{Grant, UserKind};

/// What an API token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = TokenScope)]
pub enum Scope {
    /// See what its owner may see, and change nothing.
    Read,
    /// Use the roles that its owner may reach: credentials and sessions of the owner's own.
    Connect,
    /// Whatever its owner may, who is an administrator.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: &'static [Self] = &[Self::Read, Self::Connect, Self::Admin];

    /// The name as the API and the store spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Connect => "connect",
            Self::Admin => "admin",
        }
    }
}

/// What somebody of this kind may be to the gateway while they use a token with these scopes.
pub fn within(kind: UserKind, scopes: &BTreeSet<Scope>) -> UserKind {
    match kind {
        UserKind::Admin if scopes.contains(&Scope::Admin) => UserKind::Admin,
        UserKind::Admin | UserKind::Auditor if scopes.contains(&Scope::Read) => UserKind::Auditor,
        UserKind::Auditor if scopes.contains(&Scope::Admin) => UserKind::Auditor,
        UserKind::Admin | UserKind::Auditor | UserKind::Member => UserKind::Member,
    }
}

/// Whether a token is for one of these.
///
/// # Errors
/// A [`Denial`] that says what it is for.
pub fn is_for(grant: &Grant, scopes: &[Scope]) -> Result<(), Denial> {
    if scopes.iter().any(|scope| grant.scopes.contains(scope)) {
        return Ok(());
    }
    if scopes.is_empty() {
        let reason = format!("this takes a sign-in, and {} is an API token", grant.name);
        let hint = "sign in: hoop login, or POST /api/v1/login";
        return Err(Denial::new("gateway", Code::AccessDenied, reason).hint(hint));
    }
    let names = |scopes: &mut dyn Iterator<Item = &Scope>| scopes.map(|scope| scope.as_str()).collect::<Vec<_>>();
    let (has, wants) = (names(&mut grant.scopes.iter()).join(", "), names(&mut scopes.iter()).join(" or "));
    let reason = format!("token {} has scope {has}, and this takes {wants}", grant.name);
    Err(Denial::new("gateway", Code::AccessDenied, reason).hint("use a token with that scope"))
}

#[cfg(test)]
mod tests {
    use super::Scope::{Admin, Connect, Read};
    use super::*;

    #[test]
    fn scopes_only_take_away() {
        for (kind, scopes, may) in [
            (UserKind::Admin, &[Admin][..], UserKind::Admin),
            (UserKind::Admin, &[Read, Connect], UserKind::Auditor),
            (UserKind::Admin, &[Connect], UserKind::Member),
            (UserKind::Auditor, &[Admin], UserKind::Auditor),
            (UserKind::Auditor, &[Read], UserKind::Auditor),
            (UserKind::Auditor, &[Connect], UserKind::Member),
            (UserKind::Member, &[Read, Connect, Admin], UserKind::Member),
        ] {
            assert_eq!(within(kind, &scopes.iter().copied().collect()), may, "{kind:?} {scopes:?}");
        }
    }
}
