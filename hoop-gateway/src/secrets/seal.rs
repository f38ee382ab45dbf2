//! Envelope encryption, AES-256-GCM twice: a secret under a data key of its own, and that under the operator's key.
//!
//! Each of the two is a random nonce of 12 bytes, the ciphertext, and a tag of 16 bytes. Both are bound to the organisation,
//! the role and the field, so that one cannot be put in the place of another; the data key to the operator's key as well.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use hoop_core::Secret;
use hoop_core::id::{OrgId, RoleId};
use zeroize::Zeroizing;

use super::OperatorKey;
use crate::store::{Rewrapped, StoredSecret};

/// A secret cannot be encrypted or decrypted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// It is under another key than the one that there is.
    #[error("the secret is under the operator's key {stored}, and the key that there is is {present}")]
    OtherKey {
        /// Names the key that it is under.
        stored: String,
        /// Names the key that there is.
        present: String,
    },
    /// It was changed, or put in the place of another.
    #[error("the stored secret is not what the gateway has written")]
    Changed,
    /// The machine cannot encrypt it.
    #[error("the secret cannot be encrypted")]
    Encrypt,
}

/// Whose secret it is, and for which field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) org: OrgId,
    pub(super) role: RoleId,
    pub(super) field: &'a str,
}

/// A secret and its data key, both encrypted.
pub(super) struct Sealed {
    pub(super) wrapped_key: Vec<u8>,
    pub(super) ciphertext: Vec<u8>,
}

/// Encrypts a secret under a new data key.
pub(super) fn seal(key: &OperatorKey, place: Place<'_>, secret: &Secret<String>) -> Result<Sealed, SealError> {
    let data_key: Secret<[u8; 32]> = Secret::new(rand::random());
    Ok(Sealed {
        ciphertext: lock(&cipher(data_key.expose())?, &place.of_secret(), secret.expose().as_bytes())?,
        wrapped_key: lock(key.wrapping(), &place.of_key(key), data_key.expose())?,
    })
}

/// Decrypts a secret.
pub(super) fn open(key: &OperatorKey, stored: &StoredSecret) -> Result<Secret<String>, SealError> {
    let data_key = unwrap(key, stored)?;
    let place = Place::of(stored);
    let secret = unlock(&cipher(&data_key)?, &place.of_secret(), &stored.ciphertext)?;
    let text = std::str::from_utf8(&secret).map_err(|_| SealError::Changed)?;
    Ok(Secret::new(text.to_owned()))
}

/// Whether the key is the one that the secret is under: its data key can be unwrapped.
pub(super) fn opens(key: &OperatorKey, stored: &StoredSecret) -> bool {
    unwrap(key, stored).is_ok()
}

/// Wraps the data key of a secret with another key. The secret itself is decrypted once, to know that it can be.
pub(super) fn rewrap(old: &OperatorKey, new: &OperatorKey, stored: &StoredSecret) -> Result<Rewrapped, SealError> {
    open(old, stored)?;
    let data_key = unwrap(old, stored)?;
    let wrapped_key = lock(new.wrapping(), &Place::of(stored).of_key(new), &data_key)?;
    Ok(Rewrapped { before: stored.clone(), key_id: new.id().to_owned(), wrapped_key })
}

fn unwrap(key: &OperatorKey, stored: &StoredSecret) -> Result<Zeroizing<Vec<u8>>, SealError> {
    if stored.key_id != key.id() {
        return Err(SealError::OtherKey { stored: stored.key_id.clone(), present: key.id().to_owned() });
    }
    unlock(key.wrapping(), &Place::of(stored).of_key(key), &stored.wrapped_key)
}

impl<'a> Place<'a> {
    fn of(stored: &'a StoredSecret) -> Self {
        Self { org: stored.org, role: stored.role, field: &stored.field }
    }

    fn of_secret(self) -> Vec<u8> {
        self.bound(b"hoop role secret 1\0")
    }

    fn of_key(self, key: &OperatorKey) -> Vec<u8> {
        self.bound(&[b"hoop role secret's key 1\0".as_slice(), key.id().as_bytes()].concat())
    }

    /// Everything before the field has a fixed length, so that no two places look alike.
    fn bound(self, purpose: &[u8]) -> Vec<u8> {
        let (org, role) = (self.org.as_uuid().into_bytes(), self.role.as_uuid().into_bytes());
        [purpose, org.as_slice(), role.as_slice(), self.field.as_bytes()].concat()
    }
}

fn cipher(key: &[u8]) -> Result<RandomizedNonceKey, SealError> {
    RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|Unspecified| SealError::Changed)
}

