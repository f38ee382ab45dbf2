//! Vault, and OpenBao, which has the same API: secrets of its key/value engine, version 1 and 2.
//!
//! A secret is read when it is used, and not kept: what is changed in Vault holds for the next session.

mod client;
mod login;
mod reference;
mod trouble;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hoop_core::{Code, Secret};
use serde::Deserialize;

use super::json::{Found, find};
use super::{MAX_SECRET_BYTES, unavailable};
use crate::error::TargetFailure;
use client::{Answer, Client};
pub use login::Auth;
use login::Tokens;
use reference::{Reference, below};
use trouble::Trouble;

/// How long a secret may take, with all calls that it needs. Less than the gateway waits for, so that it is told what it
/// waited for.
const DEADLINE: Duration = Duration::from_secs(8);
/// The pause after a login that failed.
const PAUSE: Duration = Duration::from_secs(15);

/// How Vault is reached, and what a role may name of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Its URL. Without encryption only on this machine.
    pub address: String,
    /// PEM file of the only authorities that may vouch for it; without one, those that this machine trusts.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The namespace of all paths.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Paths that a role may name, with everything below them; each begins with its mount.
    #[serde(default)]
    pub paths: Vec<String>,
    /// The version of the engine, 1 or 2, of mounts for which Vault is not to be asked.
    #[serde(default)]
    pub mounts: BTreeMap<String, u8>,
    /// How the agent logs in.
    pub auth: Auth,
}

/// The settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("secrets.vault: {0}")]
pub struct SettingsError(String);

/// A Vault that secrets are read from. Copies share one login.
#[derive(Debug, Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    address: String,
    paths: Vec<String>,
    mounts: BTreeMap<String, u8>,
    client: Arc<Client>,
    tokens: Tokens,
}

