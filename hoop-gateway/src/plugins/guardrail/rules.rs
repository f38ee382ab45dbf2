//! The settings of a role, as administrators write them.

use hoop_core::role::matches_wildcard;
use hoop_core::{Code, Denial, Principal};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::NAME;
use super::commands::CommandRule;
use super::facts::{Facts, Name};
use super::files::FileRule;
use super::http::HttpRule;
use super::list::{Action, Wanted, applies, check_group, wrong};

/// Longest pattern, in bytes, and how large it may become when it is compiled.
const MAX_PATTERN: usize = 4 * 1024;
const MAX_COMPILED: usize = 1 << 20;

/// What is refused on a role: its settings for the plugin `guardrail`.
///
/// ```
/// use hoop_gateway::plugins::guardrail::GuardrailRules;
/// let rules: GuardrailRules = serde_json::from_str(r#"{
///     "rules": [
///         { "name": "no-drop", "kinds": ["drop_table", "truncate"], "hint": "ask the owner of the table" },
///         { "name": "no-mass-change", "kinds": ["delete_without_where", "update_without_where"] },
///         { "name": "no-files", "functions": ["pg_read_*", "lo_import", "lo_export"] },
///         { "name": "no-payroll", "tables": ["payroll.*"], "except_groups": ["hr"] },
///         { "name": "changes", "action": "review", "group": "dba", "kinds": ["update", "delete"] }
///     ]
/// }"#)?;
/// assert_eq!(rules.rules.len(), 5);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardrailRules {
    /// On statements, in order; the first that matches decides.
    pub rules: Vec<Rule>,
    /// On commands and subsystems of a machine, in order; the first that matches decides.
    pub commands: Vec<CommandRule>,
    /// On files of a machine, in order; the first that matches decides.
    pub files: Vec<FileRule>,
    /// On HTTP requests, in order; the first that matches decides.
    pub http: Vec<HttpRule>,
    /// What happens to a statement or a command that cannot be read.
    pub unparsable: Unparsable,
    /// Longest text that is read, in bytes; a longer one counts as unparsable.
    pub max_statement_bytes: usize,
    /// Longest body of a request that is read for a rule on its fields, in bytes; a longer one is refused. `limits.message_bytes`
    /// of the gateway bounds it, too.
    pub max_body_bytes: usize,
}

impl Default for GuardrailRules {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            commands: Vec::new(),
            files: Vec::new(),
            unparsable: Unparsable::Deny,
            http: Vec::new(),
            max_statement_bytes: 1 << 20,
            max_body_bytes: 1 << 20,
        }
    }
}

/// What happens to a statement that cannot be read, or to a command where no rule of its list allows any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unparsable {
    /// It is refused.
    #[default]
    Deny,
    /// It goes on; a server is likely to refuse such a statement, too.
    Pass,
}

/// A rule. It refuses statements for which everything that it gives holds, or has them wait for somebody's agreement.
///
/// **A review** is of one statement as it runs, once: of a text that is sent to be run, or of each run of a prepared one with its
/// parameters. So what PREPARE in SQL would run later is refused, and so is EXECUTE, FETCH or MOVE in SQL once the session has
/// prepared something that needs a review, since it could be run by them. The rows of a COPY … FROM STDIN come after it, and
/// are not a part of what somebody agrees to; nor is what functions, triggers and rules do on the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is called in refusals and recordings.
    pub name: String,
    /// What it does: it refuses, or asks for a review.
    #[serde(default, skip_serializing_if = "Action::is_default")]
    pub action: Action,
    /// Of which group somebody must agree, where the action is `review`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What a statement does, one of these; anything when empty.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// The tables and views that it names, any of these: `table` or `schema.table`, `*` for any run of characters, without
    /// regard to case. A name without a schema in the statement matches every schema, since which one it is in is known to
    /// the server alone; its refusal asks for the schema. (That does not depend on `search_path`: servers before PostgreSQL 18 do
    /// not report it, and where it is reported, a statement sent along with the one that changes it, a function that sets it,
    /// or a prepared statement that is planned anew reads another than the one that was reported last.)
    #[serde(default)]
    pub tables: Vec<String>,
    /// The functions that it calls by name, any of these, written as `tables` are.
    #[serde(default)]
    pub functions: Vec<String>,
    /// A [regular expression](https://docs.rs/regex/latest/regex/#syntax), without regard to case, for the statement as it
    /// is written out from its parsed form: without comments, with single spaces.
    #[serde(default)]
    pub pattern: Option<String>,
    /// What to do next, for the user.
    #[serde(default)]
    pub hint: Option<String>,
    /// Groups whose members it does not hold for.
    #[serde(default)]
    pub except_groups: Vec<String>,
    /// Groups for whose members it holds; everyone when empty.
    #[serde(default)]
    pub for_groups: Vec<String>,
}

