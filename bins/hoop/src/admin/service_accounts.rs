//! `hoop admin service-accounts`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{From, definition, set};
use crate::api::segment;
use crate::failure::Failure;
use crate::output::{self, text, time};
use crate::shell::Shell;
use crate::tokens::{self, Wish};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// All of them.
    List,
    /// One service account.
    Show {
        /// Its name.
        name: String,
    },
    /// Makes a service account. It reaches what access rules allow it, and comes with a token: hoop admin service-accounts
    /// token.
    Create {
        /// Its name.
        name: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Changes what is said, and nothing else.
    Update {
        /// Its name.
        name: String,
        #[command(flatten)]
        fields: Fields,
        /// Shuts the account out: tokens, credentials and running sessions end.
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// Lets the account in again, with a new token.
        #[arg(long)]
        enable: bool,
    },
    /// Deletes a service account; its tokens, credentials and running sessions end.
    Delete {
        /// Its name.
        name: String,
    },
    /// Makes a token for a service account, and prints it, this once.
    Token {
        /// Name of the account.
        account: String,
        /// What the token is called; unless given, as the account.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        wish: Wish,
    },
    /// The tokens of a service account; one is taken away with hoop tokens revoke.
    Tokens {
        /// Name of the account.
        account: String,
        /// Also those that are not good any more.
        #[arg(long)]
        all: bool,
    },
}

/// What can be said of a service account.
#[derive(Args)]
pub(crate) struct Fields {
    /// What it is for, for people.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A group; again for each. They replace those from before, and `--group ''` leaves none.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    from: From,
}

impl Fields {
    fn read(self) -> Result<Value, Failure> {
        let mut fields = Map::new();
        set(&mut fields, "description", self.description);
        let none = self.groups == [""];
        set(&mut fields, "groups", (!self.groups.is_empty()).then(|| if none { vec![] } else { self.groups }));
        definition(self.from.file.as_deref(), fields)
    }
}

const PATH: &str = "/api/v1/service-accounts";
const FIELDS: [&str; 7] = ["name", "description", "groups", "disabled", "created_by", "created_at", "id"];

pub(crate) async fn run(command: Command, shell: &Shell) -> Result<(), Failure> {
    let api = shell.api().await?;
    let path = |name: &str| format!("{PATH}/{}", segment(name));
    match command {
        Command::List => {
            let head = ["account", "groups", "state", "made", "made by", "description"];
            let empty = "no service account yet; hoop admin service-accounts create NAME";
            output::list(shell.format, &api.all(PATH).await?, &head, row, empty)
        }
        Command::Show { name } => output::show(shell.format, &api.get(&path(&name)).await?, &FIELDS),
        Command::Create { name, fields } => {
            let mut account = fields.read()?;
            account["name"] = name.into();
            output::show(shell.format, &api.post(PATH, &account).await?, &FIELDS)
        }
        Command::Update { name, fields, disable, enable } => {
            let mut change = fields.read()?;
            if disable || enable {
                change["disabled"] = disable.into();
            }
            output::show(shell.format, &api.patch(&path(&name), &change).await?, &FIELDS)
        }
        Command::Delete { name } => {
            api.delete(&path(&name)).await?;
            shell.tell(format!("service account {name} is deleted, with its tokens"));
            Ok(())
        }
        Command::Token { account, name, wish } => {
            let body = wish.body(name.as_deref().unwrap_or(&account));
            tokens::shown_once(&api.post(&format!("{}/tokens", path(&account)), &body).await?, shell)
        }
        Command::Tokens { account, all } => {
            let found = api.all(&format!("{}/tokens", path(&account))).await?;
            let empty = format!("no token; hoop admin service-accounts token {account} --scope connect");
            tokens::list(found, all, &empty, shell)
        }
    }
}

fn row(account: &Value) -> Vec<String> {
    let state = if account["disabled"] == true { "disabled" } else { "active" };
    vec![
        text(account, "name"),
        text(account, "groups"),
        state.to_owned(),
        time(account, "created_at"),
        text(account, "created_by"),
        text(account, "description"),
    ]
}
