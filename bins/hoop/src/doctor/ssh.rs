//! The SSH door: whether it is there, whether it is the gateway's, what may be reached through it; and of a role that is named,
//! whether a credential leads to its machine.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use hoop_core::Secret;

use russh::client::{self, AuthResult, Handle};
use russh::keys::{HashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, Disconnect, SshId};
use serde_json::Value;
use tokio::net::TcpStream;

use super::{Findings, PATIENCE};
use crate::api::Api;
use crate::credentials::{Credential, SSH, Wish, better_host};
use crate::failure::Failure;
use crate::output::{printable, text};
use crate::stop::Stop;

/// How long an agent may take to log in to a machine.
const LOGIN: std::time::Duration = std::time::Duration::from_secs(30);
/// How long the credential is good for that is made for it.
const GOOD_FOR: std::time::Duration = std::time::Duration::from_secs(60);
/// A subsystem that no machine has. A session refuses it without a word to the machine, which is how it is told from one
/// that did not open.
const NOTHING: &str = "hoop-doctor";
/// The exit status of what a session refuses.
const REFUSED: u32 = 126;
/// Names of roles that are shown.
const SHOWN: usize = 10;

/// Where the door is, and by which keys it is known.
struct Door {
    host: String,
    port: u16,
    keys: Vec<PublicKey>,
}

pub(super) async fn look(findings: &mut Findings, api: &Api, role: Option<&str>) -> Result<(), Failure> {
    let door = match api.get("/api/v1/ssh").await {
        Ok(told) => Door::of(&told, api),
        Err(failure) if failure.is_not_found() => {
            return findings.note("ssh", "this gateway has no SSH door".to_owned(), "");
        }
        Err(failure) => return findings.broken("ssh", &failure),
    };
    let at = format!("{}:{}", printable(&door.host), door.port);
    match tokio::time::timeout(PATIENCE, door.connect()).await {
        Ok(Ok((_, shown))) => {
            findings.ok("ssh", format!("{at} answers, and its host key is the gateway's: {shown}"))?
        }
        Ok(Err(failure)) => findings.broken("ssh", &failure)?,
        Err(_) => findings.broken("ssh", &no_answer(&at))?,
    }
    roles(findings, api).await?;
    keys(findings, api).await?;
    let Some(role) = role else { return Ok(()) };
    match login(&door, api, role).await {
        Ok(()) => findings.ok("ssh role", format!("{role}: a credential leads to its machine")),
        Err(failure) => findings.broken("ssh role", &failure),
    }
}

/// What may be reached.
async fn roles(findings: &mut Findings, api: &Api) -> Result<(), Failure> {
    let roles = match api.all("/api/v1/roles").await {
        Ok(roles) => roles,
        Err(failure) => return findings.broken("ssh roles", &failure),
    };
    let names: Vec<_> = roles.iter().filter(|role| role["kind"] == SSH).map(|role| text(role, "name")).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    match names.as_slice() {
        [] => findings.note("ssh roles", "none that you may reach".to_owned(), "ask an administrator for access"),
        names => findings
            .ok("ssh roles", format!("{}{more}", names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", "))),
    }
}

/// What the user comes in by, beside a credential.
async fn keys(findings: &mut Findings, api: &Api) -> Result<(), Failure> {
    match api.all("/api/v1/keys").await {
        Ok(keys) if keys.is_empty() => {
            let next = "hoop ssh-config --install makes one; without one, ssh shows a link to sign in with a browser";
            findings.note("ssh keys", "none is registered".to_owned(), next)
        }
        Ok(keys) => findings.ok("ssh keys", format!("registered: {}", keys.len())),
        Err(failure) => findings.broken("ssh keys", &failure),
    }
}

/// Logs in with a credential of the role, which is taken back. It is a session like any other.
async fn login(door: &Door, api: &Api, role: &str) -> Result<(), Failure> {
    let mut stop = Stop::new()?;
    let wish = Wish { duration: Some(GOOD_FOR), database: None };
    let (credential, _) = Credential::borrow(api, role, &wish, stop.any(None)).await?;
    let done = if credential.is_ssh() {
        tokio::select! {
            done = tokio::time::timeout(LOGIN, door.log_in(&credential.user, &credential.password)) => {
                done.unwrap_or_else(|_| Err(no_answer(role)))
            }
            failure = stop.any(None) => Err(failure),
        }
    } else {
        Err(Failure::new(Failure::USAGE, format!("{role} is not reached over SSH")))
    };
    credential.give_back(api).await;
    done
}

