//! Running programs to their end.

use std::io::{Read, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take; the longest of the tests takes a few seconds.
const DEADLINE: Duration = Duration::from_secs(300);

/// What a program left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: String,
    /// The command line, for messages.
    pub command: String,
}

impl Output {
    /// What it printed, after a success.
    ///
    /// # Panics
    /// With everything that it printed, when it failed.
    #[track_caller]
    pub fn ok(&self) -> String {
        assert!(self.status.success(), "{self}");
        self.text()
    }

    /// What it complained about, after a failure.
    ///
    /// # Panics
    /// With everything that it printed, when it succeeded.
    #[track_caller]
    pub fn failure(&self) -> String {
        assert!(!self.status.success(), "it should have failed: {self}");
        self.stderr.clone()
    }

    /// What it printed.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { status, command, stderr, .. } = self;
        write!(f, "{command}: {status}\n--- stdout\n{}\n--- stderr\n{stderr}", self.text())
    }
}

/// Finds a program in `PATH` or the folders where Debian keeps servers.
///
/// # Panics
/// With the line that installs it.
pub fn find(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|found| found.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders.extend(["/usr/sbin", "/usr/lib/openssh"].map(PathBuf::from));
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing; install it with: apt-get install {package}"))
}

/// Runs a command to its end with `input` on its standard input.
///
/// # Panics
/// When it cannot be started, or is not done within five minutes.
#[track_caller]
pub fn output(command: &mut Command, input: &[u8]) -> Output {
    let shown = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{shown} cannot be started: {error}"));
    let mut pipe = child.stdin.take().expect("its input is a pipe");
    let stdout = child.stdout.take().expect("its output is a pipe");
    let stderr = child.stderr.take().expect("its errors are a pipe");
    let (status, stdout, stderr) = std::thread::scope(|scope| {
        // A program that ends early closes its end; its status tells more than this error.
        scope.spawn(move || pipe.write_all(input).ok());
        let stdout = scope.spawn(|| read(stdout));
        let stderr = scope.spawn(|| read(stderr));
        let deadline = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = child.try_wait().expect("its status can be asked for") {
                break Some(status);
            }
            if Instant::now() > deadline {
                child.kill().expect("an own child can be killed");
                child.wait().expect("a killed child ends");
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        (status, stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default())
    });
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    let Some(status) = status else {
        panic!("{shown} was not done within {DEADLINE:?}\n{}\n{stderr}", String::from_utf8_lossy(&stdout));
    };
    Output { status, stdout, stderr, command: shown }
}

fn read(mut pipe: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What came before an error is worth showing, and the error itself shows in the program's status.
    let _ = pipe.read_to_end(&mut bytes);
    bytes
}

/// Runs psql: unaligned, tuples only, without the user's settings, stopping at the first error.
pub fn psql(url: &str, arguments: &[&str]) -> Output {
    output(command(url).args(arguments), b"")
}

/// Feeds psql a script.
pub fn psql_script(url: &str, script: &str) -> Output {
    output(&mut command(url), script.as_bytes())
}

fn command(url: &str) -> Command {
    let mut command = Command::new(find("psql", "postgresql-client"));
    command.args([url, "-XAtq", "-v", "ON_ERROR_STOP=1"]).env("PGCONNECT_TIMEOUT", "20").env("LC_ALL", "C.UTF-8");
    command
}
