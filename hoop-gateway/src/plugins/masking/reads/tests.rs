//! Statements, and whether a rule for a column holds for what they give.

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
        "select t::text from (select * from customers_2024) t",
        "select t::text from (select * from customers_2024 union all select * from customers_2023) t",
        "select x || '' from (select * from customers_2024) t (a, b, x)",
        "with t as (select * from customers_2024) select json_agg(t) from t",
        "select row_to_json(c) from customers c, (with customers as (select 1 as x) select x from customers) t",
        "with customers as (select row_to_json(c) as j from customers c) select j from customers",
        "with a as (select row_to_json(c) as j from customers c), customers as (select 1) select j from a",
        "with \"Customers\" as (select 1 as x) select row_to_json(c) from customers c",
        "with customers as (select 1 as x) select row_to_json(c) from public.customers c",
        "with customers as (select 1 as x) update customers set id = id returning row_to_json(customers)",
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
        "with recursive t as (select 1 as n union all select n + 1 from t where n < 3) select json_agg(u) from t u",
        "with recursive t (a, b) as (select oid, typname from pg_type) select distinct *, a::regtype::text from t",
        "with a as (select id from customers), b as (select id from a) select json_agg(b), max(a.id) from a, b",
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
    let other = "insert into others select * from shop.customers returning upper(note)";
    assert!(!may_be_in(&rule("hr.customers.ssn"), other) && may_be_in(&one, other));
}

#[test]
fn columns_are_told_apart_where_they_can_be() {
    let rule = rule("customers.ssn");
    for (text, expected) in [
        ("select count(*), upper(ssn), 'x', lower(name) from customers", [false, true, false, false]),
        ("select c.id, c, c::text, count(c) from customers c", [false, true, true, false]),
        ("select a, 1, b || '', now() from (select ssn as a, id as b from customers) t", [true, false, true, false]),
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
