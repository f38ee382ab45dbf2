//! `hoop credentials`: time-limited logins for native clients.

mod web;

use std::net::Ipv6Addr;
use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use hoop_core::Secret;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::api::{Api, segment};
use crate::completions;
use crate::duration;
use crate::failure::Failure;
use crate::gateway::{is_here, is_loopback};
use crate::output::{self, printable, text, time};
use crate::shell::Shell;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Makes one. Its password is shown this once.
    Create {
        /// The role that it is for.
        #[arg(add = completions::roles())]
        role: String,
        #[command(flatten)]
        wish: Wish,
    },
    /// Those that are good for something.
    List {
        /// Also those that are not any more.
        #[arg(long)]
        all: bool,
    },
    /// Lets no session be opened with one any more; those that run go on.
    Revoke {
        /// Its id, `crd_…`.
        id: String,
    },
}

/// What a credential is to be like.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Wish {
    /// How long sessions can be opened with it, such as 30m; unless given, what the gateway gives.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) duration: Option<Duration>,
    /// The database; unless given, that of the role.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) database: Option<String>,
}

/// What a native client needs.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Credential {
    pub(crate) id: String,
    pub(crate) role: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    #[serde(deserialize_with = "secret")]
    pub(crate) password: Secret<String>,
    pub(crate) database: String,
    pub(crate) sslmode: String,
    /// The kind of the role; an older gateway has one kind alone.
    #[serde(default)]
    pub(crate) kind: String,
    /// For SSH: how the gateway is known, as lines of a `known_hosts` file.
    #[serde(default)]
    pub(crate) known_hosts: Vec<String>,
    /// The way around the door; an older gateway has none.
    pub(crate) tunnel: Option<Tunnel>,
    /// For HTTP: the role's origin.
    #[serde(default, rename = "url", deserialize_with = "web::origin")]
    pub(crate) origin: Option<Url>,
}

/// Port 8010 of a gateway, for clients that do not reach its native doors.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Tunnel {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    /// The fingerprint of the certificate that it shows, where no trusted authority signed that.
    pub(crate) certificate: Option<String>,
}

/// How long somebody who has asked for the end waits until a credential that is being made is there, and given back.
const PATIENCE: Duration = Duration::from_secs(5);

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Secret<String>, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

impl Credential {
    /// Makes one, and gives it as the gateway shows it, too.
    ///
    /// # Errors
    /// What the gateway says; and a door on another machine that has no TLS, unless somebody has allowed that.
    pub(crate) async fn create(api: &Api, role: &str, wish: &Wish) -> Result<(Self, Value), Failure> {
        let mut body = json!({});
        if let Some(duration) = wish.duration {
            body["ttl_seconds"] = duration.as_secs().max(1).into();
        }
        if let Some(database) = &wish.database {
            body["database"] = database.clone().into();
        }
        let mut made = api.post(&format!("/api/v1/roles/{}/credentials", segment(role)), &body).await?;
        let mut credential = Self::deserialize(&made)?;
        if credential.is_http() {
            credential.find_web(api.base(), &mut made);
        } else if let Some(host) = better_host(&credential.host, api.base()) {
            credential.move_to(host);
            made["host"] = credential.host.clone().into();
            made["url"] = credential.any_url().into();
            made["command"] = credential.command().into();
            made["known_hosts"] = credential.known_hosts.clone().into();
        }
        if let Some(tunnel) = &mut credential.tunnel
            && let Some(host) = better_host(&tunnel.host, api.base())
        {
            tunnel.host = host;
            made["tunnel"]["host"] = tunnel.host.clone().into();
        }
        Ok((credential, made))
    }

    /// Makes one for a command that may be stopped meanwhile: what the gateway has made by then is given back.
    pub(crate) async fn borrow(
        api: &Api,
        role: &str,
        wish: &Wish,
        stopped: impl Future<Output = Failure>,
    ) -> Result<(Self, Value), Failure> {
        let mut made = pin!(Self::create(api, role, wish));
        let failure = tokio::select! {
            made = &mut made => return made,
            failure = stopped => failure,
        };
        let given_back = async {
            if let Ok((credential, _)) = made.await {
                credential.give_back(api).await;
            }
        };
        if tokio::time::timeout(PATIENCE, given_back).await.is_err() {
            eprintln!("hoop: the gateway does not answer; a credential that it may have made expires by itself");
        }
        Err(failure)
    }

    /// Refuses to send what is asked, and what is answered, in clear text to another machine.
    pub(crate) fn check_transport(&self, allow_http: bool) -> Result<(), Failure> {
        if self.is_encrypted() || allow_http || is_here(&self.host) {
            return Ok(());
        }
        let door = format!(
            "the gateway's door at {}:{} is on another machine and has no TLS",
            printable(&self.host),
            self.port
        );
        Err(Failure::new(1, format!("{door}: sessions would go there without encryption"))
            .hint("turn TLS on at the gateway, or say --allow-http at hoop login (HOOP_ALLOW_HTTP=true)"))
    }

    pub(crate) async fn revoke(api: &Api, id: &str) -> Result<(), Failure> {
        api.delete(&format!("/api/v1/credentials/{}", segment(id))).await.map(drop)
    }

    /// Takes it back after its use. It expires by itself, so what fails is only said.
    pub(crate) async fn give_back(&self, api: &Api) {
        if let Err(failure) = Self::revoke(api, &self.id).await {
            eprintln!("hoop: credential {} could not be revoked: {failure}", printable(&self.id));
        }
    }

