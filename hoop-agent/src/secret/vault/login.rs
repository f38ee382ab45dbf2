//! How the agent logs in to Vault, and the token that it holds while it may.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hoop_core::Secret;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::client::{Answer, Client};
use super::trouble::Trouble;

/// Where Kubernetes puts the token of a pod's service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// The longest file with a credential.
const MAX_CREDENTIAL_BYTES: usize = 16 * 1024;
/// How long a token that does not end is left alone.
const LONG: Duration = Duration::from_secs(3600);

/// How the agent logs in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Auth {
    /// With a token that somebody else makes. One in a file is read again, so that it may be replaced.
    Token {
        /// The file that holds it.
        #[serde(default)]
        file: Option<PathBuf>,
        /// The environment variable that holds it, where no file does.
        #[serde(default)]
        env: Option<String>,
    },
    /// AppRole.
    AppRole {
        /// The role's id.
        role_id: String,
        /// The file with the secret id; none where the role asks for none. It is read at each login.
        #[serde(default)]
        secret_id_file: Option<PathBuf>,
        /// Where the method is mounted.
        #[serde(default = "approle")]
        mount: String,
    },
    /// The service account of the agent's pod.
    Kubernetes {
        /// The role.
        role: String,
        /// The file with the token of the service account. It is read at each login.
        #[serde(default = "service_account")]
        jwt_file: PathBuf,
        /// Where the method is mounted.
        #[serde(default = "kubernetes")]
        mount: String,
    },
}

fn approle() -> String {
    "approle".to_owned()
}

fn kubernetes() -> String {
    "kubernetes".to_owned()
}

fn service_account() -> PathBuf {
    SERVICE_ACCOUNT.into()
}

/// A token of Vault's.
#[derive(Debug, Clone)]
struct Held {
    token: Secret<String>,
    renewable: bool,
    /// When it ends, and how long it lasted when it was given; a root token does not.
    ends: Option<(Instant, Duration)>,
}

impl Held {
    fn new(token: Secret<String>, seconds: u64, renewable: bool) -> Self {
        let length = Duration::from_secs(seconds);
        Self { token, renewable, ends: (seconds > 0).then(|| (Instant::now() + length, length)) }
    }

    /// Whether it lasts for a call, too.
    fn lasts(&self) -> bool {
        self.ends.is_none_or(|(end, length)| end > Instant::now() + (length / 10).min(Duration::from_secs(10)))
    }

    /// When a new one is due.
    fn rest(&self) -> Duration {
        let rest = self.ends.map_or(LONG, |(end, _)| end.saturating_duration_since(Instant::now()) * 2 / 3);
        rest.clamp(Duration::from_secs(1), LONG)
    }
}

/// What Vault says of a token: after a login, or of itself.
#[derive(Deserialize)]
struct Granted {
    auth: Option<Grant>,
    data: Option<Grant>,
}

#[derive(Deserialize)]
struct Grant {
    #[serde(default)]
    client_token: String,
    #[serde(default, alias = "ttl")]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
}

/// The token that the agent holds.
#[derive(Debug)]
pub(super) struct Tokens {
    auth: Auth,
    client: Arc<Client>,
    /// Locked while a new one is fetched, so that one login serves all who wait.
    held: Mutex<Option<Held>>,
}

impl Tokens {
    pub(super) fn new(auth: Auth, client: Arc<Client>) -> Self {
        Self { auth, client, held: Mutex::new(None) }
    }

