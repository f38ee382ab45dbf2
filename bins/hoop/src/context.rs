//! `hoop context`.

use chrono::Utc;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::completions::contexts;
use crate::failure::Failure;
use crate::gateway::context;
use crate::output::{self, text, time};
use crate::shell::Shell;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The gateways that somebody has signed in to on this machine.
    List,
    /// Makes a context the one that is used unless another is named.
    Use {
        /// Its name.
        #[arg(add = contexts())]
        name: String,
    },
    /// Forgets a context and its token. The gateway takes the token until it expires; `hoop logout` ends it.
    Delete {
        /// Its name.
        #[arg(add = contexts())]
        name: String,
    },
}

pub(crate) fn run(command: Command, shell: &Shell) -> Result<(), Failure> {
    match command {
        Command::List => list(shell),
        Command::Use { name } => {
            let mut config = shell.files.config()?;
            let url = context(&config, &name)?.url;
            config.current = Some(name);
            shell.files.write_config(&config)?;
            shell.tell(format!("commands are for {url} now"));
            Ok(())
        }
        Command::Delete { name } => {
            let mut config = shell.files.config()?;
            context(&config, &name)?;
            config.contexts.remove(&name);
            config.current = config.current.filter(|current| *current != name);
            shell.files.set_token(&name, None)?;
            shell.files.write_config(&config)
        }
    }
}

fn list(shell: &Shell) -> Result<(), Failure> {
    let config = shell.files.config()?;
    let mut items = Vec::new();
    for (name, context) in &config.contexts {
        let token = shell.files.token(name, &context.url)?;
        let good = token.as_ref().is_some_and(|token| token.expires_at.is_none_or(|at| at > Utc::now()));
        items.push(json!({
            "name": name, "url": context.url, "user": context.user, "current": config.current.as_ref() == Some(name),
            "signed_in": good, "expires_at": token.and_then(|token| token.expires_at),
        }));
    }
    output::list(
        shell.format,
        &items,
        &["context", "gateway", "user", "login", "until", ""],
        row,
        "no context yet; hoop login URL",
    )
}

fn row(context: &Value) -> Vec<String> {
    let login = if context["signed_in"] == true { "signed in" } else { "signed out" };
    let current = if context["current"] == true { "current" } else { "" };
    vec![
        text(context, "name"),
        text(context, "url"),
        text(context, "user"),
        login.to_owned(),
        time(context, "expires_at"),
        current.to_owned(),
    ]
}
