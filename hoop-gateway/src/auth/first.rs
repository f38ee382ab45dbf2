//! The first administrator. Whoever can start the gateway can make one, and nobody else: on its machine, or in a browser with
//! a token that is shown there.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hoop_core::id::{OrgId, UserId};
use hoop_core::{Clock, Secret};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

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
    let made = make_first(store, passwords, clock, name, password.clone(), must_change_password).await?;
    Ok(made.map(|user| FirstAdmin { name: user.name, password }))
}

/// Makes an administrator with this password where there is no user at all yet; `None` where there is one, also where several
/// are made at once.
///
/// # Errors
/// [`FirstAdminError`].
pub(crate) async fn make_first(
    store: &dyn Store,
    passwords: &Passwords,
    clock: &dyn Clock,
    name: &str,
    password: Secret<String>,
    must_change_password: bool,
) -> Result<Option<User>, FirstAdminError> {
    let user = User {
        org: OrgId::DEFAULT,
        id: UserId::new(clock),
        name: name.to_owned(),
        kind: UserKind::Admin,
        groups: Vec::new(),
        password_hash: Some(passwords.hash(password).await?),
        must_change_password,
        disabled: false,
        service: None,
        created_at: clock.now(),
    };
    let made = store.users().create_first(&user).await?;
    Ok(made.then_some(user))
}

/// Prefix of a set-up token.
const PREFIX: &str = "hoops_";

/// What the first administrator shows to be let in by a browser. It follows from the gateway's secret, so that all replicas
/// have the same one and nobody keeps it, and is good for nothing once there is a user.
#[derive(Clone)]
pub struct SetupToken(Secret<String>);

impl SetupToken {
    pub(super) fn new(key: &Secret<[u8; 32]>) -> Self {
        Self(Secret::new(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(key.expose()))))
    }

    /// The text, for who runs the gateway.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Whether it is this one.
    pub(crate) fn is(&self, shown: &Secret<String>) -> bool {
        let hash = |text: &str| Sha256::digest(text.trim());
        hash(self.expose()).ct_eq(&hash(shown.expose())).into()
    }
}
