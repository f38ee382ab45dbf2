//! `hoop audit`: it reads recordings where they lie, so it works without a gateway, too.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use hoop_core::id::SessionId;
use hoop_gateway::record::{self, PublicKey, Report, State};

use crate::api::Api;
use crate::failure::Failure;
use crate::output::Format;
use crate::place::{self, Place};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// What was done in a session, and what was shown.
    Show {
        /// Its id, `ses_…`, or the path of a recording.
        session: String,
    },
    /// Whether a recording is as it was written. If not: exit code 1, and where it was changed.
    Verify {
        /// Its id, `ses_…`, or the path of a recording.
        session: String,
        /// The public key that signed it; unless given, that of the `hoop dev` in the folder.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

pub(crate) async fn run(command: Command, dir: Option<&Path>, format: Format) -> Result<(), Failure> {
    match command {
        Command::Show { session } => show(&find(&session, dir)?, format),
        Command::Verify { session, key } => verify(&session, key, dir, format).await,
    }
}

/// The recording that is meant.
fn find(session: &str, dir: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = Path::new(session);
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let missing =
        || Failure::new(Failure::NOT_FOUND, format!("there is no recording of {session}; see hoop sessions list"));
    let id: SessionId = session.parse().map_err(|_| missing())?;
    let folder = place::folder(dir)?.join("recordings");
    record::find(&folder, id).ok_or_else(missing)
}

fn show(path: &Path, format: Format) -> Result<(), Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut written = || -> Result<(), Failure> {
        for event in record::read(path)? {
            let event = event?;
            match format {
                Format::Table => writeln!(out, "{event}")?,
                Format::Json | Format::Ndjson => writeln!(out, "{}", serde_json::to_string(&event)?)?,
            }
        }
        out.flush()?;
        Ok(())
    };
    written()
}

async fn verify(session: &str, key: Option<PathBuf>, dir: Option<&Path>, format: Format) -> Result<(), Failure> {
    let path = find(session, dir)?;
    let key_path = match key {
        Some(key) => key,
        None => place::folder(dir)?.join("recording.pub"),
    };
    let key = std::fs::read_to_string(&key_path)
        .map_err(|error| anyhow::anyhow!("{} cannot be read: {error}", key_path.display()))?;
    let key: PublicKey = key.trim().parse()?;
    let report = record::verify(&path, &key)?;
    if format != Format::Table {
        println!("{}", serde_json::to_string(&report)?);
    }
    judge(&report)?;
    compare(&report, dir).await?;
    if format == Format::Table {
        println!("{}", praise(&report));
    }
    Ok(())
}

fn judge(report: &Report) -> Result<(), Failure> {
    let text = match (report.state, &report.bad) {
        (State::Sealed | State::Open, None) => return Ok(()),
        (_, Some(bad)) => format!("CHANGED at {bad}; the {} records before it are in order", report.records),
        (State::Interrupted { torn_bytes }, None) => format!(
            "CUT OFF after record {} at byte {} ({torn_bytes} bytes of a torn record): the end is missing, {} records are proven by a signature",
            report.records, report.bytes, report.proven
        ),
        (State::Changed, None) => format!("CHANGED at record {} at byte {}", report.records, report.bytes),
    };
    Err(Failure::new(1, text))
}

fn praise(report: &Report) -> String {
    let session = report.session.map(|session| session.to_string()).unwrap_or_default();
    match report.state {
        State::Open => {
            format!("{session} runs: {} records in order so far, {} of them signed", report.records, report.proven)
        }
        _ => format!(
            "{session} is as it was written: {} records, {} bytes, sealed and signed",
            report.records, report.bytes
        ),
    }
}

/// Compares with what the gateway remembers of the session, where it runs: a whole recording put in the place of another
/// is told by that.
async fn compare(report: &Report, dir: Option<&Path>) -> Result<(), Failure> {
    let (Some(session), Ok(folder)) = (report.session, place::folder(dir)) else { return Ok(()) };
    let stored = match Place::read(&folder) {
        Ok(place) => match Api::of(&place).await {
            Ok(api) => api.get(&format!("/api/v1/sessions/{session}")).await,
            Err(failure) => Err(failure),
        },
        Err(failure) => Err(failure),
    };
    let stored = match stored {
        Ok(stored) => stored,
        Err(failure) if failure.is_unavailable() => {
            eprintln!("note: the gateway does not run, so the recording was verified by its signatures alone");
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    match (stored["log_head"].as_str(), &report.head) {
        (Some(stored), Some(head)) if stored != head => Err(Failure::new(
            1,
            format!("REPLACED: the gateway remembers another recording of {session} (chain {stored}, here {head})"),
        )),
        _ => Ok(()),
    }
}
