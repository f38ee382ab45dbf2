//! `hoop access`.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::completions;
use crate::failure::Failure;
use crate::output::{self, Format, text};
use crate::shell::Shell;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Whether a user may use a role, and which access rule says so. Exits with 4 when not.
    Check {
        /// The user.
        user: String,
        /// The role.
        #[arg(add = completions::roles())]
        role: String,
        /// How it would be used.
        #[arg(long, default_value = "native")]
        mode: Mode,
        /// From which address.
        #[arg(long, value_name = "ADDR")]
        source: Option<IpAddr>,
        /// When, such as 2026-11-27T22:00:00Z; now unless given.
        #[arg(long, value_name = "TIME")]
        at: Option<DateTime<Utc>>,
        /// What for.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// How a role is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// With a native client, such as psql.
    Native,
    /// In the web editor or the web terminal.
    Web,
    /// A single command.
    Exec,
    /// A prepared script.
    Runbook,
}

impl Mode {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Web => "web",
            Self::Exec => "exec",
            Self::Runbook => "runbook",
        }
    }
}

pub(crate) async fn run(command: Command, shell: &Shell) -> Result<(), Failure> {
    let api = shell.api().await?;
    let Command::Check { user, role, mode, source, at, reason } = command;
    let question = json!({
        "user": user, "role": role, "mode": mode.as_str(), "source": source, "at": at, "reason": reason,
    });
    let answer = api.post("/api/v1/access/check", &question).await?;
    show(&answer, shell.format)?;
    if answer["allowed"] == true { Ok(()) } else { Err(Failure::new(Failure::DENIED, refusal(&answer))) }
}

fn show(answer: &Value, format: Format) -> Result<(), Failure> {
    if !matches!(format, Format::Table | Format::Csv) {
        return output::show(format, answer, &[]);
    }
    if format == Format::Table && answer["allowed"] == true {
        output::line(&granted(answer))?;
    }
    let rules = answer["rules"].as_array().cloned().unwrap_or_default();
    output::list(format, &rules, &["rule", "effect", "matches", "why"], row, "there is no access rule")
}

/// What is allowed, by what, and until when.
fn granted(answer: &Value) -> String {
    let said = |field| text(answer, field);
    let mut line = format!("user {} may use role {}: {} allows it", said("user"), said("role"), said("by"));
    let until = text(&answer["obligations"], "expires_at");
    if !until.is_empty() {
        line = format!("{line}, until {until}");
    }
    line
}

fn refusal(answer: &Value) -> String {
    let hint = text(answer, "hint");
    let reason = text(answer, "reason");
    if hint.is_empty() { reason } else { format!("{reason}; {hint}") }
}

fn row(rule: &Value) -> Vec<String> {
    let matches = if rule["matches"] == true { "yes" } else { "no" };
    vec![text(rule, "rule"), text(rule, "effect"), matches.to_owned(), text(rule, "why")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_as_a_sentence() {
        let answer = json!({
            "user": "ada", "role": "shop", "allowed": true, "by": "access rule dba",
            "obligations": { "reason": false, "review": null, "expires_at": "2026-11-27T23:00:00Z" },
        });
        let until = "user ada may use role shop: access rule dba allows it, until 2026-11-27T23:00:00Z";
        assert_eq!(granted(&answer), until);
        assert_eq!(refusal(&json!({ "reason": "no", "hint": "ask" })), "no; ask");
        assert_eq!(refusal(&json!({ "reason": "no", "hint": null })), "no");
        let rule = json!({ "rule": "dba", "effect": "allow", "matches": false, "why": "is disabled" });
        assert_eq!(row(&rule), ["dba", "allow", "no", "is disabled"]);
    }
}
