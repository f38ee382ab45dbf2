//! `hoop apply` and `hoop export`: users, service accounts, agents, roles and access rules as one file says.

mod keys;
mod plan;
mod rule;
mod spec;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::admin::one_time_password;
use crate::api::{Api, segment};
use crate::failure::Failure;
use crate::output::{self, Format, brief};
use crate::shell::Shell;
use plan::{Act, Change, Kind, Prune, plan};
use spec::Company;

#[derive(Args)]
pub(crate) struct Options {
    /// The file, in YAML or JSON; `-` is standard input. `hoop export` writes one.
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Only says what would be changed.
    #[arg(long)]
    dry_run: bool,
    /// Also deletes roles, access rules and service accounts, takes the keys of agents away and shuts users out that the file does not have, in each of the lists that it has.
    #[arg(long)]
    prune: bool,
}

pub(crate) async fn run(options: Options, shell: &Shell) -> Result<(), Failure> {
    let wanted = Company::read(&options.file)?;
    let api = shell.api().await?;
    let present = Company::of(&api).await?;
    let me = api.get("/api/v1/me").await?;
    let prune = if options.prune { Prune::AllBut(me["name"].as_str().unwrap_or_default()) } else { Prune::No };
    let changes = plan(&wanted, &present, prune)?;
    let mut told = Told { format: shell.format, documents: Vec::new() };
    let mut done = Ok(());
    for change in &changes {
        let secret = if options.dry_run { Ok(None) } else { make(&api, change).await };
        match secret {
            Ok(secret) => told.change(change, secret)?,
            Err(failure) => {
                let what = format!("{} {}", change.kind.as_str(), change.name);
                done = Err(Failure::new(failure.code(), format!("{what}: {failure}"))
                    .hint("what is said was done; correct the rest, and apply again"));
                break;
            }
        }
    }
    // Keys and passwords are shown once, whatever fails after that.
    let made = told.documents.len();
    told.end()?;
    done?;
    shell.tell(match (made, options.dry_run) {
        (0, _) => "nothing to change".to_owned(),
        (made, true) => format!("{made} changes would be made"),
        (made, false) => format!("{made} changes made"),
    });
    Ok(())
}

/// Makes a change; gives the key or password that is shown this once.
async fn make(api: &Api, change: &Change) -> Result<Option<Value>, Failure> {
    let name = segment(&change.name);
    match (change.kind, &change.act) {
        (Kind::Agent, Act::Create(agent)) => {
            let made = match api.post("/api/v1/agents", agent).await {
                // It is there without a key, which is as good as not being there.
                Err(_)
                    if api
                        .get(&format!("/api/v1/agents/{name}"))
                        .await
                        .is_ok_and(|agent| !agent["revoked_at"].is_null()) =>
                {
                    api.post(&format!("/api/v1/agents/{name}/rotate"), &json!({})).await?
                }
                made => made?,
            };
            Ok(Some(json!({ "HOOP_KEY": made["key"] })))
        }
        (Kind::Role, Act::Create(role)) => api.post("/api/v1/roles", role).await.map(|_| None),
        (Kind::ServiceAccount | Kind::AccessRule, Act::Create(thing)) => {
            api.post(change.kind.path(), thing).await.map(|_| None)
        }
        (Kind::User, Act::Create(user)) => create_user(api, user.clone()).await,
        // An agent has nothing but its name.
        (Kind::Agent, Act::Update { .. }) => Ok(None),
        (Kind::Role, Act::Update { patch, .. }) => {
            api.patch(&format!("/api/v1/roles/{name}"), patch).await.map(|_| None)
        }
        (Kind::AccessRule, Act::Update { patch, .. }) => {
            api.patch(&format!("{}/{name}", change.kind.path()), patch).await.map(|_| None)
        }
        (Kind::User, Act::Update { patch, .. }) => {
            let mut patch = user_patch(patch);
            let keys = patch.as_object_mut().and_then(|fields| fields.remove("keys"));
            if patch.as_object().is_some_and(|fields| !fields.is_empty()) {
                api.patch(&format!("/api/v1/users/{name}"), &patch).await?;
            }
            if let Some(keys) = keys {
                keys::set(api, &change.name, &keys).await?;
            }
            Ok(None)
        }
        (Kind::ServiceAccount, Act::Update { patch, .. }) => {
            api.patch(&format!("{}/{name}", change.kind.path()), &user_patch(patch)).await.map(|_| None)
        }
        (Kind::Agent, Act::Delete) => {
            api.post(&format!("/api/v1/agents/{name}/revoke"), &json!({})).await.map(|_| None)
        }
        (Kind::Role | Kind::ServiceAccount | Kind::AccessRule, Act::Delete) => {
            api.delete(&format!("{}/{name}", change.kind.path())).await.map(|_| None)
        }
        (Kind::User, Act::Delete) => {
            api.patch(&format!("/api/v1/users/{name}"), &json!({ "disabled": true })).await.map(|_| None)
        }
    }
}

async fn create_user(api: &Api, mut user: Value) -> Result<Option<Value>, Failure> {
    let password = one_time_password();
    let mut take = |field: &str| user.as_object_mut().and_then(|fields| fields.remove(field));
    let (disabled, keys) = (take("disabled"), take("keys"));
    user["password"] = password.expose().clone().into();
    api.post("/api/v1/users", &user).await?;
    if let Some(disabled) = disabled {
        let name = segment(user["name"].as_str().unwrap_or_default());
        api.patch(&format!("/api/v1/users/{name}"), &json!({ "disabled": disabled })).await?;
    }
    if let Some(keys) = keys {
        keys::set(api, user["name"].as_str().unwrap_or_default(), &keys).await?;
    }
    Ok(Some(json!({ "one_time_password": password.expose() })))
}

/// What a file leaves out of a user or a service account is not taken away, but as it is where nothing is said.
fn user_patch(patch: &Value) -> Value {
    let mut patch = patch.clone();
    for (name, usual) in [("groups", json!([])), ("disabled", json!(false)), ("description", json!(""))] {
        if patch.get(name).is_some_and(Value::is_null) {
            patch[name] = usual;
        }
    }
    patch
}

/// Says what was changed: to people at once, to programs as one document.
struct Told {
    format: Format,
    documents: Vec<Value>,
}

impl Told {
    fn change(&mut self, change: &Change, secret: Option<Value>) -> Result<(), Failure> {
        let mut document = change.document();
        let mut line = change.line();
        for (name, value) in secret.iter().filter_map(Value::as_object).flatten() {
            document[name] = value.clone();
            line = format!("{line}  {name}={}", brief(value));
        }
        match self.format {
            Format::Table | Format::Csv => output::line(&line)?,
            Format::Ndjson => output::line(&document.to_string())?,
            Format::Json | Format::Yaml => {}
        }
        self.documents.push(document);
        Ok(())
    }

    fn end(self) -> Result<(), Failure> {
        match self.format {
            Format::Json | Format::Yaml => output::list(self.format, &self.documents, &[], |_| Vec::new(), ""),
            _ => Ok(()),
        }
    }
}

/// Writes what the gateway has as a file that `hoop apply` takes; keys and passwords are not in it.
pub(crate) async fn export(shell: &Shell) -> Result<(), Failure> {
    let company = Company::of(&shell.api().await?).await?;
    match shell.format {
        Format::Json | Format::Ndjson => output::show(shell.format, &serde_json::to_value(company)?, &[]),
        _ => Ok(output::line(output::yaml(&company)?.trim_end())?),
    }
}
