//! A real browser, for what only one shows: whether its policies let a page work, and whether people can use it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::clients::{made, sources};
use crate::{Folder, find, output};

/// Chromium with a profile of its own: what a script leaves there, the next one finds.
#[derive(Debug)]
pub struct Chromium {
    profile: Folder,
}

/// What a script gave, and what the browser had to say meanwhile.
#[derive(Debug, Clone, Deserialize)]
pub struct Shown {
    /// What the script returned.
    pub value: Value,
    /// Violations of the pages' content security policies.
    pub violations: Vec<String>,
    /// Errors of the pages and of their console.
    pub complaints: Vec<String>,
}

impl Default for Chromium {
    fn default() -> Self {
        Self::new()
    }
}

impl Chromium {
    /// Nobody is signed in.
    pub fn new() -> Self {
        Self { profile: Folder::new("chromium") }
    }

    /// Runs a script of the folder `tests/e2e/clients/browser` with these arguments: `run.cjs` there says what a script is.
    ///
    /// # Panics
    /// With the script's reason and the path of a screenshot, when it fails; with the line that installs what is missing.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: &Value) -> Shown {
        find("chromium", "chromium");
        let (folder, screenshot) = (sources().join("browser"), screenshot(script));
        let mut command = Command::new("node");
        command.env("NODE_PATH", made("browser/node_modules")).env("HOME", self.profile.path());
        command.arg(folder.join("run.cjs")).arg(folder.join(script)).arg(self.profile.path()).arg(&screenshot);
        let ran = output(&mut command, arguments.to_string().as_bytes());
        assert!(ran.status.success(), "{ran}\nwhat was shown: {}", screenshot.display());
        serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"))
    }
}

impl Shown {
    /// What the script returned, when the browser had nothing to complain about.
    ///
    /// # Panics
    /// With what it complained about.
    #[track_caller]
    pub fn clean(self) -> Value {
        assert!(self.violations.is_empty() && self.complaints.is_empty(), "{self:?}");
        self.value
    }
}

/// Where the picture of a failure goes: it outlives the test.
fn screenshot(script: &str) -> PathBuf {
    let name = Path::new(script).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    std::env::temp_dir().join(format!("hoop-{name}-{}.png", std::process::id()))
}
