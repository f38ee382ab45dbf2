//! Requests that act once, however often they are sent.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hoop_core::id::{OrgId, UserId};

use super::Result;

/// A request that wants to be the only one with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The organisation.
    pub org: OrgId,
    /// Whose key it is: two users may use the same.
    pub user: UserId,
    /// The key, as the caller chose it.
    pub key: String,
    /// Keyed hash of the request. It must tell nothing to who has a copy of the store.
    pub request: [u8; 32],
    /// Now.
    pub at: DateTime<Utc>,
    /// Until when the key stands for this request.
    pub expires_at: DateTime<Utc>,
}

/// What an earlier request with the key was, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// Its keyed hash.
    pub request: [u8; 32],
    /// When it came.
    pub at: DateTime<Utc>,
    /// Its answer; none while it runs, or when the gateway died before it was answered.
    pub answer: Option<KeptAnswer>,
}

/// An answer, to be given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Names and values of the headers that belong to it.
    pub headers: Vec<(String, String)>,
    /// The body. There is none where the answer held a secret: the store keeps no secret that it only showed.
    pub body: Option<Vec<u8>>,
}

/// Requests that act once.
#[async_trait]
pub trait Idempotency: Send + Sync {
    /// Takes a key, unless a request has it that did not expire: then that one is told. Of several at once, exactly one
    /// gets it. What has expired is forgotten on the way.
    async fn claim(&self, claim: &Claim) -> Result<Option<Earlier>>;
    /// Keeps the answer of the request that has the key.
    async fn answer(&self, org: OrgId, user: UserId, key: &str, answer: &KeptAnswer) -> Result<()>;
    /// Gives a key back whose request did nothing.
    async fn release(&self, org: OrgId, user: UserId, key: &str) -> Result<()>;
}

const _: Option<&dyn Idempotency> = None;
