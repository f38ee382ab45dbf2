//! The gateway of a `hoop dev`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hoop_gateway::config::{Config, Loader, Origin};
use hoop_gateway::secrets::OperatorKey;
use hoop_gateway::{BuildProblem, DataError, Gateway};
use serde::{Deserialize, Serialize};

use super::parts::{self, Mode, Part};
use super::{PartName, Signals, words};
use crate::failure::Failure;
use crate::place::{self, Admin, Place};

/// The configuration file that a user may put into the folder.
const CONFIG: &str = "gateway.toml";
/// The operator's key, unless the user has one elsewhere.
const OPERATOR_KEY: &str = "operator.key";
/// The administrator's name.
const ADMIN: &str = "admin";

/// Where the doors are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) postgres: SocketAddr,
    pub(crate) ssh: SocketAddr,
    pub(crate) proxy: SocketAddr,
}

/// What a gateway says when it is ready.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) addresses: Addresses,
    /// The administrator, when this start made it.
    pub(crate) admin: Option<Admin>,
    /// The folder of the recordings.
    pub(crate) recordings: PathBuf,
}

/// Starts it.
pub(crate) async fn start(dir: &Path, port_offset: Option<u16>, mode: Mode) -> Result<(Part, Started), Failure> {
    if mode == Mode::Processes {
        let (part, line) = parts::spawn(PartName::Gateway, dir, port_offset, &[]).await?;
        return Ok((part, serde_json::from_str(&line)?));
    }
    let (running, started) = build(dir, port_offset).await?;
    Ok((Part::Gateway(Box::new(running)), started))
}

/// Runs it as a process of its own, until it is told to stop or its parent is gone.
pub(crate) async fn process(dir: &Path, port_offset: Option<u16>) -> Result<(), Failure> {
    words::log_to_stderr();
    let mut signals = Signals::new()?;
    let (running, started) = build(dir, port_offset).await?;
    println!("{}", serde_json::to_string(&started)?);
    tokio::select! {
        () = signals.next() => running.shutdown().await,
        () = parts::orphaned() => {
            // What is not done by then is closed at the next start.
            let _ = tokio::time::timeout(parts::ORPHAN, running.shutdown()).await;
        }
    }
    Ok(())
}

async fn build(dir: &Path, port_offset: Option<u16>) -> Result<(hoop_gateway::Running, Started), Failure> {
    let config = config(dir, port_offset)?;
    let recordings = std::path::absolute(config.path(&config.record.folder))?;
    // Below the folder it is found wherever the folder is moved to.
    let recordings = recordings.strip_prefix(dir).map(Path::to_owned).unwrap_or(recordings);
    let gateway = open(&config).await?;
    let made = gateway.first_admin(ADMIN, false).await?;
    let admin = made.map(|made| Admin { user: made.name, password: made.password.expose().clone() });
    if let Some(admin) = &admin {
        // Before anything else can fail: the password is known this once.
        Place { api: String::new(), admin: admin.clone(), recordings: recordings.clone() }.write(dir)?;
    }
    let running = gateway.bind().await.map_err(port_hint)?;
    let addresses = running.addresses();
    let hoop_gateway::Addresses { http, grpc, postgres, ssh, proxy } = *addresses;
    let addresses = Addresses { http, grpc, postgres, ssh, proxy };
    Ok((running, Started { addresses, admin, recordings }))
}

/// Opens everything but the doors. One that a killed `hoop dev` has left behind may still be closing.
async fn open(config: &Config) -> Result<Gateway, Failure> {
    let until = Instant::now() + 2 * parts::ORPHAN;
    loop {
        let error = match Gateway::builder().config(config.clone()).build().await {
            Ok(gateway) => return Ok(gateway),
            Err(error) => error,
        };
        let in_use = |problem: &BuildProblem| matches!(problem, BuildProblem::Data(DataError::InUse(_)));
        if !error.problems().iter().all(in_use) || Instant::now() > until {
            return Err(error.into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn port_hint(error: impl Into<anyhow::Error>) -> anyhow::Error {
    error.into().context("a port is taken; choose others with --port-offset 100, or free ones with --port-offset 0")
}

/// The administrator, from this start or an earlier one.
pub(crate) fn admin(dir: &Path, made: Option<Admin>) -> Result<Admin, Failure> {
    match made {
        Some(admin) => Ok(admin),
        None => {
            let folder = place::folder(Some(dir)).map_err(|_| no_admin(dir))?;
            Ok(Place::own(&folder)?.admin)
        }
    }
}

fn no_admin(dir: &Path) -> Failure {
    let text = format!("{} has users, and the administrator's password is lost; start with a new --dir", dir.display());
    Failure::new(Failure::NOT_SIGNED_IN, text)
}

/// Defaults of a development machine; the folder's file, the environment and nobody else may say otherwise.
fn config(dir: &Path, port_offset: Option<u16>) -> Result<Config, Failure> {
    let address = |port| format!("127.0.0.1:{}", shifted(port, port_offset));
    let mut loader = Loader::new()
        .default_value("data", dir.display().to_string())
        .default_value("listen.http.address", address(8009))
        .default_value("listen.grpc.address", address(8010))
        .default_value("listen.postgres.address", address(15432))
        .default_value("listen.postgres.tls", "optional")
        .default_value("listen.ssh.address", address(12222))
        .default_value("listen.proxy.address", address(18888))
        // Browsers take the names below localhost for this machine, and no certificate is for all of them.
        .default_value("listen.proxy.tls", "optional")
        .default_value("secrets.key_file", OPERATOR_KEY)
        // A development machine is stopped with Ctrl-C, and nobody waits for a forgotten psql then.
        .default_value("limits.drain", "3s");
    let file = dir.join(CONFIG);
    if file.exists() {
        loader = loader.file(&file)?;
    }
    let loaded = loader.env(std::env::vars()).load()?;
    let config = &loaded.config;
    let set = [
        ("listen.http.tls", config.listen.http.tls),
        ("telemetry.otlp_endpoint", config.telemetry.otlp_endpoint.is_some()),
    ];
    if let Some((setting, _)) = set.into_iter().find(|(_, set)| *set) {
        let text = format!("`{setting}` is not for a hoop dev, which is of this machine alone");
        return Err(Failure::new(Failure::USAGE, text).hint("hoop-gateway start has it"));
    }
    if *loaded.origin("secrets.key_file") == Origin::Default {
        OperatorKey::load_or_create(&config.path(Path::new(OPERATOR_KEY)))?;
    }
    Ok(loaded.config)
}

/// A port of this start: 0 for a free one.
pub(crate) const fn shifted(port: u16, port_offset: Option<u16>) -> u16 {
    match port_offset {
        None => port,
        Some(0) => 0,
        // The command line allows no offset that leads beyond the last port.
        Some(offset) => port.saturating_add(offset),
    }
}
