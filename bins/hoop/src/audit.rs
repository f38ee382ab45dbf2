//! `hoop audit`: it reads recordings where they lie, so it works without a gateway, too; those of a gateway that somebody
//! has signed in to are fetched.

mod key;
mod verify;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use hoop_core::id::SessionId;
use hoop_gateway::record;
use tempfile::NamedTempFile;

use crate::api::{Api, segment};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::{Format, plain_json, yaml};
use crate::shell::Shell;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// What was done in a session, and what was shown.
    Show {
        /// Its id, `ses_…`, or the path of a recording; unless given, the latest session.
        session: Option<String>,
        /// How many rows are told of those that came at once; JSON has all.
        #[arg(long, value_name = "N", default_value_t = 10)]
        rows: usize,
    },
    /// Whether a recording is as it was written. If not: exit code 1, and where it was changed.
    Verify {
        /// Its id, `ses_…`, or the path of a recording; unless given, the latest session.
        session: Option<String>,
        /// The public key that signed it, `recording.pub` of the gateway's data. Unless given, that of the `hoop dev`; or what
        /// the gateway says, which is remembered at the first time and must be the same from then on.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

pub(crate) async fn run(command: Command, shell: &Shell) -> Result<(), Failure> {
    let (Command::Show { session, .. } | Command::Verify { session, .. }) = &command;
    let recording = find(session.as_deref(), shell).await?;
    match command {
        Command::Show { rows, .. } => show(recording.path(), rows, shell.format),
        Command::Verify { key, .. } => verify::run(&recording, key, shell).await,
    }
}

/// A recording on this machine.
pub(crate) enum Found {
    Here(PathBuf),
    /// It is gone with this. The gateway gave it as that of this session.
    Fetched(NamedTempFile, String),
}

impl Found {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Here(path) => path,
            Self::Fetched(file, _) => file.path(),
        }
    }

    /// The session that was asked for, where the name of the file does not say it.
    fn asked(&self) -> Option<&str> {
        match self {
            Self::Here(_) => None,
            Self::Fetched(_, session) => Some(session),
        }
    }
}

/// The recording that is meant: of a session, or in a file; unless given, the latest session's.
pub(crate) async fn find(session: Option<&str>, shell: &Shell) -> Result<Found, Failure> {
    if let Some(path) = session.map(Path::new).filter(|path| path.is_file()) {
        return Ok(Found::Here(path.to_owned()));
    }
    match shell.gateway()? {
        Gateway::Dev { folder, place } => in_folder(session, &folder.join(place.recordings)).map(Found::Here),
        gateway => fetch(session, &shell.api_of(&gateway).await?).await,
    }
}

const NONE: &str = "no session is recorded here yet; connect with a credential's psql line";

fn in_folder(session: Option<&str>, folder: &Path) -> Result<PathBuf, Failure> {
    let Some(session) = session else {
        return latest(folder)?.ok_or_else(|| Failure::new(Failure::NOT_FOUND, NONE));
    };
    let missing =
        || Failure::new(Failure::NOT_FOUND, format!("there is no recording of {session}; see hoop sessions list"));
    let id: SessionId = session.parse().map_err(|_| missing())?;
    record::find(folder, id).ok_or_else(missing)
}

/// Fetches the recording as it is stored, into a file that is this user's alone.
async fn fetch(session: Option<&str>, api: &Api) -> Result<Found, Failure> {
    let session = match session {
        Some(session) => session.to_owned(),
        None => {
            let newest = api.some("/api/v1/sessions", 1, |_| true).await?;
            let id = newest.first().and_then(|session| session["id"].as_str());
            id.ok_or_else(|| Failure::new(Failure::NOT_FOUND, NONE))?.to_owned()
        }
    };
    let file = NamedTempFile::new()?;
    let mut to = tokio::fs::File::from_std(file.reopen()?);
    api.download(&format!("/api/v1/sessions/{}/recording", segment(&session)), &mut to).await?;
    Ok(Found::Fetched(file, session))
}

/// The recording of the session that opened last: ids sort by time.
fn latest(folder: &Path) -> Result<Option<PathBuf>, Failure> {
    let mut found = Vec::new();
    for day in days(folder)?.into_iter().next_back().into_iter().chain([folder.join("open")]) {
        found.extend(entries(&day)?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "hooplog")));
    }
    Ok(found.into_iter().max_by(|one, other| one.file_name().cmp(&other.file_name())))
}

/// The folders of sealed recordings, `yyyy/mm/dd`, the oldest first.
fn days(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let number = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut level = vec![folder.to_owned()];
    for _ in ["year", "month", "day"] {
        let mut next = Vec::new();
        for folder in &level {
            next.extend(entries(folder)?.into_iter().filter(number));
        }
        level = next;
    }
    level.sort();
    Ok(level)
}

/// What is in a folder; nothing in one that is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    match std::fs::read_dir(folder) {
        Ok(entries) => Ok(entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(anyhow::Error::from(error).context(format!("{} cannot be read", folder.display())).into()),
    }
}

/// Tells what was recorded, one event after the other, in flat memory.
fn show(path: &Path, rows: usize, format: Format) -> Result<(), Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut before = if format == Format::Json { "[" } else { "" };
    if format == Format::Csv {
        return Err(Failure::new(Failure::USAGE, "events have no columns; take -o ndjson"));
    }
    for event in record::read(path)? {
        let event = event?;
        match format {
            Format::Table | Format::Csv => writeln!(out, "{}", event.brief(rows))?,
            Format::Ndjson => writeln!(out, "{}", plain_json(&serde_json::to_string(&event)?))?,
            Format::Json => write!(out, "{before}\n{}", plain_json(&serde_json::to_string(&event)?))?,
            Format::Yaml => write!(out, "{}", yaml(&[event])?)?,
        }
        before = ",";
    }
    if format == Format::Json {
        writeln!(out, "{}\n]", if before == "[" { "[" } else { "" })?;
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("made");
        std::fs::write(path, "").expect("written");
    }

    #[test]
    fn the_latest_recording_may_be_sealed_or_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let latest = || latest(folder.path()).expect("readable");
        assert_eq!(latest(), None);
        let sealed = folder.path().join("2026/11/02/ses_02.hooplog");
        for path in
            ["2026/09/30/ses_00.hooplog", "2026/11/02/ses_01.hooplog", "2026/11/02/ses_02.hooplog", "wal/9.wal", "lock"]
        {
            touch(&folder.path().join(path));
        }
        assert_eq!(latest(), Some(sealed));
        let open = folder.path().join("open/ses_03.hooplog");
        touch(&open);
        assert_eq!(latest(), Some(open));
    }
}
