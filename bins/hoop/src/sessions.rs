//! `hoop sessions`.

use std::path::Path;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde_json::Value;

use crate::api::Api;
use crate::failure::Failure;
use crate::output::{self, Format, text};
use crate::place::{self, Place};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The latest sessions, newest first.
    List {
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
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
}

pub(crate) async fn run(command: Command, dir: Option<&Path>, format: Format) -> Result<(), Failure> {
    let place = Place::read(&place::folder(dir)?)?;
    let api = Api::of(&place).await?;
    match command {
        Command::List { limit } => {
            let page = api.get(&format!("/api/v1/sessions?limit={limit}")).await?;
            let sessions = page["items"].as_array().cloned().unwrap_or_default();
            let head = ["session", "user", "role", "database", "application", "started", "lasted", "outcome", "rows"];
            output::list(format, &sessions, &head, row, "no session yet; connect with a credential's psql line")?;
        }
        Command::Show { session } => show(&api.get(&format!("/api/v1/sessions/{session}")).await?, format)?,
        Command::Kill { session } => {
            api.call(reqwest::Method::POST, &format!("/api/v1/sessions/{session}/kill"), None).await?;
            eprintln!("session {session} was told to end");
        }
    }
    Ok(())
}

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
        started.map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default(),
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

fn show(session: &Value, format: Format) -> std::io::Result<()> {
    if format != Format::Table {
        return output::line(&session.to_string());
    }
    for name in FIELDS {
        let value = match &session[name] {
            Value::Null => continue,
            Value::Object(sums) => {
                sums.keys().map(|sum| format!("{sum} {}", text(&session[name], sum))).collect::<Vec<_>>().join(", ")
            }
            _ => text(session, name),
        };
        output::line(&format!("{name:<12}  {value}"))?;
    }
    eprintln!("\nwhat happened in it: hoop audit show {}", text(session, "id"));
    Ok(())
}

fn time(session: &Value, field: &str) -> Option<DateTime<Utc>> {
    session[field].as_str()?.parse().ok()
}

fn lasted(duration: chrono::TimeDelta) -> String {
    let seconds = duration.num_seconds().max(0);
    match seconds {
        0 => format!("{} ms", duration.num_milliseconds().max(0)),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
    fn durations() {
        for (milliseconds, expected) in [(-5, "0 ms"), (7, "7 ms"), (59_999, "59 s"), (3_600_000, "1 h 0 min")] {
            assert_eq!(lasted(chrono::TimeDelta::milliseconds(milliseconds)), expected);
        }
    }
}
