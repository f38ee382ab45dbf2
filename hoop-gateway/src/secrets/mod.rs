//! Secrets of roles that are typed into the gateway, for those who have nowhere else to keep them. A reference that only the
//! agent resolves is better: then the gateway never has the secret.
//!
//! ```text
//! PUT …/secrets/password ──▶ seal ──▶ store: ciphertext, data key wrapped with the operator's key
//! Sessions::open ──▶ SealedSecrets (as stored) ──▶ Agents::open ──▶ opened into the one Open message
//! ```
//!
//! **Invariants.** A secret is opened for an `Open` message, and for nothing else; there is no way to read it back. Without
//! the operator's key, neither the store nor a backup gives one.

mod key;
mod rotate;
mod seal;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, Utc};
use hoop_core::{Clock, Code, Denial, ResourceKind, ResourceRole, Secret, Target};
use hoop_proto::tunnel::v1::SuppliedSecret;

pub use key::OperatorKey;
pub use rotate::{RotateError, rotate};
pub use seal::SealError;

use crate::auth::token::unavailable;
use crate::store::{Store, StoreError, StoredSecret};
use seal::{Place, Sealed};

/// The fields of targets that a secret can be kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretField {
    /// The password.
    Password,
    /// The client certificate, in PEM.
    SslCert,
    /// The key of the client certificate, in PEM.
    SslKey,
    /// The private key of a login over SSH.
    PrivateKey,
    /// The passphrase of that private key.
    Passphrase,
    /// The OpenSSH certificate of that private key.
    Certificate,
    /// The private key of an authority of user certificates.
    CertificateAuthority,
    /// What requests are authenticated with: a token, a password, a key.
    Secret,
    /// The session token that goes with temporary keys of AWS.
    AwsSessionToken,
}

impl SecretField {
    /// Every field.
    pub const ALL: [Self; 9] = [
        Self::Password,
        Self::SslCert,
        Self::SslKey,
        Self::PrivateKey,
        Self::Passphrase,
        Self::Certificate,
        Self::CertificateAuthority,
        Self::Secret,
        Self::AwsSessionToken,
    ];

    /// The field's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::SslCert => "sslcert",
            Self::SslKey => "sslkey",
            Self::PrivateKey => "private_key",
            Self::Passphrase => "passphrase",
            Self::Certificate => "certificate",
            Self::CertificateAuthority => "certificate_authority",
            Self::Secret => "secret",
            Self::AwsSessionToken => "aws_session_token",
        }
    }

    /// The field of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == name)
    }

    /// Those that targets of this kind have.
    pub const fn of(kind: ResourceKind) -> &'static [Self] {
        match kind {
            ResourceKind::Postgres => &[Self::Password, Self::SslCert, Self::SslKey],
            ResourceKind::Ssh => {
                &[Self::Password, Self::PrivateKey, Self::Passphrase, Self::Certificate, Self::CertificateAuthority]
            }
            ResourceKind::Http => &[Self::Secret, Self::AwsSessionToken, Self::SslCert, Self::SslKey],
            _ => &[],
        }
    }

    /// The reference that the target has for it. What it names is used then, and not what is kept.
    pub fn reference(self, target: &Target) -> Option<&str> {
        let reference = match (target, self) {
            (Target::Postgres(target), Self::Password) => &target.password,
            (Target::Postgres(target), Self::SslCert) => &target.sslcert,
            (Target::Postgres(target), Self::SslKey) => &target.sslkey,
            (Target::Ssh(target), Self::Password) => &target.password,
            (Target::Ssh(target), Self::PrivateKey) => &target.private_key,
            (Target::Ssh(target), Self::Passphrase) => &target.passphrase,
            (Target::Ssh(target), Self::Certificate) => &target.certificate,
            (Target::Ssh(target), Self::CertificateAuthority) => &target.certificate_authority,
            (Target::Http(target), Self::Secret) => &target.secret,
            (Target::Http(target), Self::AwsSessionToken) => &target.aws_session_token,
            (Target::Http(target), Self::SslCert) => &target.sslcert,
            (Target::Http(target), Self::SslKey) => &target.sslkey,
            _ => return None,
        };
        reference.as_deref()
    }
}

/// Keeps secrets, and finds them for sessions.
#[derive(Clone)]
pub struct SecretKeeper {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    key: Option<Arc<OperatorKey>>,
}

