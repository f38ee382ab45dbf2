//! `hoop sessions watch`.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::Utc;
use hoop_gateway::record::exchanges::Exchange;
use reqwest::Method;
use serde_json::{Value, json};

use super::stage::Stage;
use super::{Filter, path};
use crate::api::Api;
use crate::failure::Failure;
use crate::output::{self, Format, text};
use crate::shell::Shell;
use crate::stop::Stop;

/// How often the gateway is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Sessions that are looked at each time.
const LATEST: usize = 200;

/// Shows the terminal of a session, or its HTTP exchanges, until it has ended, unless only its `events` are wanted; then says how it ended.
pub(super) async fn one(api: &Api, path: &str, events: bool, shell: &Shell) -> Result<(), Failure> {
    if !events && !tell_exchanges(api, path, shell).await? {
        show_terminal(api, path, shell).await?;
    }
    loop {
        let session = api.get(path).await?;
        if !session["ended_at"].is_null() {
            return super::show(&session, shell);
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Shows what is written on the session's terminal, as it is recorded; nothing where it has none.
async fn show_terminal(api: &Api, path: &str, shell: &Shell) -> Result<(), Failure> {
    let live = format!("{path}/recording?format=asciicast&follow=true");
    let mut response = match api.send(Method::GET, &live, None).await {
        Err(failure) if failure.is_not_found() => return Ok(()),
        other => other?,
    };
    let mut stop = Stop::new()?;
    let mut stage = Stage::of_output();
    let mut lines = Lines::default();
    loop {
        let chunk = tokio::select! {
            chunk = response.chunk() => chunk?,
            failure = stop.any(shell.timeout) => return Err(failure),
        };
        let Some(chunk) = chunk else { return Ok(()) };
        for line in lines.push(&chunk) {
            if let Some(written) = written(&line) {
                stage.write(written.as_bytes())?;
            }
        }
        stage.flush()?;
    }
}

/// Tells the exchanges of a session of HTTP as they end; whether it is one.
async fn tell_exchanges(api: &Api, path: &str, shell: &Shell) -> Result<bool, Failure> {
    let live = format!("{path}/recording?format=exchanges&follow=true");
    let mut response = match api.send(Method::GET, &live, None).await {
        Err(failure) if failure.is_not_found() => return Ok(false),
        other => other?,
    };
    let mut stop = Stop::new()?;
    let mut lines = Lines::default();
    loop {
        let chunk = tokio::select! {
            chunk = response.chunk() => chunk?,
            failure = stop.any(shell.timeout) => return Err(failure),
        };
        let Some(chunk) = chunk else { return Ok(true) };
        for line in lines.push(&chunk) {
            tell_exchange(&line, shell.format)?;
        }
    }
}

fn tell_exchange(line: &[u8], format: Format) -> Result<(), Failure> {
    let Ok(exchange) = serde_json::from_slice::<Exchange>(line) else { return Ok(()) };
    match format {
        Format::Json | Format::Ndjson => output::line(&serde_json::to_string(&exchange)?)?,
        Format::Yaml => output::line(output::yaml(&[json!(exchange)])?.trim_end())?,
        // The gateway may be another's.
        Format::Table | Format::Csv => output::line(&output::brief(&exchange.to_string().into()))?,
    }
    Ok(())
}

/// What a line of an asciicast says was written.
fn written(line: &[u8]) -> Option<String> {
    match serde_json::from_slice::<(f64, String, String)>(line) {
        Ok((_, code, data)) if code == "o" => Some(data),
        _ => None,
    }
}

/// Longest line that is taken, in bytes: a record of 1 MiB in which every byte is escaped.
const MAX_LINE: usize = 8 << 20;

/// Puts lines together.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.0.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let rest = self.0.split_off(end + 1);
            lines.push(std::mem::replace(&mut self.0, rest));
        }
        if self.0.len() > MAX_LINE {
            self.0.clear();
        }
        lines
    }
}

