//! The masking settings of a role, as administrators write them.

use std::collections::BTreeMap;

use hoop_core::response::ColumnNames;
use hoop_core::role::matches_wildcard;
use hoop_core::{Principal, TableColumn};
use serde::{Deserialize, Serialize};

use super::action::Action;
use super::detect::Builtin;
use super::http::{BinaryMessages, FieldRule, GrpcRules, Unread};
use super::reads::Named;

/// What is masked on a role, and how: the role's settings for the plugin `masking`. Without any, every built-in detector
/// is on.
///
/// ```
/// use hoop_gateway::plugins::masking::MaskingRules;
/// let rules: MaskingRules = serde_json::from_str(r#"{
///     "detectors": { "email": "token", "card": "partial" },
///     "columns": [{ "column": "*.ssn", "action": "null", "except_groups": ["payroll"] }]
/// }"#)?;
/// assert_eq!(rules.detectors.len(), 2);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskingRules {
    /// The built-in detectors that are on, each with its action. `null` as an action is written `"null"`.
    pub detectors: BTreeMap<Builtin, Action>,
    /// Columns that are masked whole, whatever is in them.
    pub columns: Vec<ColumnRule>,
    /// Groups whose members see everything on this role.
    pub except_groups: Vec<String>,
    /// How large a value may be and still be searched, in bytes. A larger one is masked whole. It does not hold for bodies over
    /// HTTP, which are searched as they come.
    pub max_value_bytes: usize,
    /// Fields that are masked whole in what is said over HTTP.
    pub fields: Vec<FieldRule>,
    /// What happens to what cannot be read over HTTP.
    pub fail: Unread,
    /// Types of bodies over HTTP that are searched as text although they are none, such as `application/pdf`; `*` stands for any
    /// run of characters. What is not text is not searched otherwise: pictures, fonts, sound, films, PDFs and other data.
    pub types: Vec<String>,
    /// Types of bodies over HTTP that nobody looks at, whatever is in them, such as `video/*`. All others are looked at, and what
    /// looks like text is searched; so their validators and ranges do not reach the client.
    pub unsearched: Vec<String>,
    /// What happens to binary messages of WebSockets that are no text.
    pub binary_messages: BinaryMessages,
    /// What is known of gRPC services.
    pub grpc: GrpcRules,
}

impl Default for MaskingRules {
    fn default() -> Self {
        let detectors = Builtin::ALL.map(|builtin| (builtin, Action::default_for(builtin.as_str())));
        Self {
            detectors: detectors.into(),
            columns: Vec::new(),
            except_groups: Vec::new(),
            max_value_bytes: 1 << 20,
            fields: Vec::new(),
            fail: Unread::default(),
            types: Vec::new(),
            unsearched: Vec::new(),
            binary_messages: BinaryMessages::default(),
            grpc: GrpcRules::default(),
        }
    }
}

/// A rule for columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnRule {
    /// `column`, `table.column` or `schema.table.column`; `*` stands for any run of characters, and parts that are left
    /// out for anything. It is compared with the column that the values come from, whatever the statement calls it, and
    /// without regard to case: through views and materialized views, of a partition also as the column of its table, and of a
    /// whole row as each of its columns. A copy that was made before (CREATE TABLE AS, INSERT … SELECT) is another table, of which
    /// nobody knows where its values came from; rules for it are its own, such as `*.ssn`.
    pub column: String,
    /// What is done; unless given `label`, or `partial` for columns called `email` or `card`.
    #[serde(default)]
    pub action: Option<Action>,
    /// The name that `label` shows; unless given the column's part of the pattern.
    #[serde(default)]
    pub label: Option<String>,
    /// Groups whose members see the column.
    #[serde(default)]
    pub except_groups: Vec<String>,
    /// Groups for whose members it is masked; everyone when empty.
    #[serde(default)]
    pub for_groups: Vec<String>,
    /// What happens to an output column of which nobody knows where its values come from, such as an expression.
    #[serde(default)]
    pub unknown: UnknownOrigin,
}

