//! Tokens, behind a prefix that secret scanners find. Only their SHA-256 is stored, so that a copy of the store lets nobody
//! in.
//!
//! An API token is 256 random bits. An agent's token also says whose it is, and the gateway signs it with Ed25519: what was
//! made up is told from what was revoked without asking the store, and in the base64 of `hoopk_…` there are
//!
//! | bytes | meaning |
//! | --- | --- |
//! | 0–15 | the organisation's UUID |
//! | 16–31 | the agent's UUID |
//! | 32–63 | random |
//! | 64–127 | signature of `hoop agent token 1`, a zero byte, and bytes 0–63 |

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hoop_core::id::{AgentId, OrgId};
use hoop_core::{Clock, Code, Denial, Secret};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::store::{Store, StoreError};
use crate::tunnel::{AgentAuthenticator, AgentIdentity};

/// Prefix of an agent's token.
pub const AGENT_PREFIX: &str = "hoopk_";
/// Prefix of an API token.
pub const API_PREFIX: &str = "hoopt_";

/// Prefix of the code that a device asks for its token with.
const DEVICE_PREFIX: &str = "hoopd_";
/// Prefix of the code that a browser brings.
const CODE_PREFIX: &str = "hoopc_";

/// A new API token, and the hash to store.
pub fn generate() -> (Secret<String>, [u8; 32]) {
    generate_with(API_PREFIX)
}

/// A new code for a device, and the hash to store.
pub(super) fn device_code() -> (Secret<String>, [u8; 32]) {
    generate_with(DEVICE_PREFIX)
}

/// A new code for a browser to bring, and the hash to store.
pub(super) fn authorization_code() -> (Secret<String>, [u8; 32]) {
    generate_with(CODE_PREFIX)
}

fn generate_with(prefix: &str) -> (Secret<String>, [u8; 32]) {
    let random: [u8; 32] = rand::random();
    let token = format!("{prefix}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
    let hash = hash(&token);
    (Secret::new(token), hash)
}

/// The hash under which a token is stored. A random token needs no slow hash.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Makes agents' tokens, and verifies them against the store.
pub struct AgentTokens {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    key: SigningKey,
}

/// What the signature is over, before the token's own bytes.
const CONTEXT: &[u8] = b"hoop agent token 1\0";
const SIGNED: usize = 64;

impl AgentTokens {
    /// Tokens that this key signs, of agents that this store knows.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, key: SigningKey) -> Self {
        Self { store, clock, key }
    }

    /// A new token for an agent, and the hash to store.
    pub fn issue(&self, org: OrgId, agent: AgentId) -> (Secret<String>, [u8; 32]) {
        let random: [u8; 32] = rand::random();
        let mut bytes = [org.as_uuid().into_bytes(), agent.as_uuid().into_bytes()].concat();
        bytes.extend_from_slice(&random);
        let signature = self.key.sign(&[CONTEXT, bytes.as_slice()].concat());
        bytes.extend_from_slice(&signature.to_bytes());
        let token = format!("{AGENT_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let hash = hash(&token);
        (Secret::new(token), hash)
    }
}

#[async_trait]
impl AgentAuthenticator for AgentTokens {
    async fn authenticate(&self, token: &Secret<String>) -> Result<AgentIdentity, Denial> {
        let refused = || {
            Denial::new("gateway", Code::LoginFailed, "the agent's key is unknown or was revoked")
                .hint("register the agent again and set its HOOP_KEY")
        };
        let (org, id) = signed_by(&self.key.verifying_key(), token.expose()).ok_or_else(refused)?;
        let hash = hash(token.expose());
        let agent = self.store.agents().by_token(&hash).await.map_err(unavailable)?;
        let agent = agent
            .filter(|agent| agent.admits(&hash, self.clock.now()) && (agent.org, agent.id) == (org, id))
            .ok_or_else(refused)?;
        if let Err(error) = self.store.agents().seen(agent.org, agent.id, self.clock.now()).await {
            tracing::warn!(
                agent = agent.name,
                error = &error as &dyn std::error::Error,
                "last seen could not be noted"
            );
        }
        Ok(AgentIdentity { org: agent.org, id: agent.id, name: agent.name.into() })
    }

    async fn still_good(&self, token_hash: &[u8; 32]) -> Result<bool, Denial> {
        let agent = self.store.agents().by_token(token_hash).await.map_err(unavailable)?;
        Ok(agent.is_some_and(|agent| agent.admits(token_hash, self.clock.now())))
    }
}

/// Whose token it is, when this key signed it.
fn signed_by(key: &VerifyingKey, token: &str) -> Option<(OrgId, AgentId)> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token.strip_prefix(AGENT_PREFIX)?).ok()?;
    let (signed, signature) = bytes.split_at_checked(SIGNED)?;
    let signature = Signature::from_slice(signature).ok()?;
    key.verify_strict(&[CONTEXT, signed].concat(), &signature).ok()?;
    let uuid = |range| Uuid::from_slice(signed.get(range)?).ok();
    Some((OrgId::from_uuid(uuid(0..16)?), AgentId::from_uuid(uuid(16..32)?)))
}

/// The refusal for everyone while the store does not answer.
pub(crate) fn unavailable(error: StoreError) -> Denial {
    Denial::new("gateway", Code::StoreUnavailable, "the gateway cannot reach its store")
        .hint("try again later")
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Agent, SqlStore};
    use hoop_core::SystemClock;

    #[tokio::test]
    async fn a_token_is_good_until_it_is_changed_rotated_or_revoked() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("hoop.db").display());
        let store: Arc<dyn Store> = Arc::new(SqlStore::open(&url).await.expect("a store"));
        let tokens = AgentTokens::new(Arc::clone(&store), Arc::new(SystemClock), SigningKey::from_bytes(&[7; 32]));
        let id = AgentId::new(&SystemClock);
        let (token, token_hash) = tokens.issue(OrgId::DEFAULT, id);
        assert!(tokens.authenticate(&token).await.is_err(), "not stored");
        let agent = Agent {
            org: OrgId::DEFAULT,
            id,
            name: "here".to_owned(),
            token_hash,
            old_key: None,
            revoked_at: None,
            last_seen_at: None,
            created_at: SystemClock.now(),
        };
        store.agents().create(&agent).await.expect("stored");
        assert_eq!(tokens.authenticate(&token).await.expect("good").id, id);
        for at in [0, 6, 40, 100, 170] {
            let mut changed = token.expose().clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = Secret::new(String::from_utf8(changed).expect("ascii"));
            assert!(signed_by(&tokens.key.verifying_key(), changed.expose()).is_none(), "byte {at}");
            assert!(tokens.authenticate(&changed).await.is_err());
        }
        let (next, next_hash) = tokens.issue(OrgId::DEFAULT, id);
        store.agents().rotate(OrgId::DEFAULT, id, &next_hash, None).await.expect("rotated");
        assert!(tokens.authenticate(&token).await.is_err() && tokens.authenticate(&next).await.is_ok());
        store.agents().revoke(OrgId::DEFAULT, id, SystemClock.now()).await.expect("revoked");
        assert!(tokens.authenticate(&next).await.is_err());
        assert!(
            store
                .agents()
                .by_name(OrgId::DEFAULT, "here")
                .await
                .expect("there")
                .is_some_and(|agent| agent.last_seen_at.is_some())
        );
    }
}
