//! What a parsed statement does, and what it touches.
//!
//! The tree is walked in its serialized form: every node of every kind is seen, also of kinds that nobody thought of here.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{CmdType, DropBehavior, ObjectType};
use serde_json::{Map, Value};

use super::rules::Kind;

/// A schema, where one is given, and a name.
pub(super) type Name = (Option<String>, String);

/// What a statement does, and what it touches.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) kinds: BTreeSet<Kind>,
    pub(super) tables: Vec<Name>,
    pub(super) functions: Vec<Name>,
    /// Whether it may run something that was prepared before: EXECUTE, FETCH, MOVE.
    pub(super) runs_prepared: bool,
}

impl Facts {
    /// The facts of a statement, with everything within it.
    pub(super) fn of(node: &NodeEnum) -> Result<Self, serde_json::Error> {
        let mut facts = Self::default();
        // The parser's own limit on depth bounds the recursion.
        facts.visit(&serde_json::to_value(node)?);
        Ok(facts)
    }

    fn visit(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.visit(item)),
            Value::Object(fields) => {
                if let Some((node, Value::Object(inner))) = only(fields) {
                    self.node(node, inner);
                }
                self.untagged(fields);
                fields.values().for_each(|field| self.visit(field));
            }
            _ => {}
        }
    }

    /// Structures that stand in a field of their own type, without the name of their kind.
    fn untagged(&mut self, fields: &Map<String, Value>) {
        if let (Some(Value::String(name)), Some(Value::String(schema))) =
            (fields.get("relname"), fields.get("schemaname"))
        {
            self.tables.push(named(schema, name));
        }
        if let Some(Value::Array(parts)) = fields.get("funcname") {
            let name = qualified(parts);
            if name.as_ref().is_some_and(|(_, name)| name == "set_config") {
                self.set_config(fields);
            }
            self.functions.extend(name);
        }
        // The first of the queries of a UNION is such a structure, and the INTO is in it.
        if is_given(fields, "into_clause") {
            self.kinds.extend([Kind::Create, Kind::CreateTable]);
        }
        // A setting that ALTER DATABASE, ROLE and SYSTEM keep for later sessions.
        if let Some(Value::Object(setting)) = fields.get("setstmt") {
            self.set(setting.get("name").and_then(Value::as_str));
        }
    }

    /// A setting is set. Its name is not known where it is computed; the server looks it up without regard to case.
    fn set(&mut self, name: Option<&str>) {
        self.kinds.insert(Kind::Set);
        let is_role = |name: &str| ["role", "session_authorization"].contains(&name.to_ascii_lowercase().as_str());
        if name.is_none_or(is_role) {
            self.kinds.insert(Kind::SetRole);
        }
    }

    /// The function that sets as SET does.
    fn set_config(&mut self, call: &Map<String, Value>) {
        let first = call.get("args").and_then(|arguments| arguments.pointer("/0/node/AConst/val/Sval/sval"));
        self.set(first.and_then(Value::as_str));
    }

    /// What a branch of MERGE does to the rows of its table.
    fn merged(&mut self, branch: &Map<String, Value>) {
        let command = number(branch, "command_type").and_then(|command| CmdType::try_from(command).ok());
        match command {
            Some(CmdType::CmdInsert) => self.kinds.insert(Kind::Insert),
            Some(CmdType::CmdUpdate) => self.kinds.insert(Kind::Update),
            Some(CmdType::CmdDelete) => self.kinds.insert(Kind::Delete),
            _ => false,
        };
    }

    /// What DROP removes, and what it takes along.
    fn dropped(&mut self, drop: &Map<String, Value>) {
        self.kinds.insert(Kind::Drop);
        match number(drop, "remove_type").and_then(|kind| ObjectType::try_from(kind).ok()) {
            Some(ObjectType::ObjectTable | ObjectType::ObjectForeignTable) => self.kinds.extend([Kind::DropTable]),
            Some(ObjectType::ObjectView | ObjectType::ObjectMatview) => self.kinds.extend([Kind::DropView]),
            Some(ObjectType::ObjectSchema) if number(drop, "behavior") == Some(DropBehavior::DropCascade as i32) => {
                self.kinds.extend([Kind::DropSchema, Kind::DropTable, Kind::DropView]);
            }
            Some(ObjectType::ObjectSchema) => self.kinds.extend([Kind::DropSchema]),
            _ => {}
        }
        self.dropped_names(drop);
    }

    fn node(&mut self, node: &str, fields: &Map<String, Value>) {
        self.runs_prepared |= matches!(node, "ExecuteStmt" | "FetchStmt");
        let is = |field: &str| fields.get(field) == Some(&Value::Bool(true));
        let has = |field: &str| is_given(fields, field);
        let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
        let is_object = |field: &str, kind: ObjectType| number(fields, field) == Some(kind as i32);
        let mut add = |kinds: &[Kind]| self.kinds.extend(kinds);
        match node {
            "SelectStmt" => add(&[Kind::Select]),
            "InsertStmt" => add(&[Kind::Insert]),
            "UpdateStmt" if has("where_clause") => add(&[Kind::Update]),
            "UpdateStmt" => add(&[Kind::Update, Kind::UpdateWithoutWhere]),
            "DeleteStmt" if has("where_clause") => add(&[Kind::Delete]),
            "DeleteStmt" => add(&[Kind::Delete, Kind::DeleteWithoutWhere]),
            "MergeStmt" => add(&[Kind::Merge]),
            "MergeWhenClause" => self.merged(fields),
            "TruncateStmt" => add(&[Kind::Truncate]),
            "DropStmt" => self.dropped(fields),
            "DropOwnedStmt" => add(&[Kind::Drop, Kind::DropTable, Kind::DropView, Kind::DropSchema]),
            "DropdbStmt" => add(&[Kind::Drop, Kind::DropDatabase]),
            "DropRoleStmt" => add(&[Kind::Drop, Kind::Role]),
            "CreateRoleStmt" => add(&[Kind::Create, Kind::Role]),
            "AlterRoleStmt" | "AlterRoleSetStmt" => add(&[Kind::Alter, Kind::Role]),
            "GrantRoleStmt" if is("is_grant") => add(&[Kind::Grant, Kind::Role]),
            "GrantRoleStmt" => add(&[Kind::Revoke, Kind::Role]),
            "GrantStmt" if is("is_grant") => add(&[Kind::Grant]),
            "GrantStmt" => add(&[Kind::Revoke]),
            "CreateStmt" | "CreateTableAsStmt" | "CreateForeignTableStmt" => add(&[Kind::Create, Kind::CreateTable]),
            "CreateFunctionStmt" => add(&[Kind::Create, Kind::CreateFunction]),
            "CreateExtensionStmt" => add(&[Kind::Create, Kind::CreateExtension]),
            "IndexStmt" | "ViewStmt" | "DefineStmt" | "RuleStmt" | "CompositeTypeStmt" => add(&[Kind::Create]),
            "AlterTableStmt" => add(&[Kind::Alter, Kind::AlterTable]),
            "AlterSystemStmt" => add(&[Kind::Alter, Kind::AlterSystem]),
            "RenameStmt" | "AlterObjectSchemaStmt" => {
                add(&[Kind::Alter]);
                let field = if node == "RenameStmt" { "rename_type" } else { "object_type" };
                let tables = [ObjectType::ObjectTable, ObjectType::ObjectColumn, ObjectType::ObjectTabconstraint];
                if tables.into_iter().any(|kind| is_object(field, kind)) {
                    add(&[Kind::AlterTable]);
                }
            }
            "CommentStmt" | "SecLabelStmt" | "ReassignOwnedStmt" => add(&[Kind::Alter]),
            "CopyStmt" => {
                add(&[Kind::Copy, if is("is_from") { Kind::CopyFrom } else { Kind::CopyTo }]);
                if is("is_program") {
                    add(&[Kind::CopyProgram]);
                } else if !text("filename").is_empty() {
                    add(&[Kind::CopyFile]);
                }
            }
            "DoStmt" => add(&[Kind::Do]),
            "CallStmt" => add(&[Kind::Call]),
            "PrepareStmt" => add(&[Kind::Prepare]),
            "ExecuteStmt" => add(&[Kind::Execute]),
            "VariableSetStmt" => self.set(Some(text("name"))),
            "LockStmt" => add(&[Kind::Lock]),
            "ExplainStmt" => add(&[Kind::Explain]),
            "TransactionStmt" => add(&[Kind::Transaction]),
            "ListenStmt" | "NotifyStmt" | "UnlistenStmt" => add(&[Kind::Notify]),
            "LoadStmt" => add(&[Kind::Load]),
            "VacuumStmt" | "ClusterStmt" | "ReindexStmt" | "RefreshMatViewStmt" | "CheckPointStmt" => {
                add(&[Kind::Maintenance])
            }
            // Kinds that nobody thought of here still count as what their name says.
            other if other.starts_with("Create") && other.ends_with("Stmt") => add(&[Kind::Create]),
            other if other.starts_with("Alter") && other.ends_with("Stmt") => add(&[Kind::Alter]),
            other if other.starts_with("Drop") && other.ends_with("Stmt") => add(&[Kind::Drop]),
            _ => {}
        }
    }

    /// What DROP names: lists of the parts of a name.
    fn dropped_names(&mut self, fields: &Map<String, Value>) {
        for object in fields.get("objects").and_then(Value::as_array).into_iter().flatten() {
            if let Some(Value::Array(parts)) = object.pointer("/node/List/items") {
                self.tables.extend(qualified(parts));
            }
        }
    }
}

fn is_given(fields: &Map<String, Value>, field: &str) -> bool {
    fields.get(field).is_some_and(|value| !value.is_null())
}

/// A number, as which the parser gives the kinds of things.
fn number(fields: &Map<String, Value>, field: &str) -> Option<i32> {
    fields.get(field)?.as_i64()?.try_into().ok()
}

fn only(fields: &Map<String, Value>) -> Option<(&String, &Value)> {
    let mut fields = fields.iter();
    let first = fields.next()?;
    fields.next().is_none().then_some(first)
}

/// A name of which the parts stand in a list; a database before the schema is left out.
fn qualified(parts: &[Value]) -> Option<Name> {
    let mut parts = parts.iter().rev().filter_map(|part| part.pointer("/node/String/sval")?.as_str());
    let name = parts.next()?;
    Some(named(parts.next().unwrap_or_default(), name))
}

fn named(schema: &str, name: &str) -> Name {
    ((!schema.is_empty()).then(|| schema.to_owned()), name.to_owned())
}
