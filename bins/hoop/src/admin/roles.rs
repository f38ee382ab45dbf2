//! `hoop admin roles`.

mod http;
mod ssh;

use std::io::{self, IsTerminal as _, Read as _};

use clap::{Args, Subcommand};
use hoop_core::Secret;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{From, definition, pair, set};
use crate::api::segment;
use crate::failure::Failure;
use crate::output::{self, text};
use crate::roles::{FIELDS, HEAD, row};
use crate::shell::{self, Shell};
use http::Http;
use ssh::Ssh;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// All roles.
    List,
    /// One role.
    Show {
        /// Its name.
        name: String,
    },
    /// Makes a role.
    Create {
        /// Its name.
        name: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Changes what is said, and nothing else.
    Update {
        /// Its name.
        name: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Deletes a role. Sessions that run go on.
    Delete {
        /// Its name.
        name: String,
    },
    /// Has the agent log in to the target, and says what came of it.
    Test {
        /// Its name.
        name: String,
    },
    /// Approves the host key of an SSH server; `hoop admin roles test` shows the one that it has.
    Trust {
        /// The role's name.
        name: String,
        /// The key's fingerprint, as whoever runs the machine says it: `SHA256:…`.
        fingerprint: String,
    },
    /// Says which secrets the gateway keeps for a role; it does not say what they are.
    Secrets {
        /// Its name.
        name: String,
    },
    /// Has the gateway keep a secret, encrypted, for a field that has no reference. It is asked for, or read from standard
    /// input.
    SetSecret {
        /// The role's name.
        name: String,
        /// PostgreSQL: `password`, `sslcert` or `sslkey`; SSH: `password`, `private_key`, `passphrase`, `certificate` or
        /// `certificate_authority`; HTTP: `secret`, `aws_session_token`, `sslcert` or `sslkey`.
        field: String,
    },
    /// Removes a secret that the gateway keeps.
    DeleteSecret {
        /// The role's name.
        name: String,
        /// PostgreSQL: `password`, `sslcert` or `sslkey`; SSH: `password`, `private_key`, `passphrase`, `certificate` or
        /// `certificate_authority`; HTTP: `secret`, `aws_session_token`, `sslcert` or `sslkey`.
        field: String,
    },
}

/// What can be said of a role; rules of plugins are said in a file.
#[derive(Args)]
pub(crate) struct Fields {
    /// What it is; unless said, a new role is `postgres`.
    #[arg(long, value_name = "KIND", value_parser = ["postgres", "ssh", "http"])]
    kind: Option<String>,
    /// The agent that reaches it.
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Host of the server, as the agent sees it.
    #[arg(long)]
    host: Option<String>,
    /// Its port.
    #[arg(long)]
    port: Option<u16>,
    /// The user that the agent logs in as.
    #[arg(long, visible_alias = "user", value_name = "NAME")]
    target_user: Option<String>,
    /// Where the agent finds the password: `env:NAME`, `file:/path`, `vault:<mount>/<path>#<field>` or `aws-sm:<name>`.
    /// Never the password itself.
    #[arg(long, value_name = "REFERENCE")]
    password: Option<String>,
    /// The database of a client that names none.
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Another database that a client may name, `*` for any; again for each.
    #[arg(long = "also-database", value_name = "PATTERN")]
    databases: Vec<String>,
    /// When the agent speaks TLS to the server, and what it verifies, as in libpq.
    #[arg(long)]
    sslmode: Option<String>,
    /// File with the authorities to trust, on the agent's machine.
    #[arg(long, value_name = "FILE")]
    sslrootcert: Option<String>,
    /// Where the agent finds its client certificate, in PEM: a reference like that of the password.
    #[arg(long, value_name = "REFERENCE")]
    sslcert: Option<String>,
    /// Where the agent finds the key of that certificate, likewise.
    #[arg(long, value_name = "REFERENCE")]
    sslkey: Option<String>,
    /// A group that may use it; again for each. They replace those from before, and `--group ''` leaves none.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// A label; again for each.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// What must be on disk before a statement goes on: `default` or `strict`.
    #[arg(long, value_name = "MODE")]
    recording: Option<String>,
    #[command(flatten)]
    from: From,
    #[command(flatten)]
    ssh: Ssh,
    #[command(flatten)]
    http: Http,
}

impl Fields {
    fn read(self) -> Result<Value, Failure> {
        let mut target = Map::new();
        set(&mut target, "kind", self.kind);
        set(&mut target, "host", self.host);
        set(&mut target, "port", self.port);
        set(&mut target, "user", self.target_user);
        set(&mut target, "password", self.password);
        set(&mut target, "database", self.database);
        set(&mut target, "databases", (!self.databases.is_empty()).then_some(self.databases));
        set(&mut target, "sslmode", self.sslmode);
        set(&mut target, "sslrootcert", self.sslrootcert);
        set(&mut target, "sslcert", self.sslcert);
        set(&mut target, "sslkey", self.sslkey);
        self.ssh.set(&mut target);
        self.http.set(&mut target);
        let mut fields = Map::new();
        set(&mut fields, "target", (!target.is_empty()).then_some(target));
        set(&mut fields, "agent", self.agent);
        let none = self.groups == [""];
        set(&mut fields, "allowed_groups", (!self.groups.is_empty()).then(|| if none { vec![] } else { self.groups }));
        let labels: Map<String, Value> = self.labels.into_iter().map(|(key, value)| (key, value.into())).collect();
        set(&mut fields, "labels", (!labels.is_empty()).then_some(labels));
        set(&mut fields, "recording", self.recording);
        definition(self.from.file.as_deref(), fields)
    }
}

pub(crate) async fn run(command: Command, shell: &Shell) -> Result<(), Failure> {
    let api = shell.api().await?;
    let path = |name: &str| format!("/api/v1/roles/{}", segment(name));
    match command {
        Command::List => {
            let roles = api.all("/api/v1/roles").await?;
            output::list(shell.format, &roles, &HEAD, row, "no role yet; hoop admin roles create NAME")
        }
        Command::Show { name } => output::show(shell.format, &api.get(&path(&name)).await?, &FIELDS),
        Command::Create { name, fields } => {
            let mut role = fields.read()?;
            role["name"] = name.into();
            if role["target"].is_object() && role["target"]["kind"].is_null() {
                role["target"]["kind"] = "postgres".into();
            }
            output::show(shell.format, &api.post("/api/v1/roles", &role).await?, &FIELDS)
        }
        Command::Update { name, fields } => {
            let mut change = fields.read()?;
            http::whole_login(&mut change);
            output::show(shell.format, &api.patch(&path(&name), &change).await?, &FIELDS)
        }
        Command::Delete { name } => {
            api.delete(&path(&name)).await?;
            shell.tell(format!("role {name} is deleted"));
            Ok(())
        }
        Command::Test { name } => {
            let tried = api.post(&format!("{}/test", path(&name)), &json!({})).await?;
            output::show(shell.format, &tried, &["ok", "agent", "latency_ms", "server_version", "code", "host_key"])?;
            failed(&name, &tried).map_or(Ok(()), Err)
        }
        Command::Trust { name, fingerprint } => {
            let trusted =
                api.post(&format!("{}/host-key", path(&name)), &json!({ "fingerprint": fingerprint })).await?;
            output::show(shell.format, &trusted, &["fingerprint", "public_key"])?;
            shell.tell(format!("role {name} trusts a machine with this key"));
            Ok(())
        }
        Command::Secrets { name } => {
            let kept = api.get(&format!("{}/secrets", path(&name))).await?;
            output::show(shell.format, &kept, &SECRETS)
        }
        Command::SetSecret { name, field } => {
            let value = secret(&field, shell)?;
            let at = format!("{}/secrets/{}", path(&name), segment(&field));
            api.call(Method::PUT, &at, Some(&json!({ "value": value.expose() }))).await?;
            shell.tell(format!("the {field} of role {name} is kept"));
            Ok(())
        }
        Command::DeleteSecret { name, field } => {
            api.delete(&format!("{}/secrets/{}", path(&name), segment(&field))).await?;
            shell.tell(format!("the {field} of role {name} is not kept any more"));
            Ok(())
        }
    }
}

/// What the gateway may keep of roles of all kinds.
const SECRETS: [&str; 9] = [
    "password",
    "sslcert",
    "sslkey",
    "private_key",
    "passphrase",
    "certificate",
    "certificate_authority",
    "secret",
    "aws_session_token",
];

/// Why a target could not be reached, with the exit code that a session would have.
fn failed(name: &str, tried: &Value) -> Option<Failure> {
    if tried["ok"] == true {
        return None;
    }
    let code = tried["code"].as_str().and_then(|code| code.parse().ok()).map_or(1, Failure::exit_code);
    let failure = Failure::new(code, format!("role {name}: {}", text(tried, "reason")));
    if tried["host_key"].is_object() {
        let shown = text(&tried["host_key"], "fingerprint");
        return Some(failure.hint(format!(
            "if whoever runs the machine says that its key is {shown}: hoop admin roles trust {name} {shown}"
        )));
    }
    Some(match tried["hint"].as_str() {
        Some(hint) => failure.hint(output::printable(hint)),
        None => failure,
    })
}

/// A secret never stands on the command line, where others see it. A file in PEM has more than a line.
fn secret(field: &str, shell: &Shell) -> Result<Secret<String>, Failure> {
    if io::stdin().is_terminal() {
        return shell.ask_secret(field, "give it on standard input");
    }
    if matches!(field, "password" | "passphrase" | "secret" | "aws_session_token") {
        return Ok(Secret::new(shell::line()?));
    }
    let mut pem = String::new();
    io::stdin().lock().read_to_string(&mut pem)?;
    Ok(Secret::new(pem))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        fields: Fields,
    }

    /// What a command line says of a role.
    pub(super) fn read(line: &str) -> Value {
        Line::parse_from(["x"].into_iter().chain(line.split_whitespace())).fields.read().expect("a role")
    }

    #[test]
    fn a_machine_whose_key_is_unknown_is_told_with_the_next_command() {
        let tried = json!({
            "ok": false, "code": "target_host_key", "reason": "not trusted", "hint": "x",
            "host_key": { "fingerprint": "SHA256:abc", "public_key": "ssh-ed25519 AAAA" },
        });
        let failure = failed("web", &tried).expect("it failed");
        assert_eq!(failure.code(), Failure::UNAVAILABLE);
        assert!(failure.next().is_some_and(|hint| hint.ends_with("hoop admin roles trust web SHA256:abc")));
    }
}
