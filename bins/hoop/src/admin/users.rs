//! `hoop admin users`.

use clap::{Args, Subcommand, ValueEnum};
use hoop_core::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{From, definition, set};
use crate::api::{Api, segment};
use crate::failure::Failure;
use crate::output::{self, text, time};
use crate::shell::{self, Shell};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Everybody.
    List,
    /// One user.
    Show {
        /// Their name.
        name: String,
    },
    /// Makes a user. Unless a password is given there is a new one to sign in with once; it is shown this once.
    Create {
        /// Their name.
        name: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Changes what is said, and nothing else.
    Update {
        /// Their name.
        name: String,
        #[command(flatten)]
        fields: Fields,
        /// Shuts the user out: logins, tokens and running sessions end.
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// Lets a user in again.
        #[arg(long)]
        enable: bool,
        /// Gives a new password to sign in with once.
        #[arg(long, conflicts_with = "password_stdin")]
        reset_password: bool,
    },
    /// Removes a user, with their credentials, keys and tokens; their running sessions end. Recordings and the trail stay.
    Delete {
        /// Their name.
        name: String,
    },
}

/// What can be said of a user.
#[derive(Args)]
pub(crate) struct Fields {
    /// What they may do beside using roles.
    #[arg(long)]
    kind: Option<Kind>,
    /// A group; again for each. They replace those from before, and `--group ''` leaves none.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Takes the password from standard input; it must be changed at the first login.
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    from: From,
}

/// What a user may do to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Use the roles that they may reach.
    #[default]
    Member,
    /// Read everything, change nothing.
    Auditor,
    /// Everything.
    Admin,
}

impl Fields {
    fn read(self) -> Result<(Value, Option<Secret<String>>), Failure> {
        let mut fields = Map::new();
        set(&mut fields, "kind", self.kind.map(serde_json::to_value).transpose()?);
        let none = self.groups == [""];
        set(&mut fields, "groups", (!self.groups.is_empty()).then(|| if none { vec![] } else { self.groups }));
        let password = if self.password_stdin { Some(Secret::new(shell::line()?)) } else { None };
        Ok((definition(self.from.file.as_deref(), fields)?, password))
    }
}

pub(crate) async fn run(command: Command, shell: &Shell) -> Result<(), Failure> {
    let api = shell.api().await?;
    match command {
        Command::List => {
            let users = api.all("/api/v1/users").await?;
            output::list(shell.format, &users, &["user", "kind", "groups", "state", "made"], row, "there is nobody")
        }
        Command::Show { name } => show(&api.get(&path(&name)).await?, shell),
        Command::Create { name, fields } => create(&api, name, fields, shell).await,
        Command::Update { name, fields, disable, enable, reset_password } => {
            let (mut change, password) = fields.read()?;
            if disable || enable {
                change["disabled"] = disable.into();
            }
            let reset = reset_password.then(one_time_password);
            if let Some(password) = password.as_ref().or(reset.as_ref()) {
                change["password"] = password.expose().clone().into();
            }
            let changed = api.patch(&path(&name), &change).await?;
            show(&with_password(changed, reset), shell)
        }
        Command::Delete { name } => {
            api.delete(&path(&name)).await?;
            shell.tell(format!("user {name} is deleted, with their credentials, keys and tokens"));
            Ok(())
        }
    }
}

async fn create(api: &Api, name: String, fields: Fields, shell: &Shell) -> Result<(), Failure> {
    let (mut user, password) = fields.read()?;
    user["name"] = name.into();
    let new = (password.is_none() && user["password"].is_null()).then(one_time_password);
    if let Some(password) = password.as_ref().or(new.as_ref()) {
        user["password"] = password.expose().clone().into();
    }
    let made = api.post("/api/v1/users", &user).await?;
    show(&with_password(made, new), shell)
}

/// The password is shown where it was made here, and nowhere else.
fn with_password(mut user: Value, password: Option<Secret<String>>) -> Value {
    if let Some(password) = password {
        user["one_time_password"] = password.expose().clone().into();
    }
    user
}

/// Something to sign in with once: 120 bits in letters that are not taken for others.
pub(crate) fn one_time_password() -> Secret<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let random: [u8; 24] = rand::random();
    Secret::new(random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

fn path(name: &str) -> String {
    format!("/api/v1/users/{}", segment(name))
}

fn show(user: &Value, shell: &Shell) -> Result<(), Failure> {
    let fields =
        ["name", "kind", "groups", "disabled", "must_change_password", "created_at", "id", "one_time_password"];
    output::show(shell.format, user, &fields)
}

fn row(user: &Value) -> Vec<String> {
    let state = match (user["disabled"] == true, user["must_change_password"] == true) {
        (true, _) => "disabled",
        (false, true) => "must change password",
        (false, false) => "active",
    };
    vec![text(user, "name"), text(user, "kind"), text(user, "groups"), state.to_owned(), time(user, "created_at")]
}

#[cfg(test)]
mod tests {
    use super::one_time_password;

    #[test]
    fn passwords_are_long_and_another_each_time() {
        let (one, other) = (one_time_password(), one_time_password());
        assert_eq!(one.expose().len(), 24);
        assert_ne!(one.expose(), other.expose());
    }
}
