//! What a company's file says, and how it is read: from the file, and from a gateway.

use std::collections::BTreeMap;
use std::path::Path;

use hoop_core::{RecordingMode, Target};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::keys;
use super::rule::AccessRule;
use crate::admin::Kind;
use crate::api::Api;
use crate::failure::Failure;
use crate::yaml;

/// Everything that a file may say. A list that is not there says nothing of its kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Company {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agents: Option<Vec<Agent>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) roles: Option<Vec<Role>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) users: Option<Vec<User>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_accounts: Option<Vec<ServiceAccount>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) access_rules: Option<Vec<AccessRule>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Agent {
    name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Role {
    name: String,
    agent: String,
    target: Target,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    recording: RecordingMode,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    plugins: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allowed_groups: Vec<String>,
}

impl Role {
    /// The role that it is reached through.
    pub(super) fn jump(&self) -> Option<&str> {
        match &self.target {
            Target::Ssh(target) => target.jump.as_deref(),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct User {
    name: String,
    #[serde(default)]
    kind: Kind,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    disabled: bool,
    /// Public keys that do not expire, a line each with their name behind them. A file without them says nothing of any.
    #[serde(default, skip_serializing_if = "nothing")]
    keys: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceAccount {
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    disabled: bool,
}

fn nothing(keys: &Option<Vec<String>>) -> bool {
    keys.as_ref().is_none_or(Vec::is_empty)
}

/// One of the five.
pub(super) trait Thing: Clone + Serialize + DeserializeOwned {
    /// What of an answer of the API a file says, too.
    const KEYS: &[&str];

    fn name(&self) -> &str;

    /// The one order of what has none.
    fn sort(&mut self) {}

    /// Forgets of what is there whatever a file says nothing of, so that it stays.
    fn silent_where(&mut self, _: &Self) {}
}

impl Thing for Agent {
    const KEYS: &[&str] = &["name"];

    fn name(&self) -> &str {
        &self.name
    }
}

impl Thing for Role {
    const KEYS: &[&str] = &["name", "agent", "target", "labels", "recording", "plugins", "allowed_groups"];

    fn name(&self) -> &str {
        &self.name
    }

    fn sort(&mut self) {
        self.allowed_groups.sort();
        self.allowed_groups.dedup();
    }
}

impl Thing for User {
    const KEYS: &[&str] = &["name", "kind", "groups", "disabled", "keys"];

    fn name(&self) -> &str {
        &self.name
    }

    fn sort(&mut self) {
        self.groups.sort();
        self.groups.dedup();
        if let Some(keys) = &mut self.keys {
            keys.sort();
            keys.dedup();
        }
    }

    fn silent_where(&mut self, wanted: &Self) {
        if wanted.keys.is_none() {
            self.keys = None;
        }
    }
}

impl Thing for ServiceAccount {
    const KEYS: &[&str] = &["name", "description", "groups", "disabled"];

    fn name(&self) -> &str {
        &self.name
    }

    fn sort(&mut self) {
        self.groups.sort();
        self.groups.dedup();
    }
}

impl Company {
    /// Reads a file.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        Self::parse(&yaml::text(file)?, file)
    }

    pub(super) fn parse(text: &str, file: &Path) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Lists {
            agents: Option<Vec<Spanned<Value>>>,
            roles: Option<Vec<Spanned<Value>>>,
            users: Option<Vec<Spanned<Value>>>,
            service_accounts: Option<Vec<Spanned<Value>>>,
            access_rules: Option<Vec<Spanned<Value>>>,
        }
        let lists: Lists = yaml::parse(text, file)?;
        Ok(Self {
            agents: things(lists.agents, text, file)?,
            roles: things(lists.roles, text, file)?,
            users: things(lists.users, text, file)?,
            service_accounts: things(lists.service_accounts, text, file)?,
            access_rules: things(lists.access_rules, text, file)?,
        })
    }

    /// What a gateway has. An agent whose key was taken away is none.
    pub(super) async fn of(api: &Api) -> Result<Self, Failure> {
        let mut agents = api.all("/api/v1/agents").await?;
        agents.retain(|agent| agent["revoked_at"].is_null());
        Ok(Self {
            agents: Some(known(agents)?),
            roles: Some(known(api.all("/api/v1/roles").await?)?),
            users: Some(known(keys::with(api.all("/api/v1/users").await?, api).await?)?),
            service_accounts: Some(known(api.all("/api/v1/service-accounts").await?)?),
            access_rules: Some(known(api.all("/api/v1/access-rules").await?)?),
        })
    }
}

fn things<T: Thing>(items: Option<Vec<Spanned<Value>>>, text: &str, file: &Path) -> Result<Option<Vec<T>>, Failure> {
    let Some(items) = items else { return Ok(None) };
    let mut things: Vec<T> = Vec::with_capacity(items.len());
    for item in items {
        let line = item.referenced.line();
        let mut thing: T = yaml::part(item, text, file)?;
        thing.sort();
        if things.iter().any(|other| other.name() == thing.name()) {
            let text = format!("{} line {line}: {} is there twice", file.display(), thing.name());
            return Err(Failure::new(1, text));
        }
        things.push(thing);
    }
    Ok(Some(things))
}

fn known<T: Thing>(items: Vec<Value>) -> Result<Vec<T>, Failure> {
    let read = |item: Value| {
        let Value::Object(mut fields) = item else {
            return Err(Failure::new(1, "the gateway lists something unknown"));
        };
        fields.retain(|name, _| T::KEYS.contains(&name.as_str()));
        let mut thing: T = serde_json::from_value(Value::Object(fields))?;
        thing.sort();
        Ok(thing)
    };
    items.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
agents:
  - name: here
roles:
  - name: orders
    agent: here
    target:
      kind: postgres
      host: db.internal
      user: app
      password: env:PG
      database: 'on'
    allowed_groups: [ops, dev, ops]
    plugins:
      guardrail:
        rules:
          - { name: no-drop, kinds: [drop_table] }
users:
  - name: ada
    kind: auditor
    groups: [dev]
    keys:
      - ssh-ed25519 AAAAC3Nz ada@laptop
  - name: '123'
service_accounts:
  - name: ci
    description: builds
    groups: [dev]
access_rules:
  - name: ci
    effect: allow
    subjects:
      service_accounts: [ci]
    roles:
      names: [orders]
    conditions:
      sources: [10.0.0.0/8]
";

    fn parse(text: &str) -> Result<Company, Failure> {
        Company::parse(text, Path::new("company.yaml"))
    }

    #[test]
    fn what_is_written_reads_as_it_was() {
        let company = parse(FILE).expect("readable");
        let written = crate::output::yaml(&company).expect("written");
        assert_eq!(parse(&written).expect(&written), company, "{written}");
        assert!(
            !written.contains("obligations") && written.contains("10.0.0.0/8"),
            "what is empty is not written: {written}"
        );
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_key() {
        for (from, to, line, key) in [
            ("agents:", "agnets:", 2, "agnets"),
            ("    kind: auditor", "    knd: auditor", 20, "knd"),
            ("    kind: auditor", "    kind: boss", 20, "boss"),
            ("      host: db.internal", "      hots: db.internal", 9, "hots"),
            ("  - name: '123'", "  - name: ada", 24, "ada"),
            ("    description: builds", "    discription: builds", 27, "discription"),
            ("      service_accounts: [ci]", "      service_account: [ci]", 33, "service_account"),
        ] {
            let told = parse(&FILE.replace(from, to)).expect_err(to).to_string();
            assert!(told.starts_with(&format!("company.yaml line {line}: ")) && told.contains(key), "{told}");
        }
    }
}
