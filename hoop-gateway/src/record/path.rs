//! Where a log lies.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use hoop_core::id::SessionId;

/// Ending of a log's name.
pub(super) const EXTENSION: &str = "hooplog";

pub(super) fn open_folder(folder: &Path) -> PathBuf {
    folder.join("open")
}

pub(super) fn open_path(folder: &Path, session: SessionId) -> PathBuf {
    open_folder(folder).join(format!("{session}.{EXTENSION}"))
}

/// Where the log of a session lies once it is sealed.
pub fn sealed_path(folder: &Path, session: SessionId) -> PathBuf {
    let milliseconds = i64::try_from(session.as_uuid().as_u128() >> 80).expect("48 bits");
    let day: DateTime<Utc> = DateTime::from_timestamp_millis(milliseconds).unwrap_or_default();
    folder.join(day.format("%Y/%m/%d").to_string()).join(format!("{session}.{EXTENSION}"))
}

/// The log of a session, sealed or not, when there is one.
pub fn find(folder: &Path, session: SessionId) -> Option<PathBuf> {
    // The sealed place is asked last and again first: a log that is moved in between is still found.
    [sealed_path(folder, session), open_path(folder, session), sealed_path(folder, session)]
        .into_iter()
        .find(|path| path.is_file())
}

/// The session that a log's name says it is of.
pub(super) fn session_of(path: &Path) -> Option<SessionId> {
    path.file_name()?.to_str()?.strip_suffix(EXTENSION)?.strip_suffix('.')?.parse().ok()
}
