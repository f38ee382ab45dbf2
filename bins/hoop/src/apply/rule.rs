//! Access rules in a company's file.

use hoop_gateway::access::RuleDefinition;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::spec::Thing;

/// A rule as the gateway reads it, so that what a file leaves out is what the gateway takes for it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct AccessRule(RuleDefinition);

impl Serialize for AccessRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rule = serde_json::to_value(&self.0).map_err(S::Error::custom)?;
        let mut rule = said(rule).unwrap_or_default();
        // The one thing that is usually on.
        rule["enabled"] = self.0.enabled.into();
        rule.serialize(serializer)
    }
}

/// What there is to say of a value; what is empty or off says nothing.
fn said(value: Value) -> Option<Value> {
    match value {
        Value::Object(fields) => {
            let fields: Map<_, _> = fields.into_iter().filter_map(|(name, value)| Some((name, said(value)?))).collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
        Value::Null | Value::Bool(false) => None,
        Value::Array(items) if items.is_empty() => None,
        Value::String(text) if text.is_empty() => None,
        value => Some(value),
    }
}

impl Thing for AccessRule {
    const KEYS: &[&str] =
        &["name", "description", "enabled", "effect", "subjects", "roles", "modes", "conditions", "obligations"];

    fn name(&self) -> &str {
        &self.0.name
    }
}
