//! What a `hoop dev` sets up, through the API as anyone would.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use super::Role;
use super::agent::secrets;
use super::postgres::Postgres;
use super::sample::Sample;
use super::sshd::Sshd;
use crate::api::Api;
use crate::credentials::{HTTP, SSH};
use crate::failure::Failure;
use crate::output::text;
use crate::place::write_private;

/// The agent's name.
const AGENT: &str = "local";
/// The role on the sample database.
const ROLE: &str = "demo-pg";
/// The role on the sample machine, and the file with its key among the agent's secrets.
const MACHINE: &str = "demo-ssh";
/// The file with the database's password, among the agent's secrets.
const PASSWORD: &str = "demo-pg";

/// Lets the administrator reach every role, where nobody has made a rule yet: who starts it is who tries it.
pub(crate) async fn first_rule(api: &Api) -> Result<(), Failure> {
    let rules = api.get("/api/v1/access-rules?limit=1").await?;
    if rules["items"].as_array().is_some_and(Vec::is_empty) {
        let rule = json!({
            "name": "administrators",
            "description": "On a development machine, the administrator may reach every role.",
            "effect": "allow", "subjects": { "kinds": ["admin"] }, "roles": { "names": ["*"] },
        });
        api.post("/api/v1/access-rules", &rule).await?;
    }
    Ok(())
}

/// A key for the agent: a new one at each start, since the port may be another.
pub(crate) async fn agent_key(api: &Api) -> Result<String, Failure> {
    let agent = match api.call(Method::POST, &format!("/api/v1/agents/{AGENT}/rotate"), None).await {
        Err(failure) if failure.is_not_found() => api.post("/api/v1/agents", &json!({ "name": AGENT })).await?,
        rotated => rotated?,
    };
    let key = agent["key"].as_str().ok_or_else(|| Failure::new(1, "the gateway gave no key for the agent"))?;
    Ok(key.to_owned())
}

/// The role on the sample database, and a credential for it; none where access rules keep the administrator out of it.
pub(crate) async fn demo_role(api: &Api, dir: &Path, postgres: &Postgres) -> Result<Option<Role>, Failure> {
    let secret = secrets(dir).join(PASSWORD);
    write_private(&secret, postgres.password().as_bytes())?;
    let target = json!({
        "kind": "postgres", "host": "127.0.0.1", "port": postgres.port(), "user": postgres.user(),
        "password": format!("file:{}", secret.display()), "database": postgres.database(), "databases": ["*"],
        "sslmode": "disable",
    });
    let more = json!({ "plugins": rules() });
    let Some(credential) = role(api, ROLE, &target, &more).await? else { return Ok(None) };
    let url = credential["url"].as_str().unwrap_or_default();
    let certificate = dir.join("tls/tls.crt");
    Ok(Some(Role {
        name: ROLE.to_owned(),
        kind: "postgres",
        // On one machine every driver takes this one; the other shows that the certificate can be verified.
        url: url.replace("sslmode=require", "sslmode=disable"),
        tls_url: url
            .replace("sslmode=require", &format!("sslmode=verify-full&sslrootcert={}", certificate.display()))
            .replace("@127.0.0.1:", "@localhost:"),
        target_url: postgres.url(),
    }))
}

/// The role on the sample machine, as above.
pub(crate) async fn demo_machine(api: &Api, dir: &Path, sshd: &Sshd) -> Result<Option<Role>, Failure> {
    let secret = secrets(dir).join(MACHINE);
    write_private(&secret, sshd.private_key().as_bytes())?;
    let target = json!({
        "kind": "ssh", "host": "127.0.0.1", "port": sshd.port(), "user": sshd.user(),
        "private_key": format!("file:{}", secret.display()), "host_keys": [sshd.host_key()],
    });
    let Some(credential) = role(api, MACHINE, &target, &json!({})).await? else { return Ok(None) };
    let url = text(&credential, "url");
    let target_url = format!("ssh://{}@127.0.0.1:{}", sshd.user(), sshd.port());
    Ok(Some(Role { name: MACHINE.to_owned(), kind: SSH, tls_url: url.clone(), url, target_url }))
}

/// The role on a sample service that speaks HTTP, as above. E-mail addresses and card numbers are masked, since no rule says
/// otherwise.
pub(crate) async fn demo_service(api: &Api, name: &str, sample: &Sample) -> Result<Option<Role>, Failure> {
    let target = json!({ "kind": "http", "url": sample.url(), "version": sample.version() });
    let Some(credential) = role(api, name, &target, &json!({})).await? else { return Ok(None) };
    let url = text(&credential, "url");
    let target_url = format!("{}/", sample.url());
    Ok(Some(Role { name: name.to_owned(), kind: HTTP, tls_url: url.clone(), url, target_url }))
}

/// Makes a role or points it at where its target is now, and makes a credential for it; none where access rules keep the
/// administrator out of it.
async fn role(api: &Api, name: &str, target: &Value, more: &Value) -> Result<Option<Value>, Failure> {
    let path = format!("/api/v1/roles/{name}");
    // Only where it is can have changed; what a user made of its rules stays.
    match api.call(Method::PATCH, &path, Some(&json!({ "target": target }))).await {
        Err(failure) if failure.is_not_found() => {
            let mut role = json!({ "name": name, "agent": AGENT, "target": target, "labels": { "env": "demo" } });
            for (field, value) in more.as_object().into_iter().flatten() {
                role[field] = value.clone();
            }
            api.post("/api/v1/roles", &role).await?
        }
        changed => changed?,
    };
    match api.post(&format!("{path}/credentials"), &json!({})).await {
        Err(failure) if failure.is_denied() => {
            eprintln!("there is no URL for role {name}: {failure}");
            Ok(None)
        }
        made => made.map(Some),
    }
}

fn rules() -> Value {
    json!({
        "masking": {
            "columns": [
                { "column": "customers.ssn", "action": "label", "label": "ssn" },
                { "column": "customers.email", "action": "partial" },
                { "column": "customers.card_number", "action": "partial" },
            ],
        },
        "guardrail": {
            "rules": [{
                "name": "no-drop",
                "kinds": ["drop_table", "drop_schema", "drop_database", "truncate"],
                "hint": "this is a rule of the role; ask its administrator",
            }],
        },
    })
}
