//! Public keys of users: which are taken, and who comes with one.
//!
//! A public key is no secret: many are published. Who shows one has proven nothing until they sign with it, and what is said
//! of a key here is for those alone who have.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::id::{KeyId, OrgId};
use hoop_core::{Clock, Code, Denial, Principal};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{HashAlg, PublicKey};

use super::credential::principal;
use super::settled;
use super::token::unavailable;
use crate::store::{Role, Store, UserKey};

/// Longest line of a key, in bytes.
pub const MAX_KEY_BYTES: usize = 16 << 10;
/// Fewest and most bits of an RSA key. What is longer costs whoever checks its signatures too much.
const RSA_BITS: std::ops::RangeInclusive<u32> = 3072..=16384;

/// A line is no key that is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// It is the half that is nobody else's.
    #[error(
        "this is a private key; it stays where it is, and its public half is in the file of the same name with .pub"
    )]
    Private,
    /// It cannot be read.
    #[error("not a public key of one line, as ssh-keygen writes it: ssh-ed25519 AAAA…")]
    Malformed,
    /// It is too long.
    #[error("a key has at most {MAX_KEY_BYTES} bytes")]
    Long,
    /// An RSA key is too short, or too long.
    #[error("an RSA key has from {} to {} bits, and this one {bits}; make an ed25519 key: ssh-keygen -t ed25519", RSA_BITS.start(), RSA_BITS.end())]
    Rsa {
        /// How many it has.
        bits: u32,
    },
    /// It is of a kind that is not taken.
    #[error("keys of the kind {kind} are not taken; make an ed25519 key: ssh-keygen -t ed25519")]
    Kind {
        /// Its name in SSH.
        kind: String,
    },
}

/// A public key that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedKey {
    /// One line of OpenSSH's, without a comment.
    pub line: String,
    /// As OpenSSH prints it: `SHA256:…`.
    pub fingerprint: String,
    /// What stands behind the key, for people; it may be empty.
    pub comment: String,
}

impl AcceptedKey {
    /// Reads a line as it stands in a `.pub` file: Ed25519, ECDSA, RSA from 3072 bits on, and those of security keys.
    ///
    /// # Errors
    /// [`PublicKeyError`].
    pub fn read(text: &str) -> Result<Self, PublicKeyError> {
        let text = text.trim();
        if text.len() > MAX_KEY_BYTES {
            return Err(PublicKeyError::Long);
        }
        if text.contains("PRIVATE KEY") {
            return Err(PublicKeyError::Private);
        }
        if text.contains(['\n', '\r', '\0']) {
            return Err(PublicKeyError::Malformed);
        }
        let key = PublicKey::from_openssh(text).map_err(|_| PublicKeyError::Malformed)?;
        check(&key)?;
        Ok(Self { comment: key.comment().as_str_lossy().trim().to_owned(), ..Self::of(&key) })
    }

    fn of(key: &PublicKey) -> Self {
        let bare = PublicKey::from(key.key_data().clone());
        Self { line: bare.to_string(), fingerprint: fingerprint(key), comment: String::new() }
    }
}

/// The fingerprint under which a key is found.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn check(key: &PublicKey) -> Result<(), PublicKeyError> {
    match key.key_data() {
        KeyData::Ed25519(_) | KeyData::Ecdsa(_) | KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => Ok(()),
        KeyData::Rsa(rsa) if RSA_BITS.contains(&rsa.key_size()) => Ok(()),
        KeyData::Rsa(rsa) => Err(PublicKeyError::Rsa { bits: rsa.key_size() }),
        _ => Err(PublicKeyError::Kind { kind: key.algorithm().as_str().to_owned() }),
    }
}

/// Who comes with a key.
#[derive(Debug, Clone)]
pub(crate) struct KeyHolder {
    /// Who.
    pub(crate) principal: Principal,
    /// By which key: a session that is opened with it ends with it.
    pub(crate) key: KeyId,
    /// When the key was last used, to the minute.
    pub(crate) last_used_at: Option<DateTime<Utc>>,
}

/// Finds who comes with a key.
#[derive(Clone)]
pub(crate) struct UserKeys {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl UserKeys {
    /// Keys in this store.
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Whose key has this fingerprint; `None` when it is nobody's.
    ///
    /// # Errors
    /// A [`Denial`] that tells expired and disabled apart, for those who have signed with the key; or when the store does
    /// not answer.
    pub(crate) async fn find(&self, org: OrgId, fingerprint: &str) -> Result<Option<KeyHolder>, Denial> {
        let found = self.store.user_keys().by_fingerprint(org, fingerprint).await.map_err(unavailable)?;
        let Some(key) = found else { return Ok(None) };
        self.check(&key).await?;
        let user = self.store.users().get(org, key.user).await.map_err(unavailable)?;
        let user = user.filter(|user| !user.disabled).ok_or_else(|| {
            Denial::new("gateway", Code::AccessDenied, "the user of this key is disabled").hint("ask an administrator")
        })?;
        settled(&user)?;
        Ok(Some(KeyHolder { principal: principal(user), key: key.id, last_used_at: key.last_used_at }))
    }

    /// A session is opened with the key. Its last use is known to the minute: who comes more often costs no more.
    pub(crate) async fn used(&self, holder: &KeyHolder) {
        let now = self.clock.now();
        if holder.last_used_at.is_some_and(|at| now - at < TimeDelta::minutes(1)) {
            return;
        }
        if let Err(error) = self.store.user_keys().used(holder.principal.org, holder.key, now).await {
            tracing::warn!(key = %holder.key, error = &error as &dyn std::error::Error, "use of a key could not be noted");
        }
    }

    /// The role that a client names at its login. Whether it may be reached is asked when the session is opened.
    ///
    /// # Errors
    /// A [`Denial`] when there is none, or the store does not answer.
    pub(crate) async fn role_named(&self, org: OrgId, name: &str) -> Result<Role, Denial> {
        let role = self.store.roles().by_name(org, name).await.map_err(unavailable)?;
        role.ok_or_else(|| {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(63).collect();
            let reason = format!("there is no role {shown}, or none that you may reach");
            Denial::new("gateway", Code::RoleNotFound, reason).hint("the roles that you may reach: hoop roles list")
        })
    }

    async fn check(&self, key: &UserKey) -> Result<(), Denial> {
        if let Some(at) = key.expires_at.filter(|at| *at <= self.clock.now()) {
            let at = at.format("%Y-%m-%d %H:%M:%S UTC");
            return Err(Denial::new("gateway", Code::CredentialExpired, format!("this key expired at {at}")).hint(NEXT));
        }
        let Some(token) = key.token else { return Ok(()) };
        // One that was being added while its token was taken away is not good either.
        let token = self.store.tokens().get(key.org, token).await.map_err(unavailable)?;
        token.filter(|token| token.revoked_at.is_none()).map(|_| ()).ok_or_else(|| {
            Denial::new("gateway", Code::CredentialRevoked, "the token of this key was revoked").hint(NEXT)
        })
    }
}

const NEXT: &str = "add one: hoop keys add, or POST /api/v1/keys";
