//! `hoop`: the command line, and `hoop dev`. Argument parsing and wiring only.

mod access;
mod admin;
mod api;
mod apply;
mod audit;
mod completions;
mod connect;
mod context;
mod credentials;
mod dev;
mod doctor;
mod door;
mod duration;
mod exec;
mod failure;
mod files;
mod gateway;
mod keys;
mod login;
mod output;
mod place;
mod reviews;
mod roles;
mod sessions;
mod shell;
mod silent;
mod ssh;
mod stop;
mod tokens;
mod trust;
mod yaml;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use failure::Failure;
use files::Files;
use gateway::Choice;
use output::Format;
use shell::{Shell, variable};

/// Reach databases, shells and web apps through a Hoop gateway.
#[derive(Parser)]
#[command(name = "hoop", version, arg_required_else_help = true, after_help = AFTER)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "Settings: an option counts before the environment (HOOP_URL, HOOP_TOKEN, HOOP_CONTEXT, HOOP_CA_FILE, HOOP_OUTPUT, HOOP_VIA), that before the context of the last hoop login, and that before a hoop dev in this folder. hoop doctor says what holds, and from where.
Exit codes: 0 ok, 1 error, 2 wrong usage, 3 not signed in, 4 denied, 5 somebody must agree first and it is not waited for, 6 nobody has agreed, 7 refused by a guardrail, 8 not found, 9 gateway, agent or target unavailable, 124 timed out, 130 interrupted; hoop connect has that of its client, and hoop exec on a machine that of the command there.
Data goes to standard output, everything else to standard error. NO_COLOR is respected.";

/// What every command takes.
#[derive(Args)]
struct Global {
    /// How data is written.
    #[arg(long, short, global = true, env = "HOOP_OUTPUT", value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// The context, and so the gateway; at `hoop login`, what the new one is called.
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "dir", add = completions::contexts())]
    context: Option<String>,
    /// Folder of a `hoop dev`; unless given, the current one, or `hoop-dev` in it.
    #[arg(long, global = true, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// How long the command may take, such as 30s. What runs in a session is cancelled then.
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration::parse)]
    timeout: Option<Duration>,
    /// Says nothing but data and errors.
    #[arg(long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Says what is asked of the gateway.
    #[arg(long, global = true)]
    verbose: bool,
    /// Never asks; what is not said is an error.
    #[arg(long, global = true)]
    no_input: bool,
    /// Writes without colours.
    #[arg(long, global = true)]
    no_color: bool,
}

#[derive(Subcommand)]
enum Command {
    /// A gateway, an agent and an administrator on this machine, in one go.
    Dev(dev::Options),
    /// Who may use what.
    #[command(subcommand)]
    Access(access::Command),
    /// Signs in to a gateway, and remembers it as a context.
    Login(login::Options),
    /// Ends the login, here and at the gateway.
    Logout,
    /// Who is signed in.
    Whoami,
    /// The gateways that this machine knows.
    #[command(subcommand)]
    Context(context::Command),
    /// What you may reach.
    #[command(subcommand)]
    Roles(roles::Command),
    /// Time-limited logins for clients of your own.
    #[command(subcommand)]
    Credentials(credentials::Command),
    /// Opens the native client of a role through the gateway.
    Connect(connect::Options),
    /// Runs SQL through the gateway, and writes its rows; or a command on a machine. Values are text as the server writes it;
    /// in JSON, YAML and CSV the rows of several results follow each other. The output of a command is as it is.
    Exec(exec::Options),
    /// Your public keys, with which you come over SSH.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Settings with which ssh, scp, sftp and rsync reach your roles by their names.
    SshConfig(ssh::config::Options),
    /// API tokens of your own, for programs.
    #[command(subcommand)]
    Tokens(tokens::Command),
    /// What somebody must agree to before it is done.
    #[command(subcommand)]
    Reviews(reviews::Command),
    /// Who used what.
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// What happened in a session, and whether its recording is as it was written.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Users, service accounts, roles, access rules, agents, groups and credentials, for administrators.
    #[command(subcommand)]
    Admin(admin::Command),
    /// Makes users, service accounts, agents, roles and access rules as a file says.
    Apply(apply::Options),
    /// Writes users, service accounts, agents, roles and access rules as a file that `hoop apply` takes.
    Export,
    /// What is set, what works, and what to do about what does not.
    Doctor(doctor::Options),
    /// Prints the completions for a shell, to be sourced.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Prints the version.
    Version,
}

fn main() -> ExitCode {
    if let Some(code) = ssh::askpass::answer() {
        return code;
    }
    completions::answer(Cli::command);
    let Cli { global, command } = Cli::parse();
    let shell = global.shell();
    run(command, &shell).unwrap_or_else(|failure| failure.print())
}

impl Global {
    fn shell(self) -> Shell {
        Shell {
            format: self.output,
            quiet: self.quiet,
            verbose: self.verbose,
            no_input: self.no_input,
            no_color: self.no_color,
            timeout: self.timeout,
            choice: Choice { context: self.context, dir: self.dir },
            files: Files::usual(variable),
        }
    }
}

fn run(command: Command, shell: &Shell) -> Result<ExitCode, Failure> {
    let done = |()| ExitCode::SUCCESS;
    match command {
        Command::Completions { shell } => completions::print(shell).map(done),
        Command::Version => Ok(output::line(concat!("hoop ", env!("CARGO_PKG_VERSION"))).map(done)?),
        Command::Context(command) => context::run(command, shell).map(done),
        // The main thread runs it: a child that is to die with this process does so with the thread that started it.
        Command::Dev(options) => hoop_stock::runtime()?.block_on(dev::run(options, shell)).map(done),
        // These two know themselves what is to be done when the time is over.
        Command::Connect(options) => small(connect::run(options, shell)),
        Command::Exec(options) => small(exec::run(options, shell)),
        command => small(timed(command, shell)).map(done),
    }
}

/// A runtime for a client. It does not wait for a reader of standard output that is gone for good.
fn small<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime: Runtime = Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}

async fn timed(command: Command, shell: &Shell) -> Result<(), Failure> {
    tokio::select! {
        done = Box::pin(ask(command, shell)) => done,
        failure = stop::over(shell.timeout) => Err(failure),
    }
}

/// What is asked of the API.
async fn ask(command: Command, shell: &Shell) -> Result<(), Failure> {
    match command {
        Command::Login(options) => login::login(options, shell).await,
        Command::Logout => login::logout(shell).await,
        Command::Whoami => login::whoami(shell).await,
        Command::Roles(command) => roles::run(command, shell).await,
        Command::Credentials(command) => credentials::run(command, shell).await,
        Command::Keys(command) => keys::run(command, shell).await,
        Command::SshConfig(options) => ssh::config::run(options, shell).await,
        Command::Tokens(command) => tokens::run(command, shell).await,
        Command::Access(command) => access::run(command, shell).await,
        Command::Reviews(command) => reviews::run(command, shell).await,
        Command::Sessions(command) => sessions::run(command, shell).await,
        Command::Audit(command) => audit::run(command, shell).await,
        Command::Admin(command) => admin::run(command, shell).await,
        Command::Apply(options) => apply::run(options, shell).await,
        Command::Export => apply::export(shell).await,
        Command::Doctor(options) => doctor::run(options, shell).await,
        // Those that need no gateway, or more than its API.
        Command::Dev(_)
        | Command::Context(_)
        | Command::Connect(_)
        | Command::Exec(_)
        | Command::Completions { .. }
        | Command::Version => Ok(()),
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
