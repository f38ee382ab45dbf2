//! Who shows an API token: the one look-up of every door that takes one.

use hoop_core::{Clock, Code, Denial};

use super::token;
use crate::store::{Store, Token, User};

/// A caller whose token is good.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// Who.
    pub user: User,
    /// By which token.
    pub token: Token,
}

impl Bearer {
    /// Who shows this: an `Authorization` header, as RFC 6750 has it.
    ///
    /// # Errors
    /// A [`Denial`] when it is nobody, or the store does not answer. Unknown, expired and revoked tokens and those of
    /// disabled users look the same.
    pub async fn of(header: Option<&str>, store: &dyn Store, clock: &dyn Clock) -> Result<Self, Denial> {
        let bearer =
            header.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(|| refused("no bearer token"))?;
        Self::by_hash(token::hash(bearer), store, clock).await
    }

    /// Who has the token with this hash, while it is good.
    ///
    /// # Errors
    /// As of [`of`](Self::of).
    pub async fn by_hash(hash: [u8; 32], store: &dyn Store, clock: &dyn Clock) -> Result<Self, Denial> {
        let found = store.tokens().by_hash(&hash).await.map_err(token::unavailable)?;
        let now = clock.now();
        found
            .filter(|(token, user)| token.revoked_at.is_none() && token.expires_at > now && !user.disabled)
            .map(|(token, user)| Self { user, token })
            .ok_or_else(|| refused("the token is unknown, or not good any more"))
    }
}

fn refused(reason: &str) -> Denial {
    Denial::new("gateway", Code::Unauthenticated, reason).hint("sign in: POST /api/v1/login")
}

/// Whether somebody may do more than set another password.
///
/// # Errors
/// A [`Denial`] while the password is one that must be changed first.
pub fn settled(user: &User) -> Result<(), Denial> {
    if user.must_change_password {
        return Err(Denial::new("gateway", Code::AccessDenied, "the password must be changed first")
            .hint("PUT /api/v1/me/password"));
    }
    Ok(())
}
