//! `hoop reviews`: what somebody must agree to.

mod wait;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::api::{Api, segment};
use crate::completions;
use crate::duration;
use crate::failure::Failure;
use crate::output::{self, Format, text, time};
use crate::shell::Shell;

pub(crate) use wait::{Agreement, agreed};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Those that you asked for, and those that you may decide on, newest first.
    List {
        /// Of these alone; unless given, all.
        #[arg(long, value_name = "STATE")]
        state: Option<State>,
        /// For this role.
        #[arg(long, value_name = "NAME", add = completions::roles())]
        role: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// One review.
    Show {
        /// Its id, `rev_…`.
        #[arg(add = completions::reviews())]
        review: String,
    },
    /// Agrees to what a review is about. It takes a login, and somebody else than who asked.
    Approve {
        /// Its id, `rev_…`.
        #[arg(add = completions::reviews())]
        review: String,
        #[command(flatten)]
        said: Said,
        /// How long whoever asked may open such sessions, which end with that time, such as 30m; unless given, one session. What is
        /// done in a session is agreed to once.
        #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
        lasts: Option<Duration>,
    },
    /// Does not agree to what a review is about.
    Deny {
        /// Its id, `rev_…`.
        #[arg(add = completions::reviews())]
        review: String,
        #[command(flatten)]
        said: Said,
    },
    /// Takes your own back.
    Withdraw {
        /// Its id, `rev_…`.
        #[arg(add = completions::reviews())]
        review: String,
    },
}

/// What is said to it.
#[derive(Args)]
pub(crate) struct Said {
    /// A line for whoever asked.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

/// How far a review is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// Nobody has decided.
    Pending,
    /// Somebody has agreed.
    Approved,
    /// Somebody has not.
    Denied,
    /// Nobody has decided in time.
    Expired,
    /// Whoever asked went away.
    Withdrawn,
}

const PATH: &str = "/api/v1/reviews";

pub(crate) fn path(review: &str) -> String {
    format!("{PATH}/{}", segment(review))
}

pub(crate) async fn run(command: Command, shell: &Shell) -> Result<(), Failure> {
    let api = shell.api().await?;
    match command {
        Command::List { state, role, limit } => list(&api, state, role, limit, shell).await,
        Command::Show { review } => show(&api.get(&path(&review)).await?, shell),
        Command::Approve { review, said, lasts } => {
            let for_seconds = lasts.map(|lasts| lasts.as_secs().max(1));
            let body = json!({ "comment": said.comment, "for_seconds": for_seconds });
            let approved = api.post(&format!("{}/approve", path(&review)), &body).await?;
            let good = match approved["good_once"].as_bool() {
                Some(false) => format!("any number of sessions until {} UTC", time(&approved, "good_until")),
                _ => "one session".to_owned(),
            };
            let (user, role) = (text(&approved, "user"), text(&approved, "role"));
            let line = match is_of_a_session(&approved) {
                true => format!("{user} may use role {role}: {good}"),
                false => format!("{user} may do this once on role {role}"),
            };
            decided(&approved, line, shell)
        }
        Command::Deny { review, said } => {
            let denied = api.post(&format!("{}/deny", path(&review)), &json!({ "comment": said.comment })).await?;
            let (user, role) = (text(&denied, "user"), text(&denied, "role"));
            let line = match is_of_a_session(&denied) {
                true => format!("{user} may not use role {role} by this review, and is told so"),
                false => format!("{user} may not do this on role {role}, and is told so"),
            };
            decided(&denied, line, shell)
        }
        Command::Withdraw { review } => {
            api.post(&format!("{}/withdraw", path(&review)), &json!({})).await?;
            shell.tell(format!("review {review} was withdrawn"));
            Ok(())
        }
    }
}

/// Whether it is about the use of a role, and not about something that is done in a session of it.
fn is_of_a_session(review: &Value) -> bool {
    matches!(review["kind"].as_str(), None | Some("session"))
}

