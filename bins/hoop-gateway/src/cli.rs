//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use hoop_gateway::config::{ConfigError, Loaded, Loader};
use hoop_gateway::store::StoreUrl;
use hoop_stock::log::LogFormat;

/// Lets people and programs reach infrastructure: recorded, masked, and under rules.
#[derive(Parser)]
#[command(name = "hoop-gateway", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve until stopped. SIGTERM lets running sessions end; a second one ends them.
    Start(Start),
    /// Check or show the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the OpenAPI document of the API.
    Openapi,
    /// Make the first administrator, with a password that is shown once.
    FirstAdmin(FirstAdmin),
    /// Print what the first administrator shows at `/setup` in a browser; it is good for nothing once there is a user.
    SetupToken(Sources),
    /// Look after the store: users, roles, agents, sessions and the trail of the API. Recordings are not in it.
    #[command(subcommand)]
    Store(StoreCommand),
    /// The operator's key, under which secrets of roles are encrypted.
    #[command(subcommand)]
    Secrets(SecretsCommand),
}

#[derive(Args)]
pub(crate) struct Start {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// How log lines are written; text on a terminal and JSON elsewhere unless said.
    #[arg(long, env = "HOOP_LOG_FORMAT", value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// What is printed on stdout once the doors are open; `json` is one line with their addresses.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether the configuration is valid.
    Check(Sources),
    /// Print the merged configuration.
    Show {
        #[command(flatten)]
        sources: Sources,
        /// One line for each setting, with where its value came from.
        #[arg(long)]
        origin: bool,
    },
    /// Print every setting, with its default and the values that it may have, as Markdown.
    Reference,
}

#[derive(Subcommand)]
pub(crate) enum StoreCommand {
    /// Bring the schema up to date, as a start of the gateway does.
    Migrate(Sources),
    /// Say whether the store answers, is whole, and has this gateway's schema.
    Check(Sources),
    /// Write everything into one new file, as of one moment. The gateway may run.
    Backup {
        /// The file; it must not be there yet.
        file: PathBuf,
        #[command(flatten)]
        sources: Sources,
    },
    /// Take everything from a backup into an empty store, on whichever engine. The gateway must not run.
    Restore {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        sources: Sources,
    },
    /// Copy everything into an empty store elsewhere, such as from SQLite to PostgreSQL. The gateway must not run.
    Move {
        /// Where to. `PGPASSWORD` or the environment keep a password from showing in the list of processes.
        #[arg(long, value_name = "URL", env = "HOOP_STORE_MOVE_TO", hide_env_values = true)]
        to: StoreUrl,
        #[command(flatten)]
        sources: Sources,
    },
}

#[derive(Subcommand)]
pub(crate) enum SecretsCommand {
    /// Make an operator's key in a new file, which nobody else may read.
    NewKey {
        /// The file; it must not be there yet.
        file: PathBuf,
    },
    /// Put every secret under another operator's key. The gateway must not run.
    Rotate {
        /// The file of the key that takes the place of `secrets.key_file`.
        #[arg(long, value_name = "FILE")]
        new_key: PathBuf,
        #[command(flatten)]
        sources: Sources,
    },
}

#[derive(Args)]
pub(crate) struct FirstAdmin {
    /// The name to sign in with.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) sources: Sources,
}

/// Where settings come from. Later ones win: defaults, file, environment (`HOOP_STORE_URL` for `store.url`), `--set`.
#[derive(Args)]
pub(crate) struct Sources {
    /// Configuration file.
    #[arg(long, short, env = "HOOP_GATEWAY_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, such as `listen.http.address=127.0.0.1:9000`; may be given again.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

impl Sources {
    /// Reads and merges them.
    pub(crate) fn load(&self) -> Result<Loaded, ConfigError> {
        let loader = match &self.config {
            Some(path) => Loader::new().file(path)?,
            None => Loader::new(),
        };
        loader.env(std::env::vars()).flags(self.set.iter().cloned()).load()
    }
}

fn key_and_value(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("give KEY=VALUE, such as limits.drain=1m")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Nothing: the log says it.
    Text,
    /// For programs that start the gateway.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_are_split_at_the_first_equals_sign() {
        let cli = Cli::try_parse_from(["hoop-gateway", "start", "--set", "store.url=sqlite:a=b.db"]).expect("valid");
        let Command::Start(start) = cli.command else { panic!("not start") };
        assert_eq!(start.sources.load().expect("valid").config.store.url.expose(), "sqlite:a=b.db");
        assert!(Cli::try_parse_from(["hoop-gateway", "start", "--set", "store.url"]).is_err());
    }
}
