//! The one secret that a gateway keeps for itself, and the keys that are derived from it. It lies in a file of its own
//! (mode 0600) and not in the store, so that a copy of the store forges nothing.

use std::fmt;
use std::path::Path;

use ed25519_dalek::SigningKey;
use hoop_core::Secret;

use super::first::SetupToken;
use crate::record::{KeyError, load_or_create_key};

/// The secret. Replicas of one gateway share it.
pub struct GatewaySecret(Secret<[u8; 32]>);

impl GatewaySecret {
    /// Takes 32 random bytes from elsewhere.
    pub const fn new(secret: Secret<[u8; 32]>) -> Self {
        Self(secret)
    }

    /// Reads the secret from a file (32 bytes in base64), or makes one when there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read or made, or holds something else.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        load_or_create_key(path).map(|key| Self(Secret::new(key.to_bytes())))
    }

    /// The key for one purpose. Knowing it tells nothing of the others. `purpose` must be a text of the program.
    pub fn derive(&self, purpose: &'static str) -> Secret<[u8; 32]> {
        Secret::new(blake3::derive_key(purpose, self.0.expose()))
    }

    /// The key that signs agents' tokens.
    pub fn agent_key(&self) -> SigningKey {
        SigningKey::from_bytes(self.derive("hoop gateway 2026 agent tokens").expose())
    }

    /// The key that says to HTTP targets who asks.
    pub fn identity_key(&self) -> SigningKey {
        SigningKey::from_bytes(self.derive("hoop gateway 2026 identities").expose())
    }

    /// The key that hashes requests with an idempotency key.
    pub fn request_key(&self) -> Secret<[u8; 32]> {
        self.derive("hoop gateway 2026 idempotent requests")
    }

    /// The key that hashes what people type in to let a device in.
    pub fn user_code_key(&self) -> Secret<[u8; 32]> {
        self.derive("hoop gateway 2026 user codes")
    }

    /// What the first administrator shows to be let in.
    pub fn setup_token(&self) -> SetupToken {
        SetupToken::new(&self.derive("hoop gateway 2026 set-up token"))
    }

    /// The key that makes unknown logins look like known ones.
    pub fn login_key(&self) -> Secret<[u8; 32]> {
        self.derive("hoop gateway 2026 unknown logins")
    }
}

impl fmt::Debug for GatewaySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewaySecret([secret])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_lasts_and_its_keys_differ() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || GatewaySecret::load_or_create(&folder.path().join("secret")).expect("a secret");
        let (first, second) = (open(), open());
        assert_eq!(first.agent_key().to_bytes(), second.agent_key().to_bytes());
        assert_eq!(first.login_key().expose(), second.login_key().expose());
        assert_ne!(first.agent_key().to_bytes(), *first.login_key().expose());
    }
}
