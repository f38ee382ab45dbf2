//! Time-limited credentials for native clients: a login and a password, bound to one user and one role.
//!
//! The password is never stored: what is, is the verifier of SCRAM-SHA-256 ([RFC 5802 §3]), with which nobody can log
//! in. The password has 130 random bits, so the iteration count need not be high.
//!
//! [RFC 5802 §3]: https://www.rfc-editor.org/rfc/rfc5802#section-3

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::id::{CredentialId, TokenId};
use hoop_core::{Clock, Code, Denial, Principal, ResourceRole, Secret};
use pgwire::api::auth::sasl::scram::{ScramSecret, gen_salted_password};

use super::token::unavailable;
use crate::session::Pass;
use crate::store::{Credential, Holder, Role, Store, Token, User};

/// Iterations of the verifiers that are made here: what every client expects, and enough for a random password.
const ITERATIONS: u32 = 4096;
/// Letters and digits of a login, after the name of its role.
const LOGIN_SUFFIX: usize = 8;
/// Without the letters and digits that are taken for one another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Makes and verifies credentials.
pub struct NativeCredentials {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Makes the verifier of a login that does not exist look like that of one that does, each time the same.
    nobody: hmac::Key,
}

/// A credential that was just made: the only time that its password is known.
#[derive(Debug)]
pub struct Issued {
    /// What was stored.
    pub credential: Credential,
    /// The password.
    pub password: Secret<String>,
}

/// Whether a login has the form of a credential's. Whether there is one is not looked up: that would tell.
pub(crate) fn is_login(login: &str) -> bool {
    let suffix = login.rsplit_once('-').filter(|(role, _)| !role.is_empty() && !role.contains('+'));
    suffix.is_some_and(|(_, suffix)| {
        suffix.len() == LOGIN_SUFFIX && suffix.bytes().all(|letter| ALPHABET.contains(&letter))
    })
}

/// What is known of a login before its password is proven.
pub struct Candidate {
    secret: Verifier,
    found: Option<Credential>,
}

