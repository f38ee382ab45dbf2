//! `hoop roles`: what may be reached.

use clap::Subcommand;
use serde_json::Value;

use crate::api::segment;
use crate::completions;
use crate::credentials::{HTTP, SSH};
use crate::failure::Failure;
use crate::output::{self, text};
use crate::shell::Shell;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The roles that you may reach.
    List,
    /// One role.
    Show {
        /// Its name.
        #[arg(add = completions::roles())]
        role: String,
    },
}

pub(crate) async fn run(command: Command, shell: &Shell) -> Result<(), Failure> {
    let api = shell.api().await?;
    match command {
        Command::List => {
            let roles = api.all("/api/v1/roles").await?;
            let empty = "you may reach no role yet; an administrator puts you into a group of one";
            output::list(shell.format, &roles, &HEAD, row, empty)
        }
        Command::Show { role } => {
            let found = api.get(&format!("/api/v1/roles/{}", segment(&role))).await?;
            output::show(shell.format, &found, &FIELDS)?;
            let other = match found["kind"].as_str() {
                Some(HTTP) => format!("hoop connect {role} -- /path"),
                Some(SSH) => format!("hoop exec {role} -c uptime"),
                _ => format!("hoop exec {role} -c 'select 1'"),
            };
            shell.tell(format!("\nto use it: hoop connect {role}, or {other}"));
            Ok(())
        }
    }
}

pub(crate) const HEAD: [&str; 5] = ["role", "kind", "agent", "labels", "health"];
pub(crate) const FIELDS: [&str; 10] =
    ["name", "kind", "agent", "labels", "health", "target", "recording", "plugins", "allowed_groups", "id"];

pub(crate) fn row(role: &Value) -> Vec<String> {
    let health = text(&role["health"], "state");
    ["name", "kind", "agent", "labels"].map(|field| text(role, field)).into_iter().chain([health]).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_says_how_targets_are_that_are_checked() {
        let mut role = json!({ "name": "app", "kind": "http", "agent": "here", "labels": { "env": "prod" } });
        assert_eq!(row(&role), ["app", "http", "here", "env prod", ""]);
        role["health"] = json!({ "state": "unhealthy", "reason": "the status 503" });
        assert_eq!((row(&role)[4].as_str(), HEAD[4]), ("unhealthy", "health"));
    }
}
