//! The operator's key: 32 random bytes in a file of the operator's, which wrap the data keys of secrets.

use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, RandomizedNonceKey};
use hoop_core::Secret;

use crate::record::{KeyError, create_key, load_or_create_key, read_key};

/// The key that data keys are wrapped with. It is in no store and in no backup.
pub struct OperatorKey {
    id: String,
    wrapping: RandomizedNonceKey,
}

impl OperatorKey {
    /// Takes 32 random bytes from elsewhere.
    pub fn new(bytes: &Secret<[u8; 32]>) -> Self {
        let id = blake3::derive_key("hoop gateway 2026 name of an operator's key", bytes.expose());
        let wrapping = Secret::new(blake3::derive_key("hoop gateway 2026 wrapping of data keys", bytes.expose()));
        Self {
            id: id.iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
            wrapping: RandomizedNonceKey::new(&AES_256_GCM, wrapping.expose()).expect("AES-256 takes 32 bytes"),
        }
    }

    /// Reads the key from a file: 32 bytes in base64.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        read_key(path).map(|key| Self::new(&Secret::new(key.to_bytes())))
    }

    /// Makes a key in a new file of mode 0600.
    ///
    /// # Errors
    /// When there is such a file already, or it cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        create_key(path).map(|key| Self::new(&Secret::new(key.to_bytes())))
    }

    /// Reads the key from a file, or makes one when there is no such file.
    ///
    /// # Errors
    /// As of [`load`](Self::load) and [`create`](Self::create).
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        load_or_create_key(path).map(|key| Self::new(&Secret::new(key.to_bytes())))
    }

    /// Names the key, and tells nothing of it: 16 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) const fn wrapping(&self) -> &RandomizedNonceKey {
        &self.wrapping
    }
}

impl fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorKey").field("id", &self.id).finish_non_exhaustive()
    }
}
