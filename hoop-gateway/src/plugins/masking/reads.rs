//! What a statement may make its results of, as far as its text says it.
//!
//! A column of a result that is no table's is an expression, and the server does not say over what. The text names it: columns by
//! name, rows as a whole, tables. What only decides which rows there are (WHERE, HAVING, the order) is in no value and does not count.
//! Views, partitions and functions are what their names say: what lies beneath them is not in the text.

use std::collections::BTreeSet;
use std::sync::Arc;

use hoop_proto::postgres::indirect::{is_free_setting, is_function, is_relation};
use pg_query::ParserOptions;
use pg_query::protobuf::{SetOperation, SubLinkType};
use serde_json::{Map, Value};

/// Longest text that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// What decides which rows there are, and in which order.
const CONDITIONS: [&str; 9] = [
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

/// Texts that a session remembers, and how long each may be, in bytes: an idle session must stay small.
const REMEMBERED: usize = 4;
const LONGEST_REMEMBERED: usize = 1024;

/// What the texts read that a session ran last.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    texts: Vec<(blake3::Hash, Arc<Reads>)>,
    next: usize,
}

impl Remembered {
    /// What this text reads.
    pub(crate) fn of(&mut self, text: &[u8]) -> Arc<Reads> {
        let hash = blake3::hash(text);
        if let Some((_, reads)) = self.texts.iter().find(|(known, _)| *known == hash) {
            return Arc::clone(reads);
        }
        let reads = Arc::new(Reads::of(text));
        if text.len() <= LONGEST_REMEMBERED {
            let entry = (hash, Arc::clone(&reads));
            match self.texts.get_mut(self.next) {
                Some(place) => *place = entry,
                None => self.texts.push(entry),
            }
            self.next = (self.next + 1) % REMEMBERED;
        }
        reads
    }
}

/// What the columns of a result may be made of.
#[derive(Debug)]
pub(crate) struct Reads {
    /// What all of them may be made of.
    all: Named,
    /// For each column what it alone names, `None` where it is made of nothing that is read, such as `count(*)`; empty where the text
    /// does not say which is which.
    each: Vec<Option<Named>>,
}

impl Reads {
    /// What this text reads, in whatever encoding and with whatever settings it came. What cannot be read may read anything, and so
    /// may what has no text.
    fn of(text: &[u8]) -> Self {
        let has_backslash = text.contains(&b'\\');
        // In some encodings a backslash may be the second byte of a character.
        let is_plain = text.is_ascii() || !has_backslash;
        let Some(text) = std::str::from_utf8(text).ok().filter(|text| is_plain && (1..=LONGEST).contains(&text.len()))
        else {
            return Self::anything();
        };
        let other = ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS;
        let mut reads = match (Self::read(text, ParserOptions::DEFAULT), has_backslash.then(|| Self::read(text, other)))
        {
            (Some(one), Some(Some(other))) => Self { all: one.together().and(other.together()), each: Vec::new() },
            // What is no statement has no result: the server has read the other.
            (Some(only), _) | (None, Some(Some(only))) => only,
            (None, _) => return Self::anything(),
        };
        reads.all.close(&BTreeSet::new());
        reads.each.iter_mut().flatten().for_each(|each| each.close(&reads.all.rows));
        reads
    }

    /// What the column with this index may be made of.
    pub(crate) fn column(&self, column: usize) -> Vec<&Named> {
        match self.each.get(column) {
            Some(None) => Vec::new(),
            Some(Some(own)) => vec![&self.all, own],
            None => vec![&self.all],
        }
    }

    fn anything() -> Self {
        Self { all: Named { opaque: true, ..Named::default() }, each: Vec::new() }
    }