struct Verifier {
    salt: Vec<u8>,
    iterations: u32,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl Candidate {
    /// The verifier to prove the password against.
    pub fn scram_secret(&self) -> ScramSecret {
        ScramSecret::Verifier {
            salt: self.secret.salt.clone(),
            iterations: usize::try_from(self.secret.iterations).unwrap_or(usize::MAX),
            stored_key: self.secret.stored_key.clone(),
            server_key: self.secret.server_key.clone(),
        }
    }
}

impl Candidate {
    /// Whether this is the password. It takes as long for a login that does not exist.
    pub fn is_proven_by(&self, password: &str) -> bool {
        use subtle::ConstantTimeEq as _;
        let Verifier { salt, stored_key, .. } = &self.secret;
        let (shown, _) = keys(password, salt);
        bool::from(shown.ct_eq(stored_key)) && self.found.is_some()
    }
}

/// A caller whose password is proven.
#[derive(Debug, Clone)]
pub struct Proven {
    /// Who.
    pub principal: Principal,
    /// What for.
    pub role: Role,
    /// By which credential.
    pub credential: CredentialId,
    /// The API token that the credential was made with: what is opened with it ends with that.
    pub token: Option<TokenId>,
    /// Until when it is good.
    pub expires_at: DateTime<Utc>,
}

impl Proven {
    /// What a session of the caller ends with; `bearer` is the API token that the connection came in by.
    pub(crate) fn passes(&self, bearer: Option<TokenId>) -> Vec<Pass> {
        let tokens = self.token.into_iter().chain(bearer).map(Pass::Token);
        tokens.chain([Pass::Credential(self.credential)]).collect()
    }
}

/// Prefix of a credential's login and password in one word, as HTTP clients show them.
pub const WEB_TOKEN_PREFIX: &str = "hoopw_";

impl NativeCredentials {
    /// Credentials in this store; `secret` is the gateway's own and lasting.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, secret: &[u8]) -> Self {
        Self { store, clock, nobody: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// Makes a credential for this user and this role, good for `ttl`, and for no longer than the API token that makes it.
    ///
    /// # Errors
    /// A [`Denial`] when the store does not answer.
    pub async fn issue(
        &self,
        user: &User,
        token: Option<&Token>,
        role: &ResourceRole,
        ttl: Duration,
    ) -> Result<Issued, Denial> {
        let password = Secret::new(random_text(26));
        let salt: [u8; 16] = rand::random();
        let (stored_key, server_key) = keys(password.expose(), &salt);
        let now = self.clock.now();
        let expires_at = now + TimeDelta::from_std(ttl).unwrap_or(TimeDelta::MAX);
        let credential = Credential {
            org: user.org,
            id: CredentialId::new(&*self.clock),
            login: format!("{}-{}", role.name, random_text(LOGIN_SUFFIX)),
            user: user.id,
            role: role.id,
            token: token.map(|token| token.id),
            salt: salt.to_vec(),
            iterations: ITERATIONS,
            stored_key,
            server_key,
            expires_at: token.map_or(expires_at, |token| token.expires_at.min(expires_at)),
            revoked_at: None,
            last_used_at: None,
            created_at: now,
        };
        self.store.credentials().create(&credential).await.map_err(unavailable)?;
        Ok(Issued { credential, password })
    }

    /// What to prove the password of this login against. A login that does not exist has one, too.
    ///
    /// # Errors
    /// A [`Denial`] when the store does not answer.
    pub async fn candidate(&self, login: &str) -> Result<Candidate, Denial> {
        let found = self.store.credentials().by_login(login).await.map_err(unavailable)?;
        let secret = match &found {
            Some(credential) => Verifier {
                salt: credential.salt.clone(),
                iterations: credential.iterations,
                stored_key: credential.stored_key.clone(),
                server_key: credential.server_key.clone(),
            },
            None => self.secret_of_nobody(login),
        };
        Ok(Candidate { secret, found })
    }

    /// The password is proven: who is it, and what for?
    ///
    /// # Errors
    /// A [`Denial`] that tells expired, revoked and disabled apart; only who knows the password learns which.
    pub async fn proven(&self, candidate: Candidate) -> Result<Proven, Denial> {
        let credential = candidate.found.ok_or_else(login_failed)?;
        if credential.expires_at <= self.clock.now() {
            return Err(expired(credential.expires_at));
        }
        // What could change while the password was being proven is as it is now.
        let found = self.store.admissions().holder(credential.org, credential.id).await.map_err(unavailable)?;
        let Some(Holder { user, role, revoked, token_revoked }) = found else {
            return Err(self.missing(&credential).await?);
        };
        if revoked {
            return Err(taken_away("this credential was revoked"));
        }
        if token_revoked {
            return Err(taken_away("the token of this credential was revoked"));
        }
        if user.disabled {
            return Err(Denial::new("gateway", Code::AccessDenied, "the user of this credential is disabled")
                .hint("ask an administrator"));
        }
        Ok(Proven {
            principal: principal(user),
            role,
            credential: credential.id,
            token: credential.token,
            expires_at: credential.expires_at,
        })
    }

    /// Takes a proven credential away.
    ///
    /// # Errors
    /// A [`Denial`] when the store does not answer.
    pub async fn revoke(&self, candidate: Candidate) -> Result<(), Denial> {
        let Some(credential) = candidate.found else { return Ok(()) };
        let revoked = self.store.credentials().revoke(credential.org, credential.id, None, self.clock.now()).await;
        revoked.map(drop).map_err(unavailable)
    }

    /// Why nobody is found by a credential that was there a moment ago: it went with its user, or its role is gone.
    async fn missing(&self, credential: &Credential) -> Result<Denial, Denial> {
        let still = self.store.credentials().by_login(&credential.login).await.map_err(unavailable)?;
        Ok(match still {
            None => taken_away("this credential was revoked"),
            Some(_) => {
                let reason = "the role that this credential is for does not exist any more";
                Denial::new("gateway", Code::RoleNotFound, reason).hint(NEXT)
            }
        })
    }

    fn secret_of_nobody(&self, login: &str) -> Verifier {
        let derive = |what: &str| hmac::sign(&self.nobody, format!("{what}\0{login}").as_bytes()).as_ref().to_vec();
        let mut salt = derive("salt");
        salt.truncate(16);
        Verifier { salt, iterations: ITERATIONS, stored_key: derive("stored key"), server_key: derive("server key") }
    }
}

const NEXT: &str = "get a new one: hoop connect, or POST /api/v1/roles/{name}/credentials";

fn taken_away(reason: &str) -> Denial {
    Denial::new("gateway", Code::CredentialRevoked, reason).hint(NEXT)
}

/// The answer to a credential after its time.
pub fn expired(at: DateTime<Utc>) -> Denial {
    let at = at.format("%Y-%m-%d %H:%M:%S UTC");
    Denial::new("gateway", Code::CredentialExpired, format!("this credential expired at {at}")).hint(NEXT)
}

/// The one answer to every wrong login.
pub fn login_failed() -> Denial {
    Denial::new("gateway", Code::LoginFailed, "login or password is wrong").hint(NEXT)
}

/// The caller that a user is.
pub fn principal(user: User) -> Principal {
    Principal {
        org: user.org,
        user: user.id,
        kind: user.principal_kind(),
        name: user.name.into(),
        groups: user.groups.into_iter().map(Into::into).collect(),
    }
}

pub(crate) fn keys(password: &str, salt: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let iterations = usize::try_from(ITERATIONS).unwrap_or(usize::MAX);
    let salted = gen_salted_password(password, salt, iterations);
    match ScramSecret::verifier_from_salted_password(salt.to_vec(), salted, iterations) {
        ScramSecret::Verifier { stored_key, server_key, .. } => (stored_key, server_key),
        ScramSecret::SaltedPassword { .. } => (Vec::new(), Vec::new()),
    }
}

/// Five bits a character.
pub(super) fn random_text(characters: usize) -> String {
    (0..characters)
        .map(|_| {
            let random: u8 = rand::random();
            char::from(ALPHABET[usize::from(random) % ALPHABET.len()])
        })
        .collect()
}
