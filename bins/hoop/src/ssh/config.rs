//! `hoop ssh-config`: settings with which `ssh`, `scp`, `sftp`, `rsync` and editors reach roles by their names.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::identity::{self, Identity};
use super::{check_word, quoted_path};
use crate::api::Api;
use crate::credentials::{SSH, better_host, known_hosts};
use crate::duration;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::{self, Format, text, time};
use crate::place::write_private;
use crate::shell::{Shell, variable};

#[derive(Args)]
pub(crate) struct Options {
    /// Writes them into this file.
    #[arg(long, value_name = "FILE", conflicts_with = "install")]
    file: Option<PathBuf>,
    /// Keeps them beside the context, and has ~/.ssh/config include them.
    #[arg(long)]
    install: bool,
    /// The file of a private key of one's own that the gateway knows, in the place of the one that is made for this machine.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// How long the gateway takes the key that is made, such as 12h; it is renewed by the same command.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, conflicts_with = "identity")]
    expires: Option<Duration>,
    /// Put before the name of each role, for those who use several gateways.
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
}

/// How long a key is good for that is made here.
const USUAL: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the settings are made of.
struct Settings {
    url: String,
    user: String,
    host: String,
    port: u16,
    prefix: String,
    roles: Vec<String>,
    identity: PathBuf,
    known_hosts: PathBuf,
}

pub(crate) async fn run(options: Options, shell: &Shell) -> Result<(), Failure> {
    check_prefix(&options.prefix)?;
    let gateway = shell.gateway()?;
    let api = shell.api_of(&gateway).await?;
    // What is not printable is none of it any more: it stands in a comment, too.
    let user = text(&api.get("/api/v1/me").await?, "name");
    let folder = folder(&gateway, &user, shell)?;
    let Identity { file, key } = match &options.identity {
        Some(file) => identity::given(&api, file).await?,
        None => identity::own(&api, &folder, options.expires.unwrap_or(USUAL)).await?,
    };
    let settings = settings(&api, user, &folder, file, options.prefix).await?;
    let written = settings.text()?;
    match (options.file, options.install) {
        (Some(file), _) => write_private(&file, written.as_bytes())?,
        (None, true) => install(&folder, &written, shell)?,
        (None, false) => print(&settings, &written, shell)?,
    }
    let until =
        if key["expires_at"].is_null() { String::new() } else { format!(" until {} UTC", time(&key, "expires_at")) };
    let count = settings.roles.len();
    shell.tell(format!("{count} roles; the gateway takes {}{until}", settings.identity.display()));
    Ok(())
}

/// Nothing that would be a pattern, or another line.
fn check_prefix(prefix: &str) -> Result<(), Failure> {
    if prefix.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) && !prefix.starts_with('-') {
        return Ok(());
    }
    Err(Failure::new(Failure::USAGE, "a prefix has letters, digits, `-`, `_` and `.`"))
}

/// Where what is made is kept: beside the context, or in the folder of the `hoop dev`.
fn folder(gateway: &Gateway, user: &str, shell: &Shell) -> Result<PathBuf, Failure> {
    match gateway {
        Gateway::Dev { folder, .. } => identity::folder(&folder.canonicalize()?, "dev", user),
        Gateway::Remote(remote) => {
            let base = shell.files.config_path()?;
            let base = base.parent().unwrap_or(Path::new("/"));
            identity::folder(base, remote.context.as_deref().unwrap_or(&remote.url), user)
        }
    }
}