impl Vault {
    /// Nothing is dialled yet.
    ///
    /// # Errors
    /// [`SettingsError`] names what is wrong.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let Settings { address, ca_file, namespace, paths, mounts, auth } = settings;
        if paths.iter().any(|path| path.trim_matches('/').is_empty()) {
            return Err(SettingsError("an empty path would allow all of them; name a mount at least".to_owned()));
        }
        if let Some((mount, version)) = mounts.iter().find(|(_, version)| !matches!(version, 1 | 2)) {
            return Err(SettingsError(format!("mount {mount} cannot have version {version}; there are 1 and 2")));
        }
        if matches!(&auth, Auth::Token { file: None, env: None }) {
            return Err(SettingsError("auth names neither a file nor an environment variable with a token".to_owned()));
        }
        let client = Client::new(&address, ca_file.as_deref(), namespace.as_deref()).map_err(SettingsError)?;
        let client = Arc::new(client);
        let tokens = Tokens::new(auth, Arc::clone(&client));
        Ok(Self { inner: Arc::new(Inner { address, paths, mounts, client, tokens }) })
    }

    /// The secret that `reference` names, which is `vault:` and `text`.
    pub(super) async fn read(&self, reference: &str, text: &str) -> Result<Secret<Vec<u8>>, TargetFailure> {
        let Some(parsed) = Reference::parse(text) else {
            let hint = "name it as vault:<mount>/<path>#<field>, for example vault:secret/shop/db#password";
            return Err(unavailable(format!("{reference:?} names no secret in Vault")).hint(hint));
        };
        if !self.inner.paths.iter().any(|place| parsed.is_within(place)) {
            return Err(unavailable(format!("the agent does not allow the secret {reference}"))
                .hint("allow its path in the agent's configuration: secrets.vault.paths"));
        }
        let late = || Trouble::Unreachable(format!("it does not answer in {DEADLINE:?}"));
        let found = tokio::time::timeout(DEADLINE, self.inner.look_up(parsed)).await.unwrap_or_else(|_| Err(late()));
        found.map_err(|trouble| trouble.into_failure(reference, &self.inner.address))
    }

    /// Keeps the agent logged in, for as long as it is polled.
    pub(super) async fn keep(&self) {
        loop {
            let pause = match self.inner.tokens.renew().await {
                Ok(pause) => {
                    tracing::debug!(vault = self.inner.address, ?pause, "logged in to Vault");
                    pause
                }
                Err(trouble) => {
                    let (reason, hint) = trouble.words(&self.inner.address);
                    tracing::warn!(code = %Code::SecretUnavailable, reason, hint, "not logged in to Vault, trying again");
                    PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }
}

impl Inner {
    async fn look_up(&self, reference: Reference<'_>) -> Result<Secret<Vec<u8>>, Trouble> {
        let token = self.tokens.current().await?;
        match self.fetch(reference, &token).await {
            // A token that was revoked, or has ended before its time.
            Err(Trouble::Denied(_) | Trouble::NoMount) if !self.tokens.knows(&token).await? => {
                let token = self.tokens.after(&token).await?;
                self.fetch(reference, &token).await
            }
            other => other,
        }
    }

    async fn fetch(&self, reference: Reference<'_>, token: &Secret<String>) -> Result<Secret<Vec<u8>>, Trouble> {
        let Reference { path, field } = reference;
        let mount = self.mount(path, token).await?;
        let (place, members) = match mount.version {
            1 => (path.to_owned(), vec!["data", field]),
            _ => (format!("{}/data/{}", mount.path, mount.rest(path)?), vec!["data", "data", field]),
        };
        let Answer { status, body } = self.client.get(&place, token).await?;
        match status.as_u16() {
            200 => {}
            403 => return Err(Trouble::Denied(place)),
            404 if is_deleted(body.expose()) => return Err(Trouble::Deleted),
            404 => return Err(Trouble::Missing),
            other => return Err(Trouble::Unready(other)),
        }
        match find(body.expose(), &members).ok_or(Trouble::Odd)? {
            Found::Text(text) if text.expose().len() <= MAX_SECRET_BYTES => {
                Ok(Secret::new(text.expose().clone().into_bytes()))
            }
            Found::Text(_) | Found::Other => Err(Trouble::NoText(field.to_owned())),
            Found::Missing => Err(Trouble::NoField(field.to_owned())),
        }
    }

    /// The mount that a path lies in: as configured, or else as Vault says.
    async fn mount(&self, path: &str, token: &Secret<String>) -> Result<Mount, Trouble> {
        let within = self.mounts.iter().filter(|(mount, _)| below(path, mount).is_some());
        if let Some((mount, &version)) = within.max_by_key(|(mount, _)| mount.len()) {
            return Ok(Mount { path: mount.trim_matches('/').to_owned(), version });
        }
        let asked = format!("sys/internal/ui/mounts/{path}");
        let Answer { status, body } = self.client.get(&asked, token).await?;
        match status.as_u16() {
            200 => {}
            // Who may read nothing in a mount is not told whether there is one.
            403 => return Err(Trouble::NoMount),
            404 => return Err(Trouble::Missing),
            other => return Err(Trouble::Unready(other)),
        }
        let Described { data } = serde_json::from_slice(body.expose()).map_err(|_| Trouble::Odd)?;
        if !matches!(data.kind.as_str(), "kv" | "generic") {
            return Err(Trouble::NoKeyValue(data.kind));
        }
        let version = if data.options.unwrap_or_default().version.as_deref() == Some("2") { 2 } else { 1 };
        Ok(Mount { path: data.path.trim_matches('/').to_owned(), version })
    }
}

/// A mount of the key/value engine.
struct Mount {
    path: String,
    version: u8,
}

impl Mount {
    /// What of a path is within the mount.
    fn rest<'a>(&self, path: &'a str) -> Result<&'a str, Trouble> {
        below(path, &self.path).filter(|rest| !rest.is_empty()).ok_or(Trouble::Missing)
    }
}

/// What Vault says of a mount.
#[derive(Deserialize)]
struct Described {
    data: Description,
}

#[derive(Deserialize)]
struct Description {
    path: String,
    #[serde(rename = "type")]
    kind: String,
    options: Option<MountOptions>,
}

#[derive(Default, Deserialize)]
struct MountOptions {
    version: Option<String>,
}

/// Version 2 still describes a version that was deleted.
fn is_deleted(body: &[u8]) -> bool {
    matches!(find(body, &["data", "metadata", "created_time"]), Some(Found::Text(_)))
}

