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
//! # Whether it looks for the next message for a while, in place of going to sleep at once: "auto", "on" or "off". Nothing said:
//! # "auto", which does so on virtual machines whose cores sleep at once (guest_halt_poll_ns is 0), with one worker (fewer than
//! # four cores), and without a quota of a control group.
//! busy_poll = "auto"
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
//!
//! # Vault or OpenBao, for references of the form vault:<mount>/<path>#<field>.
//! [secrets.vault]
//! # Without encryption only on this machine.
//! address = "https://vault.internal:8200"
//! # Who may vouch for its certificate, in PEM. Nothing said: the authorities that this machine trusts.
//! ca_file = "/etc/hoop/vault-ca.pem"
//! # The namespace of all paths. Nothing said: none.
//! namespace = "shop"
//! # Paths that a role may name, with everything below them. Nothing said: none.
//! paths = ["secret/shop"]
//! # Versions of key/value mounts for which Vault is not to be asked.
//! mounts = { "secret" = 2 }
//! # One of
//! auth = { method = "approle", role_id = "…", secret_id_file = "/run/secrets/vault-secret-id", mount = "approle" }
//! # auth = { method = "kubernetes", role = "hoop", mount = "kubernetes" }, and jwt_file where it is not the pod's own
//! # auth = { method = "token", file = "/run/secrets/vault-token" }, or env = "VAULT_TOKEN"
//!
//! # AWS Secrets Manager, for references of the form aws-sm:<name or ARN>, with #<key> for one text of a JSON object.
//! # Credentials and region are found as AWS' own tools find them.
//! [secrets.aws]
//! # How names of secrets begin that a role may name, or their ARNs. Nothing said: none.
//! names = ["prod/shop/"]
//! # Where environment and profile do not say it.
//! region = "eu-central-1"
//! profile = "hoop"
//! # Another endpoint than the region's own.
//! endpoint = "https://vpce-0123.secretsmanager.eu-central-1.vpce.amazonaws.com"
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hoop_proto::tunnel::BusyPoll;
use serde::Deserialize;

use crate::builder::AgentBuilder;
#[cfg(feature = "aws")]
use crate::secret::aws;
#[cfg(feature = "vault")]
use crate::secret::vault;
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
    /// Whether it looks for the next message for a while, in place of going to sleep at once.
    pub busy_poll: BusyPoll,
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
    /// Vault or OpenBao, and what of it a role may name.
    #[cfg(feature = "vault")]
    pub vault: Option<vault::Settings>,
    /// What a role may name of AWS Secrets Manager.
    #[cfg(feature = "aws")]
    pub aws: Option<aws::Settings>,
    /// Whether secrets are taken that the gateway keeps.
    pub gateway: bool,
}

impl Default for Secrets {
    fn default() -> Self {
        Self {
            env: Vec::new(),
            folders: Vec::new(),
            #[cfg(feature = "vault")]
            vault: None,
            #[cfg(feature = "aws")]
            aws: None,
            gateway: true,
        }
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
    /// Vault cannot be used as the file says.
    #[cfg(feature = "vault")]
    #[error(transparent)]
    Vault(#[from] vault::SettingsError),
    /// AWS Secrets Manager cannot be used as the file says.
    #[cfg(feature = "aws")]
    #[error(transparent)]
    Aws(#[from] aws::SettingsError),
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
    /// [`ConfigError`] when the key's file cannot be read, or a source of secrets cannot be used.
    pub fn builder(&self) -> Result<AgentBuilder, ConfigError> {
        let mut builder = Agent::builder().key_from_env().busy_poll(self.busy_poll);
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
        Ok(builder.secrets(self.secrets.sources()?))
    }
}

impl Secrets {
    fn sources(&self) -> Result<SecretSources, ConfigError> {
        let mut sources = SecretSources::default();
        for pattern in &self.env {
            sources = sources.allow_env(pattern);
        }
        for folder in &self.folders {
            sources = sources.allow_folder(folder);
        }
        #[cfg(feature = "vault")]
        if let Some(settings) = &self.vault {
            sources = sources.vault(vault::Vault::new(settings.clone())?);
        }
        #[cfg(feature = "aws")]
        if let Some(settings) = &self.aws {
            sources = sources.aws(aws::SecretsManager::new(settings.clone())?);
        }
        Ok(if self.gateway { sources } else { sources.refuse_gateway() })
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documentation of this module is a file that is read.
    #[cfg(all(feature = "vault", feature = "aws"))]
    #[test]
    fn the_documented_file_is_of_the_documented_form() {
        let lines = include_str!("config.rs").lines().map_while(|line| line.strip_prefix("//!"));
        let file: String = lines.skip_while(|line| *line != " ```toml").skip(1).flat_map(|line| [line, "\n"]).collect();
        let file = file.split_once("```").expect("it ends").0;
        let config: Config = toml::from_str(file).unwrap_or_else(|error| panic!("{error}\n{file}"));
        let vault = config.secrets.vault.expect("it is documented");
        assert_eq!((vault.paths.as_slice(), vault.mounts["secret"]), (&["secret/shop".to_owned()][..], 2));
        assert_eq!(config.secrets.aws.expect("it is documented").names, ["prod/shop/"]);
    }

    #[cfg(feature = "vault")]
    #[test]
    fn settings_of_vault_that_allow_too_much_are_refused() {
        let refused = |vault: &str| {
            let file = format!("[secrets.vault]\nauth = {{ method = \"token\", env = \"VAULT_TOKEN\" }}\n{vault}");
            let config: Config = toml::from_str(&file).expect("of the documented form");
            config.secrets.sources().expect_err("refused").to_string()
        };
        let here = "address = \"https://vault.internal\"\n";
        assert!(refused("address = \"http://vault.internal\"").contains("not encrypted"));
        assert!(refused(&format!("{here}paths = [\"/\"]")).contains("empty path"));
        assert!(refused(&format!("{here}mounts = {{ \"secret\" = 3 }}")).contains("version 3"));
        assert!(refused(&format!("{here}ca_file = \"/nowhere.pem\"")).contains("/nowhere.pem"));
    }

    #[test]
    fn unknown_keys_are_refused_with_their_line() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "targets = []\ntagrets = []\n").expect("written");
        let error = Config::load(file.path()).expect_err("a typing error").to_string();
        assert!(error.contains("line 2") && error.contains("tagrets"), "{error}");
    }
}
