//! The sample database: a PostgreSQL server of its own, in a private folder, on the loopback address alone.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};

use super::gateway::shifted;
use crate::failure::Failure;

const USER: &str = "demo";
const DATABASE: &str = "shop";
const PORT: u16 = 15433;
/// How long the server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);
const SAMPLE: &str = include_str!("sample.sql");
const SETTINGS: &str = "
# Written by hoop dev.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
";

/// A running server.
pub(crate) struct Postgres {
    server: tokio::process::Child,
    pid: u32,
    port: u16,
    password: String,
}

impl Postgres {
    /// Makes the database where there is none, and starts its server.
    pub(crate) async fn start(dir: &Path, port_offset: Option<u16>) -> Result<Self, Failure> {
        let programs = Programs::find()?;
        let folder = private_folder(dir)?;
        let data = folder.join("data");
        let password = password(dir)?;
        if !data.join("PG_VERSION").exists() {
            init(&programs, &folder, &data, &password)?;
        }
        stop_orphan(&programs, &data).await?;
        let port = match shifted(PORT, port_offset) {
            0 => free_port()?,
            port => port,
        };
        let log = std::fs::File::options().create(true).append(true).open(dir.join("logs/postgres.log"))?;
        let mut command = tokio::process::Command::from(as_server(true));
        command.arg(programs.path("postgres")).arg("-D").arg(&data).args(["-p", &port.to_string()]);
        // It is told to stop by us, in order, and not by a Ctrl-C at the terminal.
        command.process_group(0).current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let server = command.spawn()?;
        let pid = server.id().unwrap_or_default();
        let mut postgres = Self { server, pid, port, password };
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
        self.url_of(DATABASE)
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgresql://{USER}:{}@127.0.0.1:{}/{database}?sslmode=disable", self.password, self.port)
    }

    /// Resolves when the server ends by itself.
    pub(crate) async fn ended(&mut self) {
        let _ = self.server.wait().await;
    }