#[cfg(test)]
mod tests {
    use super::super::server::Server;
    use super::*;

    const TOKEN: &str = "planted-token";
    const GOOD: &str = r#"{"data": {"data": {"password": "planted-secret"}, "ttl": 0}}"#;

    /// A Vault that gives this answer to each reading of `secret/data/db`, and knows the token.
    fn vault(answer: impl Fn() -> (String, String) + Send + 'static) -> (Vault, Server, tempfile::NamedTempFile) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), format!("{TOKEN}\n")).expect("written");
        let server = Server::start(move |head| {
            if head.starts_with("GET /v1/secret/data/db ") { answer() } else { ("200 OK".to_owned(), GOOD.to_owned()) }
        });
        let settings = Settings {
            address: server.address.clone(),
            ca_file: None,
            namespace: None,
            paths: vec!["secret".to_owned()],
            mounts: BTreeMap::from([("secret".to_owned(), 2)]),
            auth: Auth::Token { file: Some(file.path().to_owned()), env: None },
        };
        (Vault::new(settings).expect("settings"), server, file)
    }

    async fn refused(answer: impl Fn() -> (String, String) + Send + 'static) -> String {
        let (vault, _server, _file) = vault(answer);
        let refused = vault.read("vault:secret/db#password", "secret/db#password").await.expect_err("refused");
        let shown = format!("{} {:?}", refused.reason, refused.hint);
        assert!(shown.contains("vault:secret/db#password") && !shown.contains("planted"), "{shown}");
        shown
    }

    #[tokio::test]
    async fn a_secret_is_read_anew_each_time() {
        let (vault, server, _file) = vault(|| ("200 OK".to_owned(), GOOD.to_owned()));
        for _ in 0..2 {
            let read = vault.read("vault:secret/db#password", "secret/db#password").await.expect("a secret");
            assert_eq!(read.expose(), b"planted-secret");
        }
        let asked = server.asked.lock();
        let token = |head: &String| head.to_ascii_lowercase().contains(&format!("x-vault-token: {TOKEN}"));
        assert!(asked.len() == 3 && asked.iter().all(token), "one login, and each reading: {asked:?}");
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let other = Server::start(|_| ("200 OK".to_owned(), GOOD.to_owned()));
        let location = format!("307 Temporary Redirect\r\nlocation: {}/v1/secret/data/db", other.address);
        assert!(refused(move || (location.clone(), String::new())).await.contains("points to another address"));
        assert!(other.asked.lock().is_empty(), "nobody else gets the token");
    }

    #[tokio::test]
    async fn what_is_no_answer_of_vault_is_no_secret() {
        let answers = |status: &'static str, body: &'static str| move || (status.to_owned(), body.to_owned());
        assert!(refused(answers("200 OK", "planted <html>")).await.contains("is not Vault"));
        assert!(
            refused(answers("503 Service Unavailable", "{\"errors\":[\"Vault is sealed\"]}"))
                .await
                .contains("is sealed")
        );
        assert!(
            refused(answers("500 Internal Server Error", "planted")).await.contains("cannot serve now (status 500)")
        );
        assert!(refused(answers("403 Forbidden", "planted")).await.contains("`read` on secret/data/db"));
        let long = || ("200 OK".to_owned(), format!("{{\"data\": \"{}\"}}", "x".repeat(300 * 1024)));
        assert!(refused(long).await.contains("answers more than"));
        let longer = || {
            ("200 OK".to_owned(), format!("{{\"data\":{{\"data\":{{\"password\":\"{}\"}}}}}}", "x".repeat(65 * 1024)))
        };
        assert!(refused(longer).await.contains("too long"));
    }

    #[tokio::test]
    async fn only_listed_paths_are_asked_for() {
        let (vault, server, _file) = vault(|| ("200 OK".to_owned(), GOOD.to_owned()));
        for text in ["other/db#password", "secrets/db#password", "secret/../other/db#password"] {
            let refused = vault.read(&format!("vault:{text}"), text).await.expect_err("not listed");
            assert_eq!(refused.code, Code::SecretUnavailable, "{text}");
        }
        assert!(server.asked.lock().is_empty());
    }
}
