//! `hoop dev`: everything on this machine, in one folder.
//!
//! It uses the gateway as anyone would: the builder starts it, and roles, agents and credentials are made through the API.

mod agent;
mod gateway;
mod grpc;
mod parts;
mod postgres;
mod sample;
mod setup;
mod sshd;
mod web;
mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;
use crate::output::Format;
use crate::place::{self, Admin, Place};
use crate::shell::Shell;
use parts::Part;
pub(crate) use parts::terminate;
use postgres::Postgres;
use sample::Sample;
use sshd::Sshd;

#[derive(Args)]
pub(crate) struct Options {
    /// With a sample database to try it on, a machine that is reached over SSH, a web app and a gRPC service. It needs PostgreSQL's
    /// server programs, and OpenSSH's for the machine.
    #[arg(long)]
    demo: bool,
    /// Added to every port, so that several run side by side; 0 takes free ones.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=50_000))]
    port_offset: Option<u16>,
    /// Gateway and agent as processes of their own.
    #[arg(long)]
    processes: bool,
    /// What a process of its own is: for `hoop dev` itself.
    #[arg(long, hide = true, value_name = "PART")]
    part: Option<PartName>,
}

/// A part that can be a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartName {
    Gateway,
    Agent,
}

/// How long the agent may take to let its channels end.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) async fn run(options: Options, shell: &Shell) -> Result<(), Failure> {
    let format = shell.format;
    let dir = shell.choice.dir.clone().unwrap_or_else(|| PathBuf::from(place::FOLDER));
    let dir = place::make_folder(&dir)?;
    match options.part {
        Some(PartName::Gateway) => return gateway::process(&dir, options.port_offset).await,
        Some(PartName::Agent) => return agent::process(&dir).await,
        None => {}
    }
    let _lock = place::lock(&dir)?;
    words::log_to(&dir)?;
    // From here on an interrupt is a request to stop, also while things are still starting.
    let mut signals = Signals::new()?;
    let mut running = Running::default();
    let started = tokio::select! {
        started = running.start(&options, &dir, format) => started,
        () = signals.next() => Err(Failure::new(130, "interrupted")),
    };
    let ended = match started {
        Ok(ready) => {
            words::ready(&ready, shell)?;
            tokio::select! {
                () = signals.next() => Ok(()),
                failure = running.ended() => Err(failure),
            }
        }
        Err(failure) => Err(failure),
    };
    if format == Format::Table && ended.is_ok() {
        eprintln!("\nstopping; Ctrl-C again stops at once");
    }
    tokio::select! {
        () = running.stop() => ended,
        () = signals.next() => Err(Failure::new(130, "stopped at once; the next start closes the sessions that ran")),
    }
}

/// What asks a process to stop: Ctrl-C, `kill`, and a terminal that is closed.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let [terminate, interrupt, hangup] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        Ok(Self { terminate: terminate?, interrupt: interrupt?, hangup: hangup? })
    }

    /// The next of any.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// What was started, in the order in which it was.
#[derive(Default)]
struct Running {
    postgres: Option<Postgres>,
    sshd: Option<Sshd>,
    web: Option<Sample>,
    grpc: Option<Sample>,
    gateway: Option<Part>,
    agent: Option<Part>,
}

/// What there is to know once everything runs.
pub(crate) struct Ready {
    pub(crate) dir: PathBuf,
    pub(crate) addresses: gateway::Addresses,
    pub(crate) admin: Admin,
    pub(crate) roles: Vec<Role>,
    pub(crate) pids: Value,
}

/// A role that was set up.
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) url: String,
    pub(crate) tls_url: String,
    pub(crate) target_url: String,
}

