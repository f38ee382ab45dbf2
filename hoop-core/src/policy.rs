//! Authorization: who may use which role, how, and under which obligations.

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
    /// Answers one question. Called when a session opens, before anything is sent to the target.
    ///
    /// # Errors
    /// [`PolicyError`] when no answer can be found; the session is then denied.
    async fn decide(&self, ask: &AccessRequest<'_>) -> Result<Decision, PolicyError>;
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

/// What comes with an allowance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obligations {
    /// The session ends at this time at the latest.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A policy could not be evaluated.
#[derive(Debug, thiserror::Error)]
#[error("the access policy could not be evaluated")]
pub struct PolicyError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
