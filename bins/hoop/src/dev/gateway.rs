//! The gateway of a `hoop dev`.

use std::net::SocketAddr;
use std::path::Path;

use hoop_gateway::Gateway;
use hoop_gateway::config::{Config, Loader};
use serde::{Deserialize, Serialize};

use super::parts::{self, Mode, Part};
use super::{PartName, stop_signal, words};
use crate::failure::Failure;
use crate::place::{self, Admin, Place};

/// The configuration file that a user may put into the folder.
const CONFIG: &str = "gateway.toml";
/// The administrator's name.
const ADMIN: &str = "admin";

/// Where the doors are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) postgres: SocketAddr,
}

/// What a gateway says when it is ready.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) addresses: Addresses,
    /// The administrator, when this start made it.
    pub(crate) admin: Option<Admin>,
}

/// Starts it.
pub(crate) async fn start(dir: &Path, port_offset: Option<u16>, mode: Mode) -> Result<(Part, Started), Failure> {
    if mode == Mode::Processes {
        let (part, line) = parts::spawn(PartName::Gateway, dir, port_offset, &[]).await?;
        return Ok((part, serde_json::from_str(&line)?));
    }
    let (running, started) = build(dir, port_offset).await?;
    Ok((Part::Gateway(running), started))
}

/// Runs it as a process of its own, until it is told to stop or its parent is gone.
pub(crate) async fn process(dir: &Path, port_offset: Option<u16>) -> Result<(), Failure> {
    words::log_to_stderr();
    let stop = stop_signal()?;
    let (running, started) = build(dir, port_offset).await?;
    println!("{}", serde_json::to_string(&started)?);
    tokio::select! {
        () = stop => {}
        () = parts::orphaned() => {}
    }
    running.shutdown().await;
    Ok(())
}

async fn build(dir: &Path, port_offset: Option<u16>) -> Result<(hoop_gateway::Running, Started), Failure> {
    let gateway = Gateway::builder().config(config(dir, port_offset)?).build().await?;
    let made = gateway.first_admin(ADMIN, false).await?;
    let admin = made.map(|made| Admin { user: made.name, password: made.password.expose().clone() });
    if let Some(admin) = &admin {
        // Before anything else can fail: the password is known this once.
        Place { api: String::new(), admin: admin.clone() }.write(dir)?;
    }
    let running = gateway.bind().await.map_err(port_hint)?;
    let addresses = running.addresses();
    let addresses = Addresses { http: addresses.http, grpc: addresses.grpc, postgres: addresses.postgres };
    Ok((running, Started { addresses, admin }))
}

fn port_hint(error: impl Into<anyhow::Error>) -> anyhow::Error {
    error.into().context("a port is taken; choose others with --port-offset 100, or free ones with --port-offset 0")
}

/// The administrator, from this start or an earlier one.
pub(crate) fn admin(dir: &Path, made: Option<Admin>) -> Result<Admin, Failure> {
    match made {
        Some(admin) => Ok(admin),
        None => Ok(Place::read(dir).map_err(|_| no_admin(dir))?.admin),
    }
}

fn no_admin(dir: &Path) -> Failure {
    let text = format!(
        "{} has users, and the administrator's password is lost; start with a new --dir",
        place::folder(Some(dir)).unwrap_or_else(|_| dir.to_owned()).display()
    );
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
        .default_value("listen.postgres.tls", "optional");
    let file = dir.join(CONFIG);
    if file.exists() {
        loader = loader.file(&file)?;
    }
    Ok(loader.env(std::env::vars()).load()?.config)
}

/// A port of this start: 0 for a free one.
pub(crate) const fn shifted(port: u16, port_offset: Option<u16>) -> u16 {
    match port_offset {
        None => port,
        Some(0) => 0,
        Some(offset) => port.wrapping_add(offset),
    }
}