    /// What a text reads with these settings; `None` where it is no text that can be read.
    fn read(text: &str, options: ParserOptions) -> Option<Self> {
        let mut reads = Self { all: Named::default(), each: Vec::new() };
        let parsed = pg_query::parse(text, options).map(|parsed| parsed.protobuf.stmts).ok()?;
        let statements = serde_json::to_value(parsed).ok()?;
        let statements: Vec<_> =
            statements.as_array().into_iter().flatten().filter_map(|raw| raw.get("stmt")).collect();
        match statements.as_slice() {
            [statement] => reads.only(statement),
            several => several.iter().for_each(|statement| reads.all.statement(statement)),
        }
        Some(reads)
    }

    /// The only statement of a text. Where the columns of a SELECT can be told apart, they are.
    fn only(&mut self, statement: &Value) {
        let select = node(statement).filter(|(kind, select)| *kind == "SelectStmt" && is_single(select));
        let targets = select.and_then(|(_, select)| select.get("target_list")?.as_array());
        let (Some((_, select)), Some(targets)) = (select, targets.filter(|targets| !targets.iter().any(has_star)))
        else {
            return self.all.statement(statement);
        };
        let rest = select.iter().filter(|(field, _)| is_value(field) && *field != "target_list");
        rest.for_each(|(_, value)| self.all.visit(value));
        self.each = targets.iter().map(|target| reads_any(target).then(|| Named::by(target))).collect();
    }

    fn together(self) -> Named {
        self.each.into_iter().flatten().fold(self.all, Named::and)
    }
}

/// What is named in a part of a text. Names are as the server has them: what is not quoted is in lower case.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// Names that stand where a column may: also of rows as a whole.
    pub(super) columns: BTreeSet<String>,
    /// Tables, each with its schema where one is given.
    pub(super) tables: BTreeSet<(Option<String>, String)>,
    /// Whether some of it is read without its name: rows as a whole, or columns under names given by their place.
    pub(super) whole: bool,
    /// Whether it may read what it does not name.
    pub(super) opaque: bool,
    /// Names that stand for rows.
    rows: BTreeSet<String>,
    functions: BTreeSet<String>,
}

impl Named {
    fn by(value: &Value) -> Self {
        let mut named = Self::default();
        named.visit(value);
        named
    }

    fn and(mut self, mut other: Self) -> Self {
        self.columns.append(&mut other.columns);
        self.tables.append(&mut other.tables);
        self.rows.append(&mut other.rows);
        self.functions.append(&mut other.functions);
        self.whole |= other.whole;
        self.opaque |= other.opaque;
        self
    }

    /// Everything has been named, and these are rows, too.
    fn close(&mut self, rows: &BTreeSet<String>) {
        let is_row = |name| self.rows.contains(name) || rows.contains(name);
        self.whole |= self.columns.iter().any(is_row);
        if self.whole {
            // `ssn(customers)` is `customers.ssn`.
            self.columns.append(&mut self.functions);
        }
    }

    /// A statement that gives a result of its own.
    fn statement(&mut self, statement: &Value) {
        let Some((kind, fields)) = node(statement) else { return };
        match kind {
            // A plan shows what was asked for, and how it is done.
            "ExplainStmt" | "VariableShowStmt" => {}
            // What was said before is what runs.
            "ExecuteStmt" | "FetchStmt" | "CallStmt" => self.opaque = true,
            "CopyStmt" if fields.get("query").is_some_and(Value::is_object) => {
                fields.get("query").into_iter().for_each(|query| self.statement(query));
            }
            _ => self.rows_of(statement),
        }
    }

    /// A statement whose rows go on with their columns as they are called: of a SELECT, `*` renames none.
    fn rows_of(&mut self, statement: &Value) {
        match node(statement) {
            Some(("SelectStmt", select)) if is_single(select) => {
                for (field, value) in select.iter().filter(|(field, _)| is_value(field)) {
                    match value {
                        Value::Array(targets) if field == "target_list" => {
                            targets.iter().filter(|target| !is_star(target)).for_each(|target| self.visit(target));
                        }
                        value => self.visit(value),
                    }
                }
            }
            _ => self.visit(statement),
        }
    }

