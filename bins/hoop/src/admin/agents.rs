//! `hoop admin agents`.

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::api::segment;
use crate::duration;
use crate::failure::Failure;
use crate::output::{self, Format, text, time};
use crate::shell::Shell;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// All of them, and whether they are attached.
    List,
    /// One agent.
    Show {
        /// Its name.
        name: String,
    },
    /// Makes an agent, and prints its `HOOP_KEY`, this once.
    Create {
        /// Its name.
        name: String,
    },
    /// Gives an agent another key, and prints it, this once. Links with the old one are cut when its time is over.
    Rotate {
        /// Its name.
        name: String,
        /// How long the old key stays good, too: a day at most. Nothing said: not at all.
        #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "0s")]
        overlap: Duration,
    },
    /// Takes the key of an agent away; its sessions end now.
    Revoke {
        /// Its name.
        name: String,
    },
}

pub(crate) async fn run(command: Command, shell: &Shell) -> Result<(), Failure> {
    let api = shell.api().await?;
    let path = |name: &str| format!("/api/v1/agents/{}", segment(name));
    match command {
        Command::List => {
            let agents = api.all("/api/v1/agents").await?;
            let head = ["agent", "state", "host", "version", "last seen"];
            output::list(shell.format, &agents, &head, row, "no agent yet; hoop admin agents create NAME")
        }
        Command::Show { name } => output::show(shell.format, &api.get(&path(&name)).await?, &FIELDS),
        Command::Create { name } => key(&api.post("/api/v1/agents", &json!({ "name": name })).await?, shell),
        Command::Rotate { name, overlap } => {
            let body = json!({ "overlap_seconds": overlap.as_secs() });
            key(&api.post(&format!("{}/rotate", path(&name)), &body).await?, shell)
        }
        Command::Revoke { name } => {
            let revoked = api.post(&format!("{}/revoke", path(&name)), &json!({})).await?;
            output::show(shell.format, &revoked, &FIELDS)
        }
    }
}

const FIELDS: [&str; 8] =
    ["name", "roles", "attached", "old_key_good_until", "revoked_at", "last_seen_at", "created_at", "id"];

/// The key alone, so that it can go straight into a file.
fn key(agent: &Value, shell: &Shell) -> Result<(), Failure> {
    if shell.format != Format::Table {
        return output::show(shell.format, agent, &["name", "key", "id"]);
    }
    output::line(&text(agent, "key"))?;
    let name = text(agent, "name");
    shell.tell(format!("the key of agent {name} is shown this once; start it with HOOP_KEY=… hoop-agent start"));
    Ok(())
}

/// The newest of the processes that are attached.
fn row(agent: &Value) -> Vec<String> {
    let attached = agent["attached"].as_array().map_or(0, Vec::len);
    let state = match attached {
        _ if !agent["revoked_at"].is_null() => "revoked".to_owned(),
        0 => "not attached".to_owned(),
        1 => "attached".to_owned(),
        more => format!("attached {more} times"),
    };
    let newest = agent["attached"].as_array().and_then(|attached| attached.last()).unwrap_or(&Value::Null);
    vec![text(agent, "name"), state, text(newest, "hostname"), text(newest, "version"), time(agent, "last_seen_at")]
}
