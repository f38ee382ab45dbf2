//! Local passwords: Argon2id, on a bounded number of threads, since each hash takes 19 MiB and some ten milliseconds.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use hoop_core::Secret;
use tokio::sync::Semaphore;

/// Hashes and verifies passwords.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// Verified against for users who do not exist, so that they take as long as those who do.
    nobody: Arc<str>,
}

/// A password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// It is too short.
    #[error("a password has at least {least} characters")]
    Short {
        /// The least.
        least: usize,
    },
    /// It is too long.
    #[error("a password has at most {most} bytes")]
    Long {
        /// The most.
        most: usize,
    },
    /// The hash function failed.
    #[error("the password could not be hashed")]
    Hash,
}

/// The shortest password.
const LEAST: usize = 12;
/// The longest; more would only be work.
const MOST: usize = 1024;

impl Passwords {
    /// At most `at_once` hashes at a time.
    ///
    /// # Errors
    /// [`PasswordError::Hash`] when the hash function does not work at all.
    pub fn new(at_once: usize) -> Result<Self, PasswordError> {
        let nobody = hash(b"nobody has this password")?.into();
        Ok(Self { turns: Arc::new(Semaphore::new(at_once.max(1))), nobody })
    }

    /// The hash of a new password, in PHC form.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn hash(&self, password: Secret<String>) -> Result<String, PasswordError> {
        if password.expose().chars().count() < LEAST {
            return Err(PasswordError::Short { least: LEAST });
        }
        if password.expose().len() > MOST {
            return Err(PasswordError::Long { most: MOST });
        }
        self.in_turn(move || hash(password.expose().as_bytes())).await.ok_or(PasswordError::Hash)?
    }

    /// Whether the password is that of the hash. Without a hash it is wrong, after the same time.
    pub async fn verify(&self, password: Secret<String>, hash: Option<String>) -> bool {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.to_string());
        let matches = self.in_turn(move || verify(password.expose().as_bytes(), &hash)).await.unwrap_or(false);
        known && matches
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        // The turn ends with the work: a caller who goes away meanwhile must not make room for more of it.
        let work = move || {
            let result = work();
            drop(turn);
            result
        };
        tokio::task::spawn_blocking(work).await.ok()
    }
}

/// OWASP's first recommendation: 19 MiB, two passes, one lane.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19 * 1024, 2, 1, None).unwrap_or_default())
}

fn hash(password: &[u8]) -> Result<String, PasswordError> {
    let salt: [u8; 16] = rand::random();
    let hash = argon2().hash_password_with_salt(password, &salt).map_err(|_| PasswordError::Hash)?;
    Ok(hash.to_string())
}

fn verify(password: &[u8], hash: &str) -> bool {
    if password.len() > MOST {
        return false;
    }
    PasswordHash::new(hash).is_ok_and(|hash| argon2().verify_password(password, &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_user_is_right() {
        let passwords = Passwords::new(2).expect("argon2 works");
        let secret = |text: &str| Secret::new(text.to_owned());
        let hash = passwords.hash(secret("correct horse battery")).await.expect("long enough");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify(secret("correct horse battery"), Some(hash.clone())).await);
        assert!(!passwords.verify(secret("correct horse"), Some(hash)).await);
        assert!(!passwords.verify(secret("nobody has this password"), None).await);
        assert!(passwords.hash(secret("short")).await.is_err());
    }
}
