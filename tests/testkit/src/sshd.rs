//! OpenSSH servers.

use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::unistd::{Uid, User};

use crate::{Folder, Guarded, Output, Plan, find, free_port, output, retry};

const PACKAGE: &str = "openssh-server";
const CLIENTS: &str = "openssh-client";
/// Where a server that runs as root shuts its unprivileged half in.
const EMPTY_FOLDER: &str = "/run/sshd";
const SETTINGS: &str = "
ListenAddress 127.0.0.1
PidFile none
LogLevel VERBOSE
UsePAM no
UseDNS no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitUserRC no
PrintMotd no
PrintLastLog no
AcceptEnv LANG LC_* HOOP_*
MaxStartups 500
MaxSessions 500
Subsystem sftp internal-sftp
";

/// A running OpenSSH server that lets the user in who runs the tests, with one key. It ends with its handle; a connection that
/// it serves then goes on until its client leaves.
#[derive(Debug)]
pub struct Sshd {
    server: Guarded,
    folder: Folder,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Sshd {
    /// Makes and starts one: shells, commands, sftp, and whatever is to be forwarded.
    ///
    /// # Panics
    /// When OpenSSH is not installed, or is not ready within two minutes.
    pub fn start() -> Self {
        Self::with(|_| String::new())
    }

    /// Starts one with more lines for `sshd_config`, which win over those that it has anyway. `settings` gets the folder of
    /// the server, where files that the lines name can lie.
    ///
    /// # Panics
    /// As of [`start`](Self::start).
    pub fn with(settings: impl FnOnce(&Path) -> String) -> Self {
        let folder = Folder::new("sshd");
        let port = free_port();
        init(folder.path(), port, &settings(folder.path()));
        let server = run(&folder);
        let sshd = Self { server, folder, port };
        sshd.wait_until_ready();
        sshd
    }

    /// Whom it lets in.
    ///
    /// # Panics
    /// When the user who runs the tests has no name.
    pub fn user() -> String {
        let user = User::from_uid(Uid::effective()).ok().flatten();
        user.expect("the user who runs the tests has a name").name
    }

    /// Its folder. The keys lie in it, and what a test puts there.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file of the private key that lets its user in; ed25519, without a passphrase. Beside it lies the public one.
    pub fn private_key(&self) -> PathBuf {
        self.folder.join("client_key")
    }

    /// The public half of its host key, ed25519, as `ssh-ed25519 AAAA…`.
    ///
    /// # Panics
    /// When its file was taken away.
    pub fn host_key(&self) -> String {
        public_key(&self.folder.join("host_key"))
    }

    /// A `known_hosts` file that names its host key.
    pub fn known_hosts(&self) -> PathBuf {
        self.folder.join("known_hosts")
    }

    /// Lets its user in with one more public key, given as the line of an `authorized_keys` file.
    ///
    /// # Panics
    /// When its folder was taken away.
    pub fn authorize(&self, line: &str) {
        let file = self.folder.join("authorized_keys");
        let lines = std::fs::read_to_string(&file).expect("an own file can be read");
        std::fs::write(&file, format!("{}\n{}\n", lines.trim_end(), line.trim_end())).expect("an own file is written");
    }

    /// The end of its log: who came by which key, what was asked for, and why it was refused.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// `ssh` straight to this server, without the settings of who runs the tests: for options and a command.
    pub fn client(&self) -> Command {
        let mut command = Command::new(find("ssh", CLIENTS));
        command.args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i"]).arg(self.private_key());
        command.arg("-o").arg(format!("UserKnownHostsFile={}", self.known_hosts().display()));
        command.args(["-p", &self.port.to_string(), "-l", &Self::user(), "127.0.0.1"]);
        command
    }

    /// Runs a command straight on this server.
    #[track_caller]
    pub fn run(&self, command: &str) -> Output {
        output(self.client().arg(command), b"")
    }

    /// Stops it; no new connection is taken.
    pub fn stop(&mut self) {
        self.server.stop("TERM");
    }

    /// Starts it again after a stop, on the same port and with the same keys.
    ///
    /// # Panics
    /// As of [`start`](Self::start).
    pub fn start_again(&mut self) {
        self.server = run(&self.folder);
        self.wait_until_ready();
    }

    /// Gives it another host key, as a machine has that was set up anew; for connections from now on.
    pub fn change_host_key(&mut self) {
        self.stop();
        make_host_key(self.folder.path(), self.port);
        self.start_again();
    }

    fn wait_until_ready(&self) {
        let ready = retry(Duration::from_secs(120), || {
            TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| error.to_string())?;
            if self.server.is_alive() { Ok(()) } else { Err("it has ended".to_owned()) }
        });
        ready.unwrap_or_else(|error| panic!("sshd is not ready: {error}\n{}", self.server.log()));
    }
}