/// What happens to an output column of unknown origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownOrigin {
    /// It is masked if the statement may make it of the column: where its text names the column anywhere but in a condition, a
    /// count or IS NULL, takes rows of a table or view as a whole, reads the table's columns by their place, or does not say what it reads (functions that
    /// run a text or show what was put aside, `pg_stats`, CALL, what is too large to be read); and if it has a name that the rule's
    /// column matches. What is no text is NULL then, as a zero would be taken for a result. Of FETCH and EXECUTE in SQL it is what
    /// was declared and prepared, where that is known.
    ///
    /// It goes by names. An expression over a view or a partition that calls the column otherwise shows it, and so do functions of
    /// the database, views before they are committed, and what a statement puts into another table, an error, a notice, a
    /// notification, a setting or a lock.
    #[default]
    MaskIfRead,
    /// It is masked if it has a name that the rule's column matches. An expression under another name, such as an average, shows
    /// what it is made of, and so does what a statement puts into an error, a notice, a notification or a setting.
    MaskSameName,
    /// It is masked, and so are texts whose origin nobody knows: what is quoted in errors that are not about the statement's own
    /// text, what programs within the server say (RAISE), payloads of notifications, and the settings `application_name` and
    /// `search_path` as the server reports them.
    MaskAll,
    /// The result is refused, and such texts are masked.
    ///
    /// How many rows there are, whether a statement fails and how long it takes still tell something of what it compares, and a
    /// program within the server can tell it in names that it gives: refuse the kinds `do`, `create_function` and `create`, or
    /// let the login read less.
    Deny,
}

impl ColumnRule {
    /// Whether the rule holds for this principal.
    pub(crate) fn applies_to(&self, principal: &Principal) -> bool {
        let any = |groups: &[String]| groups.iter().any(|group| principal.is_in(group));
        !any(&self.except_groups) && (self.for_groups.is_empty() || any(&self.for_groups))
    }

    /// The pattern's parts: schema, table, column.
    fn parts(&self) -> [&str; 3] {
        let mut parts = self.column.rsplitn(3, '.');
        let column = parts.next().unwrap_or("*");
        let table = parts.next().unwrap_or("*");
        [parts.next().unwrap_or("*"), table, column]
    }

    /// Whether the rule is for this table column, or for one whose values it shows; `None` when it may be made of such values, or
    /// that is not known.
    pub(crate) fn matches(&self, origin: &TableColumn) -> Option<bool> {
        let names = origin.names.as_ref()?;
        let [schema, table, column] = self.parts();
        let is = |names: &ColumnNames| {
            same(schema, &names.schema) && same(table, &names.table) && same(column, &names.column)
        };
        if names.all().any(is) {
            return Some(true);
        }
        (names.traced && !names.computed_from.iter().any(is)).then_some(false)
    }

    /// Whether the rule is for columns of this name.
    pub(crate) fn matches_name(&self, name: &[u8]) -> bool {
        same(self.parts()[2], &String::from_utf8_lossy(name))
    }

    /// Whether the rule may be for columns of this table; empty names match.
    pub(crate) fn matches_table(&self, schema: &[u8], table: &[u8]) -> bool {
        let may = |pattern, name: &[u8]| name.is_empty() || same(pattern, &String::from_utf8_lossy(name));
        may(self.parts()[0], schema) && may(self.parts()[1], table)
    }

    /// Whether values of such a column may be in what is made of all that is named here.
    pub(crate) fn may_be_in(&self, reads: &[&Named]) -> bool {
        let [schema, table, column] = self.parts();
        let any = |is: &dyn Fn(&Named) -> bool| reads.iter().any(|named| is(named));
        let is_of = |of: &Option<String>| of.as_deref().is_none_or(|name| same(schema, name));
        let is_named = any(&|named| named.columns.iter().any(|name| same(column, name)));
        let has_table = || any(&|named| named.tables.iter().any(|(of, name)| is_of(of) && same(table, name)));
        // A view or a partition may have a column of the name, too; where the rule is for any column, that says nothing.
        any(&|named| named.opaque || named.rows)
            || (column != "*" && is_named)
            || (has_table() && (is_named || any(&|named| named.by_place)))
    }

    /// What `label` shows.
    pub(crate) fn label(&self) -> String {
        let text = self.label.as_deref().unwrap_or(self.parts()[2]);
        let text: String =
            text.chars().filter(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-')).collect();
        if text.is_empty() { "masked".to_owned() } else { text }
    }

    /// What is done.
    pub(crate) fn action(&self) -> Action {
        self.action.unwrap_or_else(|| Action::default_for(&self.label()))
    }
}

fn same(pattern: &str, name: &str) -> bool {
    matches_wildcard(&pattern.to_lowercase(), &name.to_lowercase())
}
