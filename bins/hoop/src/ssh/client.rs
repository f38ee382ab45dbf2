//! `ssh` through the gateway, with a credential that is taken back when it ends.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::process::{Child, Command};

use super::{askpass, check_word, quoted_path};
use crate::connect::program;
use crate::credentials::Credential;
use crate::dev::terminate;
use crate::failure::Failure;
use crate::stop::{Asked, Stop};

/// How long it may take to end after it was told to.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Where `ssh` is.
pub(crate) fn ssh(role: &str) -> Result<PathBuf, Failure> {
    program("ssh").ok_or_else(|| {
        Failure::new(1, "ssh, OpenSSH's client, is not installed")
            .hint(format!("apt-get install openssh-client; or take another client: hoop connect {role} --print url"))
    })
}

/// Runs it as somebody types it, and gives its exit code, which is that of the command at the other end, or 255. A signal that
/// reaches this program is passed on, but for Ctrl-C, which reaches both.
pub(crate) async fn native(
    client: PathBuf,
    credential: &Credential,
    arguments: &[String],
    stop: &mut Stop,
) -> Result<ExitCode, Failure> {
    let (mut child, _known_hosts) = start(client, credential, &[], arguments)?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(code(status?)),
            asked = stop.next() => match asked {
                Asked::Interrupt => {}
                Asked::Terminate | Asked::Hangup => terminate(&child),
            },
        }
    }
}

/// Runs one command without a terminal until it has ended or somebody has enough, and gives its exit code, as above.
pub(crate) async fn exec(
    client: PathBuf,
    credential: &Credential,
    text: String,
    stopped: impl Future<Output = Failure>,
) -> Result<ExitCode, Failure> {
    // What begins with a dash is a command, too.
    let (mut child, _known_hosts) = start(client, credential, &["-T"], &["--".to_owned(), text])?;
    let failure = tokio::select! {
        status = child.wait() => return Ok(code(status?)),
        failure = stopped => failure,
    };
    terminate(&child);
    if tokio::time::timeout(LAST_WORDS, child.wait()).await.is_err() {
        child.kill().await?;
    }
    Err(failure)
}

/// Gives the file by which it knows the gateway, too: it is there for as long as that value is.
fn start(
    client: PathBuf,
    credential: &Credential,
    flags: &[&str],
    arguments: &[String],
) -> Result<(Child, NamedTempFile), Failure> {
    check_word(&credential.host)?;
    check_word(&credential.user)?;
    let mut known_hosts = NamedTempFile::with_prefix("hoop-known-hosts-")?;
    writeln!(known_hosts, "{}", credential.known_hosts.join("\n"))?;
    let mut command = Command::new(&client);
    command.args(options(credential, &quoted_path(known_hosts.path())?, flags)).args(arguments);
    askpass::set(&mut command, &std::env::current_exe()?, credential);
    let child =
        command.spawn().map_err(|error| Failure::new(1, format!("{} cannot be started: {error}", client.display())))?;
    Ok((child, known_hosts))
}

/// The gateway is known by the keys that its API gave, whatever the user's own settings for `ssh` say; none of those is read.
fn options(credential: &Credential, known_hosts: &str, flags: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = ["-F", "none"].map(str::to_owned).into();
    let settings = [
        format!("UserKnownHostsFile={known_hosts}"),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        "StrictHostKeyChecking=yes".to_owned(),
        "UpdateHostKeys=no".to_owned(),
        "PubkeyAuthentication=no".to_owned(),
        "PreferredAuthentications=password".to_owned(),
        "NumberOfPasswordPrompts=1".to_owned(),
    ];
    words.extend(settings.into_iter().flat_map(|setting| ["-o".to_owned(), setting]));
    words.extend(flags.iter().map(|flag| (*flag).to_owned()));
    words.extend(["-p".to_owned(), credential.port.to_string(), "-l".to_owned(), credential.user.clone()]);
    words.push(credential.host.clone());
    words
}

fn code(status: std::process::ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_password_is_in_no_argument_and_the_gateway_is_known() {
        let made = json!({
            "id": "crd_1", "role": "web", "kind": "ssh", "host": "gw", "port": 12222, "user": "web-abc",
            "password": "planted", "database": "", "sslmode": "", "known_hosts": ["[gw]:12222 ssh-ed25519 AAAA"],
        });
        let credential = Credential::deserialize(&made).expect("a credential");
        let words = options(&credential, "\"/tmp/known\"", &["-T"]);
        assert!(!words.concat().contains("planted"));
        assert!(words.contains(&"StrictHostKeyChecking=yes".to_owned()) && words.contains(&"-T".to_owned()));
        assert_eq!(words[words.len() - 5..], ["-p", "12222", "-l", "web-abc", "gw"]);
        assert!(!options(&credential, "x", &[]).contains(&"-T".to_owned()));
    }

    #[test]
    fn no_gateway_gives_ssh_an_option() {
        let made = |host: &str, user: &str| {
            json!({
                "id": "crd_1", "role": "web", "kind": "ssh", "host": host, "port": 12222, "user": user,
                "password": "planted", "database": "", "sslmode": "", "known_hosts": [],
            })
        };
        for (host, user) in
            [("-oProxyCommand=true", "web-abc"), ("gw", "-oProxyCommand=true"), ("a b", "web"), ("", "web")]
        {
            let credential = Credential::deserialize(&made(host, user)).expect("a credential");
            let started = start(PathBuf::from("/nonexistent"), &credential, &[], &[]).map(drop);
            let failure = started.expect_err("it is no word").to_string();
            assert!(failure.contains("no word for ssh"), "{failure}");
        }
    }
}
