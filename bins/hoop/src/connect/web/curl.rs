//! `curl` for a role: the token comes to it by a file descriptor, and goes to the gateway and nowhere else.
//!
//! All that it asks for goes to a port of this machine, whatever the host; that port knows the role's name alone, and passes on
//! what shows the token.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::io::{FdFlags, fcntl_setfd};
use tokio::net::TcpListener;
use tokio::process::Command;

use super::own::Own;
use super::reverse::Reverse;
use crate::connect::follow;
use crate::credentials::Credential;
use crate::door::Door;
use crate::failure::Failure;
use crate::stop::Stop;

/// Runs it, and gives its exit code.
pub(super) async fn run(
    program: PathBuf,
    arguments: &[String],
    credential: &Credential,
    door: Door,
    stop: &mut Stop,
) -> Result<ExitCode, Failure> {
    let authority = credential.authority();
    let arguments = Options::of(&program).await?.resolved(arguments, &authority)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    // Others on this machine may find the port: it has no token of its own to show.
    let reverse = Reverse::new(listener, Own::Name(authority), credential, door, false)?;
    let config = config(credential.token_line().expose(), port)?;
    let mut command = Command::new(&program);
    command.args(["-q", "--config", &format!("/dev/fd/{}", config.as_raw_fd())]).args(arguments);
    let child = command
        .spawn()
        .map_err(|error| Failure::new(1, format!("{} cannot be started: {error}", program.display())))?;
    drop(config);
    let ended = tokio::select! {
        ended = follow(child, stop) => ended,
        never = reverse.accept() => match never? {},
    };
    reverse.finish().await;
    ended
}

/// What it is told, in a pipe that it inherits.
fn config(token_line: &str, port: u16) -> Result<OwnedFd, Failure> {
    let (reader, writer) = std::io::pipe()?;
    let mut writer = File::from(OwnedFd::from(writer));
    // It is shorter than what a pipe takes without a reader.
    write!(writer, "header = \"{token_line}\"\nconnect-to = \"::127.0.0.1:{port}\"\nnoproxy = \"*\"\n")?;
    let reader = OwnedFd::from(reader);
    fcntl_setfd(&reader, FdFlags::empty())?;
    Ok(reader)
}

/// The options of the curl that is installed, by their names with their dashes: whether each takes a value.
struct Options(BTreeMap<String, bool>);

impl Options {
    /// It says so itself.
    async fn of(program: &Path) -> Result<Self, Failure> {
        let said = Command::new(program).args(["-q", "--help", "all"]).kill_on_drop(true).output().await?;
        Ok(Self::read(&String::from_utf8_lossy(&said.stdout)))
    }

    /// Lines such as ` -o, --output <file>    Write to file instead of stdout`.
    fn read(help: &str) -> Self {
        let mut options = BTreeMap::new();
        for line in help.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let names = words.iter().take_while(|word| word.starts_with('-')).count();
            let takes_value = words.get(names).is_some_and(|word| word.starts_with('<'));
            for name in &words[..names] {
                options.insert(name.trim_end_matches(',').to_owned(), takes_value);
            }
        }
        Self(options)
    }

    /// The arguments, with the paths of what is asked for as URLs of the role.
    ///
    /// # Errors
    /// For a URL of something else: the token is for this role.
    fn resolved(&self, arguments: &[String], authority: &str) -> Result<Vec<String>, Failure> {
        let mut resolved = Vec::with_capacity(arguments.len());
        let mut rest = arguments.iter();
        let mut may_be_option = true;
        while let Some(argument) = rest.next() {
            let is_option = may_be_option && argument.len() > 1 && argument.starts_with('-');
            if !is_option {
                resolved.push(url(argument, authority)?);
                continue;
            }
            resolved.push(argument.clone());
            may_be_option = argument != "--";
            if may_be_option
                && self.takes_next(argument)
                && let Some(value) = rest.next()
            {
                resolved.push(if argument == "--url" { url(value, authority)? } else { value.clone() });
            }
        }
        Ok(resolved)
    }

    /// Whether the argument after this option is its value.
    fn takes_next(&self, option: &str) -> bool {
        if option.starts_with("--") {
            // Beginnings of names do, too.
            let named = || self.0.iter().find(|(name, _)| name.starts_with(option)).map(|(_, takes)| *takes);
            return self.0.get(option).copied().or_else(named).unwrap_or(false);
        }
        let letters = option.trim_start_matches('-');
        let takes = |letter: char| self.0.get(&format!("-{letter}")).copied().unwrap_or(false);
        // The first of them that takes a value has what follows in the word, if there is more.
        letters
            .char_indices()
            .find(|(_, letter)| takes(*letter))
            .is_some_and(|(at, letter)| at + letter.len_utf8() == letters.len())
    }
}

