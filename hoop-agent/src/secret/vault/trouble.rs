//! Why a secret cannot be had from Vault, and what to do next.

use super::super::unavailable;
use crate::error::TargetFailure;

/// What can go wrong between agent and Vault. None of it quotes what Vault says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No connection, no TLS, or no answer in time.
    Unreachable(String),
    /// It is sealed.
    Sealed,
    /// It answers, and cannot serve: the HTTP status.
    Unready(u16),
    /// It points elsewhere.
    Redirected,
    /// It answers more than is read.
    TooLong,
    /// Its answer is not of the form that it documents.
    Odd,
    /// The agent has nothing to log in with: what and why.
    NoLogin(String),
    /// The token is none.
    NoToken,
    /// It does not know the agent.
    LoginRefused,
    /// It does not let the agent read this path.
    Denied(String),
    /// It has no such mount, or does not let the agent read anything in it.
    NoMount,
    /// There is no such secret.
    Missing,
    /// The newest version is deleted.
    Deleted,
    /// There is no such field: which there is not.
    NoField(String),
    /// The field is no text.
    NoText(String),
    /// The mount is of another kind.
    NoKeyValue(String),
}

impl Trouble {
    /// As people see it. `reference` is as in the role; `vault` is its address.
    pub(super) fn into_failure(self, reference: &str, vault: &str) -> TargetFailure {
        let (why, hint) = self.words(vault);
        unavailable(format!("the secret {reference} cannot be read: {why}")).hint(hint)
    }

    /// What happened, and what to do next.
    pub(super) fn words(self, vault: &str) -> (String, String) {
        let network = "check secrets.vault.address and ca_file in the agent's configuration, and the network between \
                       agent and Vault";
        let operator = "ask whoever runs Vault";
        match self {
            Self::Unreachable(why) => (format!("Vault at {vault} cannot be reached: {why}"), network.to_owned()),
            Self::Sealed => (format!("Vault at {vault} is sealed"), format!("{operator} to unseal it")),
            Self::Unready(status) => {
                (format!("Vault at {vault} cannot serve now (status {status})"), format!("try again, or {operator}"))
            }
            Self::Redirected => {
                let hint =
                    "name the active node or a load balancer as secrets.vault.address in the agent's configuration";
                (
                    format!("Vault at {vault} points to another address, which the agent does not follow"),
                    hint.to_owned(),
                )
            }
            Self::TooLong => {
                (format!("Vault at {vault} answers more than a secret can be"), "make it smaller".to_owned())
            }
            Self::Odd => (format!("what answers at {vault} is not Vault"), network.to_owned()),
            Self::NoLogin(what) => (what, "check secrets.vault.auth in the agent's configuration".to_owned()),
            Self::NoToken => {
                let hint = "check secrets.vault.auth in the agent's configuration";
                ("the agent's token for Vault is none".to_owned(), hint.to_owned())
            }
            Self::LoginRefused => {
                let hint =
                    "check secrets.vault.auth in the agent's configuration; what the agent logs in with may be over";
                (format!("Vault at {vault} refuses the agent's login"), hint.to_owned())
            }
            Self::Denied(path) => {
                let hint = format!("give the agent's token a policy with `read` on {path}");
                (format!("Vault at {vault} does not let the agent read it"), hint)
            }
            Self::NoMount => {
                let why = format!("Vault at {vault} has no such mount, or lets the agent read nothing in it");
                (why, "check the path in the role, and the policies of the agent's token".to_owned())
            }
            Self::Missing => {
                (format!("there is none at this path of Vault at {vault}"), "check the path in the role".to_owned())
            }
            Self::Deleted => {
                ("its newest version is deleted".to_owned(), "write it anew, or undelete the version".to_owned())
            }
            Self::NoField(field) => {
                (format!("it has no field {field}"), "check what comes after # in the role".to_owned())
            }
            Self::NoText(field) => {
                (format!("its field {field} is no text, or too long"), "write it as a text".to_owned())
            }
            Self::NoKeyValue(kind) => {
                let why = format!("it lies in a mount of the kind {kind}, and only those of the kind kv are read");
                (why, "name a path of a key/value mount in the role".to_owned())
            }
        }
    }
}
