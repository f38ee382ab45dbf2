//! Where the gateway of a `hoop dev` is: its folder says so, to whoever may read it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::failure::Failure;
use crate::gateway::is_here;

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
    /// Where its sessions are recorded, below the folder unless it says otherwise. One of before this was said has them there.
    #[serde(default = "usual_recordings")]
    pub(crate) recordings: PathBuf,
}

fn usual_recordings() -> PathBuf {
    "recordings".into()
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

/// Makes the folder of a `hoop dev`, and gives its full path. Others may pass through it, as the database server's user
/// must, and read nothing in it.
pub(crate) fn make_folder(dir: &Path) -> Result<PathBuf, Failure> {
    let make = || -> std::io::Result<PathBuf> {
        DirBuilder::new().recursive(true).mode(0o711).create(dir)?;
        for private in ["logs", "secrets"] {
            DirBuilder::new().recursive(true).mode(0o700).create(dir.join(private))?;
        }
        dir.canonicalize()
    };
    Ok(make().with_context(|| format!("the folder {} cannot be made", dir.display()))?)
}

/// The folder, for one `hoop dev` at a time; it is free again when the process is gone.
pub(crate) fn lock(dir: &Path) -> Result<File, Failure> {
    let path = dir.join("dev.lock");
    let named = || format!("{} cannot be locked", path.display());
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).with_context(named)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let text = format!(
                "a hoop dev runs in {} already; stop that one, or give this one a folder with --dir",
                dir.display()
            );
            Err(Failure::new(1, text))
        }
        Err(TryLockError::Error(error)) => Err(anyhow::Error::from(error).context(named()).into()),
    }
}

impl Place {
    /// Where the gateway is, and how to sign in there. The folder may be anybody's, as the current one is looked at without
    /// being named: who could write the file would learn what is asked of the gateway, and choose what it answers.
    ///
    /// # Errors
    /// A file that is not its reader's alone, or that leads to another machine.
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let place = Self::own(folder)?;
        let url = Url::parse(&place.api)?;
        if !is_here(url.host_str().unwrap_or_default().trim_matches(['[', ']'])) {
            let text = format!("{} leads to another machine: {url}", folder.join(FILE).display());
            return Err(Failure::new(1, text).hint("hoop login URL, if that is what you want"));
        }
        Ok(place)
    }

    /// What the file holds, wherever it leads: its gateway may not have started yet.
    ///
    /// # Errors
    /// A file that is not its reader's alone.
    pub(crate) fn own(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let named = || format!("{} cannot be read", path.display());
        let mut file = File::open(&path).with_context(named)?;
        let found = file.metadata().with_context(named)?;
        if found.uid() != geteuid().as_raw() || found.mode() & 0o077 != 0 {
            let text = format!("{} is not yours alone, and may be somebody else's word", path.display());
            return Err(Failure::new(1, text).hint("if you made it: chown it to yourself, and chmod 600"));
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(named)?;
        Ok(serde_json::from_str(&text).with_context(named)?)
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), Failure> {
        write_private(&folder.join(FILE), serde_json::to_string(self)?.as_bytes())
    }
}

/// Writes a file that is its owner's alone, whole or not at all.
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> Result<(), Failure> {
    let new = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        // One that was left behind has the mode that it was made with.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    Ok(write().with_context(|| format!("{} cannot be written", path.display()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_nobody_else_reads() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = make_folder(&parent.path().join("dev")).expect("made");
        let held = lock(&dir).expect("free");
        assert!(lock(&dir).expect_err("taken").to_string().contains("--dir"));
        drop(held);
        lock(&dir).expect("free again");
        let admin = Admin { user: "admin".to_owned(), password: "secret".to_owned() };
        Place { api: "http://127.0.0.1:8009".to_owned(), admin, recordings: usual_recordings() }
            .write(&dir)
            .expect("written");
        let mode = |name: &str| std::fs::metadata(dir.join(name)).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(FILE), mode("logs"), mode("secrets"), mode("")), (0o600, 0o700, 0o700, 0o711));
        assert_eq!(Place::read(&dir).expect("readable").admin.password, "secret");
        assert_eq!(folder(Some(&dir)).expect("found"), dir);
        assert!(folder(Some(parent.path())).is_err());
    }

    #[test]
    fn only_ones_own_word_of_this_machine_is_taken() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |api: &str| {
            let admin = Admin { user: "admin".to_owned(), password: "secret".to_owned() };
            Place { api: api.to_owned(), admin, recordings: usual_recordings() }.write(dir.path()).expect("written");
        };
        for (api, is_taken) in [
            ("http://127.0.0.1:8009", true),
            ("http://[::1]:8009", true),
            ("http://0.0.0.0:8009", true),
            ("http://gw.example.com:8009", false),
            ("http://127.0.0.1@gw.example.com", false),
            ("", false),
        ] {
            write(api);
            assert_eq!(Place::read(dir.path()).is_ok(), is_taken, "{api}");
            assert!(Place::own(dir.path()).is_ok(), "{api}");
        }
        write("http://127.0.0.1:8009");
        for (mode, is_taken) in [(0o644, false), (0o620, false), (0o604, false), (0o600, true), (0o400, true)] {
            let permissions = Permissions::from_mode(mode);
            std::fs::set_permissions(dir.path().join(FILE), permissions).expect("it is ours");
            assert_eq!(Place::read(dir.path()).is_ok(), is_taken, "{mode:o}");
        }
    }
}
