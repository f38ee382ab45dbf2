//! Completions. A shell asks this program for them, which knows its own options, and asks the gateway for names.

use std::ffi::OsStr;
use std::io;
use std::time::Duration;

use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use serde_json::Value;

use crate::failure::Failure;
use crate::files::Files;
use crate::gateway::Choice;
use crate::output::Format;
use crate::shell::{Shell, variable};

/// Set by the shell when it asks.
const VARIABLE: &str = "_HOOP_COMPLETE";
/// Who presses the tab key does not wait for longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers a shell that asks, and ends then.
pub(crate) fn answer(command: impl Fn() -> clap::Command) {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// Prints what a shell reads so that it asks.
pub(crate) fn print(shell: clap_complete::Shell) -> Result<(), Failure> {
    let name = shell.to_string();
    let unknown = || Failure::new(1, format!("there are no completions for {name}"));
    let program = std::env::current_exe()?.display().to_string();
    let shells = Shells::builtins();
    let completer = shells.completer(&name).ok_or_else(unknown)?;
    Ok(completer.write_registration(VARIABLE, "hoop", "hoop", &program, &mut io::stdout())?)
}

/// Completes the name of a role that may be reached.
pub(crate) fn roles() -> ArgValueCompleter {
    ArgValueCompleter::new(|begin: &OsStr| {
        let shell = quiet();
        let asked = crate::small(async {
            let asked = async { shell.api().await?.all("/api/v1/roles").await };
            tokio::time::timeout(PATIENCE, asked).await?
        });
        // Who is not signed in gets no names, and no error in the middle of a line.
        let roles: Vec<Value> = asked.unwrap_or_default();
        matching(roles.iter().filter_map(|role| role["name"].as_str()), begin)
    })
}

/// Completes the id of a review that is pending.
pub(crate) fn reviews() -> ArgValueCompleter {
    ArgValueCompleter::new(|begin: &OsStr| {
        let shell = quiet();
        let asked = crate::small(async {
            let asked = async { shell.api().await?.all("/api/v1/reviews?state=pending").await };
            tokio::time::timeout(PATIENCE, asked).await?
        });
        let reviews: Vec<Value> = asked.unwrap_or_default();
        matching(reviews.iter().filter_map(|review| review["id"].as_str()), begin)
    })
}

/// Completes the name of a context.
pub(crate) fn contexts() -> ArgValueCompleter {
    ArgValueCompleter::new(|begin: &OsStr| {
        let config = quiet().files.config().unwrap_or_default();
        matching(config.contexts.keys().map(String::as_str), begin)
    })
}

fn matching<'a>(names: impl Iterator<Item = &'a str>, begin: &OsStr) -> Vec<CompletionCandidate> {
    let begin = begin.to_string_lossy();
    names.filter(|name| name.starts_with(&*begin)).map(CompletionCandidate::new).collect()
}

fn quiet() -> Shell {
    Shell {
        format: Format::Table,
        quiet: true,
        verbose: false,
        no_input: true,
        no_color: true,
        timeout: None,
        choice: Choice::default(),
        files: Files::usual(variable),
    }
}
