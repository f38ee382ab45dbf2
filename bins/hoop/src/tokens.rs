//! `hoop tokens`: API tokens of one's own, for programs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::api::segment;
use crate::duration;
use crate::failure::Failure;
use crate::output::{self, Format, text, time};
use crate::shell::Shell;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Those of yours that are good for something.
    List {
        /// Also those that are not any more.
        #[arg(long)]
        all: bool,
    },
    /// Makes one, and prints it, this once; programs take it from HOOP_TOKEN. It takes a login.
    Create {
        /// What it is called, for people.
        name: String,
        #[command(flatten)]
        wish: Wish,
    },
    /// Takes one away, with the credentials and sessions that came of it.
    Revoke {
        /// Its id, `tok_…`.
        id: String,
    },
}

/// What a token is to be like.
#[derive(Args)]
pub(crate) struct Wish {
    /// What it is for; again for each.
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<Scope>,
    /// How long it is good for, such as 30d; unless given, 30 days, or as long as the gateway gives.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    expires: Option<Duration>,
}

/// What a token is for. It never may more than its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    /// See what its owner may see, and change nothing.
    Read,
    /// Use roles: credentials and sessions of the owner's own.
    Connect,
    /// Whatever its owner may, who is an administrator.
    Admin,
}

impl Wish {
    /// What is asked of the gateway.
    pub(crate) fn body(&self, name: &str) -> Value {
        let scopes: Vec<_> = self.scopes.iter().filter_map(ValueEnum::to_possible_value).collect();
        let scopes: Vec<_> = scopes.iter().map(|scope| scope.get_name()).collect();
        let mut body = json!({ "name": name, "scopes": scopes });
        if let Some(expires) = self.expires {
            body["ttl_seconds"] = expires.as_secs().max(1).into();
        }
        body
    }
}

const PATH: &str = "/api/v1/tokens";

pub(crate) async fn run(command: Command, shell: &Shell) -> Result<(), Failure> {
    let api = shell.api().await?;
    match command {
        Command::List { all } => {
            let me = api.get("/api/v1/me").await?;
            // Administrators are shown everyone's.
            let own = api.some(PATH, usize::MAX, |token| token["user_id"] == me["id"]).await?;
            list(own, all, "no token; hoop tokens create NAME --scope connect", shell)
        }
        Command::Create { name, wish } => shown_once(&api.post(PATH, &wish.body(&name)).await?, shell),
        Command::Revoke { id } => {
            api.delete(&format!("{PATH}/{}", segment(&id))).await?;
            shell.tell(format!("token {id} is good for nothing any more"));
            Ok(())
        }
    }
}

/// The token alone, so that it can go straight into a file or a variable.
pub(crate) fn shown_once(made: &Value, shell: &Shell) -> Result<(), Failure> {
    if shell.format != Format::Table {
        return output::show(shell.format, made, &["id", "name", "scopes", "expires_at", "token"]);
    }
    output::line(&text(made, "token"))?;
    let (id, until) = (text(made, "id"), time(made, "expires_at"));
    shell.tell(format!("token {id} is shown this once and is good until {until}; use it as HOOP_TOKEN"));
    Ok(())
}

pub(crate) fn list(mut tokens: Vec<Value>, all: bool, empty: &str, shell: &Shell) -> Result<(), Failure> {
    tokens.retain(|token| all || state(token) == "good");
    let head = ["token", "name", "scopes", "state", "made", "expires", "last used"];
    output::list(shell.format, &tokens, &head, row, empty)
}

fn state(token: &Value) -> &'static str {
    let expires: Option<DateTime<Utc>> = token["expires_at"].as_str().and_then(|text| text.parse().ok());
    match expires {
        _ if !token["revoked_at"].is_null() => "revoked",
        Some(at) if at <= Utc::now() => "expired",
        _ => "good",
    }
}

fn row(token: &Value) -> Vec<String> {
    vec![
        text(token, "id"),
        text(token, "name"),
        text(token, "scopes"),
        state(token).to_owned(),
        time(token, "created_at"),
        time(token, "expires_at"),
        time(token, "last_used_at"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_what_the_gateway_is_asked_for() {
        let wish = Wish { scopes: vec![Scope::Read, Scope::Connect], expires: Some(Duration::from_secs(60)) };
        assert_eq!(wish.body("ci"), json!({ "name": "ci", "scopes": ["read", "connect"], "ttl_seconds": 60 }));
        let usual = Wish { scopes: vec![Scope::Admin], expires: None };
        assert_eq!(usual.body("ci"), json!({ "name": "ci", "scopes": ["admin"] }));
    }
}