    /// The parser's own limit on depth bounds the recursion.
    fn visit(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.visit(item)),
            Value::Object(fields) => {
                if let Some((kind, inner)) = node(value).or_else(|| tagged(fields)) {
                    return self.node(kind, inner);
                }
                self.fields(fields);
            }
            _ => {}
        }
    }

    fn fields(&mut self, fields: &Map<String, Value>) {
        self.untagged(fields);
        for (field, value) in fields.iter().filter(|(field, _)| is_value(field)) {
            match field.as_str() {
                "subquery" | "ctequery" => self.rows_of(value),
                _ => self.visit(value),
            }
        }
    }

    fn node(&mut self, kind: &str, fields: &Map<String, Value>) {
        match kind {
            "ColumnRef" => self.column(fields),
            // Whether there are such rows is no value of theirs.
            "SubLink" => {
                if !is_exists(fields) {
                    self.fields(fields);
                }
            }
            // What a function gives is no column of a table, whatever it is called.
            "RangeFunction" => fields.get("functions").into_iter().for_each(|functions| self.visit(functions)),
            "CommonTableExpr" => {
                self.rows.extend(text(fields, "ctename"));
                self.whole |= has_any(fields, "aliascolnames");
                self.fields(fields);
            }
            "FuncCall" => {
                self.function(fields);
                self.fields(fields);
            }
            _ => self.fields(fields),
        }
    }

    /// Structures that stand in a field of their own type, without the name of their kind.
    fn untagged(&mut self, fields: &Map<String, Value>) {
        if let (Some(table), Some(Value::String(schema))) = (text(fields, "relname"), fields.get("schemaname")) {
            self.opaque |= is_relation(&table);
            self.rows.insert(table.clone());
            self.tables.insert(((!schema.is_empty()).then(|| schema.clone()), table));
        }
        if let Some(alias) = text(fields, "aliasname") {
            self.rows.insert(alias);
            self.whole |= has_any(fields, "colnames");
        }
    }

    fn column(&mut self, reference: &Map<String, Value>) {
        let parts = reference.get("fields").and_then(Value::as_array);
        match parts.and_then(|parts| node(parts.last()?)) {
            Some(("String", name)) => self.columns.extend(text(name, "sval")),
            _ => self.whole = true,
        }
    }

    fn function(&mut self, call: &Map<String, Value>) {
        self.opaque |= is_opaque(call);
        self.functions.extend(function_name(call));
    }
}

/// Whether what is in this field may be in a value.
fn is_value(field: &str) -> bool {
    !CONDITIONS.contains(&field)
}

/// Whether a SELECT is one, and no UNION, INTERSECT or EXCEPT, whose columns are called as those of its first.
fn is_single(select: &Map<String, Value>) -> bool {
    select.get("op").and_then(Value::as_i64) == Some(SetOperation::SetopNone as i64)
}

/// Whether a column of a SELECT may be several: `*`, `t.*`, `(t).*`.
fn has_star(target: &Value) -> bool {
    let indirection = target.pointer("/node/ResTarget/val/node/AIndirection/indirection").and_then(Value::as_array);
    is_star(target) || indirection.is_some_and(|parts| ends_with_star(parts))
}

fn ends_with_star(parts: &[Value]) -> bool {
    parts.last().and_then(node).is_some_and(|(kind, _)| kind == "AStar")
}

fn is_exists(link: &Map<String, Value>) -> bool {
    link.get("sub_link_type").and_then(Value::as_i64) == Some(SubLinkType::ExistsSublink as i64)
}

/// Whether an expression is made of anything that is read.
fn reads_any(expression: &Value) -> bool {
    has_node(expression, &|kind, fields| match kind {
        "ColumnRef" => true,
        "SubLink" => !is_exists(fields),
        "FuncCall" => is_opaque(fields),
        _ => false,
    })
}

