//! What shows values of columns that a statement does not name.

/// Beginnings of the names of functions that run a text, read what lies in files, or give what something else has put aside …
const FUNCTIONS: [&str; 10] = [
    "connectby",
    "crosstab",
    "current_setting",
    "dblink",
    "lo_get",
    "loread",
    "pg_logical_slot_",
    "pg_read_",
    "ts_rewrite",
    "ts_stat",
];
/// … and what is in those of functions that read tables by name (`query_to_xml`, `table_to_xmlschema` …).
const TO_XML: &str = "_to_xml";
/// Relations of the catalog that hold samples of what is in columns, and large objects.
const RELATIONS: [&str; 6] =
    ["pg_largeobject", "pg_statistic", "pg_statistic_ext_data", "pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"];

/// Whether a function or a relation of this name, in lower case, may show values of columns that nobody names.
///
/// ```
/// use hoop_proto::postgres::indirect::shows_unnamed;
/// assert!(shows_unnamed("query_to_xml") && shows_unnamed("pg_stats"));
/// assert!(!shows_unnamed("lower") && !shows_unnamed("pg_stat_activity"));
/// ```
pub fn shows_unnamed(name: &str) -> bool {
    RELATIONS.contains(&name) || name.contains(TO_XML) || FUNCTIONS.iter().any(|function| name.starts_with(function))
}

/// Whether a setting of this name may be any text, which a statement may have put there: those of extensions, whose names have a dot,
/// and two of the server's own.
pub fn is_free_setting(name: &str) -> bool {
    name.contains('.') || ["application_name", "search_path"].iter().any(|free| name.eq_ignore_ascii_case(free))
}