/// A new key pair without a passphrase, of a type that `ssh-keygen -t` knows: `file`, and `file.pub`.
///
/// # Panics
/// When OpenSSH's clients are not installed.
pub fn make_key(file: &Path, kind: &str) {
    for old in [file.to_owned(), file.with_added_extension("pub")] {
        // There is none the first time.
        let _ = std::fs::remove_file(old);
    }
    let mut command = Command::new(find("ssh-keygen", CLIENTS));
    output(command.args(["-q", "-t", kind, "-N", "", "-C", "hoop-test", "-f"]).arg(file), b"").ok();
}

/// The public half of a key that [`make_key`] made, without its comment.
///
/// # Panics
/// When there is no such file.
pub fn public_key(file: &Path) -> String {
    let line =
        std::fs::read_to_string(file.with_added_extension("pub")).expect("a public key lies beside its private one");
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn run(folder: &Folder) -> Guarded {
    // It starts itself again for each connection, and wants to know where it is.
    let server = find("sshd", PACKAGE).display().to_string();
    let settings = folder.join("sshd_config").display().to_string();
    Guarded::start(&Plan {
        name: "sshd".to_owned(),
        command: vec![server, "-D".into(), "-e".into(), "-f".into(), settings],
        environment: Vec::new(),
        stop: "TERM",
        folder: folder.path().to_owned(),
    })
}

fn init(folder: &Path, port: u16, more: &str) {
    if Uid::effective().is_root() {
        std::fs::create_dir_all(EMPTY_FOLDER).expect("root may make a folder in /run");
    }
    make_host_key(folder, port);
    make_key(&folder.join("client_key"), "ed25519");
    let authorized = folder.join("authorized_keys");
    std::fs::copy(folder.join("client_key.pub"), &authorized).expect("an own folder takes a file");
    let [key, authorized] = [folder.join("host_key"), authorized].map(|path| path.display().to_string());
    let own = format!("Port {port}\nHostKey {key}\nAuthorizedKeysFile {authorized}\n");
    // The first line that names a setting wins, and everything behind a `Match` belongs to it.
    let (first, last) = more.split_at(more.find("Match ").unwrap_or(more.len()));
    write_private(&folder.join("sshd_config"), &format!("{first}\n{own}{SETTINGS}{last}\n"));
}

fn make_host_key(folder: &Path, port: u16) {
    let key = folder.join("host_key");
    make_key(&key, "ed25519");
    write_private(&folder.join("known_hosts"), &format!("[127.0.0.1]:{port} {}\n", public_key(&key)));
}

fn write_private(path: &Path, text: &str) {
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    std::io::Write::write_all(&mut file.expect("an own folder takes a file"), text.as_bytes()).expect("it is written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lets_its_user_in_and_shows_its_key() {
        let mut sshd = Sshd::with(|folder| format!("SetEnv FOLDER={}", folder.display()));
        assert_eq!(sshd.run("echo $FOLDER").ok(), format!("{}\n", sshd.folder().display()));
        assert!(sshd.log().contains(&format!("Accepted publickey for {}", Sshd::user())), "{}", sshd.log());
        let before = sshd.host_key();
        sshd.change_host_key();
        assert!(before.starts_with("ssh-ed25519 ") && before != sshd.host_key());
        assert_eq!(sshd.run("exit 7").status.code(), Some(7));
    }
}
