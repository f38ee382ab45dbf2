//! What shows values of columns that a statement does not name.

/// Functions that run a text, read what lies in files, or give what something else has put aside …
const FUNCTIONS: [&str; 7] =
    ["connectby", "current_setting", "lo_get", "loread", "ts_rewrite", "ts_stat", "xpath_table"];
/// … families of them, by how their names begin …
const FAMILIES: [&str; 4] = ["crosstab", "dblink", "pg_logical_slot_", "pg_read_"];
/// … and what is in the names of those that read tables by name (`query_to_xml`, `table_to_xmlschema` …).
const TO_XML: &str = "_to_xml";
/// Relations of the catalog that hold samples of what is in columns, and large objects.
const RELATIONS: [&str; 6] =
    ["pg_largeobject", "pg_statistic", "pg_statistic_ext_data", "pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"];

/// Whether a function of this name, in lower case and without its schema, may show values of columns that nobody names.
///
/// ```
/// use hoop_proto::postgres::indirect::is_function;
/// assert!(is_function("query_to_xml") && is_function("dblink_exec") && !is_function("lower"));
/// ```
pub fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family)) || name.contains(TO_XML)
}

/// Whether a relation of this name, in lower case and without its schema, shows values of columns of others.
///
/// ```
/// use hoop_proto::postgres::indirect::is_relation;
/// assert!(is_relation("pg_stats") && !is_relation("pg_stat_activity"));
/// ```
pub fn is_relation(name: &str) -> bool {
    RELATIONS.contains(&name)
}

/// Functions that take a row of any table, and may be written as a column of it: `c.to_json` is `to_json(c)`.
const OF_ROWS: [&str; 24] = [
    "any_value",
    "array_agg",
    "concat",
    "hash_record",
    "hstore",
    "json_agg",
    "json_agg_strict",
    "json_build_array",
    "jsonb_agg",
    "jsonb_agg_strict",
    "jsonb_build_array",
    "last_value",
    "max",
    "min",
    "first_value",
    "lag",
    "lead",
    "quote_literal",
    "quote_nullable",
    "record_out",
    "record_send",
    "row_to_json",
    "to_json",
    "to_jsonb",
];

/// Whether a function of this name, in lower case, takes a row of any table.
pub fn takes_rows(name: &str) -> bool {
    OF_ROWS.contains(&name)
}

/// Whether a setting of this name may be any text, which a statement may have put there: those of extensions, whose names have a dot,
/// and two of the server's own. Others are checked when they are set: of those a value is no free text.
pub fn is_free_setting(name: &str) -> bool {
    name.contains('.') || ["application_name", "search_path"].iter().any(|free| name.eq_ignore_ascii_case(free))
}
