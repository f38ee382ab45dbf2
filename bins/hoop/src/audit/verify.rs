//! `hoop audit verify`.

use std::path::PathBuf;

use anyhow::Context as _;
use hoop_gateway::record::{self, PublicKey, Report, State};
use serde_json::{Value, json};

use super::{Found, key};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::{self, Format};
use crate::shell::Shell;

pub(super) async fn run(recording: &Found, key: Option<PathBuf>, shell: &Shell) -> Result<(), Failure> {
    let report = record::verify(recording.path(), &public_key(key, shell).await?)?;
    let memory = remembered(&report, shell).await;
    let verdict = is_of(&report, recording.asked()).and_then(|()| judge(&report, &memory));
    if shell.format == Format::Table {
        if let Memory::Nothing(why) = &memory {
            eprintln!("note: {why}, so the recording was verified by its signatures alone");
        }
        if let Ok(praise) = &verdict {
            output::line(praise)?;
        }
    } else {
        let format = if shell.format == Format::Json { Format::Ndjson } else { shell.format };
        output::show(format, &document(&report, &memory, &verdict)?, &FIELDS)?;
    }
    verdict.map(drop).map_err(|what| Failure::new(1, what))
}

const FIELDS: [&str; 6] = ["session", "valid", "problem", "state", "records", "bytes"];

async fn public_key(path: Option<PathBuf>, shell: &Shell) -> Result<PublicKey, Failure> {
    let path = match (path, shell.gateway()) {
        (Some(path), _) => path,
        (None, Ok(Gateway::Remote(remote))) => return key::of_gateway(&remote, shell).await,
        (None, Ok(Gateway::Dev { folder, .. })) => folder.join("recording.pub"),
        (None, Err(failure)) => return Err(failure),
    };
    let named = || path.display().to_string();
    let text = std::fs::read_to_string(&path).with_context(|| format!("the public key {} cannot be read", named()))?;
    Ok(text.trim().parse().with_context(named)?)
}

/// What the gateway knows of a session by itself, whatever its recording says.
#[derive(Debug, PartialEq, Eq)]
enum Memory {
    /// Nothing, and why.
    Nothing(String),
    /// It runs.
    Runs,
    /// It has ended, and its recording with this chain and so many records, when it was sealed.
    Ended { head: Option<String>, records: Option<u64> },
}

async fn remembered(report: &Report, shell: &Shell) -> Memory {
    let Some(session) = report.session else {
        return Memory::Nothing("the recording does not say of what it is".to_owned());
    };
    let asked = async { shell.api().await?.get(&format!("/api/v1/sessions/{session}")).await };
    match asked.await {
        Ok(stored) if stored["ended_at"].is_null() => Memory::Runs,
        Ok(stored) => Memory::Ended {
            head: stored["log_head"].as_str().map(str::to_owned),
            records: stored["log_records"].as_u64(),
        },
        Err(failure) if failure.is_unavailable() => Memory::Nothing("the gateway does not run".to_owned()),
        Err(failure) => Memory::Nothing(failure.to_string()),
    }
}

/// A recording is whole also where it lies in another one's place.
fn is_of(report: &Report, asked: Option<&str>) -> Result<(), String> {
    match (asked, report.session) {
        (Some(asked), Some(is)) if asked.parse().ok() != Some(is) => {
            Err(format!("REPLACED: this is the recording of {is}, and not of {asked}"))
        }
        _ => Ok(()),
    }
}

