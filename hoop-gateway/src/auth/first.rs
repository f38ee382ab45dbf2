//! The first administrator. There is no route for it: whoever can start the gateway can make one, and nobody else.

use hoop_core::id::{OrgId, UserId};
use hoop_core::{Clock, Secret};

use super::credential::random_text;
use super::password::{PasswordError, Passwords};
use crate::store::{Store, StoreError, User, UserKind};

/// An administrator that was just made: the only time that the password is known.
#[derive(Debug)]
pub struct FirstAdmin {
    /// The name to sign in with.
    pub name: String,
    /// The password.
    pub password: Secret<String>,
}

/// The first administrator cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FirstAdminError {
    /// The store does not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The password cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// Makes an administrator with a random password where there is no user at all yet; `None` where there is one. With
/// `must_change_password`, the password is good for nothing but to set another.
///
/// # Errors
/// [`FirstAdminError`].
pub async fn first_admin(
    store: &dyn Store,
    passwords: &Passwords,
    clock: &dyn Clock,
    name: &str,
    must_change_password: bool,
) -> Result<Option<FirstAdmin>, FirstAdminError> {
    if !store.users().list(OrgId::DEFAULT, None, None, 1).await?.items.is_empty() {
        return Ok(None);
    }
    let password = Secret::new(random_text(26));
    let user = User {
        org: OrgId::DEFAULT,
        id: UserId::new(clock),
        name: name.to_owned(),
        kind: UserKind::Admin,
        groups: Vec::new(),
        password_hash: Some(passwords.hash(password.clone()).await?),
        must_change_password,
        disabled: false,
        service: None,
        created_at: clock.now(),
    };
    let made = store.users().create_first(&user).await?;
    Ok(made.then(|| FirstAdmin { name: user.name, password }))
}