impl SecretKeeper {
    /// Keeps them in this store, under this key. Without a key none is taken, and none is given.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, key: Option<OperatorKey>) -> Self {
        Self { store, clock, key: key.map(Arc::new) }
    }

    /// Keeps a secret for a role, in the place of the one before. Gives when, or `None` when the role is not there any more.
    ///
    /// # Errors
    /// [`Code::Conflict`] without an operator's key; [`Code::StoreUnavailable`].
    pub async fn put(
        &self,
        role: &ResourceRole,
        field: SecretField,
        secret: &Secret<String>,
    ) -> Result<Option<DateTime<Utc>>, Denial> {
        let key = self.key.as_deref().ok_or_else(|| {
            Denial::new("gateway", Code::Conflict, "the gateway keeps no secrets: it has no operator's key").hint(
                "make one with hoop-gateway secrets new-key FILE, and set secrets.key_file (HOOP_SECRETS_KEY_FILE); or name a reference that the agent resolves",
            )
        })?;
        let place = Place { org: role.org, role: role.id, field: field.as_str() };
        let Sealed { wrapped_key, ciphertext } =
            seal::seal(key, place, secret).map_err(|error| Denial::failed("gateway", error))?;
        // As the store keeps it, so that what is answered is what is read again.
        let updated_at = self.clock.now().trunc_subsecs(6);
        let (field, key_id) = (field.as_str().to_owned(), key.id().to_owned());
        let stored = StoredSecret { org: role.org, role: role.id, field, key_id, wrapped_key, ciphertext, updated_at };
        let kept = self.store.role_secrets().put(&stored).await.map_err(unavailable)?;
        Ok(kept.then_some(updated_at))
    }

    /// The secrets of a role for which its target has no reference, still encrypted.
    ///
    /// # Errors
    /// [`Code::StoreUnavailable`].
    pub async fn of_role(&self, role: &ResourceRole) -> Result<SealedSecrets, Denial> {
        let secrets = self.store.role_secrets().of_role(role.org, role.id).await.map_err(unavailable)?;
        Ok(self.sealed(role, secrets))
    }

    /// The same, when what is stored for the role has been read already.
    pub(crate) fn sealed(&self, role: &ResourceRole, mut secrets: Vec<StoredSecret>) -> SealedSecrets {
        let referred = |name: &str| SecretField::named(name).and_then(|field| field.reference(&role.target)).is_some();
        secrets.retain(|secret| !referred(&secret.field));
        SealedSecrets { key: self.key.clone(), role: Arc::clone(&role.name), secrets: secrets.into(), jump: None }
    }

    /// Says in the log when secrets are kept that this key does not open: somebody should hear of it before a session is
    /// refused. The gateway works all the same: what agents resolve is there, and a lost key must not keep anyone from
    /// typing secrets in again. Gives how many there are.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn check(&self) -> Result<usize, StoreError> {
        let all = self.store.role_secrets().all().await?;
        let opens = |stored: &StoredSecret| self.key.as_deref().is_some_and(|key| seal::opens(key, stored));
        let closed: Vec<_> = all.iter().filter(|stored| !opens(stored)).collect();
        if !closed.is_empty() {
            let under: BTreeSet<_> = closed.iter().map(|stored| stored.key_id.as_str()).collect();
            let present = self.key.as_deref().map_or("none", OperatorKey::id);
            tracing::error!(
                secrets = closed.len(),
                of = all.len(),
                ?under,
                present,
                "the operator's key does not open secrets of roles, whose sessions are refused: set secrets.key_file to the key that they are under, or type them in again"
            );
        }
        Ok(closed.len())
    }

    /// What is kept for a role: fields, and since when.
    ///
    /// # Errors
    /// [`Code::StoreUnavailable`].
    pub async fn kept(&self, role: &ResourceRole) -> Result<Vec<(String, DateTime<Utc>)>, Denial> {
        let secrets = self.store.role_secrets().of_role(role.org, role.id).await.map_err(unavailable)?;
        Ok(secrets.into_iter().map(|secret| (secret.field, secret.updated_at)).collect())
    }
}

impl fmt::Debug for SecretKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKeeper").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The secrets of a session's role as they are stored: for as long as a session runs, nothing else of them is in memory.
#[derive(Clone)]
pub struct SealedSecrets {
    key: Option<Arc<OperatorKey>>,
    role: Arc<str>,
    secrets: Arc<[StoredSecret]>,
    /// Those of the role that it is reached through.
    jump: Option<Arc<SealedSecrets>>,
}

impl SealedSecrets {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.jump.as_deref().is_none_or(Self::is_empty)
    }

    /// With those of the role that it is reached through.
    pub(crate) fn through(self, jump: Self) -> Self {
        Self { jump: Some(Arc::new(jump)), ..self }
    }

    /// Opens them, for the agent.
    ///
    /// # Errors
    /// [`Code::SecretUnavailable`] when the key is not there, or another, or a secret was changed in the store.
    pub(crate) fn open(&self) -> Result<Vec<SuppliedSecret>, Denial> {
        let mut opened: Vec<_> = self.secrets.iter().map(|stored| self.open_one(stored)).collect::<Result<_, _>>()?;
        if let Some(jump) = &self.jump {
            let prefixed = |mut secret: SuppliedSecret| {
                secret.field = format!("jump.{}", secret.field);
                secret
            };
            opened.extend(jump.open()?.into_iter().map(prefixed));
        }
        Ok(opened)
    }

    fn open_one(&self, stored: &StoredSecret) -> Result<SuppliedSecret, Denial> {
        let (field, role) = (&stored.field, &self.role);
        let unopened = |why: &str, hint: &str| {
            let reason = format!("the gateway keeps the {field} of role {role}, and cannot open it: {why}");
            Denial::new("gateway", Code::SecretUnavailable, reason).hint(hint.to_owned())
        };
        let Some(key) = self.key.as_deref() else {
            return Err(unopened("it has no operator's key", "set secrets.key_file (HOOP_SECRETS_KEY_FILE)"));
        };
        match seal::open(key, stored) {
            Ok(secret) => Ok(SuppliedSecret { field: field.clone(), value: secret.expose().clone() }),
            Err(error @ SealError::OtherKey { .. }) => {
                let hint = "set secrets.key_file to that key, or type the secret in again";
                Err(unopened(&error.to_string(), hint))
            }
            Err(error) => Err(unopened(&error.to_string(), "type the secret in again").caused_by(error)),
        }
    }
}

impl fmt::Debug for SealedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.secrets.iter().map(|secret| &secret.field)).finish()
    }
}