impl Rule {
    /// Whether the rule holds for this principal.
    pub(super) fn applies_to(&self, principal: &Principal) -> bool {
        applies(&self.except_groups, &self.for_groups, principal)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident $text:literal)*) => {
        /// What a statement does. One statement may do several of these.
        #[non_exhaustive]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl Kind {
            /// The name as settings spell it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// SELECT, VALUES, TABLE, also within another statement.
    Select "select"
    /// INSERT, also as a branch of MERGE.
    Insert "insert"
    /// UPDATE, also as a branch of MERGE.
    Update "update"
    /// UPDATE of every row: without WHERE.
    UpdateWithoutWhere "update_without_where"
    /// DELETE, also as a branch of MERGE.
    Delete "delete"
    /// DELETE of every row: without WHERE.
    DeleteWithoutWhere "delete_without_where"
    /// MERGE.
    Merge "merge"
    /// TRUNCATE.
    Truncate "truncate"
    /// DROP of anything.
    Drop "drop"
    /// DROP TABLE, and what takes tables along: DROP SCHEMA … CASCADE, DROP OWNED.
    DropTable "drop_table"
    /// DROP VIEW, DROP MATERIALIZED VIEW.
    DropView "drop_view"
    /// DROP SCHEMA.
    DropSchema "drop_schema"
    /// DROP DATABASE.
    DropDatabase "drop_database"
    /// CREATE of anything.
    Create "create"
    /// CREATE TABLE, also AS, and SELECT INTO.
    CreateTable "create_table"
    /// CREATE FUNCTION, CREATE PROCEDURE.
    CreateFunction "create_function"
    /// CREATE EXTENSION.
    CreateExtension "create_extension"
    /// ALTER of anything, renaming and changing owners included.
    Alter "alter"
    /// ALTER TABLE.
    AlterTable "alter_table"
    /// ALTER SYSTEM.
    AlterSystem "alter_system"
    /// GRANT.
    Grant "grant"
    /// REVOKE.
    Revoke "revoke"
    /// CREATE, ALTER and DROP ROLE (USER, GROUP), and granting roles.
    Role "role"
    /// COPY.
    Copy "copy"
    /// COPY … FROM.
    CopyFrom "copy_from"
    /// COPY … TO.
    CopyTo "copy_to"
    /// COPY with a file on the server.
    CopyFile "copy_file"
    /// COPY with a program on the server.
    CopyProgram "copy_program"
    /// DO.
    Do "do"
    /// CALL.
    Call "call"
    /// PREPARE in SQL.
    Prepare "prepare"
    /// EXECUTE in SQL.
    Execute "execute"
    /// SET, RESET, `set_config`, and the settings of ALTER DATABASE, ROLE and SYSTEM.
    Set "set"
    /// SET ROLE, SET SESSION AUTHORIZATION, also by these as settings, and a setting whose name is computed.
    SetRole "set_role"
    /// LOCK.
    Lock "lock"
    /// EXPLAIN.
    Explain "explain"
    /// BEGIN, COMMIT, ROLLBACK, SAVEPOINT and the like.
    Transaction "transaction"
    /// LISTEN, NOTIFY, UNLISTEN.
    Notify "notify"
    /// LOAD of a library.
    Load "load"
    /// VACUUM, ANALYZE, CLUSTER, REINDEX, REFRESH MATERIALIZED VIEW, CHECKPOINT.
    Maintenance "maintenance"
}

/// A rule that is ready to be applied.
pub(super) struct Compiled {
    rule: Rule,
    pattern: Option<Regex>,
}

impl Compiled {
    pub(super) fn new(rule: Rule) -> Result<Self, Denial> {
        let wrong = |what: String| wrong(&rule.name, &what);
        if rule.name.is_empty() {
            return Err(wrong("it has no name".to_owned()));
        }
        check_group(&rule.name, rule.action, rule.group.as_deref())?;
        if rule.action == Action::Allow {
            return Err(wrong("rules on statements refuse or ask for a review; they do not allow".to_owned()));
        }
        if rule.kinds.is_empty() && rule.tables.is_empty() && rule.functions.is_empty() && rule.pattern.is_none() {
            return Err(wrong(
                "it gives neither kinds nor tables nor functions nor a pattern, and would refuse everything".to_owned(),
            ));
        }
        let pattern = match &rule.pattern {
            Some(pattern) if pattern.len() > MAX_PATTERN => {
                return Err(wrong(format!("its pattern is longer than {MAX_PATTERN} bytes")));
            }
            Some(pattern) => Some(
                RegexBuilder::new(pattern)
                    .case_insensitive(true)
                    .size_limit(MAX_COMPILED)
                    .build()
                    .map_err(|error| wrong(format!("its pattern is not one: {error}")))?,
            ),
            None => None,
        };
        Ok(Self { rule, pattern })
    }

