//! The sample machine: an OpenSSH server of its own, in a private folder, on the loopback address alone. It runs as whoever
//! runs `hoop dev`, and where that is root, as the user of the sample database; nobody but that user is let in, with the one
//! key that the agent has.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::{Group, Uid, User};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::gateway::shifted;
use super::postgres::free_port;
use super::postgres::install::{Life, as_server, as_server_in, private_folder, server_user};
use super::{parts, words};
use crate::connect::program;
use crate::failure::Failure;

const PORT: u16 = 12223;
/// How long the server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(10);
/// What it is told beside its port and its keys. There is no file of it: what lies in the folder may be changed by the server's
/// user, and everything here is for this machine alone.
const SETTINGS: [&str; 13] = [
    "ListenAddress=127.0.0.1",
    "PidFile=none",
    "UsePAM=no",
    "UseDNS=no",
    "StrictModes=no",
    "PasswordAuthentication=no",
    "KbdInteractiveAuthentication=no",
    "PermitUserRC=no",
    "PrintMotd=no",
    "PrintLastLog=no",
    "AcceptEnv=LANG LC_*",
    "MaxSessions=100",
    "Subsystem=sftp internal-sftp",
];

/// A running server.
pub(crate) struct Sshd {
    server: Child,
    pid: u32,
    port: u16,
    user: String,
    host_key: String,
    private_key: String,
}

/// Resolves when the server ends by itself; never, where there is none.
pub(crate) async fn ended(sshd: &mut Option<Sshd>) {
    match sshd {
        Some(sshd) => drop(sshd.server.wait().await),
        None => std::future::pending().await,
    }
}

impl Sshd {
    /// Makes the keys where there are none, and starts the server; `None` where OpenSSH's is not installed.
    pub(crate) async fn start(dir: &Path, port_offset: Option<u16>) -> Result<Option<Self>, Failure> {
        let (Some(sshd), Some(keygen)) = (server(), program("ssh-keygen")) else { return Ok(None) };
        let folder = private_folder(dir, "sshd")?;
        let (host, client) = (folder.join("host_key"), folder.join("client_key"));
        for key in [&host, &client] {
            make_key(&keygen, key)?;
        }
        let port = match shifted(PORT, port_offset) {
            0 => free_port()?,
            port => port,
        };
        let server = serve(&sshd, dir, port, &host, &client)?;
        let mut sshd = Self {
            pid: server.id().unwrap_or_default(),
            server,
            port,
            user: user()?,
            host_key: public_key(&host)?,
            private_key: std::fs::read_to_string(&client)?,
        };
        sshd.wait_until_ready().await?;
        Ok(Some(sshd))
    }

    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Whom it lets in.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The public half of its host key.
    pub(crate) fn host_key(&self) -> &str {
        &self.host_key
    }

    /// The key that it lets in, for the agent.
    pub(crate) fn private_key(&self) -> &str {
        &self.private_key
    }

    /// Takes no more connections; those that are there end with the agent's.
    pub(crate) async fn stop(mut self) {
        parts::stop_process(&mut self.server, Signal::SIGTERM, PATIENCE).await;
    }

    async fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        loop {
            let ready = TcpStream::connect(("127.0.0.1", self.port)).await.is_ok();
            // Another server may answer on that port, and ours has ended for it.
            if let Some(status) = self.server.try_wait()? {
                let port = self.port;
                let text = format!(
                    "the sample machine's server ended at once ({status}); is port {port} taken? --port-offset 100 chooses others; its log is logs/sshd.log"
                );
                return Err(Failure::new(1, text));
            }
            if ready {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                let text = "the sample machine's server is not ready in time; its log is logs/sshd.log";
                return Err(Failure::new(1, text));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// It is in no user's `PATH`.
fn server() -> Option<PathBuf> {
    let usual = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/opt/homebrew/sbin/sshd"].map(PathBuf::from);
    program("sshd").into_iter().chain(usual).find(|path| path.is_file())
}

fn user() -> Result<String, Failure> {
    let user = match server_user()? {
        Some(user) => Some(user),
        None => User::from_uid(Uid::effective())?,
    };
    user.map(|user| user.name).ok_or_else(|| Failure::new(1, "the user who runs this has no name to log in by"))
}

/// Made by the server's user in that one's folder: root writes nothing there.
fn make_key(keygen: &Path, file: &Path) -> Result<(), Failure> {
    if file.exists() {
        return Ok(());
    }
    let mut command = as_server(Life::OfItsOwn);
    command.arg(keygen).args(["-q", "-t", "ed25519", "-N", "", "-C", "hoop-demo", "-f"]).arg(file);
    let output = command.current_dir("/").stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::new(1, format!("the keys of the sample machine cannot be made: {said}")))
}

fn public_key(file: &Path) -> Result<String, Failure> {
    let line = std::fs::read_to_string(file.with_added_extension("pub"))?;
    Ok(line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

fn serve(sshd: &Path, dir: &Path, port: u16, host_key: &Path, client_key: &Path) -> Result<Child, Failure> {
    let log = words::open_log(&dir.join("logs/sshd.log"))?;
    // A terminal belongs to this group, and who is not in it cannot give it one where the system does not.
    let tty = Group::from_name("tty")?.map(|group| group.gid);
    let mut command = Command::from(as_server_in(Life::EndsWithUs, tty));
    command.arg(sshd).args(["-D", "-e", "-f", "/dev/null", "-p", &port.to_string()]);
    command.arg("-h").arg(host_key);
    let authorized = format!("AuthorizedKeysFile={}", client_key.with_added_extension("pub").display());
    for setting in SETTINGS.iter().copied().chain([authorized.as_str()]) {
        command.args(["-o", setting]);
    }
    // It is told to stop by us, in order, and not by a Ctrl-C at the terminal.
    command.process_group(0).current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command.spawn()?)
}
