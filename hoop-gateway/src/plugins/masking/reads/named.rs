//! What is named in a part of a statement.

use std::collections::BTreeSet;

use hoop_proto::postgres::indirect::{is_free_setting, is_relation, takes_rows};
use serde_json::{Map, Value};

use super::tree::{
    function_name, has_any, is_count, is_exists, is_opaque, is_single, is_star, is_value, node, query, string, tagged,
    text,
};

/// What is named in a part of a text, in lower case.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// Names that stand where a column may, or a field.
    pub(in crate::plugins::masking) columns: BTreeSet<String>,
    /// Tables, each with its schema where one is given.
    pub(in crate::plugins::masking) tables: BTreeSet<Table>,
    /// Whether columns of these tables are read under names that are given by their place.
    pub(in crate::plugins::masking) by_place: bool,
    /// Whether rows of a table or view are read as a whole: of a partition, or of a view of them, nobody knows of which table.
    pub(in crate::plugins::masking) rows: bool,
    /// Whether it may read what it does not name.
    pub(in crate::plugins::masking) opaque: bool,
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
    /// Nobody knows what.
    pub(super) fn anything() -> Self {
        Self { opaque: true, ..Self::default() }
    }

    pub(super) fn by(value: &Value) -> Self {
        let mut named = Self::default();
        named.visit(value);
        named
    }

    pub(super) fn and(mut self, mut other: Self) -> Self {
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
    pub(super) fn close(&mut self, all: &Named) {
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
    pub(super) fn statement(&mut self, statement: &Value) {
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
    pub(super) fn visit(&mut self, value: &Value) {
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
            // Whether there are such rows, how many, which columns are grouped by: none of it is a value of theirs.
            "NullTest" | "GroupingFunc" => {}
            "SubLink" if is_exists(fields) => {}
            "FuncCall" if is_count(fields) => {}
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
            "FuncCall" => {
                self.call(fields);
                self.fields(fields);
            }
            "AIndirection" => {
                let parts = fields.get("indirection").and_then(Value::as_array).into_iter().flatten();
                self.columns.extend(parts.filter_map(string));
                self.fields(fields);
            }
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