/// What became of it, as data where that is wanted.
fn decided(review: &Value, line: String, shell: &Shell) -> Result<(), Failure> {
    if shell.format != Format::Table {
        return output::show(shell.format, review, &FIELDS);
    }
    shell.tell(line);
    Ok(())
}

async fn list(api: &Api, state: Option<State>, role: Option<String>, limit: u32, shell: &Shell) -> Result<(), Failure> {
    let state = state.and_then(|state| state.to_possible_value()).map(|state| state.get_name().to_owned());
    let parts = [("state", state), ("role", role)];
    let given: Vec<_> =
        parts.iter().filter_map(|(name, value)| Some(format!("{name}={}", segment(value.as_deref()?)))).collect();
    let query = if given.is_empty() { String::new() } else { format!("?{}", given.join("&")) };
    let reviews = api.some(&format!("{PATH}{query}"), usize::try_from(limit)?, |_| true).await?;
    output::list(
        shell.format,
        &reviews,
        &HEAD,
        row,
        "no review; one is asked for by who connects to a role that needs one",
    )?;
    let next = reviews.iter().find(|review| review["may_decide"] == true).map(|review| text(review, "id"));
    if let Some(id) = next.filter(|_| shell.format == Format::Table) {
        shell.tell(format!("\nto decide: hoop reviews approve {id}, or hoop reviews deny {id}"));
    }
    Ok(())
}

const HEAD: [&str; 9] = ["review", "state", "about", "user", "role", "group", "asked", "decided by", "reason"];

fn row(review: &Value) -> Vec<String> {
    vec![
        text(review, "id"),
        text(review, "state"),
        text(review, "kind"),
        text(review, "user"),
        text(review, "role"),
        text(review, "group"),
        time(review, "created_at"),
        text(review, "decided_by"),
        brief_of(review),
    ]
}

/// What for, in the words of whoever asks; where something is to be done in a session, the beginning of it.
fn brief_of(review: &Value) -> String {
    const MOST: usize = 60;
    let Some(subject) = review["subject"].as_str() else { return text(review, "reason") };
    let line = subject.lines().next().unwrap_or_default();
    let is_all = line.len() == subject.len() && line.chars().count() <= MOST;
    let shown: String = line.chars().take(MOST).collect();
    format!("{}{}", output::printable(&shown), if is_all { "" } else { "…" })
}

/// What is told of one review, in this order.
const FIELDS: [&str; 22] = [
    "id",
    "state",
    "kind",
    "user",
    "role",
    "mode",
    "database",
    "source",
    "reason",
    "group",
    "rule",
    "session_id",
    "created_at",
    "expires_at",
    "decided_by",
    "decided_at",
    "comment",
    "good_until",
    "good_once",
    "used_by",
    "used_at",
    "request_id",
];

fn show(review: &Value, shell: &Shell) -> Result<(), Failure> {
    output::show(shell.format, review, &FIELDS)?;
    if let (Format::Table, Some(subject)) = (shell.format, review["subject"].as_str()) {
        output::line("\nwhat runs when somebody agrees:")?;
        // Each line is shown for itself: none of it moves the cursor.
        subject.lines().try_for_each(|line| output::line(&format!("    {}", output::printable(line))))?;
    }
    if shell.format == Format::Table && review["may_decide"] == true {
        let id = text(review, "id");
        shell.tell(format!("\nto decide: hoop reviews approve {id}, or hoop reviews deny {id}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_who_wants_what_and_moves_no_cursor() {
        let review = json!({
            "id": "rev_1", "state": "pending", "kind": "session", "user": "ada", "role": "prod", "group": "leads",
            "created_at": "2026-11-25T10:00:00Z", "decided_by": null, "reason": "ticket\u{1b}[2J",
        });
        let told =
            ["rev_1", "pending", "session", "ada", "prod", "leads", "2026-11-25 10:00:00", "", "ticket\u{fffd}[2J"];
        assert_eq!(row(&review), told);
        let review =
            json!({ "kind": "statement", "subject": "delete from t\u{1b}[2J\n where a = 1", "reason": "ticket" });
        assert_eq!(row(&review).last().map(String::as_str), Some("delete from t\u{fffd}[2J…"));
    }
}