    /// Whether the door is one for SSH.
    pub(crate) fn is_ssh(&self) -> bool {
        self.kind == SSH
    }

    /// Whether the door is one for HTTP.
    pub(crate) fn is_http(&self) -> bool {
        self.kind == HTTP
    }

    /// What is spoken at the door.
    pub(crate) fn protocol(&self) -> &'static str {
        match self.kind.as_str() {
            SSH => SSH,
            HTTP => HTTP,
            _ => "postgres",
        }
    }

    /// Whether the door encrypts.
    pub(crate) fn is_encrypted(&self) -> bool {
        match self.kind.as_str() {
            SSH => true,
            HTTP => self.origin.as_ref().is_some_and(|origin| origin.scheme() == "https"),
            _ => self.sslmode != "disable",
        }
    }

    /// The same door under another name.
    pub(crate) fn move_to(&mut self, host: String) {
        self.host = host;
        self.known_hosts = known_hosts(&self.host, self.port, &self.known_hosts);
    }

    fn command(&self) -> String {
        match self.kind.as_str() {
            SSH => format!("ssh -p {} {}@{}", self.port, self.user, self.host),
            HTTP => format!("curl -H '{}' {}/", self.token_line().expose(), self.base()),
            _ => format!("psql '{}'", self.url()),
        }
    }

    /// A URL for libpq and its relatives, safe also between a shell's single quotes. With it a login is bound to the TLS
    /// channel, so that nobody is in between.
    pub(crate) fn url(&self) -> String {
        let binds = self.is_encrypted() && !self.is_ssh() && !self.is_http();
        let binding = if binds { "&channel_binding=require" } else { "" };
        format!("{}{binding}", self.any_url())
    }

    /// A URL for every driver, as the API has it: some take `channel_binding` for a setting of the server, which refuses it.
    fn any_url(&self) -> String {
        let host = host_for_url(&self.host);
        if self.is_ssh() {
            return format!("ssh://{}@{host}:{}", segment(&self.user), self.port);
        }
        let (user, password) = (segment(&self.user), segment(self.password.expose()));
        if self.is_http() {
            return self.base().replacen("://", &format!("://{user}:{password}@"), 1) + "/";
        }
        let (port, database, sslmode) = (self.port, segment(&self.database), segment(&self.sslmode));
        format!("postgresql://{user}:{password}@{host}:{port}/{database}?sslmode={sslmode}")
    }
}

/// The kind of roles that are reached over SSH.
pub(crate) const SSH: &str = "ssh";
/// The kind of roles that are reached over HTTP.
pub(crate) const HTTP: &str = "http";

/// Lines of a `known_hosts` file for a door that is reached under this name; the keys are those of other lines, or alone.
pub(crate) fn known_hosts(host: &str, port: u16, lines: &[String]) -> Vec<String> {
    let name = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
    let key = |line: &String| {
        let words: Vec<_> = line.split_whitespace().collect();
        words[words.len().saturating_sub(2)..].join(" ")
    };
    lines.iter().map(|line| format!("{name} {}", key(line))).collect()
}

/// A host as it is written in URLs.
pub(crate) fn host_for_url(host: &str) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => segment(host),
    }
}

/// A gateway that does not know under which name it is reached names this machine; it is where its API is.
pub(crate) fn better_host(host: &str, api: &str) -> Option<String> {
    let api = Url::parse(api).ok()?;
    (is_here(host) && !is_loopback(&api)).then(|| api.host_str().unwrap_or(host).trim_matches(['[', ']']).to_owned())
}

pub(crate) async fn run(command: Command, shell: &Shell) -> Result<(), Failure> {
    let api = shell.api().await?;
    match command {
        Command::Create { role, wish } => {
            let (_, made) = Credential::create(&api, &role, &wish).await?;
            output::show(shell.format, &made, &FIELDS)?;
            shell.tell("\nthe password is shown this once");
            Ok(())
        }
        Command::List { all } => list(&api, all, shell).await,
        Command::Revoke { id } => {
            Credential::revoke(&api, &id).await?;
            shell.tell(format!("credential {id} opens no session any more"));
            Ok(())
        }
    }
}

const FIELDS: [&str; 11] =
    ["id", "role", "user", "password", "host", "port", "database", "sslmode", "expires_at", "url", "command"];

/// Members see their own, administrators everyone's.
pub(crate) async fn list(api: &Api, all: bool, shell: &Shell) -> Result<(), Failure> {
    let credentials =
        api.some("/api/v1/credentials", usize::MAX, |credential| all || state(credential) == "good").await?;
    let head = ["credential", "login", "state", "made", "expires", "last used"];
    output::list(shell.format, &credentials, &head, row, "no credential; hoop credentials create ROLE")
}

fn state(credential: &Value) -> &'static str {
    let expires: Option<DateTime<Utc>> = credential["expires_at"].as_str().and_then(|text| text.parse().ok());
    match expires {
        _ if !credential["revoked_at"].is_null() => "revoked",
        Some(at) if at <= Utc::now() => "expired",
        _ => "good",
    }
}

fn row(credential: &Value) -> Vec<String> {
    vec![
        text(credential, "id"),
        text(credential, "login"),
        state(credential).to_owned(),
        time(credential, "created_at"),
        time(credential, "expires_at"),
        time(credential, "last_used_at"),
    ]
}

#[cfg(test)]
mod tests;
