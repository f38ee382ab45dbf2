//! `hoop connect --print`.

use clap::ValueEnum;
use serde_json::Value;

use super::settings;
use crate::credentials::{Credential, HTTP};
use crate::failure::Failure;
use crate::output::{self, Format, printable};
use crate::shell::Shell;

/// The form of a credential that another program reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Print {
    /// Lines for a shell: eval "$(hoop connect ROLE --print env)".
    Env,
    /// One URL.
    Url,
    /// A section of `pg_service.conf`, or of ssh's settings; `hoop ssh-config` writes those that need no password. For a web app,
    /// a file for curl's `--config`.
    Conf,
    /// For a web app: a line for a shell.
    Curl,
}

impl Print {
    /// Refuses a form that roles of this kind do not have.
    pub(super) fn check(self, kind: &str) -> Result<(), Failure> {
        if self != Self::Curl || kind == HTTP {
            return Ok(());
        }
        Err(Failure::new(Failure::USAGE, format!("curl does not speak with roles of kind {kind}")).hint("--print url"))
    }
}

pub(super) fn run(print: Print, credential: &Credential, made: &Value, shell: &Shell) -> Result<(), Failure> {
    match (shell.format, print) {
        (Format::Table | Format::Csv, Print::Env) => {
            for (name, value) in settings(credential) {
                output::line(&format!("export {name}={}", quoted(&value)))?;
            }
        }
        (Format::Table | Format::Csv, Print::Url) => output::line(&credential.url())?,
        (Format::Table | Format::Csv, Print::Curl) => output::line(&printable(&output::text(made, "command")))?,
        (Format::Table | Format::Csv, Print::Conf) if credential.is_http() => {
            output::line(&format!("url = \"{}/\"", printable(&credential.base())))?;
            output::line(&format!("header = \"{}\"", printable(credential.token_line().expose())))?;
        }
        (Format::Table | Format::Csv, Print::Conf) if credential.is_ssh() => {
            output::line(&format!("Host {}", printable(&credential.role)))?;
            let Credential { host, port, user, .. } = credential;
            output::line(&format!("    HostName {}", printable(host)))?;
            output::line(&format!("    Port {port}"))?;
            output::line(&format!("    User {}", printable(user)))?;
        }
        (Format::Table | Format::Csv, Print::Conf) => {
            output::line(&format!("[{}]", printable(&credential.role)))?;
            for (name, value) in settings(credential) {
                // A value with another line in it would be another setting.
                output::line(&format!("{}={}", key(name), printable(&value)))?;
            }
        }
        (format, _) => output::show(format, made, &[])?,
    }
    let (until, id) = (output::time(made, "expires_at"), printable(&credential.id));
    shell.tell(format!("good until {until} UTC; to end it before: hoop credentials revoke {id}"));
    Ok(())
}

/// Between single quotes, as a shell reads it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The name in a file of what libpq calls so in the environment.
fn key(variable: &str) -> &str {
    match variable {
        "PGHOST" => "host",
        "PGPORT" => "port",
        "PGUSER" => "user",
        "PGPASSWORD" => "password",
        "PGDATABASE" => "dbname",
        "PGSSLMODE" => "sslmode",
        "PGCHANNELBINDING" => "channel_binding",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_quote_stays_one() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