fn no_answer(at: &str) -> Failure {
    Failure::new(Failure::UNAVAILABLE, format!("{at} does not answer in time"))
        .hint("is there a firewall or VPN in between?")
}

impl Door {
    fn of(told: &Value, api: &Api) -> Self {
        let host = text(told, "host");
        let host = better_host(&host, api.base()).unwrap_or(host);
        let port = told["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
        let lines = told["host_keys"].as_array().into_iter().flatten();
        let keys = lines.filter_map(|line| PublicKey::from_openssh(line.as_str()?).ok()).collect();
        Self { host, port, keys }
    }

    /// Up to the key exchange. Gives the fingerprint of the key that was shown, too.
    async fn connect(&self) -> Result<(Handle<Client>, String), Failure> {
        let at = format!("{}:{}", printable(&self.host), self.port);
        let unavailable = |what: &str| Failure::new(Failure::UNAVAILABLE, format!("{at} {what}"));
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| {
            unavailable(&format!("does not answer: {error}"))
                .hint("is there a firewall or VPN in between? port 8010 leads there, too: hoop connect --via tunnel")
        })?;
        let shown = Arc::new(OnceLock::new());
        let client = Client { known: self.keys.clone(), shown: Arc::clone(&shown) };
        let config = client::Config {
            client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-HoopDoctor_", env!("CARGO_PKG_VERSION")))),
            ..client::Config::default()
        };
        let connected = client::connect_stream(Arc::new(config), tcp, client).await;
        let shown = shown.get().cloned();
        match (connected, shown) {
            (Ok(handle), Some(shown)) => Ok((handle, shown)),
            (Err(russh::Error::UnknownKey), Some(shown)) => {
                let text = format!("shows the host key {shown}, which is not one of the gateway's");
                Err(unavailable(&text)
                    .hint("somebody may be in between; or listen.ssh.public leads to another gateway"))
            }
            (Err(error), _) => Err(unavailable(&format!("speaks no SSH: {error}"))),
            (Ok(_), None) => Err(unavailable("shows no host key")),
        }
    }

    async fn log_in(&self, user: &str, password: &Secret<String>) -> Result<(), Failure> {
        let broke = |error: russh::Error| Failure::new(Failure::UNAVAILABLE, format!("the connection broke: {error}"));
        let (mut handle, _) = self.connect().await?;
        let result = handle.authenticate_password(user, password.expose()).await.map_err(broke)?;
        if !matches!(result, AuthResult::Success) {
            return Err(Failure::new(
                Failure::DENIED,
                "the door does not take a credential that the gateway has just made",
            )
            .hint("do its API and its door belong to the same gateway?"));
        }
        let channel = handle.channel_open_session().await.map_err(broke)?;
        let told = told(channel).await;
        let _ = handle.disconnect(Disconnect::ByApplication, "", "").await;
        told
    }
}

/// What the session says of what it does not do, or why there is none.
async fn told(mut channel: Channel<client::Msg>) -> Result<(), Failure> {
    let broke = |error: russh::Error| Failure::new(Failure::UNAVAILABLE, format!("the connection broke: {error}"));
    channel.request_subsystem(false, NOTHING).await.map_err(broke)?;
    let (mut said, mut status) = (Vec::new(), None);
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::ExtendedData { data, .. } => said.extend_from_slice(&data),
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            ChannelMsg::Close => break,
            _ => {}
        }
    }
    if status == Some(REFUSED) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said).into_owned();
    let mut lines = said.lines().filter_map(|line| line.strip_prefix("hoop: "));
    let why = lines.next().unwrap_or("the session ended without a word");
    let failure = Failure::new(Failure::UNAVAILABLE, printable(why));
    Err(match lines.next() {
        Some(hint) => failure.hint(printable(hint)),
        None => failure,
    })
}

struct Client {
    known: Vec<PublicKey>,
    shown: Arc<OnceLock<String>>,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        let _ = self.shown.set(key.fingerprint(HashAlg::Sha256).to_string());
        Ok(self.known.iter().any(|known| known.key_data() == key.key_data()))
    }
}
