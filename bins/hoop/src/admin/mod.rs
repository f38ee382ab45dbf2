//! `hoop admin`: what administrators do, one thing at a time; `hoop apply` does it from a file.

mod access_rules;
mod agents;
mod roles;
mod service_accounts;
mod users;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Map, Value};

use crate::credentials;
use crate::failure::Failure;
use crate::keys;
use crate::output::{self, text};
use crate::shell::Shell;
use crate::yaml;

pub(crate) use users::{Kind, one_time_password};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Who may sign in.
    #[command(subcommand)]
    Users(users::Command),
    /// Programs with an account of their own, and their tokens.
    #[command(subcommand)]
    ServiceAccounts(service_accounts::Command),
    /// The ways to resources.
    #[command(subcommand)]
    Roles(Box<roles::Command>),
    /// Who may reach which role.
    #[command(subcommand)]
    AccessRules(access_rules::Command),
    /// What dials out from private networks, and its keys.
    #[command(subcommand)]
    Agents(agents::Command),
    /// Groups of users; somebody is put into one with `hoop admin users update`.
    #[command(subcommand)]
    Groups(Groups),
    /// Everybody's time-limited logins for native clients.
    #[command(subcommand)]
    Credentials(Credentials),
    /// Public keys with which users and service accounts come over SSH.
    Keys(Keys),
}

#[derive(clap::Args)]
pub(crate) struct Keys {
    /// Whose.
    #[arg(long, value_name = "NAME", global = true, default_value = "")]
    user: String,
    #[command(subcommand)]
    command: keys::Command,
}

#[derive(Subcommand)]
pub(crate) enum Groups {
    /// Those that somebody is in, or that access rules or roles name.
    List,
}

#[derive(Subcommand)]
pub(crate) enum Credentials {
    /// Those that are good for something.
    List {
        /// Also those that are not any more.
        #[arg(long)]
        all: bool,
    },
    /// Lets no session be opened with one any more; those that run go on.
    Revoke {
        /// Its id, `crd_…`.
        id: String,
    },
}

pub(crate) async fn run(command: Command, shell: &Shell) -> Result<(), Failure> {
    match command {
        Command::Users(command) => users::run(command, shell).await,
        Command::ServiceAccounts(command) => service_accounts::run(command, shell).await,
        Command::Roles(command) => roles::run(*command, shell).await,
        Command::AccessRules(command) => access_rules::run(command, shell).await,
        Command::Agents(command) => agents::run(command, shell).await,
        Command::Groups(Groups::List) => {
            let groups = shell.api().await?.all("/api/v1/groups").await?;
            let row = |group: &Value| vec![text(group, "name"), text(group, "members")];
            output::list(
                shell.format,
                &groups,
                &["group", "members"],
                row,
                "no user is in a group, and nothing names one",
            )
        }
        Command::Credentials(Credentials::List { all }) => credentials::list(&shell.api().await?, all, shell).await,
        Command::Credentials(Credentials::Revoke { id }) => {
            credentials::run(credentials::Command::Revoke { id }, shell).await
        }
        Command::Keys(Keys { user, .. }) if user.is_empty() => {
            Err(Failure::new(Failure::USAGE, "no user is named").hint("--user NAME"))
        }
        Command::Keys(Keys { user, command }) => keys::run_for(&user, command, shell).await,
    }
}

/// The definition of one thing in a YAML or JSON file, with what the command line says on top of it.
fn definition(file: Option<&Path>, options: Map<String, Value>) -> Result<Value, Failure> {
    let mut definition = match file {
        Some(file) => yaml::read::<Map<String, Value>>(file)?,
        None => Map::new(),
    };
    for (name, value) in options {
        match (definition.get_mut(&name), value) {
            (Some(Value::Object(before)), Value::Object(value)) => before.extend(value),
            (_, value) => drop(definition.insert(name, value)),
        }
    }
    Ok(Value::Object(definition))
}

/// Sets a field that was said.
fn set(fields: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value.into());
    }
}

/// `KEY=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "KEY=VALUE".to_owned())
}

/// The file that a thing is made or changed by.
#[derive(clap::Args)]
pub(crate) struct From {
    /// A YAML or JSON file with the fields of the API; what the command line says beside it holds.
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
}
