//! What can go wrong.

use bytes::Bytes;
use hoop_core::Code;
use hoop_proto::tunnel::v1::Failure;

/// The agent could not attach to its gateway.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The gateway does not answer, or not with the certificate that the key names.
    #[error("gateway {address} cannot be reached")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the network or TLS said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The gateway refuses the key.
    #[error("the gateway refuses this agent's key: {0}")]
    Refused(String),
    /// Gateway and agent have no version of the tunnel in common.
    #[error("gateway and agent do not fit: {0}")]
    Version(String),
    /// The link ended before the agent was welcomed.
    #[error("the link ended before the agent was attached: {0}")]
    Link(String),
    /// The system gives no thread for the link.
    #[error("the agent cannot start the thread of its link")]
    Thread(#[source] std::io::Error),
}

impl ConnectError {
    /// Whether trying again at once is pointless: somebody has to change something first.
    pub const fn is_lasting(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Version(_))
    }
}

/// A target could not be reached, or does not let the agent in.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct TargetFailure {
    /// The stable code.
    pub code: Code,
    /// One lower-case clause for the user.
    pub reason: String,
    /// What to do next.
    pub hint: Option<String>,
    /// The target's own error as it came, where there is one.
    pub target_error: Bytes,
}

impl TargetFailure {
    pub(crate) fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), hint: None, target_error: Bytes::new() }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn into_wire(self) -> Failure {
        Failure {
            code: self.code.as_str().to_owned(),
            reason: self.reason,
            hint: self.hint.unwrap_or_default(),
            target_error: self.target_error,
        }
    }
}