/// Encrypts in place, with room for the tag: a buffer that grows would leave a copy behind.
fn lock(key: &RandomizedNonceKey, bound: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut text = Zeroizing::new(Vec::with_capacity(plain.len() + AES_256_GCM.tag_len()));
    text.extend_from_slice(plain);
    let sealed = key.seal_in_place_append_tag(Aad::from(bound), &mut *text);
    let nonce = sealed.map_err(|Unspecified| SealError::Encrypt)?;
    Ok([nonce.as_ref().as_slice(), text.as_slice()].concat())
}

fn unlock(key: &RandomizedNonceKey, bound: &[u8], locked: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (nonce, text) = locked.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Changed)?;
    let mut text = Zeroizing::new(text.to_vec());
    let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound), &mut text);
    let length = opened.map_err(|Unspecified| SealError::Changed)?.len();
    text.truncate(length);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use hoop_core::{Clock as _, SystemClock};

    use super::*;

    fn key(byte: u8) -> OperatorKey {
        OperatorKey::new(&Secret::new([byte; 32]))
    }

    fn stored(key: &OperatorKey) -> StoredSecret {
        let (org, role) = (OrgId::DEFAULT, RoleId::new(&SystemClock));
        let secret = Secret::new("hunter2".to_owned());
        let Sealed { wrapped_key, ciphertext } =
            seal(key, Place { org, role, field: "password" }, &secret).expect("encrypted");
        let (field, key_id, updated_at) = ("password".to_owned(), key.id().to_owned(), SystemClock.now());
        StoredSecret { org, role, field, key_id, wrapped_key, ciphertext, updated_at }
    }

    fn opened(key: &OperatorKey, stored: &StoredSecret) -> Result<String, SealError> {
        open(key, stored).map(|secret| secret.expose().clone())
    }

    #[test]
    fn what_is_sealed_is_opened_and_nothing_of_it_shows() {
        let key = key(7);
        let (one, other) = (stored(&key), stored(&key));
        assert_eq!(opened(&key, &one).as_deref(), Ok("hunter2"));
        assert!(one.ciphertext != other.ciphertext && one.wrapped_key != other.wrapped_key);
        for bytes in [&one.ciphertext, &one.wrapped_key] {
            assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
        }
        assert!(!format!("{one:?} {key:?}").contains("hunter2"));
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let key = key(7);
        let stored = stored(&key);
        let parts: [fn(&mut StoredSecret) -> &mut Vec<u8>; 2] =
            [|stored| &mut stored.ciphertext, |stored| &mut stored.wrapped_key];
        for part in parts {
            for at in 0..part(&mut stored.clone()).len() {
                let (mut changed, mut cut) = (stored.clone(), stored.clone());
                part(&mut changed)[at] ^= 1;
                part(&mut cut).truncate(at);
                assert_eq!(opened(&key, &changed), Err(SealError::Changed), "byte {at}");
                assert_eq!(opened(&key, &cut), Err(SealError::Changed), "cut at {at}");
            }
        }
    }

    #[test]
    fn a_secret_is_good_in_its_own_place_alone() {
        let key = key(7);
        let (stored, other) = (stored(&key), stored(&key));
        let moves: [fn(&mut StoredSecret); 3] = [
            |stored| stored.org = OrgId::from_uuid(uuid::Uuid::max()),
            |stored| stored.role = RoleId::from_uuid(uuid::Uuid::max()),
            |stored| stored.field = "sslkey".to_owned(),
        ];
        for moved in moves {
            let mut there = stored.clone();
            moved(&mut there);
            assert_eq!(opened(&key, &there), Err(SealError::Changed), "{there:?}");
        }
        let mixed = StoredSecret { ciphertext: other.ciphertext, ..stored };
        assert_eq!(opened(&key, &mixed), Err(SealError::Changed), "another data key");
    }

    #[test]
    fn another_key_opens_nothing_whatever_it_is_called() {
        let (key, other) = (key(7), key(8));
        let stored = stored(&key);
        assert!(matches!(opened(&other, &stored), Err(SealError::OtherKey { .. })));
        let renamed = StoredSecret { key_id: other.id().to_owned(), ..stored };
        assert_eq!(opened(&other, &renamed), Err(SealError::Changed));
    }

    #[test]
    fn wrapped_again_the_new_key_opens_it_and_the_old_one_does_not() {
        let (old, new) = (key(7), key(8));
        let Rewrapped { before, key_id, wrapped_key } = rewrap(&old, &new, &stored(&old)).expect("wrapped");
        let after = StoredSecret { key_id, wrapped_key, ..before };
        assert_eq!(opened(&new, &after).as_deref(), Ok("hunter2"));
        assert!(opened(&old, &after).is_err());
        let renamed = StoredSecret { key_id: old.id().to_owned(), ..after };
        assert_eq!(opened(&old, &renamed), Err(SealError::Changed));
    }
}
