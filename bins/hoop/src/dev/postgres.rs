//! The sample database: a PostgreSQL server of its own, in a private folder, on the loopback address alone.

pub(super) mod install;

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::gateway::shifted;
use super::{parts, words};
use crate::failure::Failure;
use install::{Life, Programs, as_server, init, password, private_folder};

/// The user that the role logs in as; it owns the database and is no superuser.
const USER: &str = "demo";
const DATABASE: &str = "shop";
/// Who makes the database. Only `hoop dev` logs in as this one.
const SUPERUSER: &str = "postgres";
const PORT: u16 = 15433;
/// How long the server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);
const SAMPLE: &str = include_str!("postgres/sample.sql");
const SETTINGS: [&str; 3] = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"];

/// A running server.
pub(crate) struct Postgres {
    server: Child,
    pid: u32,
    port: u16,
    password: String,
    superuser_password: String,
}

/// Resolves when the server ends by itself; never, where there is none.
pub(crate) async fn ended(postgres: &mut Option<Postgres>) {
    match postgres {
        Some(postgres) => drop(postgres.server.wait().await),
        None => std::future::pending().await,
    }
}

impl Postgres {
    /// Makes the database where there is none, and starts its server.
    pub(crate) async fn start(dir: &Path, port_offset: Option<u16>) -> Result<Self, Failure> {
        let programs = Programs::find()?;
        let folder = private_folder(dir, "postgres")?;
        let data = folder.join("data");
        let superuser_password = password(&dir.join("demo-superuser-password"))?;
        if !data.join("PG_VERSION").exists() {
            init(&programs, &data, SUPERUSER, &superuser_password)?;
        }
        stop_orphan(&programs, &data).await?;
        let port = match shifted(PORT, port_offset) {
            0 => free_port()?,
            port => port,
        };
        let server = serve(&programs, dir, &data, port)?;
        let pid = server.id().unwrap_or_default();
        let password = password(&dir.join("demo-password"))?;
        let mut postgres = Self { server, pid, port, password, superuser_password };
        postgres.wait_until_ready(&programs).await?;
        postgres.fill(&programs).await?;
        Ok(postgres)
    }

    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) const fn user(&self) -> &'static str {
        USER
    }

    pub(crate) const fn database(&self) -> &'static str {
        DATABASE
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// Straight to the server.
    pub(crate) fn url(&self) -> String {
        format!("postgresql://{USER}:{}@127.0.0.1:{}/{DATABASE}?sslmode=disable", self.password, self.port)
    }

    /// A fast shutdown: clients are told.
    pub(crate) async fn stop(mut self) {
        parts::stop_process(&mut self.server, Signal::SIGINT, PATIENCE).await;
    }

    async fn wait_until_ready(&mut self, programs: &Programs) -> Result<(), Failure> {
        let started = Instant::now();
        loop {
            let mut ready = Command::new(programs.path("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]).stdout(Stdio::null());
            let ready = ready.status().await?.success();
            // Another server may answer on that port, and ours has ended for it.
            if let Some(status) = self.server.try_wait()? {
                let port = self.port;
                let text = format!(
                    "the sample database ended at once ({status}); is port {port} taken? --port-offset 100 chooses others; its log is logs/postgres.log"
                );
                return Err(Failure::new(1, text));
            }
            if ready {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                return Err(Failure::new(1, "the sample database is not ready in time; its log is logs/postgres.log"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Fills the database, once.
    async fn fill(&self, programs: &Programs) -> Result<(), Failure> {
        let superuser = async |database: &str, sql: &str| {
            self.psql(programs, (SUPERUSER, &self.superuser_password), database, sql).await
        };
        if superuser("postgres", &format!("select 1 from pg_database where datname = '{DATABASE}'")).await? == "1" {
            return Ok(());
        }
        // Made under another name first: a database of the right name is a whole one.
        let half = format!("{DATABASE}_being_made");
        superuser("postgres", &format!("drop database if exists {half}")).await?;
        superuser("postgres", &format!("drop role if exists {USER}")).await?;
        // What a log would show of it is a hash.
        let role = format!(
            "set password_encryption = 'scram-sha-256'; create role {USER} login createdb password '{}'",
            self.password
        );
        superuser("postgres", &role).await?;
        superuser("postgres", &format!("create database {half} owner {USER}")).await?;
        self.psql(programs, (USER, &self.password), &half, SAMPLE).await?;
        superuser("postgres", &format!("alter database {half} rename to {DATABASE}")).await?;
        Ok(())
    }

    /// Runs a script. Script and password go where other users of the machine do not see them.
    async fn psql(
        &self,
        programs: &Programs,
        login: (&str, &str),
        database: &str,
        sql: &str,
    ) -> Result<String, Failure> {
        use tokio::io::AsyncWriteExt as _;
        let (user, password) = login;
        let mut command = Command::new(programs.path("psql"));
        command.args([
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-U",
            user,
            "-d",
            database,
        ]);
        command
            .env("PGPASSWORD", password)
            .env("PGSSLMODE", "disable")
            .env("PGOPTIONS", "-c client_min_messages=warning");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // One that ends early says why in its status.
            let _ = input.write_all(sql.as_bytes()).await;
        }
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Failure::new(1, format!("the sample database cannot be filled: {said}")));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn serve(programs: &Programs, dir: &Path, data: &Path, port: u16) -> Result<Child, Failure> {
    let log = words::open_log(&dir.join("logs/postgres.log"))?;
    let mut command = Command::from(as_server(Life::EndsWithUs));
    command.arg(programs.path("postgres")).arg("-D").arg(data).args(["-p", &port.to_string()]);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    // It is told to stop by us, in order, and not by a Ctrl-C at the terminal.
    command.process_group(0).current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command.spawn()?)
}

/// Stops a server that an earlier `hoop dev` left behind, as `kill -9` may.
async fn stop_orphan(programs: &Programs, data: &Path) -> Result<(), Failure> {
    let file = data.join("postmaster.pid");
    let started = Instant::now();
    let mut told = false;
    loop {
        let pid = std::fs::read_to_string(&file).ok().and_then(|text| text.lines().next()?.parse::<i32>().ok());
        let Some(pid) = pid.filter(|pid| serves(*pid, data)) else { break };
        if started.elapsed() > PATIENCE {
            return Err(Failure::new(1, format!("a database server (process {pid}) still uses {}", data.display())));
        }
        if !std::mem::replace(&mut told, true) {
            let mut stop = as_server(Life::OfItsOwn);
            stop.arg(programs.path("pg_ctl")).args(["stop", "-m", "fast", "-W", "-D"]).arg(data);
            stop.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // After a power cut its number may be that of another process by now, and the server would wait for that one.
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether the process is the server of this folder: it has made it its current one.
fn serves(pid: i32, data: &Path) -> bool {
    let proc = Path::new("/proc").join(pid.to_string());
    if !Path::new("/proc/self").exists() {
        return kill(Pid::from_raw(pid), None).is_ok();
    }
    std::fs::read_link(proc.join("cwd")).is_ok_and(|folder| folder == data)
}

pub(super) fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
