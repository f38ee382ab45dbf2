//! A part that runs: as a task in this process, or as a process of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::{PartName, words};
use crate::failure::Failure;

/// Whether parts are tasks or processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Tasks,
    Processes,
}

/// How long a process may take to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(40);

/// A part that runs.
pub(crate) enum Part {
    /// The gateway, in this process.
    Gateway(Box<hoop_gateway::Running>),
    /// The agent, in this process.
    Agent(hoop_agent::Running),
    /// A process. It ends when its input does, so it never outlives this one.
    Process { child: Child, _input: Option<ChildStdin> },
}

impl Part {
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::Process { child, .. } => child.id(),
            _ => None,
        }
    }

    /// Resolves when it ends by itself.
    pub(crate) async fn ended(&mut self) {
        match self {
            Self::Process { child, .. } => drop(child.wait().await),
            _ => std::future::pending().await,
        }
    }

    /// Asks it to end, and waits.
    pub(crate) async fn stop(self) {
        match self {
            Self::Gateway(running) => running.shutdown().await,
            Self::Agent(running) => running.shutdown(super::GRACE).await,
            Self::Process { mut child, _input } => stop_process(&mut child, Signal::SIGTERM, PATIENCE).await,
        }
    }
}

/// Resolves when a part ends by itself; never, where there is none.
pub(crate) async fn ended(part: &mut Option<Part>) {
    match part {
        Some(part) => part.ended().await,
        None => std::future::pending().await,
    }
}

/// Asks a process to end, and kills it when it is not gone in time.
pub(crate) async fn stop_process(child: &mut Child, how: Signal, patience: Duration) {
    signal(child, how);
    if tokio::time::timeout(patience, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// Asks a process to end.
pub(crate) fn terminate(child: &Child) {
    signal(child, Signal::SIGTERM);
}

fn signal(child: &Child, how: Signal) {
    // One that has ended has no id any more.
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = kill(Pid::from_raw(pid), how);
    }
}

/// Starts this program as a part, and waits for the line that says it is ready.
pub(crate) async fn spawn(
    part: PartName,
    dir: &Path,
    port_offset: Option<u16>,
    environment: &[(&str, &str)],
) -> Result<(Part, String), Failure> {
    let name = match part {
        PartName::Gateway => "gateway",
        PartName::Agent => "agent",
    };
    let log_path = dir.join("logs").join(format!("{name}.log"));
    let log = words::open_log(&log_path)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["dev", "--part", name, "--dir"]).arg(dir);
    if let Some(offset) = port_offset {
        command.args(["--port-offset", &offset.to_string()]);
    }
    // A group of its own: Ctrl-C at the terminal reaches `hoop dev` alone, which stops its parts in order.
    command.envs(environment.iter().copied()).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn()?;
    let input = child.stdin.take();
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line).await?;
    }
    if line.is_empty() {
        let _ = child.wait().await;
        let said = std::fs::read_to_string(&log_path).unwrap_or_default();
        let last = said.lines().rev().find(|line| line.starts_with("hoop: ")).unwrap_or("it did not say why");
        return Err(Failure::new(1, format!("the {name} did not start: {}", last.trim_start_matches("hoop: "))));
    }
    Ok((Part::Process { child, _input: input }, line))
}

/// How long a part goes on without its parent: its clients are told, and what can be sealed is.
pub(crate) const ORPHAN: Duration = Duration::from_secs(2);

/// Resolves when the parent is gone: its end of this process's input is closed then.
pub(crate) async fn orphaned() {
    let (gone, told) = tokio::sync::oneshot::channel();
    // A thread of its own: the runtime would wait for one of its own at the end, for as long as nothing is read.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = gone.send(());
    });
    let _ = told.await;
}
