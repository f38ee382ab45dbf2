//! The agent's configuration file.
//!
//! ```toml
//! # Where the gateway is, and who this agent is. Better in the environment: HOOP_KEY.
//! key_file = "/etc/hoop/agent.key"
//! # Who may vouch for the gateway's certificate, in PEM; also HOOP_CA_FILE. Nothing said: the authorities that browsers
//! # trust. A key that pins a self-signed certificate needs none.
//! ca_file = "/etc/hoop/ca.pem"
//! # The only targets that are ever dialled, whatever the gateway asks for. Nothing said: any.
//! targets = ["db.internal:5432", "10.0.*:5432"]
//! # How long running channels may take to end at shutdown.
//! grace_seconds = 30
//!
//! [labels]
//! site = "fra1"
//!
//! [secrets]
//! # Environment variables that a role may name. Nothing said: HOOP_SECRET_*.
//! env = ["SHOP_*"]
//! # Folders with files that a role may name. Nothing said: none.
//! folders = ["/run/secrets"]
//! # Whether secrets are taken that the gateway keeps. Nothing said: true.
//! gateway = true
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::builder::AgentBuilder;
use crate::{Agent, SecretSources};

/// The configuration. Unknown keys are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// File that holds the key, where it is not in `HOOP_KEY`.
    pub key_file: Option<PathBuf>,
    /// PEM file of the authorities that may vouch for the gateway, where it is not in `HOOP_CA_FILE`.
    pub ca_file: Option<PathBuf>,
    /// The only targets that are ever dialled.
    pub targets: Vec<String>,
    /// How long running channels may take to end at shutdown, in seconds.
    pub grace_seconds: Option<u64>,
    /// For people and rules to select by.
    pub labels: BTreeMap<String, String>,
    /// Where secrets may be read from.
    pub secrets: Secrets,
}

/// Where secrets may be read from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// Environment variables that a role may name.
    pub env: Vec<String>,
    /// Folders with files that a role may name.
    pub folders: Vec<PathBuf>,
    /// Whether secrets are taken that the gateway keeps.
    pub gateway: bool,
}

impl Default for Secrets {
    fn default() -> Self {
        Self { env: Vec::new(), folders: Vec::new(), gateway: true }
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not of the documented form.
    #[error("{} is not valid:\n{source}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Line and key.
        source: Box<toml::de::Error>,
    },
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, and the line where one is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        toml::from_str(&text).map_err(|source| ConfigError::Form { path: path.to_owned(), source: Box::new(source) })
    }

    /// An agent's builder with everything that the file says; `HOOP_KEY` comes before `key_file`, and `HOOP_CA_FILE`
    /// before `ca_file`.
    ///
    /// # Errors
    /// [`ConfigError`] when the key's file cannot be read.
    pub fn builder(&self) -> Result<AgentBuilder, ConfigError> {
        let mut builder = Agent::builder().key_from_env();
        if std::env::var_os("HOOP_KEY").is_none_or(|key| key.is_empty())
            && let Some(path) = &self.key_file
        {
            builder = builder.key(read(path)?.trim());
        }
        if let Some(path) = &self.ca_file {
            builder = builder.ca_file(path);
        }
        builder = builder.ca_file_from_env();
        for (name, value) in &self.labels {
            builder = builder.label(name, value);
        }
        for target in &self.targets {
            builder = builder.allow_target(target);
        }
        let mut sources = SecretSources::default();
        for pattern in &self.secrets.env {
            sources = sources.allow_env(pattern);
        }
        for folder in &self.secrets.folders {
            sources = sources.allow_folder(folder);
        }
        if !self.secrets.gateway {
            sources = sources.refuse_gateway();
        }
        Ok(builder.secrets(sources))
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_refused_with_their_line() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "targets = []\ntagrets = []\n").expect("written");
        let error = Config::load(file.path()).expect_err("a typing error").to_string();
        assert!(error.contains("line 2") && error.contains("tagrets"), "{error}");
    }
}
