//! The agent of a `hoop dev`. It may read the secrets in the folder's `secrets/`, and dial anything.

use std::path::{Path, PathBuf};

use hoop_agent::{Agent, BusyPoll, SecretSources};

use super::parts::{self, Mode, Part};
use super::{GRACE, PartName, Signals, words};
use crate::failure::Failure;

/// Where the agent's secrets lie.
pub(crate) fn secrets(dir: &Path) -> PathBuf {
    dir.join("secrets")
}

/// Starts it; it is attached when this returns.
pub(crate) async fn start(dir: &Path, key: &str, mode: Mode) -> Result<Part, Failure> {
    if mode == Mode::Processes {
        return Ok(parts::spawn(PartName::Agent, dir, None, &[("HOOP_KEY", key)]).await?.0);
    }
    let agent = build(dir).key(key).build()?;
    Ok(Part::Agent(agent.connect().await?))
}

/// Runs it as a process of its own.
pub(crate) async fn process(dir: &Path) -> Result<(), Failure> {
    words::log_to_stderr();
    let mut signals = Signals::new()?;
    let running = build(dir).key_from_env().build()?.connect().await?;
    println!("attached");
    tokio::select! {
        () = signals.next() => running.shutdown(GRACE).await,
        () = parts::orphaned() => running.shutdown(parts::ORPHAN).await,
    }
    Ok(())
}

fn build(dir: &Path) -> hoop_agent::AgentBuilder {
    let secrets = SecretSources::default().allow_folder(secrets(dir));
    Agent::builder().label("site", "dev").secrets(secrets).busy_poll(BusyPoll::Auto).ca_file_from_env()
}
