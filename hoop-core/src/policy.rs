//! Authorization: who may use which role, how, and under which obligations.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::access::AccessRequest;
use crate::error::Denial;

/// Decides about access. A vendor's own replaces the gateway's default.
///
/// ```
/// use async_trait::async_trait;
/// use hoop_core::{AccessRequest, Code, Decision, Denial, Obligations, Policy, PolicyError};
///
/// /// Everyone may use the roles that are labelled `env=dev`.
/// struct DevOnly;
///
/// #[async_trait]
/// impl Policy for DevOnly {
///     async fn decide(&self, ask: &AccessRequest<'_>) -> Result<Decision, PolicyError> {
///         if ask.role.labels.get("env").is_some_and(|env| env == "dev") {
///             return Ok(Decision::Allow(Obligations::default()));
///         }
///         let reason = format!("{} is not a development role", ask.role.name);
///         Ok(Decision::Deny(Denial::new("dev-only", Code::AccessDenied, reason)))
///     }
/// }
/// ```
#[async_trait]
pub trait Policy: Send + Sync {
    /// Answers one question. Called when a session opens, before anything is sent to the target, and again and again
    /// while it runs: one that is not allowed any more is ended.
    ///
    /// # Errors
    /// [`PolicyError`] when no answer can be found; the session is then denied.
    async fn decide(&self, ask: &AccessRequest<'_>) -> Result<Decision, PolicyError>;

    /// Answers the questions of all sessions that run, in their order. It is asked every few seconds: a policy that looks
    /// things up does so once for all of them.
    ///
    /// # Errors
    /// [`PolicyError`] when no answer can be found; the sessions go on until there is one.
    async fn decide_all(&self, asks: &[AccessRequest<'_>]) -> Result<Vec<Decision>, PolicyError> {
        let mut decisions = Vec::with_capacity(asks.len());
        for ask in asks {
            decisions.push(self.decide(ask).await?);
        }
        Ok(decisions)
    }
}

const _: Option<&dyn Policy> = None;

/// The answer of a [`Policy`].
#[derive(Debug, Clone)]
pub enum Decision {
    /// Yes, under these obligations.
    Allow(Obligations),
    /// No.
    Deny(Denial),
}

/// What comes with an allowance. Whoever opens the session sees to it that it is met: what is not met is a refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obligations {
    /// The rule that allows it, where the policy has rules.
    pub rule: Option<Arc<str>>,
    /// Whether the caller must say what for.
    pub reason: bool,
    /// The group of which somebody must agree before.
    pub review: Option<Arc<str>>,
    /// The session ends at this time at the latest.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A policy could not be evaluated.
#[derive(Debug, thiserror::Error)]
#[error("the access policy could not be evaluated")]
pub struct PolicyError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