/// What holds of the recording, or what is wrong with it, and where. A log that is not sealed counts only while the
/// gateway says that its session runs: anybody can cut a log and lay it where running ones are.
fn judge(report: &Report, memory: &Memory) -> Result<String, String> {
    let Report { records, bytes, proven, .. } = report;
    if let Some(bad) = &report.bad {
        return Err(format!("CHANGED at {bad}; the {records} records before it are in order"));
    }
    let session = report.session.map(|session| session.to_string()).unwrap_or_default();
    let end = format!("after record {} at byte {bytes}", records.saturating_sub(1));
    match (report.state, memory) {
        (State::Sealed, Memory::Runs) => Err(format!("REPLACED: {session} runs, and this recording has an end")),
        (State::Sealed, Memory::Ended { head: Some(head), .. }) if Some(head) != report.head.as_ref() => {
            let here = report.head.as_deref().unwrap_or("none");
            Err(format!(
                "REPLACED: the gateway remembers another recording of {session}, with the chain {head}; here it is {here}"
            ))
        }
        (State::Sealed, _) => {
            Ok(format!("{session} is as it was written: {records} records, {bytes} bytes, sealed and signed"))
        }
        (State::Open, Memory::Runs) => {
            Ok(format!("{session} runs: {records} records in order so far, {proven} of them signed"))
        }
        (State::Open, Memory::Nothing(_)) => Err(format!(
            "NOT SEALED: it ends {end}, {proven} records are signed, and nobody can say whether more were there; a gateway that starts on this folder seals what one that died has left"
        )),
        (State::Open | State::Interrupted { .. }, Memory::Ended { records: Some(all), .. }) => Err(format!(
            "CUT OFF {end}: the gateway remembers {all} records, {proven} of those that are left are signed"
        )),
        (State::Interrupted { torn_bytes }, _) if torn_bytes > 0 => {
            Err(format!("CUT OFF {end}, inside of the next record; {proven} records are signed"))
        }
        (State::Open | State::Interrupted { .. }, _) => {
            Err(format!("CUT OFF {end}: the end is missing; {proven} records are signed"))
        }
        (State::Changed, _) => Err(format!("CHANGED {end}")),
    }
}

fn document(report: &Report, memory: &Memory, verdict: &Result<String, String>) -> Result<Value, Failure> {
    let mut document = serde_json::to_value(report)?;
    document["valid"] = verdict.is_ok().into();
    document["problem"] = verdict.as_ref().err().cloned().map_or(Value::Null, Value::String);
    document["compared"] = match memory {
        Memory::Nothing(why) => json!({ "with": "nothing", "reason": why }),
        Memory::Runs | Memory::Ended { .. } => json!({ "with": "gateway" }),
    };
    Ok(document)
}

#[cfg(test)]
mod tests {
    use hoop_gateway::record::{Bad, Flaw};

    use super::*;

    fn report(state: State) -> Report {
        let head = (state == State::Sealed).then(|| "aa".to_owned());
        Report { session: None, state, records: 7, bytes: 900, proven: 4, head, bad: None }
    }

    fn ended(head: &str) -> Memory {
        Memory::Ended { head: Some(head.to_owned()), records: Some(9) }
    }

    fn nothing() -> Memory {
        Memory::Nothing("the gateway does not run".to_owned())
    }

    #[test]
    fn a_sealed_log_is_compared_with_what_the_gateway_remembers() {
        let sealed = report(State::Sealed);
        assert!(judge(&sealed, &ended("aa")).is_ok() && judge(&sealed, &nothing()).is_ok());
        for memory in [ended("bb"), Memory::Runs] {
            assert!(judge(&sealed, &memory).expect_err("another one").starts_with("REPLACED"));
        }
    }

    #[test]
    fn a_recording_in_the_place_of_another_is_not_that_one() {
        let (one, other) = ("ses_01a21f5ceebc7eb09dbd4e208660fa0f", "ses_01a21f5cee35770aa7895fc51fe9d8ca");
        let report = Report { session: one.parse().ok(), ..report(State::Sealed) };
        assert!(is_of(&report, None).is_ok() && is_of(&report, Some(one)).is_ok());
        assert!(
            is_of(&report, Some(other)).expect_err("another one").starts_with("REPLACED: this is the recording of")
        );
    }

    #[test]
    fn a_log_without_an_end_counts_only_while_its_session_runs() {
        let open = report(State::Open);
        assert!(judge(&open, &Memory::Runs).is_ok());
        assert!(
            judge(&open, &nothing())
                .expect_err("unproven")
                .starts_with("NOT SEALED: it ends after record 6 at byte 900")
        );
        assert!(judge(&open, &ended("aa")).expect_err("cut").contains("remembers 9 records"));
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        for torn_bytes in [0, 12] {
            let cut = report(State::Interrupted { torn_bytes });
            for memory in [nothing(), Memory::Runs, ended("aa")] {
                assert!(judge(&cut, &memory).expect_err("cut").starts_with("CUT OFF after record 6 at byte 900"));
            }
        }
        let bad = Some(Bad { record: 7, offset: 900, what: Flaw::Checksum });
        let changed = Report { bad, ..report(State::Changed) };
        assert!(judge(&changed, &ended("aa")).expect_err("changed").starts_with("CHANGED at record 7 at byte 900"));
    }
}
