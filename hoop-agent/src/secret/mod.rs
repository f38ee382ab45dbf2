//! Secrets by reference: a role names where its secret lies, and only the agent looks.
//!
//! A gateway is not trusted with the agent's machine: it may only name what the agent's owner allows. Without more said,
//! that is environment variables named `HOOP_SECRET_*`, and no file.

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(any(feature = "vault", feature = "aws"))]
mod json;
#[cfg(all(test, any(feature = "vault", feature = "aws")))]
mod server;
#[cfg(feature = "vault")]
pub mod vault;

use std::path::{Path, PathBuf};

use hoop_core::role::matches_wildcard;
use hoop_core::{Code, Secret};
use hoop_proto::tunnel::v1::SuppliedSecret;

use crate::error::TargetFailure;

/// The longest secret that is read.
const MAX_SECRET_BYTES: usize = 64 * 1024;

/// Where secrets may be read from.
#[derive(Debug, Clone)]
pub struct SecretSources {
    env: Vec<String>,
    folders: Vec<PathBuf>,
    #[cfg(feature = "vault")]
    vault: Option<vault::Vault>,
    #[cfg(feature = "aws")]
    aws: Option<aws::SecretsManager>,
    gateway: bool,
}

impl Default for SecretSources {
    fn default() -> Self {
        Self {
            env: vec!["HOOP_SECRET_*".to_owned()],
            folders: Vec::new(),
            #[cfg(feature = "vault")]
            vault: None,
            #[cfg(feature = "aws")]
            aws: None,
            gateway: true,
        }
    }
}

impl SecretSources {
    /// Allows environment variables whose name matches the pattern, in which `*` stands for any run of characters.
    #[must_use]
    pub fn allow_env(mut self, pattern: impl Into<String>) -> Self {
        self.env.push(pattern.into());
        self
    }

    /// Allows files below the folder.
    #[must_use]
    pub fn allow_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.push(folder.into());
        self
    }

    /// Reads what this Vault allows.
    #[cfg(feature = "vault")]
    #[must_use]
    pub fn vault(mut self, vault: vault::Vault) -> Self {
        self.vault = Some(vault);
        self
    }

    /// Reads what this allows of AWS Secrets Manager.
    #[cfg(feature = "aws")]
    #[must_use]
    pub fn aws(mut self, secrets: aws::SecretsManager) -> Self {
        self.aws = Some(secrets);
        self
    }

    /// Refuses secrets that the gateway keeps: only those that lie with the agent are used.
    #[must_use]
    pub const fn refuse_gateway(mut self) -> Self {
        self.gateway = false;
        self
    }

    /// The secret for a field of the target: what its reference names, or else what the gateway supplies for it.
    pub(crate) async fn find(
        &self,
        field: &str,
        reference: &str,
        supplied: &[SuppliedSecret],
    ) -> Result<Option<Secret<Vec<u8>>>, TargetFailure> {
        if !reference.is_empty() {
            return self.resolve(reference).await;
        }
        let Some(secret) = supplied.iter().find(|secret| secret.field == field) else { return Ok(None) };
        if !self.gateway {
            let reason = format!("the agent takes no secrets from the gateway, and the role's {field} is kept there");
            return Err(unavailable(reason)
                .hint("name a reference in the role, or allow it in the agent's configuration: secrets.gateway"));
        }
        Ok(Some(Secret::new(secret.value.clone().into_bytes())))
    }

    /// The secret that the reference names, or `None` for an empty reference.
    async fn resolve(&self, reference: &str) -> Result<Option<Secret<Vec<u8>>>, TargetFailure> {
        if reference.is_empty() {
            return Ok(None);
        }
        match reference.split_once(':') {
            Some(("env", name)) => self.env(name).map(Some),
            Some(("file", path)) => self.file(Path::new(path)).await.map(Some),
            Some(("vault", text)) => self.in_vault(reference, text).await.map(Some),
            Some(("aws-sm", text)) => self.in_aws(reference, text).await.map(Some),
            _ => {
                let reason = "the role's secret is not a reference of the kind env:, file:, vault: or aws-sm:";
                Err(TargetFailure::new(Code::SecretUnavailable, reason)
                    .hint("name where the agent finds it, for example env:HOOP_SECRET_SHOP"))
            }
        }
    }

    /// Keeps the agent logged in where it has to be, for as long as it is polled.
    #[allow(clippy::unused_async, reason = "a build without Vault has nothing to do")]
    pub(crate) async fn keep(&self) {
        #[cfg(feature = "vault")]
        if let Some(vault) = &self.vault {
            vault.keep().await;
        }
    }

    #[cfg(feature = "vault")]
    async fn in_vault(&self, reference: &str, text: &str) -> Result<Secret<Vec<u8>>, TargetFailure> {
        let Some(vault) = &self.vault else {
            return Err(unavailable(format!("the secret {reference} lies in Vault, and the agent knows of none"))
                .hint("name one in the agent's configuration: secrets.vault"));
        };
        vault.read(reference, text).await
    }

    #[cfg(not(feature = "vault"))]
    #[allow(clippy::unused_async, reason = "as with the feature")]
    async fn in_vault(&self, _: &str, _: &str) -> Result<Secret<Vec<u8>>, TargetFailure> {
        Err(unavailable("this agent reads no secrets from Vault"))
    }

    #[cfg(feature = "aws")]
    async fn in_aws(&self, reference: &str, text: &str) -> Result<Secret<Vec<u8>>, TargetFailure> {
        let Some(secrets) = &self.aws else {
            let reason = format!("the secret {reference} lies in AWS, and the agent may read none there");
            return Err(unavailable(reason).hint("allow it in the agent's configuration: secrets.aws"));
        };
        secrets.read(reference, text).await
    }

    #[cfg(not(feature = "aws"))]
    #[allow(clippy::unused_async, reason = "as with the feature")]
    async fn in_aws(&self, _: &str, _: &str) -> Result<Secret<Vec<u8>>, TargetFailure> {
        Err(unavailable("this agent reads no secrets from AWS"))
    }

    fn env(&self, name: &str) -> Result<Secret<Vec<u8>>, TargetFailure> {
        if !cfg!(feature = "secret-env") {
            return Err(unavailable("this agent reads no secrets from the environment"));
        }
        if !self.env.iter().any(|pattern| matches_wildcard(pattern, name)) {
            return Err(unavailable(format!("the agent does not allow the environment variable {name}"))
                .hint("allow it in the agent's configuration: secrets.env"));
        }
        let value = std::env::var(name)
            .map_err(|_| unavailable(format!("the environment variable {name} is not set where the agent runs")))?;
        Ok(Secret::new(value.into_bytes()))
    }

    async fn file(&self, path: &Path) -> Result<Secret<Vec<u8>>, TargetFailure> {
        if !cfg!(feature = "secret-file") {
            return Err(unavailable("this agent reads no secrets from files"));
        }
        let shown = path.display();
        let unreadable =
            |error: std::io::Error| unavailable(format!("the secret file {shown} cannot be read: {error}"));
        // Links are followed before the folder is compared, so that none leads out of it.
        let real = tokio::fs::canonicalize(path).await.map_err(unreadable)?;
        if !self.allows_file(&real).await {
            return Err(unavailable(format!("the agent does not allow the secret file {shown}"))
                .hint("allow its folder in the agent's configuration: secrets.folders"));
        }
        let length = tokio::fs::metadata(&real).await.map_err(unreadable)?.len();
        if length > MAX_SECRET_BYTES as u64 {
            return Err(unavailable(format!("the secret file {shown} is longer than {MAX_SECRET_BYTES} bytes")));
        }
        let mut value = tokio::fs::read(&real).await.map_err(unreadable)?;
        while value.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            value.pop();
        }
        Ok(Secret::new(value))
    }

    async fn allows_file(&self, real: &Path) -> bool {
        for folder in &self.folders {
            if tokio::fs::canonicalize(folder).await.is_ok_and(|folder| real.starts_with(folder)) {
                return true;
            }
        }
        false
    }
}

