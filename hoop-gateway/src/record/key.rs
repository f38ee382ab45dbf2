//! The key that signs recordings.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{SigningKey, VerifyingKey};
use rand::Rng as _;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The name under which a gateway signs.
pub(super) const KEY_NAME: &str = "hoop-gateway";
/// Ed25519, in the notes' numbering of algorithms.
const ED25519: u8 = 1;

/// The public half of the key that signs recordings. Its text, `hoop-gateway+<key id>+<base64>`, is that of a
/// [signed note's verifier key](https://c2sp.org/signed-note).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub VerifyingKey);

impl PublicKey {
    /// By which people compare it: `sha256:` and the hash of its 32 bytes in hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        let hash: [u8; 32] = Sha256::digest(self.0.as_bytes()).into();
        hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }

    pub(super) fn id(&self) -> [u8; 4] {
        let mut hash = Sha256::new();
        hash.update(KEY_NAME);
        hash.update([b'\n', ED25519]);
        hash.update(self.0.as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        *digest.first_chunk().expect("a digest has 32 bytes")
    }
}

impl From<&SigningKey> for PublicKey {
    fn from(key: &SigningKey) -> Self {
        Self(key.verifying_key())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64.encode([&[ED25519], self.0.as_bytes().as_slice()].concat());
        write!(f, "{KEY_NAME}+{:08x}+{key}", u32::from_be_bytes(self.id()))
    }
}

/// A key cannot be read or made.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is not a public key of this kind.
    #[error("not a public key of the form hoop-gateway+id+base64")]
    Malformed,
    /// The file does not hold a key.
    #[error("{} does not hold a key of 32 bytes in base64", .0.display())]
    File(PathBuf),
    /// The file cannot be read or written.
    #[error("cannot read or write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(KEY_NAME), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Malformed);
        };
        let key = BASE64.decode(key).map_err(|_| KeyError::Malformed)?;
        let Some((&ED25519, key)) = key.split_first() else { return Err(KeyError::Malformed) };
        let key = key.try_into().map_err(|_| KeyError::Malformed)?;
        let key = Self(VerifyingKey::from_bytes(key).map_err(|_| KeyError::Malformed)?);
        if key.to_string() == text.trim() { Ok(key) } else { Err(KeyError::Malformed) }
    }
}

/// Reads the signing key from a file (32 bytes in base64, mode 0600), or makes one when there is no such file.
///
/// # Errors
/// When the file cannot be read or made, or holds something else.
pub fn load_or_create_key(path: &Path) -> Result<SigningKey, KeyError> {
    match create_key(path) {
        Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => read_key(path),
        other => other,
    }
}

/// Makes a key in a new file.
pub(crate) fn create_key(path: &Path) -> Result<SigningKey, KeyError> {
    let failed = |source| KeyError::Io { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let mut seed = Zeroizing::new([0u8; 32]);
    rand::rng().fill_bytes(seed.as_mut());
    let text = Zeroizing::new(BASE64.encode(seed.as_ref()) + "\n");
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(SigningKey::from_bytes(&seed))
}

/// Reads a key that is there.
pub(crate) fn read_key(path: &Path) -> Result<SigningKey, KeyError> {
    let mut text = Zeroizing::new(String::new());
    let file = OpenOptions::new().read(true).open(path);
    file.and_then(|file| file.take(128).read_to_string(&mut text))
        .map_err(|source| KeyError::Io { path: path.to_owned(), source })?;
    let bytes = Zeroizing::new(BASE64.decode(text.trim()).map_err(|_| KeyError::File(path.to_owned()))?);
    let seed = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyError::File(path.to_owned()))?);
    Ok(SigningKey::from_bytes(&seed))
}