    pub(super) fn applies_to(&self, principal: &Principal) -> bool {
        self.rule.applies_to(principal)
    }

    /// Whether everything that the rule gives holds. `text` writes the statement out.
    pub(super) fn matches(&self, facts: &Facts, text: impl Fn() -> String) -> bool {
        let any = |patterns: &[String], names: &[Name]| {
            patterns.is_empty() || names.iter().any(|name| patterns.iter().any(|pattern| names_match(pattern, name)))
        };
        (self.rule.kinds.is_empty() || self.rule.kinds.iter().any(|kind| facts.kinds.contains(kind)))
            && any(&self.rule.tables, &facts.tables)
            && any(&self.rule.functions, &facts.functions)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(&text()))
    }

    pub(super) fn has_pattern(&self) -> bool {
        self.pattern.is_some()
    }

    pub(super) fn names_functions(&self) -> bool {
        !self.rule.functions.is_empty()
    }

    /// Whose agreement the rule wants, where it asks for a review.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        let Rule { name, action, group, hint, .. } = &self.rule;
        let group = group.clone().filter(|_| *action == Action::Review)?;
        Some(Wanted { rule: name.clone(), group, hint: hint.clone() })
    }

    pub(super) fn denial(&self, facts: &Facts) -> Denial {
        let what = self.rule.kinds.iter().find(|kind| facts.kinds.contains(kind));
        let what = what.map_or_else(|| "this statement".to_owned(), |kind| kind.as_str().replace('_', " "));
        let reason = format!("rule {} refuses {what}", self.rule.name);
        let Some(table) = self.perhaps(facts) else { return self.refuse(&reason) };
        let hint = format!("name the table with its schema, as in SCHEMA.{table}");
        let hint = self.rule.hint.iter().fold(hint, |hint, rules| format!("{hint}; if the rule is about it: {rules}"));
        self.refuse(&format!("{reason}: {table} may be in a schema that it is about")).hint(hint)
    }

    /// The table for which it holds only because its schema is not said, where there is no other.
    fn perhaps<'a>(&self, facts: &'a Facts) -> Option<&'a str> {
        let patterns = || self.rule.tables.iter();
        let surely = |name: &Name| patterns().any(|pattern| named_fully(pattern, name) && names_match(pattern, name));
        if facts.tables.iter().any(surely) {
            return None;
        }
        let found = facts.tables.iter().find(|name| patterns().any(|pattern| names_match(pattern, name)));
        found.map(|(_, table)| table.as_str())
    }

    pub(super) fn denial_of_number(&self) -> Denial {
        let reason = format!("rule {} is about functions by name, so none may be called by its number", self.rule.name);
        self.refuse(&reason)
    }

    /// What is prepared in SQL is run later by its name, which nobody could review.
    pub(super) fn denial_of_preparing(&self) -> Denial {
        let reason =
            format!("rule {} wants a review of each run, and PREPARE in SQL would run it without", self.rule.name);
        self.refuse(&reason).hint("send the statement itself, or prepare it through your driver")
    }

    fn refuse(&self, reason: &str) -> Denial {
        let hint = self.rule.hint.clone();
        let hint = hint.unwrap_or_else(|| "ask an administrator whether you may do this in another way".to_owned());
        Denial::new(NAME, Code::StatementDenied, reason.to_owned()).hint(hint)
    }
}

/// Whether the statement says everything that the pattern asks for.
fn named_fully(pattern: &str, (schema, _): &Name) -> bool {
    schema.is_some() || !pattern.contains('.')
}

/// Whether a pattern matches a name. A schema that the statement leaves out may be any.
fn names_match(pattern: &str, (schema, name): &Name) -> bool {
    let pattern = pattern.to_lowercase();
    let same = |pattern: &str, text: &str| matches_wildcard(pattern, &text.to_lowercase());
    match (pattern.split_once('.'), schema) {
        (Some((of_schema, of_name)), Some(schema)) => same(of_schema, schema) && same(of_name, name),
        (Some((_, of_name)), None) => same(of_name, name),
        (None, _) => same(&pattern, name),
    }
}
