//! The login: a certificate, a key, a password, in this order, and as many of them as the server asks for.

use std::sync::Arc;

use hoop_core::{Code, Secret};
use hoop_proto::tunnel::v1::{SshTarget, SuppliedSecret};
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse, Prompt};
use russh::keys::{Certificate, PrivateKey, PrivateKeyWithHashAlg, decode_secret_key};
use russh::{MethodKind, MethodSet};

use super::mint::mint;
use super::transport::{Client, ended};
use crate::agent::Settings;
use crate::error::TargetFailure;

/// Rounds of questions that a server may ask in one login.
const MOST_ROUNDS: usize = 16;
/// Questions of one round.
const MOST_PROMPTS: usize = 16;

/// What the agent logs in with. It is overwritten when the login is done.
pub(super) struct Secrets {
    password: Option<Secret<String>>,
    key: Option<Arc<PrivateKey>>,
    certificate: Option<Certificate>,
}

impl Secrets {
    pub(super) async fn find(
        target: &SshTarget,
        supplied: &[SuppliedSecret],
        settings: &Settings,
        session: &str,
    ) -> Result<Self, TargetFailure> {
        let find = async |field: &str, reference: &str| {
            let secret = settings.secrets.find(field, reference, supplied).await?;
            secret.map(|secret| text(field, &secret)).transpose()
        };
        let password = find("password", &target.password).await?;
        let passphrase = find("passphrase", &target.passphrase).await?;
        let key = match find("private_key", &target.private_key).await? {
            Some(key) => Some(Arc::new(private_key(&key, passphrase.as_ref())?)),
            None => None,
        };
        let certificate = match find("certificate", &target.certificate).await? {
            Some(line) => Some(
                Certificate::from_openssh(line.expose())
                    .map_err(|error| unusable(format!("the certificate of {} cannot be read: {error}", target.host)))?,
            ),
            None => None,
        };
        let Some(authority) = find("certificate_authority", &target.certificate_authority).await? else {
            return Ok(Self { password, key, certificate });
        };
        let authority = private_key(&authority, None)?;
        let minted = mint(&authority, &target.user, session);
        let (key, certificate) =
            minted.map_err(|error| unusable(format!("a certificate for {} cannot be made: {error}", target.user)))?;
        Ok(Self { password, key: Some(key), certificate: Some(certificate) })
    }
}

fn text(field: &str, secret: &Secret<Vec<u8>>) -> Result<Secret<String>, TargetFailure> {
    let text = String::from_utf8(secret.expose().clone());
    text.map(Secret::new).map_err(|_| unusable(format!("the {field} is not text")))
}

fn private_key(key: &Secret<String>, passphrase: Option<&Secret<String>>) -> Result<PrivateKey, TargetFailure> {
    decode_secret_key(key.expose(), passphrase.map(|passphrase| passphrase.expose().as_str())).map_err(|error| {
        unusable(format!("the private key cannot be read: {error}"))
            .hint("check its format, and its passphrase, with ssh-keygen -y -f FILE")
    })
}

fn unusable(reason: impl Into<String>) -> TargetFailure {
    TargetFailure::new(Code::SecretUnavailable, reason)
}

/// Logs in, with whatever the server asks for and the role has.
pub(super) async fn log_in(
    handle: &mut Handle<Client>,
    target: &SshTarget,
    secrets: Secrets,
) -> Result<(), TargetFailure> {
    let mut tried = Vec::new();
    let mut wanted: Option<MethodSet> = None;
    for method in methods(&secrets) {
        if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&method.kind())) {
            continue;
        }
        tried.push(method.name());
        let result = method.run(handle, &target.user, &secrets).await.map_err(|error| ended(target, &error))?;
        match result {
            AuthResult::Success => return Ok(()),
            AuthResult::Failure { remaining_methods, .. } => wanted = Some(remaining_methods),
        }
    }
    Err(refused(target, &tried, wanted.as_ref()))
}

fn refused(target: &SshTarget, tried: &[&str], wanted: Option<&MethodSet>) -> TargetFailure {
    let SshTarget { user, host, .. } = target;
    if tried.is_empty() {
        let reason = format!("the role has neither a private key nor a password for {user} on {host}");
        return unusable(reason).hint("name one in the role, for example private_key env:HOOP_SECRET_SSH_KEY");
    }
    let asks: Vec<&str> = wanted.into_iter().flat_map(|methods| methods.iter()).map(|method| method.into()).collect();
    let reason = format!(
        "the SSH server on {host} refuses user {user} (tried {}; it takes {})",
        tried.join(", "),
        asks.join(", ")
    );
    TargetFailure::new(Code::TargetLoginFailed, reason).hint("check the user, the key and the password in the role")
}

/// A way to log in.
#[derive(Clone, Copy)]
enum Method {
    Certificate,
    PublicKey,
    Password,
    KeyboardInteractive,
}

fn methods(secrets: &Secrets) -> impl Iterator<Item = Method> + use<> {
    let (key, certificate, password) =
        (secrets.key.is_some(), secrets.certificate.is_some(), secrets.password.is_some());
    [
        (Method::Certificate, key && certificate),
        (Method::PublicKey, key),
        (Method::Password, password),
        (Method::KeyboardInteractive, password),
    ]
    .into_iter()
    .filter_map(|(method, possible)| possible.then_some(method))
}

impl Method {
    const fn kind(self) -> MethodKind {
        match self {
            Self::Certificate | Self::PublicKey => MethodKind::PublicKey,
            Self::Password => MethodKind::Password,
            Self::KeyboardInteractive => MethodKind::KeyboardInteractive,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::PublicKey => "publickey",
            Self::Password => "password",
            Self::KeyboardInteractive => "keyboard-interactive",
        }
    }

    async fn run(self, handle: &mut Handle<Client>, user: &str, secrets: &Secrets) -> Result<AuthResult, russh::Error> {
        match (self, secrets) {
            (Self::Certificate, Secrets { key: Some(key), certificate: Some(certificate), .. }) => {
                handle.authenticate_openssh_cert(user, Arc::clone(key), certificate.clone()).await
            }
            (Self::PublicKey, Secrets { key: Some(key), .. }) => {
                let hash = handle.best_supported_rsa_hash().await?.flatten();
                let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
                handle.authenticate_publickey(user, key).await
            }
            (Self::Password, Secrets { password: Some(password), .. }) => {
                handle.authenticate_password(user, password.expose()).await
            }
            (Self::KeyboardInteractive, Secrets { password: Some(password), .. }) => {
                answer(handle, user, password).await
            }
            _ => Ok(AuthResult::Failure { remaining_methods: MethodSet::empty(), partial_success: false }),
        }
    }
}

/// Answers what does not echo with the password, and what does with nothing.
async fn answer(
    handle: &mut Handle<Client>,
    user: &str,
    password: &Secret<String>,
) -> Result<AuthResult, russh::Error> {
    let mut response = handle.authenticate_keyboard_interactive_start(user, None).await?;
    for _ in 0..MOST_ROUNDS {
        let prompts = match response {
            KeyboardInteractiveAuthResponse::Success => return Ok(AuthResult::Success),
            KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success } => {
                return Ok(AuthResult::Failure { remaining_methods, partial_success });
            }
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
        };
        if prompts.len() > MOST_PROMPTS {
            break;
        }
        let answer = |prompt: &Prompt| if prompt.echo { String::new() } else { password.expose().clone() };
        response = handle.authenticate_keyboard_interactive_respond(prompts.iter().map(answer).collect()).await?;
    }
    Err(russh::Error::Inconsistent)
}
