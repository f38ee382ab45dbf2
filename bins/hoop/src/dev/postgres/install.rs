//! Finding PostgreSQL's programs, and making a server's folder with them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use nix::unistd::{Gid, Uid, User};

use crate::failure::Failure;
use crate::place::write_private;

/// PostgreSQL's programs.
pub(super) struct Programs(PathBuf);

impl Programs {
    /// The newest version that is installed.
    pub(super) fn find() -> Result<Self, Failure> {
        let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = installed.map(|entry| entry.path().join("bin")).collect();
        let version = |path: &PathBuf| path.parent().and_then(|path| path.file_name()?.to_str()?.parse::<u32>().ok());
        folders.sort_by_key(|path| std::cmp::Reverse(version(path)));
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        folders.extend(["/usr/pgsql/bin", "/opt/homebrew/bin", "/usr/local/pgsql/bin"].map(PathBuf::from));
        folders.extend(told_by_pg_config());
        let is_whole = |folder: &PathBuf| ["postgres", "initdb"].iter().all(|program| folder.join(program).is_file());
        folders.into_iter().find(is_whole).map(Self).ok_or_else(|| {
            Failure::new(
                1,
                "the sample database needs PostgreSQL's server programs; install them with: apt-get install postgresql",
            )
        })
    }

    /// A program; clients may be elsewhere on the PATH.
    pub(super) fn path(&self, program: &str) -> PathBuf {
        let path = self.0.join(program);
        if path.is_file() { path } else { PathBuf::from(program) }
    }
}

fn told_by_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok().map(|text| PathBuf::from(text.trim()))
}

/// How long a process may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dev) enum Life {
    /// Until it has done its work.
    OfItsOwn,
    /// As long as this process at most.
    EndsWithUs,
}

/// PostgreSQL refuses to run as root; its packages bring a user for it.
pub(in crate::dev) fn server_user() -> Result<Option<User>, Failure> {
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

/// The beginning of a command that runs as the server's user. util-linux' `setpriv` does what this program cannot do
/// without unsafe code: it sets the signal that a process gets when its parent dies.
pub(in crate::dev) fn as_server(life: Life) -> Command {
    as_server_in(life, None)
}

/// The same with another group beside the user's own, where that takes root.
pub(in crate::dev) fn as_server_in(life: Life, group: Option<Gid>) -> Command {
    let root = Uid::effective().is_root();
    if (!root && life == Life::OfItsOwn) || !Path::new("/usr/bin/setpriv").exists() {
        return Command::new("/usr/bin/env");
    }
    let mut command = Command::new("/usr/bin/setpriv");
    if root {
        let groups = group.map_or_else(|| "--clear-groups".to_owned(), |group| format!("--groups={group}"));
        command.args(["--reuid=postgres", "--regid=postgres", &groups]);
    }
    if life == Life::EndsWithUs {
        // SIGINT is a fast shutdown.
        command.arg("--pdeathsig=INT");
    }
    command
}

/// A folder called `name` that the server's user can use: below `dir`, unless that cannot be reached by it.
pub(in crate::dev) fn private_folder(dir: &Path, name: &str) -> Result<PathBuf, Failure> {
    let inside = dir.join(name);
    let Some(user) = server_user()? else {
        DirBuilder::new().recursive(true).mode(0o700).create(&inside)?;
        return Ok(inside);
    };
    if give_to(&inside, &user)? {
        return Ok(inside);
    }
    // A home that others cannot pass through, such as root's.
    let place: String =
        dir.display().to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let elsewhere = PathBuf::from("/var/tmp").join(match name {
        "postgres" => format!("hoop-demo{place}"),
        other => format!("hoop-demo{place}-{other}"),
    });
    if give_to(&elsewhere, &user)? {
        return Ok(elsewhere);
    }
    let text = format!(
        "the user postgres can use neither {} nor {}; choose another --dir",
        inside.display(),
        elsewhere.display()
    );
    Err(Failure::new(1, text))
}

/// Makes the folder the server's user's, and says whether that user can reach it. What somebody else has put there is not
/// touched: in a folder like `/var/tmp` everybody can lay a link or a database of theirs in the way.
fn give_to(folder: &Path, user: &User) -> Result<bool, Failure> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let found = std::fs::symlink_metadata(folder)?;
    if !found.is_dir() || ![0, user.uid.as_raw()].contains(&found.uid()) || found.mode() & 0o077 != 0 {
        return Err(Failure::new(
            1,
            format!("{} is not a private folder of the user {}; remove it", folder.display(), user.name),
        ));
    }
    std::os::unix::fs::lchown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    let mut reach = as_server(Life::OfItsOwn);
    reach.args(["test", "-w"]).arg(folder).current_dir("/");
    Ok(reach.status()?.success())
}

/// A password that is made once and kept in this file.
pub(super) fn password(path: &Path) -> Result<String, Failure> {
    match std::fs::read_to_string(path) {
        Ok(password) => return Ok(password),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Err(anyhow::Error::from(error).context(format!("{} cannot be read", path.display())).into());
        }
    }
    let password = random_text();
    write_private(path, password.as_bytes())?;
    Ok(password)
}

fn random_text() -> String {
    let random: [u8; 16] = rand::random();
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes the server's data folder.
pub(super) fn init(programs: &Programs, data: &Path, superuser: &str, password: &str) -> Result<(), Failure> {
    // Whatever an interrupted attempt has left.
    let _ = std::fs::remove_dir_all(data);
    let file = PasswordFile::new(data, password)?;
    let mut command = as_server(Life::OfItsOwn);
    command.arg(programs.path("initdb")).arg("--pgdata").arg(data).arg(format!("--pwfile={}", file.0.display()));
    command.args(["--username", superuser, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    let output = command.current_dir("/").stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::new(1, format!("the sample database cannot be made: {said}")))
}

/// A password where `initdb` finds it, and nobody else, for as long as this lives. It lies beside the server's folder, not
/// in it: that one's user must not be able to tell root what to write to.
struct PasswordFile(PathBuf);

impl PasswordFile {
    fn new(data: &Path, password: &str) -> Result<Self, Failure> {
        let beside = data.ancestors().nth(2).unwrap_or(data);
        let path = beside.join(format!(".hoop-{}", random_text()));
        let named = || format!("{} cannot be written", path.display());
        let mut file: File =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).with_context(named)?;
        let made = Self(path.clone());
        file.write_all(password.as_bytes()).with_context(named)?;
        if let Some(user) = server_user()? {
            std::os::unix::fs::fchown(&file, Some(user.uid.as_raw()), Some(user.gid.as_raw())).with_context(named)?;
        }
        Ok(made)
    }
}

impl Drop for PasswordFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
