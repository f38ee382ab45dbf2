//! `hoop`: the command line, and `hoop dev`. Argument parsing and wiring only.

mod access;
mod api;
mod audit;
mod dev;
mod failure;
mod output;
mod place;
mod sessions;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use failure::Failure;
use output::Format;

/// Reach databases and shells through a Hoop gateway.
#[derive(Parser)]
#[command(name = "hoop", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 error, 2 wrong usage, 3 not signed in, 4 denied, 8 not found, 9 gateway, agent or target unavailable, 130 interrupted.
Data goes to standard output, everything else to standard error. NO_COLOR is respected.";

/// What every command takes.
#[derive(Args)]
struct Global {
    /// How data is written.
    #[arg(long, short, global = true, env = "HOOP_OUTPUT", value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// Folder of a `hoop dev`; unless given, the current one, or `hoop-dev` in it.
    #[arg(long, global = true, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// A gateway, an agent and an administrator on this machine, in one go.
    Dev(dev::Options),
    /// Who may use what.
    #[command(subcommand)]
    Access(access::Command),
    /// Who used what.
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// What happened in a session, and whether its recording is as it was written.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Prints the completions for a shell, to be sourced.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Prints the version.
    Version,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::from(anyhow::Error::from(error)).print(),
    };
    // The main thread runs it: a child that is to die with this process does so with the thread that started it.
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.print(),
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let Global { output, dir } = cli.global;
    match cli.command {
        Command::Dev(options) => Box::pin(dev::run(options, dir, output)).await,
        Command::Access(command) => access::run(command, dir.as_deref(), output).await,
        Command::Sessions(command) => sessions::run(command, dir.as_deref(), output).await,
        Command::Audit(command) => audit::run(command, dir.as_deref(), output).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "hoop", &mut std::io::stdout());
            Ok(())
        }
        Command::Version => Ok(output::line(concat!("hoop ", env!("CARGO_PKG_VERSION")))?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
