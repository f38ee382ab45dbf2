//! PostgreSQL servers.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::unistd::{Uid, User};

use crate::{Folder, Guarded, Plan, find, output, psql, psql_script, retry};

/// The superuser of a test server.
pub(crate) const USER: &str = "e2e";
/// Ports that [`free_port`] gives: those below what a system takes for connections that are dialled (`ip_local_port_range`).
const FIRST_SERVER_PORT: u32 = 10_000;
const SERVER_PORTS: u32 = 22_000;
/// More than the tests of one process need.
const PORTS_OF_A_PROCESS: u32 = 101;
const PASSWORD: &str = "e2e-password";
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 600
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
log_statement = none
timezone = 'UTC'
";

/// A running PostgreSQL server with SCRAM over TCP. One per test binary, and a fresh database per test.
#[derive(Debug)]
pub struct Postgres {
    server: Guarded,
    folder: Folder,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    databases: AtomicU32,
}

impl Postgres {
    /// Makes and starts one.
    ///
    /// # Panics
    /// When PostgreSQL is not installed, or is not ready within two minutes.
    pub fn start() -> Self {
        let folder = Folder::new("postgres");
        init(folder.path());
        let port = free_port();
        let server = run(&folder, port);
        let postgres = Self { server, folder, port, databases: AtomicU32::new(0) };
        postgres.wait_until_ready();
        postgres
    }

    /// The superuser's name.
    pub const fn user() -> &'static str {
        USER
    }

    /// The superuser's password, as a client types it.
    pub const fn password() -> &'static str {
        PASSWORD
    }

    /// The URL of a database, straight to this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{USER}:{PASSWORD}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// A new, empty database; gives its name.
    pub fn database(&self) -> String {
        self.database_with("")
    }

    /// A new database made with more options of `create database`.
    pub fn database_with(&self, options: &str) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        psql(&self.url("postgres"), &["-c", &format!("create database {name} template template0 {options}")]).ok();
        name
    }

    /// A new database that is a copy of another one, to the last object id.
    pub fn copy_of(&self, original: &str) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        // Two copies of one database at once get into each other's way.
        let copy = retry(Duration::from_secs(120), || {
            let made = psql(&self.url("postgres"), &["-c", &format!("create database {name} template {original}")]);
            if made.status.success() { Ok(()) } else { Err(made.stderr) }
        });
        copy.unwrap_or_else(|error| panic!("no copy of {original}: {error}"));
        name
    }

    /// A new database that a script has filled.
    pub fn database_from(&self, script: &str) -> String {
        let name = self.database();
        psql_script(&self.url(&name), script).ok();
        name
    }

    /// Stops it at once and without a word to its clients' statements, as `pg_ctl stop -m immediate` does.
    pub fn stop_immediately(&mut self) {
        self.server.stop("QUIT");
    }

    /// Starts it again after a stop, on the same port.
    pub fn start_again(&mut self) {
        self.server = run(&self.folder, self.port);
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        let url = self.url("postgres");
        let ready = retry(Duration::from_secs(120), || {
            let answer = psql(&url, &["-c", "select 1"]);
            if answer.status.success() { Ok(()) } else { Err(answer.stderr) }
        });
        ready.unwrap_or_else(|error| panic!("PostgreSQL is not ready: {error}\n{}", self.server.log()));
    }
}

fn run(folder: &Folder, port: u16) -> Guarded {
    let data = folder.join("data").display().to_string();
    let server = find("postgres", "postgresql").display().to_string();
    let mut command = as_server_user();
    command.extend([server, "-D".into(), data, "-p".into(), port.to_string()]);
    Guarded::start(&Plan {
        name: "postgres".to_owned(),
        command,
        environment: Vec::new(),
        stop: "INT",
        folder: folder.path().to_owned(),
    })
}

fn init(folder: &Path) {
    let data = folder.join("data");
    let password = folder.join("password");
    std::fs::create_dir(&data).expect("an own folder takes a folder");
    std::fs::write(&password, PASSWORD).expect("an own folder takes a file");
    if let Some(user) = server_user() {
        for path in [&data, &password] {
            std::os::unix::fs::chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .expect("root may give files away");
        }
    }
    let mut words = as_server_user();
    words.push(find("initdb", "postgresql").display().to_string());
    words.extend(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"].map(str::to_owned));
    words.extend([format!("--username={USER}"), format!("--pwfile={}", password.display())]);
    words.push(format!("--pgdata={}", data.display()));
    output(Command::new(&words[0]).args(&words[1..]).current_dir("/"), b"").ok();
    let file = data.join("postgresql.conf");
    let settings = std::fs::read_to_string(&file).expect("initdb wrote its settings") + SETTINGS;
    std::fs::write(&file, settings).expect("the settings can be written");
}

/// PostgreSQL refuses to run as root.
fn server_user() -> Option<User> {
    let wanted =
        || User::from_name("postgres").ok().flatten().expect("there is a user postgres: apt-get install postgresql");
    Uid::effective().is_root().then(wanted)
}

fn as_server_user() -> Vec<String> {
    let words = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"];
    server_user().map(|_| words.map(str::to_owned).into()).unwrap_or_default()
}

/// A port that is free, for a server that cannot be told to choose one itself. This process gives it out once, others begin
/// elsewhere, and the system takes none of these for connections that are dialled: until a server listens, nobody else does.
///
/// # Panics
/// When none is free.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(PORTS_OF_A_PROCESS);
    let free = (0..SERVER_PORTS).find_map(|_| {
        let port = FIRST_SERVER_PORT + first.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % SERVER_PORTS;
        let port = u16::try_from(port).expect("below 32768");
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
    });
    free.expect("a port is free")
}
