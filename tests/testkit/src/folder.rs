//! Private folders.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A folder that is removed with its handle. Other users may pass through it and read nothing in it, as the user that a
/// PostgreSQL server runs as must.
#[derive(Debug)]
pub struct Folder {
    inner: TempDir,
    janitor: Child,
}

/// Removes the folder after the end of its input, also when nobody was left to drop the handle; servers may still be
/// writing their last words into it.
const JANITOR: &str = "cat >/dev/null; for try in 1 2 3 4 5 6 7 8 9; do rm -rf \"$1\" && exit; sleep 1; done";

impl Folder {
    /// A new folder with `name` in its name.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(name: &str) -> Self {
        let made = tempfile::Builder::new().prefix(&format!("hoop-{name}-")).tempdir_in("/tmp");
        let inner = made.expect("a temporary folder can be made in /tmp");
        let mode = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(inner.path(), mode).expect("the mode of an own folder can be set");
        let mut janitor = Command::new("sh");
        janitor.args(["-c", JANITOR, "janitor"]).arg(inner.path()).process_group(0);
        janitor.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let janitor = janitor.spawn().expect("sh starts");
        Self { inner, janitor }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.inner.path()
    }

    /// The path of something in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}