    /// A token that lasts for a call.
    pub(super) async fn current(&self) -> Result<Secret<String>, Trouble> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| held.lasts())
            && !self.is_replaced(&held.token).await
        {
            return Ok(held.token.clone());
        }
        Ok(held.insert(self.log_in().await?).token.clone())
    }

    /// Another token than one that is not good any more.
    pub(super) async fn after(&self, bad: &Secret<String>) -> Result<Secret<String>, Trouble> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| held.token.expose() != bad.expose()) {
            return Ok(held.token.clone());
        }
        *held = None;
        Ok(held.insert(self.log_in().await?).token.clone())
    }

    /// Whether Vault still knows the token: where it does, a refusal is what its policies say.
    pub(super) async fn knows(&self, token: &Secret<String>) -> Result<bool, Trouble> {
        Ok(self.client.get("auth/token/lookup-self", token).await?.status.is_success())
    }

    /// Renews the token, or logs in where that cannot be; says when the next time is due.
    pub(super) async fn renew(&self) -> Result<Duration, Trouble> {
        let mut held = self.held.lock().await;
        let renewed = match held.as_ref() {
            Some(old) if old.renewable => self.renewed(old).await,
            _ => None,
        };
        let new = match renewed {
            Some(new) => new,
            None => self.log_in().await?,
        };
        Ok(held.insert(new).rest())
    }

    /// `None` where it cannot be renewed, or not for long: that is the end of the longest time that Vault gives.
    async fn renewed(&self, old: &Held) -> Option<Held> {
        if self.is_replaced(&old.token).await {
            return None;
        }
        let answer = self.client.post("auth/token/renew-self", Some(&old.token), &json!({})).await.ok()?;
        let grant = granted(&answer).ok()?.auth?;
        let new = Held::new(old.token.clone(), grant.lease_duration, grant.renewable);
        let shortened = |(_, length): (Instant, Duration)| new.ends.is_some_and(|(_, now)| now < length / 2);
        (!old.ends.is_some_and(shortened)).then_some(new)
    }

    async fn is_replaced(&self, token: &Secret<String>) -> bool {
        match &self.auth {
            Auth::Token { file: Some(file), .. } => {
                credential(file).await.is_ok_and(|now| now.expose() != token.expose())
            }
            _ => false,
        }
    }

    async fn log_in(&self) -> Result<Held, Trouble> {
        let (mount, body) = match &self.auth {
            Auth::Token { file, env } => return self.given(given(file.as_deref(), env.as_deref()).await?).await,
            Auth::AppRole { role_id, secret_id_file: None, mount } => (mount, json!({ "role_id": role_id })),
            Auth::AppRole { role_id, secret_id_file: Some(file), mount } => {
                let secret_id = credential(file).await?;
                (mount, json!({ "role_id": role_id, "secret_id": secret_id.expose() }))
            }
            Auth::Kubernetes { role, jwt_file, mount } => {
                let jwt = credential(jwt_file).await?;
                (mount, json!({ "role": role, "jwt": jwt.expose() }))
            }
        };
        let answer = self.client.post(&format!("auth/{mount}/login"), None, &body).await?;
        let grant = granted(&answer)?.auth.ok_or(Trouble::Odd)?;
        Ok(Held::new(Secret::new(grant.client_token), grant.lease_duration, grant.renewable))
    }

    /// A token that somebody else made: Vault says how long it lasts.
    async fn given(&self, token: Secret<String>) -> Result<Held, Trouble> {
        let answer = self.client.get("auth/token/lookup-self", &token).await?;
        let grant = granted(&answer)?.data.ok_or(Trouble::Odd)?;
        Ok(Held::new(token, grant.lease_duration, grant.renewable))
    }
}

fn granted(answer: &Answer) -> Result<Granted, Trouble> {
    if !answer.status.is_success() {
        return Err(Trouble::LoginRefused);
    }
    serde_json::from_slice(answer.body.expose()).map_err(|_| Trouble::Odd)
}

async fn given(file: Option<&Path>, env: Option<&str>) -> Result<Secret<String>, Trouble> {
    match (file, env) {
        (Some(file), _) => credential(file).await,
        (None, Some(name)) => match std::env::var(name) {
            Ok(token) if !token.is_empty() => Ok(Secret::new(token)),
            _ => Err(Trouble::NoLogin(format!("the environment variable {name} holds no token for Vault"))),
        },
        (None, None) => Err(Trouble::NoToken),
    }
}

/// What a file holds, without the white space around it.
async fn credential(path: &Path) -> Result<Secret<String>, Trouble> {
    let unusable = |why: &str| Trouble::NoLogin(format!("the agent cannot log in to Vault: {} {why}", path.display()));
    let bytes = tokio::fs::read(path).await.map_err(|error| unusable(&format!("cannot be read: {error}")))?;
    let bytes = Secret::new(bytes);
    let text = std::str::from_utf8(bytes.expose()).unwrap_or_default().trim();
    if text.is_empty() || text.len() > MAX_CREDENTIAL_BYTES {
        return Err(unusable("holds no credential"));
    }
    Ok(Secret::new(text.to_owned()))
}
