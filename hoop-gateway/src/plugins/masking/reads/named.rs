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
    /// Whether something that is selected has a `*` among its columns, and whether some of it is renamed by its place.
    stars: bool,
    renames: bool,
    /// The names that WITH has given to queries, as they are, where the walk is.
    scope: Vec<String>,
}

/// A table's name, behind its schema where one is given.
type Table = (Option<String>, String);

impl Named {
    /// Nobody knows what.
    pub(super) fn anything() -> Self {
        Self { opaque: true, ..Self::default() }
    }

    /// What a column of a SELECT names, on which `all` holds.
    pub(super) fn by(value: &Value, all: &Self) -> Self {
        let mut named = Self { scope: all.scope.clone(), ..Self::default() };
        named.visit(value);
        named
    }

    pub(super) fn and(mut self, mut other: Self) -> Self {
        self.columns.append(&mut other.columns);
        self.tables.append(&mut other.tables);
        self.of_tables.append(&mut other.of_tables);
        self.of_others.append(&mut other.of_others);
        self.by_place |= other.by_place;
        self.rows |= other.rows;
        self.opaque |= other.opaque;
        self.stars |= other.stars;
        self.renames |= other.renames;
        self
    }

    /// Everything has been named: what of it stands for rows?
    pub(super) fn close(&mut self, all: &Named) {
        let tables = self.of_tables.iter().chain(&all.of_tables);
        let mut rows = tables.filter(|(row, table)| self.columns.contains(row) && !is_catalog(table));
        let mut others = self.of_others.iter().chain(&all.of_others);
        let is_unnamed = self.renames || all.renames || others.any(|row| self.columns.contains(row));
        self.rows = self.rows || rows.next().is_some() || (is_unnamed && (self.stars || all.stars));
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
            _ => self.rows_of(statement, false),
        }
    }

    /// A statement whose rows go on with their columns as they are called: of a SELECT, `*` renames none. What it is selected `from`
    /// may rename them.
    fn rows_of(&mut self, statement: &Value, from: bool) {
        match node(statement) {
            Some(("SelectStmt", select)) if is_single(select) => self.within_with(select, |named| {
                for (field, value) in select.iter().filter(|(field, _)| is_value(field)) {
                    match value {
                        Value::Array(targets) if field == "target_list" => named.targets(targets, from),
                        value => named.visit(value),
                    }
                }
            }),
            _ => self.visit(statement),
        }
    }

    fn targets(&mut self, targets: &[Value], from: bool) {
        self.stars |= from && targets.iter().any(is_star);
        targets.iter().filter(|target| !is_star(target)).for_each(|target| self.visit(target));
    }

    /// What is `within` a statement, with the names of its WITH, each of which stands for what it does from there on.
    pub(super) fn within_with(&mut self, statement: &Map<String, Value>, within: impl FnOnce(&mut Self)) {
        let outer = self.scope.len();
        let with = statement.get("with_clause").and_then(Value::as_object);
        let ctes = with.and_then(|with| with.get("ctes")?.as_array()).into_iter().flatten().filter_map(node);
        let name = |cte: &Map<String, Value>| cte.get("ctename").and_then(Value::as_str).map(str::to_owned);
        if with.is_some_and(|with| with.get("recursive") == Some(&Value::Bool(true))) {
            self.scope.extend(ctes.clone().filter_map(|(_, cte)| name(cte)));
        }
        for (_, cte) in ctes {
            self.renames |= has_any(cte, "aliascolnames");
            cte.get("ctequery").into_iter().for_each(|query| self.rows_of(query, true));
            self.scope.extend(name(cte));
        }
        within(self);
        self.scope.truncate(outer);
    }

    /// The parser's own limit on depth bounds the recursion.
    pub(super) fn visit(&mut self, value: &Value) {
        match value {
            Value::Array(items) => {
                // Of a UNION, an INSERT or a RETURNING.
                self.by_place |= items.iter().any(is_star);
                self.targets(items, true);
            }
            Value::Object(fields) => match node(value).or_else(|| tagged(fields)) {
                Some((kind, inner)) => self.node(kind, inner),
                None => self.fields(fields),
            },
            _ => {}
        }
    }

    fn fields(&mut self, fields: &Map<String, Value>) {
        if let Some(table) = table(fields) {
            return self.table(table, fields);
        }
        if let Some(alias) = text(fields, "aliasname") {
            self.renames |= has_any(fields, "colnames");
            self.of_others.insert(alias);
        }
        self.within_with(fields, |named| {
            for (field, value) in fields.iter().filter(|(field, _)| is_value(field)) {
                match field.as_str() {
                    "subquery" => named.rows_of(value, true),
                    _ => named.visit(value),
                }
            }
        });
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
            // What is changed is a table, whatever it is called; what is read may be a query of WITH.
            "RangeVar" if self.is_of_with(fields) => {
                let alias = fields.get("alias").and_then(Value::as_object);
                self.renames |= alias.is_some_and(|alias| has_any(alias, "colnames"));
                self.of_others
                    .extend(alias.and_then(|alias| text(alias, "aliasname")).or_else(|| text(fields, "relname")));
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

    fn is_of_with(&self, table: &Map<String, Value>) -> bool {
        let has_schema = text(table, "schemaname").is_some();
        let name = table.get("relname").and_then(Value::as_str);
        !has_schema && name.is_some_and(|name| self.scope.iter().any(|given| given == name))
    }

    fn table(&mut self, table: Table, fields: &Map<String, Value>) {
        let alias = fields.get("alias").and_then(Value::as_object);
        self.opaque |= is_relation(&table.1);
        self.rows |= alias.is_some_and(|alias| has_any(alias, "colnames")) && !is_catalog(&table);
        let row = alias.and_then(|alias| text(alias, "aliasname")).unwrap_or_else(|| table.1.clone());
        self.of_tables.insert((row, table.clone()));
        self.tables.insert(table);
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

/// The table that a structure names. It stands in a field of its own type, too, without the name of its kind.
fn table(fields: &Map<String, Value>) -> Option<Table> {
    fields.get("schemaname")?;
    Some((text(fields, "schemaname"), text(fields, "relname")?))
}

/// Whether what is there is the server's own, and shows nothing of tables.
fn is_catalog((schema, table): &Table) -> bool {
    match schema {
        Some(schema) => ["pg_catalog", "information_schema"].contains(&schema.as_str()),
        None => table.starts_with("pg_"),
    }
}
