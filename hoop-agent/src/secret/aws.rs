//! AWS Secrets Manager. Credentials and region are found as AWS' own tools find them: environment, profile, web identity,
//! container, instance.
//!
//! A secret is read when it is used, and not kept: what is rotated holds for the next session.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use hoop_core::Secret;
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::json::{Found, find};
use super::{MAX_SECRET_BYTES, unavailable};
use crate::error::TargetFailure;

/// How long a secret may take. Less than the gateway waits for, so that it is told what it waited for.
const DEADLINE: Duration = Duration::from_secs(8);
/// How long one try may take.
const ATTEMPT: Duration = Duration::from_secs(4);

/// What a role may name of AWS Secrets Manager, and how it is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How names of secrets begin that a role may name; the full ARN's beginning for those that are named by their ARN.
    pub names: Vec<String>,
    /// The region, where environment and profile do not say it.
    pub region: Option<String>,
    /// The profile, where it is not the default one.
    pub profile: Option<String>,
    /// Another endpoint than the region's own: of a VPC, or of a test.
    pub endpoint: Option<String>,
}

/// The settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("secrets.aws: {0}")]
pub struct SettingsError(&'static str);

/// A Secrets Manager that secrets are read from. Copies share one client.
#[derive(Debug, Clone)]
pub struct SecretsManager {
    settings: Arc<Settings>,
    client: Arc<OnceCell<Client>>,
}

impl SecretsManager {
    /// Nothing is dialled yet.
    ///
    /// # Errors
    /// [`SettingsError`] says what is wrong.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        if settings.names.iter().any(String::is_empty) {
            return Err(SettingsError("an empty name would allow all secrets; say how their names begin"));
        }
        Ok(Self { settings: Arc::new(settings), client: Arc::default() })
    }

    /// The secret that `reference` names, which is `aws-sm:` and `text`.
    pub(super) async fn read(&self, reference: &str, text: &str) -> Result<Secret<Vec<u8>>, TargetFailure> {
        let (id, key) = text.split_once('#').map_or((text, None), |(id, key)| (id, Some(key)));
        if !is_id(id) || key == Some("") {
            let hint = "name it as aws-sm:<name or ARN>, with #<key> for one text of a JSON object";
            return Err(unavailable(format!("{reference:?} names no secret in AWS")).hint(hint));
        }
        if !self.allows(id) {
            return Err(unavailable(format!("the agent does not allow the secret {reference}"))
                .hint("allow its name in the agent's configuration: secrets.aws.names"));
        }
        let asked = self.client().await.get_secret_value().secret_id(id).send();
        let answer = match tokio::time::timeout(DEADLINE, asked).await {
            Ok(answer) => answer.map_err(|error| Trouble::of(&error, id)),
            Err(_) => Err(Trouble::unreachable(format!("it does not answer in {DEADLINE:?}"))),
        };
        let Trouble { why, hint } = match answer.and_then(|value| take(value, key)) {
            Ok(secret) => return Ok(secret),
            Err(trouble) => trouble,
        };
        Err(unavailable(format!("the secret {reference} cannot be read: {why}")).hint(hint))
    }

    /// What begins as a name does not begin as an ARN does: `a` allows no secret of another account.
    fn allows(&self, id: &str) -> bool {
        let arn = |text: &str| text.starts_with("arn:");
        self.settings.names.iter().any(|name| arn(name) == arn(id) && id.starts_with(name.as_str()))
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| connect(&self.settings)).await
    }
}

async fn connect(settings: &Settings) -> Client {
    let times = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).operation_timeout(DEADLINE).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(times)
        .retry_config(RetryConfig::standard().with_max_attempts(2));
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    Client::new(&loader.load().await)
}

/// Whether it is of the form of a name or an ARN.
fn is_id(id: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-:".contains(c);
    (1..=2048).contains(&id.len()) && id.chars().all(allowed)
}

/// The whole secret, or the text at `key` of the JSON object that it is.
fn take(value: GetSecretValueOutput, key: Option<&str>) -> Result<Secret<Vec<u8>>, Trouble> {
    let whole = match (value.secret_string, value.secret_binary) {
        (Some(text), _) => Secret::new(text.into_bytes()),
        (None, Some(binary)) => Secret::new(binary.into_inner()),
        (None, None) => return Err(Trouble::new("it has no value", "write one")),
    };
    let secret = match key {
        None => whole,
        Some(key) => match find(whole.expose(), &[key]) {
            Some(Found::Text(text)) => Secret::new(text.expose().clone().into_bytes()),
            Some(Found::Other) => return Err(Trouble::new(format!("its key {key} is no text"), "write it as a text")),
            Some(Found::Missing) => {
                return Err(Trouble::new(format!("it has no key {key}"), "check what comes after # in the role"));
            }
            None => return Err(Trouble::new("it is no JSON object", "leave out what comes after # in the role")),
        },
    };
    if secret.expose().len() > MAX_SECRET_BYTES {
        return Err(Trouble::new(format!("it is longer than {MAX_SECRET_BYTES} bytes"), "make it smaller"));
    }
    Ok(secret)
}

