//! What a parsed statement does, and what it touches.
//!
//! The tree is walked in its serialized form: every node of every kind is seen, also of kinds that nobody thought of here.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::ObjectType;
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
            self.functions.extend(qualified(parts));
        }
    }

    fn node(&mut self, node: &str, fields: &Map<String, Value>) {
        let is = |field: &str| fields.get(field) == Some(&Value::Bool(true));
        let has = |field: &str| fields.get(field).is_some_and(|value| !value.is_null());
        let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
        let object = |field: &str| fields.get(field).and_then(Value::as_i64).and_then(|kind| i32::try_from(kind).ok());
        let is_object = |field: &str, kind: ObjectType| object(field) == Some(kind as i32);
        let mut add = |kinds: &[Kind]| self.kinds.extend(kinds);
        match node {
            "SelectStmt" if has("into_clause") => add(&[Kind::Select, Kind::Create, Kind::CreateTable]),
            "SelectStmt" => add(&[Kind::Select]),
            "InsertStmt" => add(&[Kind::Insert]),
            "UpdateStmt" if has("where_clause") => add(&[Kind::Update]),
            "UpdateStmt" => add(&[Kind::Update, Kind::UpdateWithoutWhere]),
            "DeleteStmt" if has("where_clause") => add(&[Kind::Delete]),
            "DeleteStmt" => add(&[Kind::Delete, Kind::DeleteWithoutWhere]),
            "MergeStmt" => add(&[Kind::Merge]),
            "TruncateStmt" => add(&[Kind::Truncate]),
            "DropStmt" => {
                add(&[Kind::Drop]);
                if is_object("remove_type", ObjectType::ObjectTable)
                    || is_object("remove_type", ObjectType::ObjectForeignTable)
                {
                    add(&[Kind::DropTable]);
                }
                if is_object("remove_type", ObjectType::ObjectView)
                    || is_object("remove_type", ObjectType::ObjectMatview)
                {
                    add(&[Kind::DropView]);
                }
                if is_object("remove_type", ObjectType::ObjectSchema) {
                    add(&[Kind::DropSchema]);
                }
                self.dropped(fields);
            }
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
            "VariableSetStmt" if matches!(text("name"), "role" | "session_authorization") => {
                add(&[Kind::Set, Kind::SetRole])
            }
            "VariableSetStmt" => add(&[Kind::Set]),
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
    fn dropped(&mut self, fields: &Map<String, Value>) {
        for object in fields.get("objects").and_then(Value::as_array).into_iter().flatten() {
            if let Some(Value::Array(parts)) = object.pointer("/node/List/items") {
                self.tables.extend(qualified(parts));
            }
        }
    }
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