fn url(asked: &str, authority: &str) -> Result<String, Failure> {
    let Some((scheme, rest)) = asked.split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?'])) else {
        let slash = if asked.starts_with('/') { "" } else { "/" };
        return Ok(format!("http://{authority}{slash}{asked}"));
    };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if matches!(scheme, "http" | "https") && host.eq_ignore_ascii_case(authority) {
        return Ok(format!("http://{authority}{path}"));
    }
    let text = format!("{asked} is nothing of this role, whose paths are asked for alone");
    Err(Failure::new(Failure::USAGE, text).hint("name a path, such as /api/customers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Usage: curl [options...] <url>
     --cacert <file>  CA certificate to verify peer against
 -d, --data <data>    HTTP POST data
 -o, --output <file>  Write to file instead of stdout
 -s, --silent         Silent mode
 -S, --show-error     Show error even when -s is used
     --url <url>      URL to work with
";

    fn resolved(line: &str) -> Vec<String> {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        Options::read(HELP).resolved(&words, "app.x:8443").expect("arguments")
    }

    #[test]
    fn paths_are_asked_of_the_role_and_values_of_options_stay() {
        for (line, expected) in [
            ("/a?b", "http://app.x:8443/a?b"),
            ("a/{b,c}", "http://app.x:8443/a/{b,c}"),
            ("?next=http://x/", "http://app.x:8443/?next=http://x/"),
            ("-s /a", "-s http://app.x:8443/a"),
            ("-o /tmp/f /a", "-o /tmp/f http://app.x:8443/a"),
            ("-o/tmp/f /a", "-o/tmp/f http://app.x:8443/a"),
            ("-sSo /tmp/f /a", "-sSo /tmp/f http://app.x:8443/a"),
            ("-d @/f -- /a -b", "-d @/f -- http://app.x:8443/a http://app.x:8443/-b"),
            ("--outp /tmp/f /a --cacert /c", "--outp /tmp/f http://app.x:8443/a --cacert /c"),
            ("--url /a -d /b", "--url http://app.x:8443/a -d /b"),
            ("https://APP.x:8443/a /b", "http://app.x:8443/a http://app.x:8443/b"),
        ] {
            assert_eq!(resolved(line).join(" "), expected, "{line}");
        }
    }

    #[test]
    fn nothing_of_somebody_else_s_is_asked_for() {
        for line in
            ["https://evil.example/", "http://app.x/", "ftp://app.x:8443/", "-s https://app.x:8443.evil.example/a"]
        {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            let failure = Options::read(HELP).resolved(&words, "app.x:8443").expect_err(line);
            assert_eq!(failure.code(), Failure::USAGE);
        }
    }

    #[test]
    fn the_token_is_in_a_pipe() {
        let mut config = File::from(config("Hoop-Token: planted", 4).expect("a pipe"));
        let mut text = String::new();
        std::io::Read::read_to_string(&mut config, &mut text).expect("it ends");
        assert!(text.contains("\"Hoop-Token: planted\"") && text.contains("::127.0.0.1:4"), "{text}");
    }
}
