//! `hoop sessions`.

mod export;
mod files;
mod replay;
mod stage;
mod watch;

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::api::segment;
use crate::duration;
use crate::failure::Failure;
use crate::output::{self, Format, text};
use crate::shell::Shell;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The latest sessions, newest first.
    List {
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        #[command(flatten)]
        filter: Filter,
    },
    /// One session.
    Show {
        /// Its id, `ses_…`.
        session: String,
    },
    /// Ends a session that runs.
    Kill {
        /// Its id, `ses_…`.
        session: String,
    },
    /// Plays what happened on a terminal. Space pauses, the arrows go 10 s back or ahead, q ends.
    Replay(replay::Options),
    /// Writes a recording to standard output.
    Export(export::Options),
    /// The files that were moved in a session, and the contents of those that are kept.
    Files(files::Options),
    /// Says when sessions start and end, until Ctrl-C. Of one session: shows its terminal until it has ended.
    Watch {
        /// Its id, `ses_…`; unless given, all.
        session: Option<String>,
        /// Says of one session, too, only that it has ended.
        #[arg(long)]
        events: bool,
        #[command(flatten)]
        filter: Filter,
    },
}

/// Which sessions.
#[derive(Args)]
pub(crate) struct Filter {
    /// Of this user.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Of this role.
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
    /// On this database.
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// With this outcome, such as completed or agent_lost.
    #[arg(long, conflicts_with = "running")]
    outcome: Option<String>,
    /// That run now.
    #[arg(long)]
    running: bool,
    /// That started within this time, such as 8h.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    since: Option<Duration>,
}

impl Filter {
    fn takes(&self, session: &Value) -> bool {
        let is = |field: &str, wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| session[field].as_str() == Some(wanted))
        };
        let since =
            self.since.and_then(|since| Utc::now().checked_sub_signed(chrono::TimeDelta::from_std(since).ok()?));
        is("user", &self.user)
            && is("role", &self.role)
            && is("database", &self.database)
            && is("outcome", &self.outcome)
            && (!self.running || session["ended_at"].is_null())
            && since.is_none_or(|since| time(session, "started_at").is_some_and(|started| started >= since))
    }
}

pub(crate) async fn run(command: Command, shell: &Shell) -> Result<(), Failure> {
    let command = match command {
        // These need no gateway where the recording is.
        Command::Replay(options) => return replay::run(options, shell).await,
        Command::Export(options) => return export::run(options, shell).await,
        Command::Files(options) => return files::run(options, shell).await,
        other => other,
    };
    let api = shell.api().await?;
    match command {
        Command::List { limit, filter } => {
            let most = usize::try_from(limit)?;
            let sessions = api.some("/api/v1/sessions", most, |session| filter.takes(session)).await?;
            output::list(shell.format, &sessions, &HEAD, row, "no such session yet; hoop connect ROLE makes one")?;
        }
        Command::Show { session } => show(&api.get(&path(&session)).await?, shell)?,
        Command::Kill { session } => {
            api.post(&format!("{}/kill", path(&session)), &json!({})).await?;
            shell.tell(format!("session {session} was told to end"));
        }
        Command::Watch { session: Some(session), events, .. } => {
            watch::one(&api, &path(&session), events, shell).await?
        }
        Command::Watch { session: None, filter, .. } => watch::all(&api, &filter, shell).await?,
        Command::Replay(_) | Command::Export(_) | Command::Files(_) => {}
    }
    Ok(())
}

fn path(session: &str) -> String {
    format!("/api/v1/sessions/{}", segment(session))
}

const HEAD: [&str; 9] = ["session", "user", "role", "database", "application", "started", "lasted", "outcome", "rows"];

fn row(session: &Value) -> Vec<String> {
    let started = time(session, "started_at");
    let ended = time(session, "ended_at");
    let lasted = match (started, ended) {
        (Some(started), Some(ended)) => lasted(ended - started),
        (Some(started), None) => lasted(Utc::now() - started),
        _ => String::new(),
    };
    let outcome = if ended.is_some() { text(session, "outcome") } else { text(session, "state") };
    vec![
        text(session, "id"),
        text(session, "user"),
        text(session, "role"),
        text(session, "database"),
        text(session, "application"),
        output::time(session, "started_at"),
        lasted,
        outcome,
        text(&session["totals"], "rows"),
    ]
}

/// What is told of one session, in this order.
const FIELDS: [&str; 17] = [
    "id",
    "user",
    "role",
    "agent",
    "database",
    "application",
    "source",
    "mode",
    "state",
    "started_at",
    "ended_at",
    "outcome",
    "code",
    "reason",
    "totals",
    "log_records",
    "log_head",
];

fn show(session: &Value, shell: &Shell) -> Result<(), Failure> {
    output::show(shell.format, session, &FIELDS)?;
    if shell.format == Format::Table {
        shell.tell(format!("\nwhat happened in it: hoop audit show {}", text(session, "id")));
    }
    Ok(())
}

fn time(session: &Value, field: &str) -> Option<DateTime<Utc>> {
    session[field].as_str()?.parse().ok()
}

fn lasted(duration: chrono::TimeDelta) -> String {
    match duration.num_seconds() {
        ..=0 => format!("{} ms", duration.num_milliseconds().max(0)),
        seconds => duration::told(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_how_it_went() {
        let mut session = json!({
            "id": "ses_1", "user": "ada", "role": "demo-pg", "database": "shop", "application": "psql\u{1b}[2J",
            "state": "closed", "started_at": "2026-11-25T10:00:00Z", "ended_at": "2026-11-25T10:02:05Z",
            "outcome": "closed", "totals": { "rows": 20 },
        });
        let ended = row(&session);
        assert_eq!(ended[4], "psql\u{fffd}[2J", "nothing reaches the terminal that would move its cursor");
        assert_eq!(ended[5..], ["2026-11-25 10:00:00", "2 min 5 s", "closed", "20"]);
        session["ended_at"] = Value::Null;
        session["state"] = "running".into();
        assert_eq!(row(&session)[7], "running");
    }

    #[test]
    fn a_filter_takes_what_it_names() {
        let session = json!({ "user": "ada", "role": "shop", "started_at": Utc::now(), "ended_at": null });
        let none = || Filter { user: None, role: None, database: None, outcome: None, running: false, since: None };
        let named = |name: &str| Some(name.to_owned());
        assert!(none().takes(&session));
        assert!(Filter { user: named("ada"), running: true, ..none() }.takes(&session));
        assert!(!Filter { user: named("ada"), role: named("other"), ..none() }.takes(&session));
        assert!(!Filter { outcome: named("completed"), ..none() }.takes(&session));
        assert!(Filter { since: Some(Duration::from_secs(60)), ..none() }.takes(&session));
        assert!(!Filter { since: Some(Duration::ZERO), ..none() }.takes(&session));
    }

    #[test]
    fn durations() {
        for (milliseconds, expected) in [(-5, "0 ms"), (7, "7 ms"), (59_999, "59 s"), (3_600_000, "1 h 0 min")] {
            assert_eq!(lasted(chrono::TimeDelta::milliseconds(milliseconds)), expected);
        }
    }
}
