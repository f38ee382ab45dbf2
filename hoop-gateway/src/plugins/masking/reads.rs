//! What a statement may make its results of, as far as its text says it.
//!
//! A column of a result that is no table's is an expression, and the server does not say over what. The text names it: columns by
//! name, rows as a whole, tables. What only decides which rows there are (WHERE, HAVING, the order) is in no value and does not count.
//! Views, partitions and functions are what their names say: what lies beneath them is not in the text.

use std::collections::BTreeSet;
use std::sync::Arc;

use hoop_proto::postgres::indirect::{is_free_setting, is_function, is_relation, takes_rows};
use pg_query::ParserOptions;
use pg_query::protobuf::{SetOperation, SubLinkType};
use serde_json::{Map, Value};

/// Longest text that is read, in bytes, and most bytes in it that are no letters and digits: each may part what takes four kilobytes
/// while it is read. What is larger may read anything.
const LONGEST: usize = 1 << 20;
const MOST_PARTED: usize = 16 << 10;

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

/// Texts that a session remembers, and how long each may be, in bytes: an idle session must stay small.
const REMEMBERED: usize = 4;
const LONGEST_REMEMBERED: usize = 1024;

/// What the texts read that a session ran last.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    texts: Vec<(blake3::Hash, Arc<Reads>)>,
    next: usize,
    /// Whether a backslash in `'…'` was anything but an ordinary character at some time.
    escapes: bool,
}

impl Remembered {
    /// Takes note that a backslash in `'…'` is no ordinary character now.
    pub(crate) fn escape(&mut self) {
        *self = Self { escapes: true, ..Self::default() };
    }

