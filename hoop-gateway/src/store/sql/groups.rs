use std::collections::BTreeSet;

use hoop_core::id::OrgId;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Engine, Result, corrupt};
use crate::access::RuleDefinition;

impl Engine {
    /// The groups that access rules and roles name. They do not go with their last member: what names them would be for
    /// whoever is put into a group of that name later, and nobody could see it.
    pub(super) async fn named_groups(&self, org: OrgId) -> Result<BTreeSet<String>> {
        let rules: Vec<String> = sqlx::query_scalar("SELECT definition FROM access_rules WHERE org_id = $1")
            .bind(org.as_uuid())
            .fetch_all(&self.read)
            .await?;
        let roles: Vec<(String, String)> =
            sqlx::query_as("SELECT DISTINCT allowed_groups, plugins FROM roles WHERE org_id = $1")
                .bind(org.as_uuid())
                .fetch_all(&self.read)
                .await?;
        let mut named = BTreeSet::new();
        for rule in rules {
            named.extend(read::<RuleDefinition>("access rule", &rule)?.groups().cloned());
        }
        for (allowed, plugins) in roles {
            let allowed: Vec<String> = read("list of groups", &allowed)?;
            // `*` is everyone.
            named.extend(allowed.into_iter().filter(|group| group != "*"));
            of_plugins(&read("set of plugin settings", &plugins)?, &mut named);
        }
        Ok(named)
    }
}

fn read<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(corrupt(what))
}

/// What rules of plugins say of groups.
fn of_plugins(settings: &Value, named: &mut BTreeSet<String>) {
    match settings {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("for_groups" | "except_groups", Value::Array(groups)) => {
                        named.extend(groups.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    (_, value) => of_plugins(value, named),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| of_plugins(item, named)),
        _ => {}
    }
}