/// Why a secret cannot be had, and what to do next. None of it quotes what was answered.
#[derive(Debug)]
struct Trouble {
    why: String,
    hint: String,
}

impl Trouble {
    fn new(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { why: why.into(), hint: hint.into() }
    }

    fn unreachable(why: String) -> Self {
        let hint = "check the agent's credentials and region for AWS, and its network";
        Self::new(format!("AWS Secrets Manager cannot be asked: {why}"), hint)
    }

    fn of<E: Error + ProvideErrorMetadata + 'static>(error: &SdkError<E>, id: &str) -> Self {
        let SdkError::ServiceError(answer) = error else { return Self::unreachable(innermost(error)) };
        match answer.err().code().unwrap_or_default() {
            "ResourceNotFoundException" => Self::new(
                "there is none of this name in AWS Secrets Manager",
                "check the name in the role, and the region",
            ),
            "AccessDeniedException" | "AccessDenied" => {
                let hint = format!("allow the agent secretsmanager:GetSecretValue on {id}, and kms:Decrypt on its key");
                Self::new("AWS Secrets Manager does not let the agent read it", hint)
            }
            "InvalidRequestException" => {
                Self::new("it is marked for deletion, or has no value", "restore it, or write a value")
            }
            "DecryptionFailure" => Self::new("AWS cannot decrypt it", "check its key in KMS"),
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "ExpiredTokenException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature" => {
                let hint = "check the agent's credentials for AWS; they may be over";
                Self::new("AWS refuses the agent's credentials", hint)
            }
            "" if matches!(answer.raw().status().as_u16(), 401 | 403) => {
                let hint = format!(
                    "check the agent's credentials for AWS, and that they allow secretsmanager:GetSecretValue on {id}"
                );
                Self::new("AWS refuses the agent, and does not say why", hint)
            }
            code => {
                let status = answer.raw().status();
                let why = format!("AWS Secrets Manager cannot serve now (status {status} {code})");
                Self::new(why.trim_end(), "try again, or ask whoever runs it")
            }
        }
    }
}

/// The innermost cause: those around it say no more.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let (mut text, mut source) = (error.to_string(), error.source());
    while let Some(cause) = source {
        (text, source) = (cause.to_string(), cause.source());
    }
    text
}

#[cfg(test)]
mod tests {
    use aws_sdk_secretsmanager::config::Credentials;

    use super::super::server::Server;
    use super::*;

    fn of(names: &[&str]) -> Result<SecretsManager, SettingsError> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        SecretsManager::new(Settings { names, ..Settings::default() })
    }

    #[test]
    fn only_what_begins_as_allowed_is_allowed() {
        let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/shop-AbCdEf";
        let allows = |names: &[&str], id| of(names).expect("settings").allows(id);
        assert!(allows(&["prod/"], "prod/shop") && !allows(&["prod/"], "test/prod/shop"));
        assert!(!allows(&[], "prod/shop"));
        assert!(!allows(&["a"], arn), "an ARN may be of another account");
        assert!(allows(&["arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/"], arn));
        assert!(of(&[""]).is_err(), "all of them, by mistake");
    }

    /// The codes as they are documented for GetSecretValue, and for every action.
    #[tokio::test]
    async fn each_refusal_has_words_of_its_own() {
        for (code, word) in [
            ("ResourceNotFoundException", "none of this name"),
            ("AccessDeniedException", "does not let the agent read it"),
            ("InvalidRequestException", "marked for deletion"),
            ("DecryptionFailure", "cannot decrypt"),
            ("ExpiredTokenException", "refuses the agent's credentials"),
            ("ThrottlingException", "cannot serve now"),
        ] {
            let body = format!("{{\"__type\":\"{code}\",\"Message\":\"planted\"}}");
            let server = Server::start(move |_| {
                ("400 Bad Request\r\ncontent-type: application/x-amz-json-1.1".to_owned(), body.clone())
            });
            let config = aws_sdk_secretsmanager::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("eu-central-1"))
                .endpoint_url(&server.address)
                .retry_config(RetryConfig::disabled())
                .credentials_provider(Credentials::new("id", "key", None, None, "test"));
            let mut secrets = of(&["prod/"]).expect("settings");
            secrets.client = Arc::new(OnceCell::from(Client::from_conf(config.build())));
            let refused = secrets.read("aws-sm:prod/shop", "prod/shop").await.expect_err("refused");
            let shown = format!("{} {:?}", refused.reason, refused.hint);
            assert!(
                shown.contains(word) && shown.contains("aws-sm:prod/shop") && !shown.contains("planted"),
                "{shown}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_no_name_is_not_asked_for() {
        let secrets = of(&["prod/"]).expect("settings");
        for text in ["", "#x", "prod/shop#", "prod/sh op", "prod/\u{e9}"] {
            let refused = secrets.read(&format!("aws-sm:{text}"), text).await.expect_err("no name");
            assert!(refused.reason.contains("names no secret"), "{text}: {refused}");
        }
    }
}
