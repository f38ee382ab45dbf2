//! Servers that end with whoever started them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::until;

/// Runs the server, prints its process id, and stops it at the first line or the end of the input: also when the
/// process that started it was killed.
const GUARD: &str = r#"
log=$1; out=$2; signal=$3; shift 3
"$@" </dev/null >"$out" 2>"$log" & child=$!
echo $child
read -r other && signal=$other
kill -s "$signal" $child 2>/dev/null
(sleep 20; kill -s KILL $child) >/dev/null 2>&1 </dev/null & late=$!
wait $child 2>/dev/null
kill $late 2>/dev/null
"#;

/// What to run.
#[derive(Debug)]
pub struct Plan {
    /// The name under which its log is shown.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables for it alone.
    pub environment: Vec<(String, String)>,
    /// The signal that asks it to stop.
    pub stop: &'static str,
    /// Takes `NAME.log` and `NAME.out`.
    pub folder: PathBuf,
}

/// A running server. Dropping it stops it and waits for its end.
#[derive(Debug)]
pub struct Guarded {
    name: String,
    /// The server's process id.
    pub pid: u32,
    log: PathBuf,
    out: PathBuf,
    stop: &'static str,
    guard: Child,
    leash: Option<ChildStdin>,
}

impl Guarded {
    /// Starts it.
    ///
    /// # Panics
    /// When the guard cannot be started.
    pub fn start(plan: &Plan) -> Self {
        let log = plan.folder.join(format!("{}.log", plan.name));
        let out = plan.folder.join(format!("{}.out", plan.name));
        // Empty from here on: what an earlier run printed is not this one's.
        for file in [&log, &out] {
            File::create(file).expect("a file can be made in an own folder");
        }
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "guard"]).arg(&log).arg(&out).arg(plan.stop).args(&plan.command);
        command.envs(plan.environment.iter().cloned()).current_dir("/");
        // A Ctrl-C at the terminal is for the tests; the guard sees the end of its input then.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guard = command.spawn().expect("sh starts");
        let leash = guard.stdin.take();
        let mut line = String::new();
        let stdout = guard.stdout.take().expect("its output is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("the guard names the process");
        let pid = line.trim().parse().expect("a process id");
        Self { name: plan.name.clone(), pid, log, out, stop: plan.stop, guard, leash }
    }

    /// What it printed so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        tail(&self.log)
    }

    /// Whether it runs.
    pub fn is_alive(&self) -> bool {
        is_alive(self.pid)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        // It may have ended by itself, which the test sees by other means.
        let _ = kill(Pid::from_raw(self.pid.cast_signed()), signal);
    }

    /// Kills it, as a power cut would.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
        until(Duration::from_secs(60), "the end of a killed process", || (!self.is_alive()).then_some(()));
    }

    /// Stops it with a signal and waits for its end.
    pub fn stop(&mut self, signal: &str) {
        if let Some(mut leash) = self.leash.take() {
            // A guard whose server has ended and that was told so before is gone.
            let _ = writeln!(leash, "{signal}");
        }
        let _ = self.guard.wait();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of {} ({})\n{}", self.name, self.log.display(), self.log());
        }
        self.stop(self.stop);
    }
}

/// Whether a process runs; one that ended and was not waited for does not. One that was killed runs, and keeps its locks,
/// until the last of its threads has ended.
pub(crate) fn is_alive(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.map(|thread| std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default()).any(|stat| {
        // The name before it may hold spaces and parentheses.
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
    })
}

pub(crate) fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
