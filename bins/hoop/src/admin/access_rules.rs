//! `hoop admin access-rules`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{From, definition};
use crate::api::segment;
use crate::failure::Failure;
use crate::output::{self, text};
use crate::shell::Shell;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// All rules.
    List,
    /// One rule.
    Show {
        /// Its name.
        name: String,
    },
    /// Makes a rule from a file.
    Create {
        /// Its name.
        name: String,
        #[command(flatten)]
        from: From,
        #[command(flatten)]
        trial: Trial,
    },
    /// Changes what the file says of a rule, and nothing else; null takes something away.
    Update {
        /// Its name.
        name: String,
        #[command(flatten)]
        from: From,
        #[command(flatten)]
        trial: Trial,
    },
    /// Deletes a rule. Sessions that nothing else allows end.
    Delete {
        /// Its name.
        name: String,
        #[command(flatten)]
        trial: Trial,
    },
}

#[derive(Args)]
pub(crate) struct Trial {
    /// Changes nothing, and says who would gain access and who would lose it.
    #[arg(long)]
    dry_run: bool,
}

impl Trial {
    const fn query(&self) -> &'static str {
        if self.dry_run { "?dry_run=true" } else { "" }
    }

    /// What was made, or would come of it.
    fn show(&self, answer: &Value, shell: &Shell) -> Result<(), Failure> {
        let fields: &[&str] = if self.dry_run { &["gains", "losses", "complete"] } else { &FIELDS };
        output::show(shell.format, answer, fields)
    }
}

const PATH: &str = "/api/v1/access-rules";
const FIELDS: [&str; 10] =
    ["name", "description", "enabled", "effect", "subjects", "roles", "modes", "conditions", "obligations", "id"];

pub(crate) async fn run(command: Command, shell: &Shell) -> Result<(), Failure> {
    let api = shell.api().await?;
    let path = |name: &str| format!("{PATH}/{}", segment(name));
    match command {
        Command::List => {
            let head = ["rule", "effect", "state", "for", "roles", "modes"];
            let empty = "no access rule yet; hoop admin access-rules create NAME -f FILE";
            output::list(shell.format, &api.all(PATH).await?, &head, row, empty)
        }
        Command::Show { name } => output::show(shell.format, &api.get(&path(&name)).await?, &FIELDS),
        Command::Create { name, from, trial } => {
            let mut rule = definition(from.file.as_deref(), Map::new())?;
            rule["name"] = name.into();
            trial.show(&api.post(&format!("{PATH}{}", trial.query()), &rule).await?, shell)
        }
        Command::Update { name, from, trial } => {
            let change = definition(from.file.as_deref(), Map::new())?;
            trial.show(&api.patch(&format!("{}{}", path(&name), trial.query()), &change).await?, shell)
        }
        Command::Delete { name, trial } => {
            let answer = api.delete(&format!("{}{}", path(&name), trial.query())).await?;
            if trial.dry_run {
                return trial.show(&answer, shell);
            }
            shell.tell(format!("access rule {name} is deleted"));
            Ok(())
        }
    }
}

fn row(rule: &Value) -> Vec<String> {
    let state = if rule["enabled"] == true { "on" } else { "off" };
    let (subjects, roles) = (said(&rule["subjects"]), said(&rule["roles"]));
    vec![text(rule, "name"), text(rule, "effect"), state.to_owned(), subjects, roles, text(rule, "modes")]
}

/// What an object has to say: the fields that are not empty.
fn said(object: &Value) -> String {
    let fields = object.as_object().into_iter().flatten();
    let told = fields.filter_map(|(name, value)| match value {
        Value::Bool(true) => Some(name.clone()),
        Value::Bool(false) => None,
        value => Some(output::brief(value)).filter(|text| !text.is_empty()).map(|text| format!("{name} {text}")),
    });
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_in_a_row() {
        let rule = json!({
            "name": "ci", "effect": "allow", "enabled": true, "modes": ["native", "exec"],
            "subjects": { "everyone": false, "groups": [], "service_accounts": ["ci", "deploy"] },
            "roles": { "names": [], "labels": { "env": "test" }, "kinds": [] },
        });
        let expected = ["ci", "allow", "on", "service_accounts ci, deploy", "labels env test", "native, exec"];
        assert_eq!(row(&rule), expected);
        assert_eq!(said(&json!({ "everyone": true })), "everyone");
    }
}
