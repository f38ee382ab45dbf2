//! A question to the [`Policy`](crate::Policy).

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::principal::Principal;
use crate::role::ResourceRole;

/// How a principal wants to use a role.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessMode {
    /// With a native client, such as psql or ssh.
    Native,
    /// In the web editor or the web terminal.
    Web,
    /// A single command or script, with `hoop exec` or the API.
    Exec,
    /// A prepared script with parameters.
    Runbook,
}

impl AccessMode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Native, Self::Web, Self::Exec, Self::Runbook];

    /// The name as the API and the CLI spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Web => "web",
            Self::Exec => "exec",
            Self::Runbook => "runbook",
        }
    }
}

/// May this principal use this role, in this mode, from here, now?
#[derive(Debug, Clone, Copy)]
pub struct AccessRequest<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// For what.
    pub role: &'a ResourceRole,
    /// To use it how.
    pub mode: AccessMode,
    /// From which address, where one is known.
    pub source: Option<IpAddr>,
    /// When.
    pub at: DateTime<Utc>,
    /// What for, in the caller's own words, where it was said.
    pub reason: Option<&'a str>,
    /// Since when the session runs that is asked about; `None` for one that is to be opened.
    pub since: Option<DateTime<Utc>>,
}
