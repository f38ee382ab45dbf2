//! The tree of a statement as the parser gives it: JSON, in which a node is an object with the name of its kind.

use hoop_proto::postgres::indirect::{is_free_setting, is_function};
use pg_query::protobuf::{SetOperation, SubLinkType};
use serde_json::{Map, Value};

/// What decides which rows there are, and in which order.
const CONDITIONS: [&str; 10] = [
    "agg_filter",
    "where_clause",
    "having_clause",
    "group_clause",
    "sort_clause",
    "distinct_clause",
    "quals",
    "join_condition",
    "partition_clause",
    "order_clause",
];

/// The statement whose rows a COPY, a cursor or a prepared statement gives.
pub(super) fn query(statement: &Value) -> Option<&Value> {
    let (kind, fields) = node(statement)?;
    let gives = matches!(kind, "CopyStmt" | "DeclareCursorStmt" | "PrepareStmt");
    fields.get("query").filter(|query| gives && query.is_object())
}

/// Whether what is in this field may be in a value. Queries of a WITH are read before all else.
pub(super) fn is_value(field: &str) -> bool {
    field != "with_clause" && !CONDITIONS.contains(&field)
}

/// Whether a SELECT is one, and no UNION, INTERSECT or EXCEPT, whose columns are called as those of its first.
pub(super) fn is_single(select: &Map<String, Value>) -> bool {
    select.get("op").and_then(Value::as_i64) == Some(SetOperation::SetopNone as i64)
}

/// Whether a column of a SELECT may be several: `*`, `t.*`, `(t).*`.
pub(super) fn has_star(target: &Value) -> bool {
    let indirection = target.pointer("/node/ResTarget/val/node/AIndirection/indirection").and_then(Value::as_array);
    is_star(target) || indirection.is_some_and(|parts| ends_with_star(parts))
}

pub(super) fn ends_with_star(parts: &[Value]) -> bool {
    parts.last().and_then(node).is_some_and(|(kind, _)| kind == "AStar")
}

pub(super) fn is_exists(link: &Map<String, Value>) -> bool {
    link.get("sub_link_type").and_then(Value::as_i64) == Some(SubLinkType::ExistsSublink as i64)
}

pub(super) fn is_count(call: &Map<String, Value>) -> bool {
    function_name(call).as_deref() == Some("count")
}

/// Whether an expression is made of anything that is read.
pub(super) fn reads_any(expression: &Value) -> bool {
    has_node(expression, &|kind, fields| match kind {
        "ColumnRef" => true,
        "SubLink" => !is_exists(fields),
        "FuncCall" => is_opaque(fields),
        _ => false,
    })
}

/// Whether a call may show what nobody names. A setting that cannot be any text shows nothing.
pub(super) fn is_opaque(call: &Map<String, Value>) -> bool {
    match function_name(call).as_deref() {
        Some("current_setting") => {
            let setting = call.get("args").and_then(|arguments| arguments.pointer("/0/node/AConst/val/Sval/sval"));
            setting.and_then(Value::as_str).is_none_or(is_free_setting)
        }
        Some(name) => is_function(name),
        None => true,
    }
}

/// The name of the function that is called, without its schema.
pub(super) fn function_name(call: &Map<String, Value>) -> Option<String> {
    string(call.get("funcname")?.as_array()?.last()?)
}

pub(super) fn has_node(value: &Value, is: &impl Fn(&str, &Map<String, Value>) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| has_node(item, is)),
        Value::Object(fields) => {
            tagged(fields).is_some_and(|(kind, inner)| is(kind, inner))
                || fields.values().any(|field| has_node(field, is))
        }
        _ => false,
    }
}

/// Whether it is a `*` as a column of a SELECT.
pub(super) fn is_star(target: &Value) -> bool {
    let fields = target.pointer("/node/ResTarget/val/node/ColumnRef/fields").and_then(Value::as_array);
    fields.is_some_and(|parts| ends_with_star(parts))
}

/// A node: its kind, and what it holds.
pub(super) fn node(value: &Value) -> Option<(&str, &Map<String, Value>)> {
    tagged(value.get("node")?.as_object()?)
}

pub(super) fn tagged(fields: &Map<String, Value>) -> Option<(&str, &Map<String, Value>)> {
    let mut fields = fields.iter();
    let (kind, inner) = fields.next()?;
    let is_kind = kind.starts_with(|char: char| char.is_ascii_uppercase());
    (is_kind && fields.next().is_none()).then_some((kind.as_str(), inner.as_object()?))
}

/// Names are compared without regard to case, as the server folds letters that the parser leaves as they are.
pub(super) fn text(fields: &Map<String, Value>, field: &str) -> Option<String> {
    fields.get(field)?.as_str().filter(|text| !text.is_empty()).map(str::to_lowercase)
}

/// The text of a node that is one.
pub(super) fn string(value: &Value) -> Option<String> {
    node(value).filter(|(kind, _)| *kind == "String").and_then(|(_, fields)| text(fields, "sval"))
}

pub(super) fn has_any(fields: &Map<String, Value>, field: &str) -> bool {
    fields.get(field).and_then(Value::as_array).is_some_and(|items| !items.is_empty())
}
