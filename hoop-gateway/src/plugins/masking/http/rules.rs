//! Fields that are masked whole, and what happens to what cannot be read.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hoop_core::role::matches_wildcard;
use hoop_core::{Label, Principal};
use prost_reflect::DescriptorPool;
use serde::{Deserialize, Serialize};

use super::super::action::Action;
use super::super::rules::MaskingRules;
use super::path::Path;

/// A rule for a field of what is said over HTTP. It names the field in one way, by what it is a field of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FieldRule {
    /// In JSON, also line by line and in events: `customers[*].email` from the root on, `$..ssn` at any depth. Keys are separated
    /// by dots, or stand as `["a.b"]`; `[*]` is each element of an array, `*` any key. Case does not matter. What is found with a
    /// whole object or array is masked with all that is in it. An element of an array that is the whole document stands at the root,
    /// too.
    ///
    /// Services give the same in other forms to who asks for them: where there is such a rule, YAML, TOML and tables (CSV) cannot be
    /// read, and neither can data in XML where no rule is for elements. In HTML, plain text and XML with rules for elements it does
    /// nothing, and neither does it where who asks chooses the names, as by aliases in GraphQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// In forms, the name of a field, of `application/x-www-form-urlencoded` or of a part of `multipart/form-data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// In XML, an element by its name without a prefix, or as `@name` an attribute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
    /// In gRPC, a field by its full name, such as `payments.v1.Card.number`. It needs `grpc.descriptor_set`, or `reflection` of the
    /// role's target; without, or where the target has no such field, nothing of a call can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<String>,
    /// What is done; unless given `label`, or `partial` for fields called `email` or `card`. Of a gRPC call, numbers become zero,
    /// and messages are left out.
    pub action: Option<Action>,
    /// The name that `label` shows; unless given the last part of the field's name.
    pub label: Option<String>,
    /// Groups whose members see the field.
    pub except_groups: Vec<String>,
    /// Groups for whose members it is masked; everyone when empty.
    pub for_groups: Vec<String>,
}

/// What happens to what cannot be read: another encoding, broken JSON where a rule needs its fields, a message of an unknown type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unread {
    /// The exchange ends, and nothing of it is shown.
    #[default]
    Deny,
    /// From there on `[masked]` is shown in its place.
    Mask,
}

/// What happens to binary messages of WebSockets that are no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BinaryMessages {
    /// They are shown as they are.
    #[default]
    Pass,
    /// They cannot be read: `fail` decides.
    Fail,
}

/// What is known of gRPC services.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrpcRules {
    /// Their types: a `FileDescriptorSet` with everything that it imports, as `protoc --include_imports --descriptor_set_out` writes
    /// it, in Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor_set: Option<String>,
}

/// What a rule does with a value.
#[derive(Debug, Clone)]
pub(crate) struct FieldMask {
    pub(crate) action: Action,
    pub(crate) label: Label,
}

/// The settings that concern HTTP, ready to be used.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(super) paths: Vec<(Path, FieldMask)>,
    pub(super) forms: Vec<(String, FieldMask)>,
    pub(super) elements: Vec<(String, FieldMask)>,
    pub(super) grpc: HashMap<String, FieldMask>,
    pub(super) pool: Option<DescriptorPool>,
    pub(super) unread: Unread,
    pub(super) binary: BinaryMessages,
    types: Vec<String>,
    unsearched: Vec<String>,
}

impl Fields {
    /// The rules that apply to a principal; all of them when there is none.
    ///
    /// # Errors
    /// What is wrong with them, as a clause.
    pub(crate) fn new(rules: &MaskingRules, principal: Option<&Principal>) -> Result<Self, String> {
        let lower = |patterns: &[String]| patterns.iter().map(|pattern| pattern.to_lowercase()).collect();
        let mut fields = Self {
            pool: rules.grpc.descriptor_set.as_deref().map(pool).transpose()?,
            unread: rules.fail,
            binary: rules.binary_messages,
            types: lower(&rules.types),
            unsearched: lower(&rules.unsearched),
            ..Self::default()
        };
        for rule in rules.fields.iter().filter(|rule| principal.is_none_or(|principal| rule.applies_to(principal))) {
            fields.add(rule)?;
        }
        Ok(fields)
    }

    fn add(&mut self, rule: &FieldRule) -> Result<(), String> {
        match (&rule.path, &rule.form, &rule.element, &rule.grpc) {
            (Some(path), None, None, None) => {
                let parsed = Path::parse(path).map_err(|error| format!("the path {path} of a field: {error}"))?;
                let mask = rule.mask(parsed.name());
                self.paths.push((parsed, mask));
            }
            (None, Some(name), None, None) if !name.is_empty() => {
                self.forms.push((name.to_lowercase(), rule.mask(name)));
            }
            (None, None, Some(name), None) if !name.trim_start_matches('@').is_empty() => {
                self.elements.push((name.to_lowercase(), rule.mask(name)));
            }
            (None, None, None, Some(name)) if name.split('.').count() > 1 => {
                if self.pool.as_ref().is_some_and(|pool| !knows(pool, name)) {
                    return Err(format!("the descriptor set has no field {name}"));
                }
                let mask = rule.mask(name.rsplit('.').next().unwrap_or(name));
                self.grpc.insert(name.trim_start_matches('.').to_owned(), mask);
            }
            (None, None, None, Some(name)) => return Err(format!("{name} is not the full name of a gRPC field")),
            _ => return Err("a field is named by one of path, form, element and grpc".to_owned()),
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.forms.is_empty() && self.elements.is_empty() && self.grpc.is_empty()
    }

    /// Whether bodies of a type are searched as text though they are none.
    pub(super) fn is_searched(&self, essence: &str) -> bool {
        self.types.iter().any(|pattern| matches_wildcard(pattern, essence))
    }

    /// Whether nobody looks at bodies of a type.
    pub(super) fn is_unsearched(&self, essence: &str) -> bool {
        self.unsearched.iter().any(|pattern| matches_wildcard(pattern, essence))
    }
}

impl FieldRule {
    fn applies_to(&self, principal: &Principal) -> bool {
        let any = |groups: &[String]| groups.iter().any(|group| principal.is_in(group));
        !any(&self.except_groups) && (self.for_groups.is_empty() || any(&self.for_groups))
    }

    fn mask(&self, name: &str) -> FieldMask {
        let text = self.label.as_deref().unwrap_or(name).chars();
        let text: String = text.filter(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-')).collect();
        let text = if text.is_empty() { "masked".to_owned() } else { text };
        let action = self.action.unwrap_or_else(|| Action::default_for(&text));
        FieldMask { action, label: Label::from(std::sync::Arc::from(text)) }
    }
}

fn pool(text: &str) -> Result<DescriptorPool, String> {
    let bytes = STANDARD.decode(text.trim()).map_err(|_| "grpc.descriptor_set is not Base64".to_owned())?;
    DescriptorPool::decode(bytes.as_slice()).map_err(|error| format!("grpc.descriptor_set: {error}"))
}

/// Whether a message, or an extension, has a field of this full name.
pub(super) fn knows(pool: &DescriptorPool, field: &str) -> bool {
    let field = field.trim_start_matches('.');
    let message = field.rsplit_once('.').and_then(|(message, _)| pool.get_message_by_name(message));
    message.is_some_and(|message| message.fields().any(|known| known.full_name() == field))
        || pool.get_extension_by_name(field).is_some()
}