async fn settings(
    api: &Api,
    user: String,
    folder: &Path,
    identity: PathBuf,
    prefix: String,
) -> Result<Settings, Failure> {
    let door = api.get("/api/v1/ssh").await?;
    let told = text(&door, "host");
    let host = better_host(&told, api.base()).unwrap_or(told);
    let port = door["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
    let keys: Vec<String> = serde_json::from_value(door["host_keys"].clone())?;
    let file = folder.join("known_hosts");
    write_private(&file, format!("{}\n", known_hosts(&host, port, &keys).join("\n")).as_bytes())?;
    let roles = api.some("/api/v1/roles", usize::MAX, |role| role["kind"] == SSH).await?;
    let roles = roles.iter().map(|role| text(role, "name")).collect();
    Ok(Settings { url: api.base().to_owned(), user, host, port, prefix, roles, identity, known_hosts: file })
}

impl Settings {
    fn text(&self) -> Result<String, Failure> {
        let Self { url, user, host, port, prefix, .. } = self;
        let (identity, known_hosts) = (quoted_path(&self.identity)?, quoted_path(&self.known_hosts)?);
        check_word(host)?;
        let mut text =
            format!("# Made by hoop ssh-config for {user} at {url}; made anew, it has the roles of that day.\n");
        for role in &self.roles {
            check_word(role)?;
            let _ = write!(
                text,
                "
Host {prefix}{role}
    HostName {host}
    Port {port}
    User {role}
    IdentityFile {identity}
    IdentitiesOnly yes
    PreferredAuthentications publickey
    UserKnownHostsFile {known_hosts}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    UpdateHostKeys no
    # With these, connections share one login and begin sooner:
    # ControlMaster auto
    # ControlPath ~/.ssh/hoop-%C
    # ControlPersist 10m
"
            );
        }
        Ok(text)
    }
}

fn print(settings: &Settings, written: &str, shell: &Shell) -> Result<(), Failure> {
    if matches!(shell.format, Format::Table | Format::Csv) {
        return Ok(output::line(written.trim_end())?);
    }
    let Settings { host, port, roles, identity, known_hosts, prefix, .. } = settings;
    let hosts: Vec<Value> =
        roles.iter().map(|role| json!({ "host": format!("{prefix}{role}"), "role": role })).collect();
    let data = json!({
        "hostname": host, "port": port, "hosts": hosts, "identity_file": identity, "known_hosts_file": known_hosts,
        "config": written,
    });
    output::show(shell.format, &data, &[])
}

/// Has the user's own settings include these, once. It stands first: behind a `Host` it would be for that one alone.
fn install(folder: &Path, written: &str, shell: &Shell) -> Result<(), Failure> {
    let ours = folder.join("ssh_config");
    write_private(&ours, written.as_bytes())?;
    let Some(home) = variable("HOME") else {
        return Err(Failure::new(1, "HOME does not say where ~/.ssh is").hint("--file FILE"));
    };
    let config = Path::new(&home).join(".ssh/config");
    let line = format!("Include {}", quoted_path(&ours)?);
    if include(&config, &line)? {
        shell.tell(format!("{} includes {} now", config.display(), ours.display()));
    }
    Ok(())
}

/// Says whether it was not there.
fn include(config: &Path, line: &str) -> Result<bool, Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    let before = match std::fs::read_to_string(config) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", config.display()))?,
    };
    if before.lines().any(|before| before.trim() == line) {
        return Ok(false);
    }
    if let Some(folder) = config.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // What is a link is somebody's way to keep it elsewhere.
    let config = config.canonicalize().unwrap_or_else(|_| config.to_owned());
    write_private(&config, format!("{line}\n\n{before}").as_bytes())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(host: &str, roles: &[&str]) -> Settings {
        Settings {
            url: "https://gw.example.com".to_owned(),
            user: "ada".to_owned(),
            host: host.to_owned(),
            port: 12222,
            prefix: "prod-".to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            identity: PathBuf::from("/home/a b/id"),
            known_hosts: PathBuf::from("/home/a b/known_hosts"),
        }
    }

    #[test]
    fn a_role_is_a_host() {
        let text = example("gw.example.com", &["web", "db"]).text().expect("written");
        for part in [
            "Host prod-web\n    HostName gw.example.com\n    Port 12222\n    User web\n",
            "IdentityFile \"/home/a b/id\"",
            "StrictHostKeyChecking yes",
            "Host prod-db\n",
        ] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
    }

    #[test]
    fn a_gateway_says_words_and_no_settings() {
        for (host, role) in [
            ("gw\n    ProxyCommand touch /tmp/x", "web"),
            ("gw", "web\n    LocalCommand x"),
            ("-oProxyCommand=x", "web"),
            ("gw", "*"),
            ("", "web"),
        ] {
            assert!(example(host, &[role]).text().is_err(), "{host:?} {role:?}");
        }
        for wrong in ["a b", "*", "-x", "a\n"] {
            assert!(check_prefix(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn it_is_included_once_and_first() {
        let home = tempfile::tempdir().expect("a folder");
        let config = home.path().join(".ssh/config");
        assert!(include(&config, "Include \"/x\"").expect("written"));
        std::fs::write(&config, "Host a\n    User b\n").expect("an own file");
        assert!(include(&config, "Include \"/x\"").expect("written"));
        assert!(!include(&config, "Include \"/x\"").expect("read"));
        let text = std::fs::read_to_string(&config).expect("there");
        assert_eq!(text, "Include \"/x\"\n\nHost a\n    User b\n");
    }
}
