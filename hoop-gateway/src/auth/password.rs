//! Local passwords: Argon2id, on a bounded number of threads, since each hash takes 19 MiB and some ten milliseconds.

use std::sync::Arc;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
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

const ALGORITHM: Algorithm = Algorithm::Argon2id;
const VERSION: Version = Version::V0x13;

/// OWASP's first recommendation: 19 MiB, two passes, one lane.
fn params() -> Params {
    Params::new(19 * 1024, 2, 1, None).unwrap_or_default()
}

fn hash(password: &[u8]) -> Result<String, PasswordError> {
    made(password).map(|hash| hash.to_string()).ok_or(PasswordError::Hash)
}

fn made(password: &[u8]) -> Option<PasswordHash> {
    let salt = Salt::new(&rand::random::<[u8; 16]>()).ok()?;
    let argon2 = Argon2::new(ALGORITHM, VERSION, params());
    Some(PasswordHash {
        algorithm: ALGORITHM.ident(),
        version: Some(VERSION.into()),
        params: ParamsString::try_from(argon2.params()).ok()?,
        hash: Some(output(&argon2, password, &salt)?),
        salt: Some(salt),
    })
}

fn verify(password: &[u8], hash: &str) -> bool {
    password.len() <= MOST && matches(password, hash).unwrap_or(false)
}

/// `None` when the hash is not of a form that Argon2 has.
fn matches(password: &[u8], hash: &str) -> Option<bool> {
    let hash = PasswordHash::new(hash).ok()?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let argon2 = Argon2::new(algorithm, Version::try_from(hash.version?).ok()?, Params::try_from(&hash).ok()?);
    // The comparison takes the same time for all.
    Some(output(&argon2, password, hash.salt.as_ref()?)? == hash.hash?)
}

/// More than this, glibc takes from the system and gives back at once; of less, it keeps as much as was ever in use, for
/// each thread ([mallopt(3)], M_MMAP_THRESHOLD). What is not touched takes no memory.
///
/// [mallopt(3)]: https://man7.org/linux/man-pages/man3/mallopt.3.html
const GIVEN_BACK: usize = 33 * 1024 * 1024;

fn output(argon2: &Argon2<'_>, password: &[u8], salt: &[u8]) -> Option<Output> {
    let params = argon2.params();
    let mut memory = Vec::with_capacity(params.block_count().max(GIVEN_BACK / Block::SIZE));
    memory.resize(params.block_count(), Block::new());
    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN))?;
    argon2.hash_password_into_with_memory(password, salt, output, memory).ok()?;
    Output::new(output).ok()
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
        assert!(!passwords.verify(secret("correct horse battery"), Some("no hash".to_owned())).await);
    }

    /// One of the reference implementation: `printf password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32`.
    #[test]
    fn hashes_of_others_are_verified() {
        let hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(verify(b"password", hash) && !verify(b"passwore", hash));
    }
}