/// Says what starts and ends, for as long as it is let.
pub(super) async fn all(api: &Api, filter: &Filter, shell: &Shell) -> Result<(), Failure> {
    let mut seen = Seen::default();
    loop {
        let mut sessions = api.some("/api/v1/sessions", LATEST, |_| true).await?;
        // Those that have run for long are not among the latest any more.
        for id in seen.not_in(&sessions) {
            sessions.push(api.get(&path(&id)).await?);
        }
        // The oldest first, as it happened.
        for (event, session) in seen.look(sessions.iter().rev()) {
            if filter.takes(session) {
                tell(event, session, shell.format)?;
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// What was told already.
#[derive(Default)]
struct Seen {
    running: BTreeSet<String>,
    /// The newest session that was looked at: ids sort by time. `None` before the first look.
    newest: Option<String>,
}

impl Seen {
    fn not_in(&self, sessions: &[Value]) -> Vec<String> {
        let listed: BTreeSet<&str> = sessions.iter().filter_map(|session| session["id"].as_str()).collect();
        self.running.iter().filter(|id| !listed.contains(id.as_str())).cloned().collect()
    }

    /// What has happened since the last look; at the first, what runs.
    fn look<'a>(&mut self, sessions: impl Iterator<Item = &'a Value>) -> Vec<(&'static str, &'a Value)> {
        let (mut events, before) = (Vec::new(), self.newest.clone());
        for session in sessions {
            let (id, ended) = (text(session, "id"), !session["ended_at"].is_null());
            let is_new = before.as_ref().is_some_and(|newest| id > *newest);
            match (self.running.remove(&id), ended) {
                (true, true) => events.push(("ended", session)),
                (false, true) if is_new => events.extend([("started", session), ("ended", session)]),
                (false, true) => {}
                (was_known, false) => {
                    if !was_known {
                        events.push((if before.is_some() { "started" } else { "running" }, session));
                    }
                    self.running.insert(id.clone());
                }
            }
            self.newest = self.newest.take().max(Some(id));
        }
        self.newest.get_or_insert_default();
        events
    }
}

fn tell(event: &str, session: &Value, format: Format) -> Result<(), Failure> {
    let cells = ["id", "user", "role", "database", "application"].map(|field| text(session, field));
    let outcome = if event == "ended" { text(session, "outcome") } else { String::new() };
    match format {
        Format::Table => {
            let at = Utc::now().format("%H:%M:%S");
            output::line(format!("{at}  {event:<7}  {}  {outcome}", cells.join("  ")).trim_end())?;
        }
        Format::Csv => {
            let cells = [event].into_iter().chain(cells.iter().map(String::as_str)).chain([outcome.as_str()]);
            output::line(&output::sheet_row(cells))?;
        }
        Format::Json | Format::Ndjson => output::line(&json!({ "event": event, "session": session }).to_string())?,
        Format::Yaml => output::line(output::yaml(&[json!({ "event": event, "session": session })])?.trim_end())?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(seen: &mut Seen, sessions: &[Value]) -> Vec<String> {
        let told = seen.look(sessions.iter());
        told.into_iter().map(|(event, session)| format!("{event} {}", text(session, "id"))).collect()
    }

    #[test]
    fn each_start_and_each_end_is_told_once() {
        let session = |id: &str, ended: bool| json!({ "id": id, "ended_at": ended.then_some("2026-11-27T10:00:00Z") });
        let mut seen = Seen::default();
        assert_eq!(events(&mut seen, &[session("1", true), session("2", false)]), ["running 2"]);
        assert!(events(&mut seen, &[session("1", true), session("2", false)]).is_empty());
        let later = [session("2", true), session("3", true), session("4", false)];
        assert_eq!(events(&mut seen, &later), ["ended 2", "started 3", "ended 3", "started 4"]);
        assert!(events(&mut seen, &later).is_empty());
        assert_eq!(seen.not_in(&[session("5", false)]), ["4"]);
    }

    #[test]
    fn what_was_written_is_taken_from_its_lines() {
        let mut lines = Lines::default();
        let cast = "{\"version\":3}\n[0.5, \"o\", \"caf\u{e9}\\u001b[m\"]\n# waiting\n[1.0, \"i\", \"x\"]\n[0.0, \"o\", \"!\"]\n";
        let all: Vec<_> = cast.as_bytes().chunks(7).flat_map(|chunk| lines.push(chunk)).collect();
        let told: Vec<_> = all.iter().filter_map(|line| written(line)).collect();
        assert_eq!(told, ["caf\u{e9}\u{1b}[m", "!"]);
    }

    #[test]
    fn the_first_session_of_all_is_told() {
        let mut seen = Seen::default();
        assert!(events(&mut seen, &[]).is_empty());
        assert_eq!(events(&mut seen, &[json!({ "id": "1", "ended_at": null })]), ["started 1"]);
    }
}
