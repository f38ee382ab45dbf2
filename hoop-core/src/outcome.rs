//! How a session ended. Every session has exactly one outcome, also when a process dies.

use crate::error::{Code, Denial};

/// The one outcome of a session.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The client ended it in its protocol's own way.
    Completed,
    /// The client went away without a word.
    ClientLost,
    /// It was refused before it ran.
    Denied(Denial),
    /// It was ended while it ran: killed, expired, a limit, a plugin that failed.
    Ended(Denial),
    /// The agent went away.
    AgentLost(Denial),
    /// The target ended it or went away.
    TargetLost(Denial),
    /// The gateway that ran it died; written when another one, or the next start, finds the orphan.
    GatewayLost,
    /// It was dropped without being closed, which is a bug.
    Aborted,
}

impl Outcome {
    /// The stable text of the outcome.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::ClientLost => "client_lost",
            Self::Denied(_) => "denied",
            Self::Ended(denial) => match denial.code {
                Code::SessionKilled => "killed",
                Code::SessionExpired => "expired",
                Code::AccessRevoked => "revoked",
                Code::GatewayDraining => "drained",
                _ => "ended",
            },
            Self::AgentLost(_) => "agent_lost",
            Self::TargetLost(_) => "target_lost",
            Self::GatewayLost => "gateway_lost",
            Self::Aborted => "aborted",
        }
    }

    /// The refusal or failure behind it, where there is one.
    pub const fn denial(&self) -> Option<&Denial> {
        match self {
            Self::Denied(denial) | Self::Ended(denial) | Self::AgentLost(denial) | Self::TargetLost(denial) => {
                Some(denial)
            }
            Self::Completed | Self::ClientLost | Self::GatewayLost | Self::Aborted => None,
        }
    }
}

impl From<Denial> for Outcome {
    /// The outcome of a running session that ends for this reason.
    fn from(denial: Denial) -> Self {
        match denial.code {
            Code::AgentLost => Self::AgentLost(denial),
            Code::TargetLost => Self::TargetLost(denial),
            _ => Self::Ended(denial),
        }
    }
}
