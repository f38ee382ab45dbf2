//! Where the gateway of a `hoop dev` is: its folder says so, to whoever may read it.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The file in the folder.
const FILE: &str = "dev.json";
/// The folder, unless another is given.
pub(crate) const FOLDER: &str = "hoop-dev";

/// What the file holds. It is its owner's alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Base URL of the API, as of the last start.
    pub(crate) api: String,
    /// The administrator.
    pub(crate) admin: Admin,
}

/// The administrator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Admin {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// The folder of a `hoop dev`: the given one, the current one, or the usual one in it.
pub(crate) fn folder(dir: Option<&Path>) -> Result<PathBuf, Failure> {
    let candidates = match dir {
        Some(dir) => vec![dir.to_owned()],
        None => vec![PathBuf::from("."), PathBuf::from(FOLDER)],
    };
    let found = candidates.into_iter().find(|folder| folder.join(FILE).is_file());
    found.ok_or_else(|| {
        let text = "there is no hoop dev here; start one with `hoop dev`, or name its folder with --dir";
        Failure::new(Failure::NOT_SIGNED_IN, text)
    })
}

impl Place {
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(folder.join(FILE))?;
        Ok(serde_json::from_str(&text)?)
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), Failure> {
        write_private(&folder.join(FILE), serde_json::to_string(self)?.as_bytes())
    }
}

/// Writes a file that is its owner's alone, whole or not at all.
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> Result<(), Failure> {
    let new = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(contents)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    Ok(())
}