fn unavailable(reason: impl Into<String>) -> TargetFailure {
    TargetFailure::new(Code::SecretUnavailable, reason)
}

#[cfg(all(test, feature = "secret-file"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_outside_of_the_folders_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let other = tempfile::tempdir().expect("a folder");
        let (inside, outside) = (folder.path().join("pw"), other.path().join("pw"));
        std::fs::write(&inside, "s3cret\n").expect("written");
        std::fs::write(&outside, "other").expect("written");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&outside, &link).expect("linked");
        let sources = SecretSources::default().allow_folder(folder.path());
        let read = async |path: &Path| sources.resolve(&format!("file:{}", path.display())).await;
        assert_eq!(read(&inside).await.expect("allowed").expect("a secret").expose(), b"s3cret");
        assert_eq!(read(&outside).await.expect_err("not allowed").code, Code::SecretUnavailable);
        assert!(read(&link).await.is_err(), "a link that leads outside");
    }

    #[tokio::test]
    async fn what_the_gateway_supplies_is_used_where_nothing_is_named_and_it_is_wanted() {
        let supplied = [SuppliedSecret { field: "password".to_owned(), value: "s3cret".to_owned() }];
        let sources = SecretSources::default();
        let found = async |sources: &SecretSources, field: &str, reference: &str| {
            let found = sources.find(field, reference, &supplied).await?;
            Ok::<_, TargetFailure>(found.map(|secret| secret.expose().clone()))
        };
        assert_eq!(found(&sources, "password", "").await.expect("taken").as_deref(), Some(b"s3cret".as_slice()));
        assert_eq!(found(&sources, "sslkey", "").await.expect("none"), None);
        assert!(found(&sources, "password", "env:HOOP_KEY").await.is_err(), "what is named is meant");
        let refusing = sources.refuse_gateway();
        let refused = found(&refusing, "password", "").await.expect_err("not wanted");
        assert_eq!(refused.code, Code::SecretUnavailable);
        assert!(
            !refused.reason.contains("s3cret") && refused.hint.is_some_and(|hint| hint.contains("secrets.gateway"))
        );
    }

    #[tokio::test]
    async fn what_the_agent_knows_nothing_of_is_not_read() {
        for reference in ["vault:secret/shop#password", "aws-sm:prod/shop"] {
            let refused = SecretSources::default().resolve(reference).await.expect_err("nothing is configured");
            assert_eq!(refused.code, Code::SecretUnavailable, "{reference}");
        }
    }

    #[tokio::test]
    async fn only_allowed_variables_are_read() {
        let sources = SecretSources::default();
        assert!(sources.resolve("env:PATH").await.is_err());
        assert!(sources.resolve("env:HOOP_KEY").await.is_err());
        assert!(sources.clone().allow_env("PATH").resolve("env:PATH").await.is_ok());
        assert!(sources.resolve("hunter2").await.is_err());
        assert!(sources.resolve("").await.expect("none").is_none());
    }
}
