//! `hoop keys` and `hoop admin keys`: public keys with which users come over SSH.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::api::{Api, segment};
use crate::duration;
use crate::failure::Failure;
use crate::output::{self, text, time};
use crate::shell::{Shell, variable};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Those that let you in.
    List {
        /// Also those that do not any more.
        #[arg(long)]
        all: bool,
    },
    /// Adds one.
    Add(New),
    /// Removes one, with the sessions that came by it.
    Remove {
        /// Its id, `key_…`, or its fingerprint, `SHA256:…`.
        key: String,
    },
}

/// A key that is added.
#[derive(Args)]
pub(crate) struct New {
    /// The file with the public half, `-` for standard input; unless given, ~/.ssh/id_ed25519.pub.
    file: Option<PathBuf>,
    /// What it is called, for people; unless given, what stands behind the key in the file.
    #[arg(long)]
    name: Option<String>,
    /// How long it lets its user in, such as 30d; unless given, until it is removed.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    expires: Option<Duration>,
}

/// Where the API has one's own; administrators are shown everyone's there.
pub(crate) const PATH: &str = "/api/v1/keys";

/// One's own.
pub(crate) async fn run(command: Command, shell: &Shell) -> Result<(), Failure> {
    match command {
        Command::Add(new) => {
            let body = new.body()?;
            added(&shell.api().await?.post(PATH, &body).await?, shell)
        }
        Command::List { all } => {
            let keys = own(&shell.api().await?).await?;
            list(keys, all, "no key; hoop keys add, or hoop ssh-config, which makes one", shell)
        }
        Command::Remove { key } => {
            let api = shell.api().await?;
            let id = find(own(&api).await?, &key)?;
            remove(&api, PATH, &id, shell).await
        }
    }
}

/// Those of a user or a service account, for administrators.
pub(crate) async fn run_for(user: &str, command: Command, shell: &Shell) -> Result<(), Failure> {
    let path = format!("/api/v1/users/{}/keys", segment(user));
    match command {
        Command::Add(new) => {
            let body = new.body()?;
            added(&shell.api().await?.post(&path, &body).await?, shell)
        }
        Command::List { all } => list(shell.api().await?.all(&path).await?, all, "no key", shell),
        Command::Remove { key } => {
            let api = shell.api().await?;
            let id = find(api.all(&path).await?, &key)?;
            remove(&api, &path, &id, shell).await
        }
    }
}

/// The caller's own.
pub(crate) async fn own(api: &Api) -> Result<Vec<Value>, Failure> {
    let me = api.get("/api/v1/me").await?;
    api.some(PATH, usize::MAX, |key| key["user_id"] == me["id"]).await
}

impl New {
    /// What is asked of the gateway. A private key is not sent, whoever takes it for the other one.
    fn body(self) -> Result<Value, Failure> {
        let mut body = json!({ "public_key": public(&read(self.file)?)? });
        if let Some(name) = self.name {
            body["name"] = name.into();
        }
        if let Some(expires) = self.expires {
            body["ttl_seconds"] = expires.as_secs().max(1).into();
        }
        Ok(body)
    }
}

fn read(file: Option<PathBuf>) -> Result<String, Failure> {
    if file.as_deref() == Some(Path::new("-")) {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read as text")?;
        return Ok(text);
    }
    let usual = || variable("HOME").map(|home| Path::new(&home).join(".ssh/id_ed25519.pub"));
    let Some(file) = file.or_else(usual) else {
        return Err(Failure::new(Failure::USAGE, "no key is named").hint("hoop keys add FILE"));
    };
    std::fs::read_to_string(&file).map_err(|error| {
        let text = format!("{} cannot be read: {error}", file.display());
        Failure::new(1, text)
            .hint("name another one, or make one: ssh-keygen -t ed25519; hoop ssh-config makes its own")
    })
}

fn public(text: &str) -> Result<&str, Failure> {
    if text.contains("PRIVATE KEY") {
        let text = "this is a private key, and nothing was sent";
        return Err(
            Failure::new(Failure::USAGE, text).hint("its public half is in the file of the same name with .pub")
        );
    }
    Ok(text.trim())
}

fn added(key: &Value, shell: &Shell) -> Result<(), Failure> {
    output::show(shell.format, key, &["id", "name", "fingerprint", "expires_at", "public_key"])
}

/// Which of them is meant.
fn find(keys: Vec<Value>, wanted: &str) -> Result<String, Failure> {
    let found = keys.into_iter().find(|key| key["id"] == wanted || key["fingerprint"] == wanted);
    let missing = || Failure::new(Failure::NOT_FOUND, format!("there is no key {wanted}"));
    Ok(text(&found.ok_or_else(missing)?, "id"))
}

async fn remove(api: &Api, path: &str, id: &str, shell: &Shell) -> Result<(), Failure> {
    api.delete(&format!("{path}/{}", segment(id))).await?;
    shell.tell(format!("key {id} lets nobody in any more"));
    Ok(())
}

fn list(mut keys: Vec<Value>, all: bool, empty: &str, shell: &Shell) -> Result<(), Failure> {
    keys.retain(|key| all || is_good(key));
    let head = ["key", "name", "fingerprint", "state", "made", "expires", "last used"];
    output::list(shell.format, &keys, &head, row, empty)
}

/// Whether it lets somebody in still.
pub(crate) fn is_good(key: &Value) -> bool {
    let expires: Option<DateTime<Utc>> = key["expires_at"].as_str().and_then(|text| text.parse().ok());
    expires.is_none_or(|at| at > Utc::now())
}

fn row(key: &Value) -> Vec<String> {
    let state = if is_good(key) { "good" } else { "expired" };
    vec![
        text(key, "id"),
        text(key, "name"),
        text(key, "fingerprint"),
        state.to_owned(),
        time(key, "created_at"),
        time(key, "expires_at"),
        time(key, "last_used_at"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_stays_where_it_is() {
        let refused = public("-----BEGIN OPENSSH PRIVATE KEY-----\nplanted").expect_err("not sent").to_string();
        assert!(refused.contains("private key") && !refused.contains("planted"), "{refused}");
        assert_eq!(public(" ssh-ed25519 AAAA me\n").expect("public"), "ssh-ed25519 AAAA me");
    }

    #[test]
    fn a_key_is_named_by_its_id_or_its_fingerprint() {
        let keys = || {
            vec![
                json!({ "id": "key_1", "fingerprint": "SHA256:a" }),
                json!({ "id": "key_2", "fingerprint": "SHA256:b" }),
            ]
        };
        assert_eq!(find(keys(), "SHA256:b").expect("there"), "key_2");
        assert_eq!(find(keys(), "key_1").expect("there"), "key_1");
        assert!(find(keys(), "SHA256:c").expect_err("not there").is_not_found());
    }
}