/// Whether a call may show what nobody names. A setting that cannot be any text shows nothing.
fn is_opaque(call: &Map<String, Value>) -> bool {
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
fn function_name(call: &Map<String, Value>) -> Option<String> {
    text(node(call.get("funcname")?.as_array()?.last()?)?.1, "sval")
}

fn has_node(value: &Value, is: &impl Fn(&str, &Map<String, Value>) -> bool) -> bool {
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
fn is_star(target: &Value) -> bool {
    let fields = target.pointer("/node/ResTarget/val/node/ColumnRef/fields").and_then(Value::as_array);
    fields.is_some_and(|parts| ends_with_star(parts))
}

/// A node: its kind, and what it holds.
fn node(value: &Value) -> Option<(&str, &Map<String, Value>)> {
    tagged(value.get("node")?.as_object()?)
}

fn tagged(fields: &Map<String, Value>) -> Option<(&str, &Map<String, Value>)> {
    let mut fields = fields.iter();
    let (kind, inner) = fields.next()?;
    let is_kind = kind.starts_with(|char: char| char.is_ascii_uppercase());
    (is_kind && fields.next().is_none()).then_some((kind.as_str(), inner.as_object()?))
}

fn text(fields: &Map<String, Value>, field: &str) -> Option<String> {
    fields.get(field)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn has_any(fields: &Map<String, Value>, field: &str) -> bool {
    fields.get(field).and_then(Value::as_array).is_some_and(|items| !items.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::masking::ColumnRule;

    fn rule(column: &str) -> ColumnRule {
        serde_json::from_value(serde_json::json!({ "column": column })).expect("a rule")
    }

    /// Whether values of the rule's column may be in any of the result's.
    fn may_be_in(rule: &ColumnRule, text: &str) -> bool {
        let reads = Reads::of(text.as_bytes());
        (0..=reads.each.len())
            .any(|column| reads.each.get(column).is_none_or(Option::is_some) && rule.may_be_in(&reads.column(column)))
    }

    #[test]
    fn what_is_made_of_a_column_is_known_by_its_name() {
        let rule = rule("customers.ssn");
        for text in [
            "select ssn || '' from customers",
            "select upper(c.\"ssn\") from shop.customers c",
            "select U&\"s\\0073n\" || '' from customers",
            "select x || '' from (select ssn as x from customers) t",
            "select x || '' from (select * from customers) t (a, b, x)",
            "with t (x) as (select * from customers) select x || '' from t",
            "with t as (select ssn x from customers) select max(x) from t",
            "select c::text from customers c",
            "select customers from customers",
            "select row_to_json(c) from customers as c",
            "select json_agg(t) from (select * from customers) t",
            "select (c.*)::text from customers c",
            "select row(c.*) from customers c",
            "select ssn(c) || '' from customers c",
            "select array(select ssn from customers)",
            "select (select max(ssn) from customers)",
            "select (select array_agg(c) from customers c)",
            "select 'a' as x union all select ssn from customers",
            "select 1, 'a' as x union all select * from customers",
            "select x || '' from (select 'a' as x union all select * from customers) t",
            "select percentile_disc(0.5) within group (order by ssn) from customers",
            "select case when ssn like '1%' then 1 else 0 end from customers",
            "select lag(ssn) over (order by id) from customers",
            "select l.x || '' from customers c, lateral (select c.ssn as x) l",
            "select l.x || '' from customers c cross join lateral unnest(array[c.ssn]) l (x)",
            "update customers set id = id returning upper(ssn)",
            "delete from customers returning customers::text",
            "insert into other select * from customers returning upper(note)",
            "insert into other (note) select ssn from customers returning upper(note)",
            "merge into other o using customers c on o.id = c.id when matched then delete returning upper(c.ssn)",
            "copy (select ssn || '' as x from customers) to stdout",
            "select '\\' || ssn || '' from customers",
            "select 1; select upper(ssn) from customers",
            "select upper(ssn) from a_view_of_it",
            "execute s",
            "fetch all from c",
            "call p(1)",
            "select query_to_xml('select 1', true, true, '')",
            "select table_to_xml('customers', true, true, '')",
            "select current_setting('x.y')",
            "select pg_catalog.current_setting('Application_Name', true)",
            "select current_setting('jit' || '')",
            "select most_common_vals::text from pg_stats",
            "no statement",
            "",
            "select E'\u{e9}\\' from t",
        ] {
            assert!(may_be_in(&rule, text), "{text}");
        }
        assert!(rule.may_be_in(&Reads::of(b"select '\xe9' from t").column(0)), "in another encoding");
    }

    #[test]
    fn what_is_made_of_others_is_shown() {
        let (one, all) = (rule("customers.ssn"), rule("customers.*"));
        for text in [
            "select count(*) from orders",
            "select count(*) from customers",
            "select count(*) from (select * from customers) t",
            "with t as (select * from customers) select count(*) from t",
            "select max(id) from customers where ssn is not null",
            "select lower(name) from customers group by lower(name), ssn having max(ssn) > '' order by ssn",
            "select max(o.total) from customers c join orders o on o.ssn = c.ssn",
            "select row_number() over (partition by ssn order by ssn) from customers",
            "select lower(name) from (select * from customers) t",
            "select row_to_json(o) from orders o",
            "select x::text from generate_series(1, 3) as t (x), customers",
            "select 'ssn'",
            "select $1::text, $2::bytea",
            "select 'x'::text, '\\x00ff'::bytea",
            "select 1 as ssn_count",
            "explain (analyze, verbose) select upper(ssn) from customers",
            "show server_version",
            "select now(), version()",
            "select current_setting('jit') as cur, set_config('jit', 'off', false) as new",
            "update customers set ssn = '' where ssn = '' returning lower(name)",
        ] {
            assert!(!may_be_in(&one, text), "{text}");
        }
        for (text, may) in [
            ("select max(total) from orders", false),
            ("select count(*) from customers", false),
            ("select max(id) from customers", true),
            ("select max(id) from shop.customers", true),
        ] {
            assert_eq!(may_be_in(&all, text), may, "{text}");
        }
        assert!(!may_be_in(&rule("hr.customers.ssn"), "select c from shop.customers c"));
    }

    #[test]
    fn columns_are_told_apart_where_they_can_be() {
        let rule = rule("customers.ssn");
        for (text, expected) in [
            ("select count(*), upper(ssn), 'x', lower(name) from customers", [false, true, false, false]),
            ("select c.id, c, c::text, count(c) from customers c", [false, true, true, true]),
            (
                "select a, 1, b || '', now() from (select ssn as a, id as b from customers) t",
                [true, false, true, false],
            ),
            ("select (select ssn from customers), 1, (select max(id) from customers), 2", [true, false, false, false]),
            ("select 1, current_setting('x.y'), now(), id from customers", [false, true, false, false]),
            ("select exists (select * from customers where ssn = ''), ssn from customers", [false, true, false, false]),
            ("select row(c.*), 1 from customers c", [true, false, false, false]),
            ("select *, upper(ssn), now() from customers", [true; 4]),
            ("select (c).*, now() from customers c", [true; 4]),
            ("select 1, ssn from customers union select 2, ssn from customers", [true; 4]),
            ("select 1; select upper(ssn) from customers", [true; 4]),
            ("select '\\', ssn from customers", [false, true, false, false]),
            ("select 'a\\b', ssn from customers", [true; 4]),
        ] {
            let reads = Reads::of(text.as_bytes());
            let columns = [0, 1, 2, 3].map(|at| rule.may_be_in(&reads.column(at)));
            assert_eq!(columns, expected, "{text}");
        }
    }
}
