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
            output::list(format, &sessions, &head, row, "no session yet; connect with a credential's psql line");
        }
        Command::Show { session } => show(&api.get(&format!("/api/v1/sessions/{session}")).await?, format),
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

fn show(session: &Value, format: Format) {
    if format != Format::Table {
        println!("{session}");
        return;
    }
    let Value::Object(fields) = session else { return };
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        println!("{:<14} {}", name, text(session, name));
        let _ = value;
    }
    eprintln!("\nwhat happened in it: hoop audit show {}", text(session, "id"));
}

fn time(session: &Value, field: &str) -> Option<DateTime<Utc>> {
    session[field].as_str()?.parse().ok()
}

fn lasted(duration: chrono::TimeDelta) -> String {
    let seconds = duration.num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}