    /// What this text reads.
    pub(crate) fn of(&mut self, text: &[u8]) -> Arc<Reads> {
        let hash = blake3::hash(text);
        if let Some((_, reads)) = self.texts.iter().find(|(known, _)| *known == hash) {
            return Arc::clone(reads);
        }
        let reads = Arc::new(Reads::of(text, self.escapes));
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
    /// What this text reads, in whatever encoding and with whatever settings it came; whether a backslash `escapes` may be known. What
    /// cannot be read may read anything, and so may what has no text.
    fn of(text: &[u8], escapes: bool) -> Self {
        let has_backslash = text.contains(&b'\\');
        // In some encodings a backslash may be the second byte of a character.
        let is_plain = text.is_ascii() || !has_backslash;
        let is_small = || text.iter().filter(|byte| !byte.is_ascii_alphanumeric()).nth(MOST_PARTED).is_none();
        let is_readable = is_plain && (1..=LONGEST).contains(&text.len()) && is_small();
        let Some(text) = std::str::from_utf8(text).ok().filter(|_| is_readable) else { return Self::anything() };
        let read = Self::read(text, ParserOptions::DEFAULT);
        let escaped = has_backslash.then(|| Self::read(text, ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS));
        let mut reads = match (read, escaped) {
            (Some(one), None) => one,
            (Some(one), Some(Some(other))) => Self { all: one.together().and(other.together()), each: Vec::new() },
            // An older server may take what the other grammar does not.
            (Some(one), Some(None)) if !escapes => one,
            _ => return Self::anything(),
        };
        reads.all.close(&Named::default());
        reads.each.iter_mut().flatten().for_each(|each| each.close(&reads.all));
        reads
    }

    /// What the column with this index may be made of, of so many.
    pub(crate) fn column(&self, column: usize, of: usize) -> Vec<&Named> {
        if self.each.len() != of {
            return std::iter::once(&self.all).chain(self.each.iter().flatten()).collect();
        }
        match self.each.get(column) {
            Some(Some(own)) => vec![&self.all, own],
            _ => Vec::new(),
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
        if let Some(query) = query(statement) {
            return self.only(query);
        }
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

/// What is named in a part of a text, in lower case.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// Names that stand where a column may, or a field.
    pub(super) columns: BTreeSet<String>,
    /// Tables, each with its schema where one is given.
    pub(super) tables: BTreeSet<Table>,
    /// Whether columns of these tables are read under names that are given by their place.
    pub(super) by_place: bool,
    /// Whether rows of a table or view are read as a whole: of a partition, or of a view of them, nobody knows of which table.
    pub(super) rows: bool,
    /// Whether it may read what it does not name.
    pub(super) opaque: bool,
    /// Names that stand for rows of tables.
    of_tables: BTreeSet<(String, Table)>,
    /// Names that stand for rows of what is selected: its columns are named there.
    of_others: BTreeSet<String>,
    ctes: BTreeSet<String>,
    /// Whether something that is selected has a `*` among its columns, and whether some of it is renamed by its place.
    stars: bool,
    renames: bool,
}

/// A table's name, behind its schema where one is given.
type Table = (Option<String>, String);

impl Named {
    fn by(value: &Value) -> Self {
        let mut named = Self::default();
        named.visit(value);
        named
    }

    fn and(mut self, mut other: Self) -> Self {
        self.columns.append(&mut other.columns);
        self.tables.append(&mut other.tables);
        self.of_tables.append(&mut other.of_tables);
        self.of_others.append(&mut other.of_others);
        self.ctes.append(&mut other.ctes);
        self.by_place |= other.by_place;
        self.rows |= other.rows;
        self.opaque |= other.opaque;
        self.stars |= other.stars;
        self.renames |= other.renames;
        self
    }

    /// Everything has been named: what of it stands for rows?
    fn close(&mut self, all: &Named) {
        let is_cte = |table: &Table| table.0.is_none() && (self.ctes.contains(&table.1) || all.ctes.contains(&table.1));
        let (mut rows, mut by_place) = (false, false);
        for (_, table) in self.of_tables.iter().chain(&all.of_tables).filter(|(row, _)| self.columns.contains(row)) {
            let is_other = is_cte(table);
            by_place |= is_other;
            rows |= !is_other && !is_catalog(table);
        }
        by_place |= self.of_others.iter().chain(&all.of_others).any(|row| self.columns.contains(row));
        by_place |= self.renames || all.renames;
        self.rows |= rows;
        self.by_place |= by_place && (self.stars || all.stars);
    }

    /// A statement that gives a result of its own.
    fn statement(&mut self, statement: &Value) {
        if let Some(query) = query(statement) {
            return self.statement(query);
        }
        let Some((kind, fields)) = node(statement) else { return };
        match kind {
            // A plan shows what was asked for, and what the parameters of an EXECUTE are.
            "ExplainStmt" => {
                let parameters = fields.get("query").and_then(|query| query.pointer("/node/ExecuteStmt/params"));
                parameters.into_iter().for_each(|parameters| self.visit(parameters));
            }
            "VariableShowStmt" => self.opaque |= text(fields, "name").is_some_and(|name| is_free_setting(&name)),
            // What was said before is what runs.
            "ExecuteStmt" | "FetchStmt" | "CallStmt" => self.opaque = true,
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
                            self.stars |= targets.iter().any(is_star);
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
            Value::Array(items) => {
                // Of a UNION, an INSERT or a RETURNING.
                self.by_place |= items.iter().any(is_star);
                items.iter().filter(|item| !is_star(item)).for_each(|item| self.visit(item));
            }
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
        let is_table = self.table(fields);
        if let Some(alias) = text(fields, "aliasname") {
            self.renames |= has_any(fields, "colnames");
            self.of_others.insert(alias);
        }
        for (field, value) in fields.iter().filter(|(field, _)| is_value(field)) {
            match field.as_str() {
                "alias" if is_table => {}
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
            "JoinExpr" => {
                for alias in ["alias", "join_using_alias"].map(|field| fields.get(field).and_then(Value::as_object)) {
                    self.join(alias);
                }
                self.fields(fields);
            }
            "CommonTableExpr" => {
                self.renames |= has_any(fields, "aliascolnames");
                self.ctes.extend(text(fields, "ctename"));
                self.fields(fields);
            }
            // How many there are, and whether there is one, is no value either.
            "NullTest" => {}
            "FuncCall" => {
                if function_name(fields).as_deref() != Some("count") {
                    self.call(fields);
                    self.fields(fields);
                }
            }
            "AIndirection" => {
                let parts = fields.get("indirection").and_then(Value::as_array).into_iter().flatten();
                self.columns.extend(parts.filter_map(string));
                self.fields(fields);
            }
            // Which columns are grouped by.
            "GroupingFunc" => {}
            // The rows before and behind a change have other names.
            "ReturningOption" => self.by_place = true,
            _ => self.fields(fields),
        }
    }

    /// A table, which stands in a field of its own type, too, without the name of its kind.
    fn table(&mut self, fields: &Map<String, Value>) -> bool {
        let (Some(name), Some(schema)) = (text(fields, "relname"), fields.get("schemaname")) else { return false };
        let alias = fields.get("alias").and_then(Value::as_object);
        let table = (schema.as_str().filter(|schema| !schema.is_empty()).map(str::to_lowercase), name.clone());
        self.opaque |= is_relation(&name);
        self.rows |= alias.is_some_and(|alias| has_any(alias, "colnames")) && !is_catalog(&table);
        let row = alias.and_then(|alias| text(alias, "aliasname")).unwrap_or(name);
        self.of_tables.insert((row, table.clone()));
        self.tables.insert(table);
        true
    }

    /// A name for the rows of joined tables.
    fn join(&mut self, alias: Option<&Map<String, Value>>) {
        let Some((alias, name)) = alias.and_then(|alias| Some((alias, text(alias, "aliasname")?))) else { return };
        self.rows |= has_any(alias, "colnames");
        self.of_tables.insert((name, Table::default()));
    }

    fn column(&mut self, reference: &Map<String, Value>) {
        let parts = reference.get("fields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let Some((last, before)) = parts.split_last() else { return };
        let row = before.last().and_then(string);
        match string(last) {
            Some(name) => {
                // RETURNING has rows of these names. `c.to_json` is `to_json(c)`.
                self.by_place |= ["old", "new"].contains(&name.as_str());
                self.columns.extend(row.filter(|_| takes_rows(&name)));
                self.columns.insert(name);
            }
            None if row.is_some() => self.columns.extend(row),
            None => self.rows = true,
        }
    }

    fn call(&mut self, call: &Map<String, Value>) {
        self.opaque |= is_opaque(call);
        // `ssn(c)` is `c.ssn`.
        let has_one = call.get("args").and_then(Value::as_array).is_some_and(|arguments| arguments.len() == 1);
        self.columns.extend(function_name(call).filter(|_| has_one));
    }
}

/// Whether what is there is the server's own, and shows nothing of tables.
fn is_catalog((schema, table): &Table) -> bool {
    match schema {
        Some(schema) => ["pg_catalog", "information_schema"].contains(&schema.as_str()),
        None => table.starts_with("pg_"),
    }
}

/// The statement whose rows a COPY, a cursor or a prepared statement gives.
fn query(statement: &Value) -> Option<&Value> {
    let (kind, fields) = node(statement)?;
    let gives = matches!(kind, "CopyStmt" | "DeclareCursorStmt" | "PrepareStmt");
    fields.get("query").filter(|query| gives && query.is_object())
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
    string(call.get("funcname")?.as_array()?.last()?)
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

/// Names are compared without regard to case, as the server folds letters that the parser leaves as they are.
fn text(fields: &Map<String, Value>, field: &str) -> Option<String> {
    fields.get(field)?.as_str().filter(|text| !text.is_empty()).map(str::to_lowercase)
}

/// The text of a node that is one.
fn string(value: &Value) -> Option<String> {
    node(value).filter(|(kind, _)| *kind == "String").and_then(|(_, fields)| text(fields, "sval"))
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
        let reads = Reads::of(text.as_bytes(), false);
        let of = reads.each.len();
        (0..of.max(1)).any(|column| rule.may_be_in(&reads.column(column, of.max(1))))
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
            "declare c cursor for select ssn || '' from customers",
            "prepare s as select ssn || '' from customers",
            "select '\\' || ssn || '' from customers",
            "select 1; select upper(ssn) from customers",
            "select upper(ssn) from a_view_of_it",
            "select row_to_json(p) from customers_2024 p",
            "select p::text from shop.customers_2024 p",
            "select x || '' from customers_2024 p (a, b, x)",
            "select (c.*)::text from customers_2024 c",
            "select row(*) from customers_2024",
            "select (r).ssn || '' from a_view_of_rows",
            "select ssn(r) || '' from a_view_of_rows",
            "select j::text from (customers c join orders o on true) as j",
            "select x || '' from (customers c join orders o on true) as j (a, b, x)",
            "select j::text from customers c join orders o using (ssn) as j",
            "with t (a, b, x) as (table customers) select x || '' from t",
            "select c.to_jsonb from customers c",
            "select customers.row_to_json from customers",
            "select \u{c4}::text from customers \u{e4}",
            "update customers set id = id returning old::text",
            "update customers set id = id returning with (new as n) n::text",
            "explain execute p(query_to_xml('select ssn from customers', true, true, ''))",
            "show application_name",
            "select * from xpath_table('ssn', 'ssn', 'customers', '/', 'true') as t (x text)",
            "execute s",
            "fetch all from c",
            "call p(1)",
            "select query_to_xml('select 1', true, true, '')",
            "select table_to_xml('customers', true, true, '')",
            "select current_setting('x.y')",
            "select pg_catalog.current_setting('Application_Name', true)",
            "select current_setting('jit' || '')",
            "select most_common_vals::text from pg_stats",
            &format!("select array[1{}]", ",1".repeat(MOST_PARTED)),
            &format!("select '{}'", "x".repeat(LONGEST)),
            "no statement",
            "",
            "select E'\u{e9}\\' from t",
        ] {
            assert!(may_be_in(&rule, text), "{text}");
        }
        assert!(rule.may_be_in(&Reads::of(b"select '\xe9' from t", false).column(0, 1)), "in another encoding");
    }

    /// A server may take what our grammar does not, if a backslash escapes there.
    #[test]
    fn where_a_backslash_may_escape_both_readings_count() {
        let (rule, text) = (rule("customers.ssn"), b"select 'a\\'', 1x, upper(ssn) from customers --'");
        for escapes in [false, true] {
            let mut remembered = Remembered::default();
            assert!(!rule.may_be_in(&remembered.of(text).column(0, 1)));
            if escapes {
                remembered.escape();
            }
            assert_eq!(rule.may_be_in(&remembered.of(text).column(0, 1)), escapes);
        }
    }

    #[test]
    fn what_is_made_of_others_is_shown() {
        let (one, all) = (rule("customers.ssn"), rule("customers.*"));
        for text in [
            "select count(*) from orders",
            "select count(*) from customers",
            "select count(*) from (select * from customers) t",
            "select count(ssn), count(distinct ssn), ssn is null, count(customers) from customers group by ssn",
            "with t as (select * from customers) select count(*) from t",
            "select max(id) from customers where ssn is not null",
            "select lower(name) from customers group by lower(name), ssn having max(ssn) > '' order by ssn",
            "select max(o.total) from customers c join orders o on o.ssn = c.ssn",
            "select row_number() over (partition by ssn order by ssn) from customers",
            "select lower(name) from (select * from customers) t",
            "select row_to_json(t) from (select id, name from customers) t",
            "with t as (select id, name from customers) select json_agg(t) from t",
            "select relname::text, c.oid::regclass from pg_class c where pg_table_is_visible(c.oid)",
            "with t (n) as (select count(*) from customers) select n from t",
            "select n from (select count(*) from customers) t (n)",
            "select * from orders_2023 union all select * from orders_2024",
            "declare c cursor for select count(*) from (select * from customers) t",
            "prepare s (int) as select lower(name) from customers where id = $1",
            "select count(*) filter (where ssn > '') from customers",
            "select o.total::text from orders o",
            "select x::text from generate_series(1, 3) as t (x), customers",
            "select 'ssn'",
            "select $1::text, $2::bytea",
            &format!("select '{}'::text, 1 as y", "x".repeat(LONGEST - 100)),
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
        let other = "select upper(c.name) from (select * from shop.customers) c (name, id)";
        assert!(!may_be_in(&rule("hr.customers.ssn"), other) && may_be_in(&one, other));
    }

    #[test]
    fn columns_are_told_apart_where_they_can_be() {
        let rule = rule("customers.ssn");
        for (text, expected) in [
            ("select count(*), upper(ssn), 'x', lower(name) from customers", [false, true, false, false]),
            ("select c.id, c, c::text, count(c) from customers c", [false, true, true, false]),
            (
                "select a, 1, b || '', now() from (select ssn as a, id as b from customers) t",
                [true, false, true, false],
            ),
            ("select (select ssn from customers), 1, (select max(id) from customers), 2", [true, false, false, false]),
            ("select 1, current_setting('x.y'), now(), id from customers", [false, true, false, false]),
            (
                "select exists (select * from customers where ssn = ''), ssn, id, 1 from customers",
                [false, true, false, false],
            ),
            ("select row(c.*), 1, c.id, 'x' from customers c", [true, false, false, false]),
            ("select *, upper(ssn), now() from customers", [true; 4]),
            ("select (c).*, now() from customers c", [true; 4]),
            ("select 1, ssn from customers union select 2, ssn from customers", [true; 4]),
            ("select 1; select upper(ssn) from customers", [true; 4]),
            ("select '\\', ssn, 1, id from customers", [false, true, false, false]),
            ("select 'a\\b', ssn from customers", [true; 4]),
        ] {
            let reads = Reads::of(text.as_bytes(), false);
            let columns = [0, 1, 2, 3].map(|at| rule.may_be_in(&reads.column(at, 4)));
            assert_eq!(columns, expected, "{text}");
        }
    }
}