impl Running {
    async fn start(&mut self, options: &Options, dir: &Path, format: Format) -> Result<Ready, Failure> {
        let tell = |what: &str| {
            if format == Format::Table {
                eprintln!("starting {what} …");
            }
        };
        if options.demo {
            tell("the sample database");
            self.postgres = Some(Postgres::start(dir, options.port_offset).await?);
            tell("the sample machine");
            self.sshd = Sshd::start(dir, options.port_offset).await?;
            if self.sshd.is_none() {
                eprintln!(
                    "there is no sample machine: it needs OpenSSH's server; install it with: apt-get install openssh-server"
                );
            }
            tell("the sample web app and gRPC service");
            self.web = Some(web::start(options.port_offset).await?);
            self.grpc = Some(grpc::start(options.port_offset).await?);
        }
        tell("the gateway");
        let mode = if options.processes { parts::Mode::Processes } else { parts::Mode::Tasks };
        let (gateway, started) = gateway::start(dir, options.port_offset, mode).await?;
        self.gateway = Some(gateway);
        let admin = gateway::admin(dir, started.admin)?;
        let place = Place {
            api: format!("http://{}", started.addresses.http),
            admin: admin.clone(),
            recordings: started.recordings,
        };
        place.write(dir)?;
        let api = crate::api::Api::of(&place).await.map_err(|failure| stale_admin(failure, dir))?;

        setup::first_rule(&api).await?;
        tell("the agent");
        let key = setup::agent_key(&api).await?;
        self.agent = Some(agent::start(dir, &key, mode).await?);
        let mut roles = Vec::new();
        if let Some(postgres) = &self.postgres {
            roles.extend(setup::demo_role(&api, dir, postgres).await?);
        }
        if let Some(sshd) = &self.sshd {
            roles.extend(setup::demo_machine(&api, dir, sshd).await?);
        }
        for (name, sample) in [(web::ROLE, &self.web), (grpc::ROLE, &self.grpc)] {
            if let Some(sample) = sample {
                roles.extend(setup::demo_service(&api, name, sample).await?);
            }
        }
        let own = std::process::id();
        let mut pids = json!({
            "hoop": own,
            "gateway": self.gateway.as_ref().and_then(Part::pid).unwrap_or(own),
            "agent": self.agent.as_ref().and_then(Part::pid).unwrap_or(own),
        });
        if let Some(postgres) = &self.postgres {
            pids["postgres"] = postgres.pid().into();
        }
        if let Some(sshd) = &self.sshd {
            pids["sshd"] = sshd.pid().into();
        }
        Ok(Ready { dir: dir.to_owned(), addresses: started.addresses, admin, roles, pids })
    }

    /// Resolves when the gateway ends by itself. A killed agent or database is something to try out: the gateway goes on,
    /// and says so to its clients.
    async fn ended(&mut self) -> Failure {
        let Self { postgres, sshd, gateway, agent, .. } = self;
        let told = async {
            tokio::join!(
                told(parts::ended(agent), "the agent"),
                told(postgres::ended(postgres), "the sample database"),
                told(sshd::ended(sshd), "the sample machine's server")
            );
            std::future::pending().await
        };
        tokio::select! {
            () = parts::ended(gateway) => Failure::new(1, "the gateway ended by itself; its log is in logs/"),
            never = told => never,
        }
    }

    /// Stops everything: the gateway first, while its sessions still have an agent and a database to end in good order.
    async fn stop(self) {
        let Self { postgres, sshd, web, grpc, gateway, agent } = self;
        for part in [gateway, agent].into_iter().flatten() {
            part.stop().await;
        }
        for sample in [web, grpc].into_iter().flatten() {
            sample.stop().await;
        }
        if let Some(sshd) = sshd {
            sshd.stop().await;
        }
        if let Some(postgres) = postgres {
            postgres.stop().await;
        }
    }
}

async fn told(ended: impl Future<Output = ()>, what: &str) {
    ended.await;
    eprintln!("{what} ended; its log is in logs/, and the next hoop dev starts it again");
}

fn stale_admin(failure: Failure, dir: &Path) -> Failure {
    if failure.is_unavailable() {
        return failure;
    }
    let text = format!(
        "the administrator's password is not the one in {} ({failure}): it was changed; put the new one there, or start with a new --dir",
        dir.join("dev.json").display()
    );
    Failure::new(Failure::NOT_SIGNED_IN, text)
}