    /// A fast shutdown: clients are told.
    pub(crate) async fn stop(mut self) {
        if let Ok(pid) = i32::try_from(self.pid) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        }
        if tokio::time::timeout(PATIENCE, self.server.wait()).await.is_err() {
            let _ = self.server.kill().await;
        }
    }

    async fn wait_until_ready(&mut self, programs: &Programs) -> Result<(), Failure> {
        let started = Instant::now();
        loop {
            let mut ready = tokio::process::Command::new(programs.path("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]).stdout(Stdio::null());
            if ready.status().await?.success() {
                return Ok(());
            }
            if let Some(status) = self.server.try_wait()? {
                let text = format!(
                    "the sample database ended at once ({status}); its log is logs/postgres.log, and is port {} taken? --port-offset chooses others",
                    self.port
                );
                return Err(Failure::new(1, text));
            }
            if started.elapsed() > PATIENCE {
                return Err(Failure::new(1, "the sample database is not ready in time; its log is logs/postgres.log"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Fills the database, once.
    async fn fill(&self, programs: &Programs) -> Result<(), Failure> {
        let exists = format!("select 1 from pg_database where datname = '{DATABASE}'");
        if self.psql(programs, "postgres", &["-Atc", &exists]).await? == "1" {
            return Ok(());
        }
        // Made under another name first: a database of the right name is a whole one.
        let half = format!("{DATABASE}_being_made");
        self.psql(programs, "postgres", &["-c", &format!("drop database if exists {half}")]).await?;
        self.psql(programs, "postgres", &["-c", &format!("create database {half}")]).await?;
        self.psql(programs, &half, &["-1", "-c", SAMPLE]).await?;
        self.psql(programs, "postgres", &["-c", &format!("alter database {half} rename to {DATABASE}")]).await?;
        Ok(())
    }

    async fn psql(&self, programs: &Programs, database: &str, arguments: &[&str]) -> Result<String, Failure> {
        let mut command = tokio::process::Command::new(programs.path("psql"));
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]).args(arguments).arg("-d").arg(self.url_of(database));
        command.env("PGOPTIONS", "-c client_min_messages=warning").stdin(Stdio::null());
        let output = command.output().await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Failure::new(1, format!("the sample database cannot be filled: {said}")));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// PostgreSQL's programs.
struct Programs(PathBuf);

impl Programs {
    /// The newest version that is installed.
    fn find() -> Result<Self, Failure> {
        let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join("bin"))
            .collect();
        let version = |path: &PathBuf| path.parent().and_then(|path| path.file_name()?.to_str()?.parse::<u32>().ok());
        folders.sort_by_key(|path| std::cmp::Reverse(version(path)));
        folders.extend(["/usr/pgsql/bin", "/opt/homebrew/bin", "/usr/local/pgsql/bin"].map(PathBuf::from));
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let is_whole = |folder: &PathBuf| ["postgres", "initdb"].iter().all(|program| folder.join(program).is_file());
        folders.into_iter().find(is_whole).map(Self).ok_or_else(|| {
            Failure::new(
                1,
                "the sample database needs PostgreSQL's server programs; install them with: apt-get install postgresql",
            )
        })
    }

    /// A program; clients may be elsewhere on the PATH.
    fn path(&self, program: &str) -> PathBuf {
        let path = self.0.join(program);
        if path.is_file() { path } else { PathBuf::from(program) }
    }
}

/// Makes the folder of a `hoop dev`, and gives its full path. Others may pass through it, as the database server's user
/// must, and read nothing in it.
pub(crate) fn make_folder(dir: &Path) -> Result<PathBuf, Failure> {
    if !dir.is_dir() {
        std::fs::DirBuilder::new().recursive(true).mode(0o711).create(dir)?;
    }
    std::fs::create_dir_all(dir.join("logs"))?;
    Ok(dir.canonicalize()?)
}

/// PostgreSQL refuses to run as root; Debian's package brings a user for it.
fn server_user() -> Result<Option<User>, Failure> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    match User::from_name("postgres")? {
        Some(user) => Ok(Some(user)),
        None => Err(Failure::new(
            1,
            "PostgreSQL does not run as root, and there is no user postgres; install: apt-get install postgresql",
        )),
    }
}

/// The beginning of a command that runs as the server's user, and, where asked, that dies with this process.
fn as_server(dies_with_us: bool) -> Command {
    let root = Uid::effective().is_root();
    if !root && !dies_with_us || !Path::new("/usr/bin/setpriv").exists() {
        return Command::new("/usr/bin/env");
    }
    let mut command = Command::new("/usr/bin/setpriv");
    if root {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    if dies_with_us {
        // SIGINT is a fast shutdown.
        command.arg("--pdeathsig=INT");
    }
    command
}

/// A folder that the server's user can use: below `dir`, unless that cannot be reached by it.
fn private_folder(dir: &Path) -> Result<PathBuf, Failure> {
    let Some(user) = server_user()? else {
        let folder = dir.join("postgres");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        return Ok(folder);
    };
    let own = |folder: &Path| -> Result<bool, Failure> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
        std::os::unix::fs::chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        let mut test = as_server(false);
        test.args(["test", "-w"]).arg(folder).current_dir("/");
        Ok(test.status()?.success())
    };
    let folder = dir.join("postgres");
    if own(&folder)? {
        return Ok(folder);
    }
    // A home that others cannot pass through, such as root's.
    let name: String =
        dir.display().to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let elsewhere = PathBuf::from("/var/tmp").join(format!("hoop-demo{name}"));
    if own(&elsewhere)? {
        return Ok(elsewhere);
    }
    Err(Failure::new(1, format!("the user postgres can use neither {} nor {}", folder.display(), elsewhere.display())))
}

/// The superuser's password, made once.
fn password(dir: &Path) -> Result<String, Failure> {
    let path = dir.join("demo-password");
    if let Ok(password) = std::fs::read_to_string(&path) {
        return Ok(password);
    }
    let random: [u8; 16] = rand::random();
    let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    crate::place::write_private(&path, password.as_bytes())?;
    Ok(password)
}

fn init(programs: &Programs, folder: &Path, data: &Path, password: &str) -> Result<(), Failure> {
    // Whatever an interrupted attempt has left.
    let _ = std::fs::remove_dir_all(data);
    let file = folder.join("password");
    std::fs::write(&file, password)?;
    if let Some(user) = server_user()? {
        std::os::unix::fs::chown(&file, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    let mut command = as_server(false);
    command.arg(programs.path("initdb")).arg("--pgdata").arg(data).arg(format!("--pwfile={}", file.display()));
    command.args(["--username", USER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    let output = command.current_dir("/").stdin(Stdio::null()).output()?;
    std::fs::remove_file(&file)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Failure::new(1, format!("the sample database cannot be made: {said}")));
    }
    let file = data.join("postgresql.conf");
    let settings = std::fs::read_to_string(&file)? + SETTINGS;
    std::fs::write(&file, settings)?;
    Ok(())
}

/// Stops a server that an earlier `hoop dev` left behind, as a power cut or `kill -9` does.
async fn stop_orphan(programs: &Programs, data: &Path) -> Result<(), Failure> {
    let file = data.join("postmaster.pid");
    let started = Instant::now();
    loop {
        let pid = std::fs::read_to_string(&file).ok().and_then(|text| text.lines().next()?.parse::<i32>().ok());
        let Some(pid) = pid.filter(|pid| kill(Pid::from_raw(*pid), None).is_ok()) else { return Ok(()) };
        if started.elapsed() > PATIENCE {
            return Err(Failure::new(1, format!("a database server (process {pid}) still uses {}", data.display())));
        }
        if started.elapsed() < Duration::from_millis(100) {
            let mut stop = as_server(false);
            stop.arg(programs.path("pg_ctl")).args(["stop", "-m", "fast", "-W", "-D"]).arg(data);
            stop.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
