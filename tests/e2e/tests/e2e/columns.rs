//! A rule for a column follows its values, by whichever way a statement asks for them.

use std::sync::OnceLock;

use hoop_testkit::wire::{Wire, message};
use hoop_testkit::{direct_only, psql};
use serde_json::json;

use crate::stand::{AGENT, MASKED, Target, stand};

/// What no detector finds.
const HIDDEN: &str = "plain words of hers";

/// A database whose masked column has nothing in it that looks like anything.
fn target(role: &str) -> Target {
    let target = stand().secrets(role);
    psql(&target.direct, &["-c", &format!("update customers set ssn = '{HIDDEN}'")]).ok();
    target
}

/// A role that refuses what it cannot trace.
fn strict() -> Target {
    static ROLE: OnceLock<()> = OnceLock::new();
    ROLE.get_or_init(|| {
        stand().gateway.role("strict-columns", AGENT, &stand().postgres, |role| {
            let rules = json!([{ "column": "customers.ssn", "unknown": "deny" }]);
            role["plugins"] = json!({ "masking": { "detectors": {}, "columns": rules } });
        });
    });
    target("strict-columns")
}

fn query(text: &str) -> Vec<u8> {
    message(b'Q', &[text.as_bytes(), b"\0"].concat())
}

fn run(text: &str) -> Vec<u8> {
    [parse("", text), bind("", ""), execute("", 0)].concat()
}

fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', &[name.as_bytes(), b"\0", text.as_bytes(), b"\0\0\0"].concat())
}

fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message(b'B', &[portal.as_bytes(), b"\0", statement.as_bytes(), &[0; 7]].concat())
}

fn execute(portal: &str, rows: u32) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), b"\0", &rows.to_be_bytes()].concat())
}

/// The kinds of all messages that the client is sent, when what is hidden is in none of them.
#[track_caller]
fn hides(wire: &mut Wire, sent: &[u8], what: &str) -> Vec<u8> {
    wire.send(sent).expect("it is sent");
    let seen = wire.read_all();
    for message in &seen {
        let text = String::from_utf8_lossy(&message.body).to_lowercase();
        assert!(!text.contains(HIDDEN), "{what}: {text:?}");
    }
    seen.iter().map(|message| message.kind).collect()
}

/// In the simple protocol and in the extended one.
#[track_caller]
fn gives_rows_and_hides(wire: &mut Wire, text: &str) {
    let seen = hides(wire, &query(text), text);
    assert!(seen.contains(&b'D') || seen.contains(&b'd'), "{text} gives rows: {seen:?}");
    hides(wire, &[run(text), message(b'S', b"")].concat(), text);
}

#[test]
fn views_partitions_and_whole_rows_are_followed() {
    if direct_only() {
        return;
    }
    let target = target(MASKED);
    let setup = "create view seen as select id, ssn as x from customers; \
        create view above as select id, x as y, upper(x) as ssn from seen; \
        create materialized view kept as select ssn as x from customers; \
        create table heir () inherits (customers); insert into heir select * from only customers; \
        create view later as select name as x from customers";
    psql(&target.direct, &["-c", setup]).ok();
    let mut wire = Wire::login(&target.gateway).expect("a login");
    for text in [
        "select x from seen",
        "select y as z from above",
        "select ssn as other from above",
        "select x from kept",
        "select ssn as x from only heir",
        "select customers from customers",
        "select seen as x from seen",
        "copy (select x as q from seen) to stdout",
        "update seen set id = id returning x as q",
        "select x as q from (select seen.x from above join seen using (id)) as two",
    ] {
        gives_rows_and_hides(&mut wire, text);
    }
    // What was found out of a view is true for as long as its definition.
    let seen = psql(&target.gateway, &["-c", "select name as x from customers limit 1"]).ok();
    assert_eq!(seen, "Canary One\n", "what no rule is about stays");
    let mut wire = Wire::login(&target.gateway).expect("a login");
    assert!(hides(&mut wire, &query("select x from later"), "a name").contains(&b'D'));
    psql(&target.direct, &["-c", "create or replace view later as select ssn as x from customers"]).ok();
    assert!(hides(&mut wire, &query("select x from later"), "another definition").contains(&b'D'));
}

/// The server does not say what an expression is made of; the text and the definitions of views do.
#[test]
fn what_is_made_of_a_column_is_masked() {
    if direct_only() {
        return;
    }
    let target = target(MASKED);
    let setup = "create table other (id int, note text); insert into other select id, ssn from customers; \
        create view made as select id, upper(ssn) as x, upper(name) as y, count(*) over () as z from customers; \
        create view above as select x || '' as x, y || '' as y from made; \
        create view rows as select to_json(c) as x, 1 + 1 as y from customers c; \
        create function shown(int) returns text language sql as 'select ssn from customers where id = $1'; \
        create view called as select shown(1) as x; \
        create table heir () inherits (customers); insert into heir select * from only customers; \
        create view whole as select c as r from customers c; \
        create view samples as select most_common_vals::text as x from pg_stats; analyze customers";
    psql(&target.direct, &["-c", setup]).ok();
    let mut wire = Wire::login(&target.gateway).expect("a login");
    for text in [
        "select ssn || '' from customers",
        "select upper(c.ssn) as name from customers c",
        "select U&\"s\\0073n\" || '' from customers",
        "select '\\' || ssn from customers",
        "select ssn::bytea::text || ssn from customers",
        "select concat(id, ssn) from customers",
        "select format('%s', ssn) from customers",
        "select substring(ssn from 1) from customers",
        "select regexp_replace(ssn, 'x', 'y') from customers",
        "select case when id = 1 then ssn else 'none' end from customers",
        "select coalesce(ssn, 'none') from customers",
        "select max(ssn) from customers",
        "select string_agg(ssn, ',') from customers",
        "select array_agg(ssn) from customers",
        "select array(select ssn from customers)",
        "select (select max(ssn) from customers)",
        "select lag(ssn) over (order by id desc) from customers",
        "select percentile_disc(0.5) within group (order by ssn) from customers",
        "select json_build_object('a', ssn) from customers",
        "select jsonb_agg(c) from customers c",
        "select row_to_json(customers) from customers",
        "select c::text from customers c",
        "select row(c.*) from customers c",
        "select (c.*)::text from customers c",
        "select ssn(c) || '' from customers c",
        "select xmlelement(name x, ssn) from customers",
        "select table_to_xml('customers', true, true, '')",
        "select query_to_xml('select * from customers', true, true, '')",
        "select x || '' from (select ssn as x from customers) t",
        "select f || '' from (select * from customers) t (a, b, c, d, e, f) union all select e || '' from (table customers) t (a, b, c, d, e, f)",
        "with t (a, b, c, d, e, f) as (table customers) select e || '' from t",
        "with t as materialized (select ssn as x from customers) select x || '' from t",
        "select l.x || '' from customers c cross join lateral (select c.ssn as x) l",
        "select x || '' from customers cross join lateral unnest(array[ssn]) u (x)",
        "select 'a' as x union all select ssn from customers",
        "select 1 as a, '' as b, '' as c, '' as d, '' as e, '' as f union all select * from customers",
        "update customers set id = id returning ssn || ''",
        "insert into log (line) select ssn from customers returning line || ''",
        "copy (select ssn || '' as x from customers) to stdout",
        "select most_common_vals::text from pg_stats where tablename = 'customers'",
        "select x from made",
        "select x from above",
        "select x from rows",
        "select x from called",
        "select x from samples",
        "select row_to_json(h) from heir h",
        "select t::text from (select * from heir) t",
        "select row_to_json(c) from customers c, (with customers as (select 1 as x) select x from customers) t",
        "with customers as (select row_to_json(c) as j from customers c) select j from customers",
        "select h::text from heir h",
        "select (r).ssn || '' from whole",
        "select ssn(r) || '' from whole",
        "select c.to_jsonb from customers c",
        "select customers.row_to_json from customers",
        "select ssn from (select x as ssn from made) t",
    ] {
        gives_rows_and_hides(&mut wire, text);
    }
    let prepared = ["prepare s as select ssn || '' from customers", "execute s", "begin"];
    let cursor = ["declare c cursor for select ssn || '' from customers", "fetch all from c", "rollback"];
    for text in prepared.into_iter().chain(cursor) {
        hides(&mut wire, &query(text), text);
    }
    let explained = "explain execute asked(query_to_xml('select ssn from customers', true, true, '')::text)";
    hides(&mut wire, &query("prepare asked (text) as select id from customers where name = $1"), "a question");
    hides(&mut wire, &query(explained), explained);
    // A portal's name, and not its text.
    let begun = [run("begin"), parse("e", "select upper(name) from customers"), bind("p", "e")].concat();
    let other = [run("close p"), run("declare p cursor for select upper(ssn) from customers")].concat();
    let seen = hides(&mut wire, &[begun, other, execute("p", 0), message(b'S', b"")].concat(), "another portal");
    assert!(seen.contains(&b'D'), "{seen:?}");
}

/// Who asks for something else sees it, beside what is masked.
#[test]
fn what_is_made_of_other_columns_is_shown() {
    if direct_only() {
        return;
    }
    let target = target(MASKED);
    let setup = "create view made as select id, upper(ssn) as x, upper(name) as y from customers; \
        create view counted as select count(*) as n, max(name) as last from customers";
    psql(&target.direct, &["-c", setup]).ok();
    let canaries = "CANARY ONE\nCANARY TWO\n";
    for (text, shown) in [
        ("select upper(name) from customers order by id", canaries),
        ("select upper(name) from (select * from customers) t order by id", canaries),
        ("select count(*) from customers where ssn is not null", "2\n"),
        ("select count(*) from (select * from customers) t", "2\n"),
        ("select count(*), max(ssn) from customers", "2|[ssn]\n"),
        ("select count(ssn), count(distinct ssn), max(ssn) is null from customers", "2|1|f\n"),
        ("select max(length(ssn)), array_agg(ssn) from customers", "|\n"),
        ("select upper(name), ssn from customers where id = 1", "CANARY ONE|[ssn]\n"),
        ("with t as (select * from customers) select max(id) from t", "2\n"),
        ("with t as (select id from customers) select max(to_json(t)::text) from t", "{\"id\":2}\n"),
        ("select n, last from counted", "2|Canary Two\n"),
        ("explain (costs off) select upper(ssn) from customers", "Seq Scan on customers\n"),
        ("show server_encoding", "UTF8\n"),
        ("select 'ssn', 1 + 1", "ssn|2\n"),
    ] {
        assert_eq!(psql(&target.gateway, &["-At", "-c", text]).ok(), shown, "{text}");
    }
    let portions = ["-At", "-v", "FETCH_COUNT=1", "-c"];
    for (text, shown) in [("upper(name)", canaries), ("upper(ssn)", "[ssn]\n[ssn]\n")] {
        let text = format!("select {text} from customers order by id");
        assert_eq!(psql(&target.gateway, &[&portions[..], &[&text]].concat()).ok(), shown, "{text}");
    }
    // Cursors of the same name, one transaction after the other.
    let many: Vec<_> =
        (0..6).map(|number| format!("select upper(name) || {number} from customers where id = 1")).collect();
    let arguments = many.iter().flat_map(|text| ["-c", text]);
    let seen = psql(&target.gateway, &portions[..3].iter().copied().chain(arguments).collect::<Vec<_>>()).ok();
    assert_eq!(seen, (0..6).map(|number| format!("CANARY ONE{number}\n")).collect::<String>());
    let prepare = "prepare s as select upper(name) from customers where id = $1";
    let seen = psql(&target.gateway, &["-At", "-c", prepare, "-c", "execute s (2)"]).ok();
    assert_eq!(seen, "CANARY TWO\n");
    let typed = "select data_type, is_nullable from information_schema.columns where table_name = 'customers' and column_name = 'ssn'";
    assert_eq!(psql(&target.gateway, &["-At", "-c", typed]).ok(), "text|YES\n");
    // Results that look the same are not.
    let upper = |column: &str| format!("select upper({column}) as x from customers where id = 1");
    let seen = psql(&target.gateway, &["-At", "-c", &upper("name"), "-c", &upper("ssn"), "-c", &upper("name")]).ok();
    assert_eq!(seen, "CANARY ONE\n[ssn]\nCANARY ONE\n");
    let described = psql(&target.gateway, &["-c", "\\d+ customers"]).ok();
    assert!(described.contains("card_number") && !described.contains("[ssn]"), "{described}");
}

/// Who wants to see what is made of a column, and nobody the column itself, says so.
#[test]
fn a_rule_may_let_expressions_be() {
    if direct_only() {
        return;
    }
    stand().gateway.role("lenient-columns", AGENT, &stand().postgres, |role| {
        let rules = json!([{ "column": "customers.ssn", "unknown": "mask_same_name" }]);
        role["plugins"] = json!({ "masking": { "detectors": {}, "columns": rules } });
    });
    let target = target("lenient-columns");
    psql(&target.direct, &["-c", "create view made as select length(ssn) as x, upper(ssn) as ssn from customers"]).ok();
    for (text, shown) in [
        ("select max(length(ssn)), max(ssn) as ssn from customers", format!("{}|[ssn]\n", HIDDEN.len())),
        ("select x, ssn from made limit 1", format!("{}|[ssn]\n", HIDDEN.len())),
    ] {
        assert_eq!(psql(&target.gateway, &["-At", "-c", text]).ok(), shown, "{text}");
    }
}

/// In some encodings a delimiter may be a part of a character, and cells are not where they seem to be.
#[test]
fn a_copy_whose_cells_cannot_be_seen_shows_none() {
    if direct_only() {
        return;
    }
    let target = target(MASKED);
    let mut wire = Wire::login(&target.gateway).expect("a login");
    let copy = "copy (select U&'\\30DD', ssn from customers) to stdout";
    let options = "(delimiter '|', encoding 'sjis')";
    let seen = hides(&mut wire, &query(&format!("{copy} {options}")), options);
    assert!(seen.contains(&b'E'), "{seen:?}");
    hides(&mut wire, &query("set client_encoding = sjis"), "a setting");
    let seen = hides(&mut wire, &query(&format!("{copy} (delimiter '|')")), "the client's encoding");
    assert!(seen.contains(&b'E'), "{seen:?}");
    hides(&mut wire, &query("set client_encoding = utf8"), "a setting");
    let seen = hides(&mut wire, &query(&format!("{copy} (delimiter '|')")), "UTF-8");
    assert_eq!(seen, b"HddcCZ", "it is masked, and not refused");
}

/// Rows that a portal has kept are those of the cursor or statement that it was made of.
#[test]
fn a_portal_that_has_more_is_what_it_was() {
    if direct_only() {
        return;
    }
    let target = target(MASKED);
    let cursor = |column: &str| run(&format!("declare c cursor for select {column} as x from customers"));
    let prepared = |column: &str| run(&format!("prepare s as select {column} as x from customers"));
    for (inner, first, gone, then) in [
        ("fetch all from c", cursor("ssn"), "close c", cursor("name")),
        ("execute s", prepared("ssn"), "deallocate s", prepared("name")),
    ] {
        let mut wire = Wire::login(&target.gateway).expect("a login");
        let begun = [run("begin"), first, parse("e", inner), bind("p", "e"), execute("p", 1)].concat();
        let sent = [begun, run(gone), then, execute("p", 0), message(b'S', b"")].concat();
        let seen = hides(&mut wire, &sent, inner);
        assert!(seen.contains(&b's') && seen.contains(&b'E'), "{inner}: {seen:?}");
    }
    // As it is, it goes on; and another portal of the name is another.
    let mut wire = Wire::login(&target.gateway).expect("a login");
    let begun = [run("begin"), parse("e", "select ssn as x from customers"), bind("p", "e"), execute("p", 1)].concat();
    let other = [parse("f", "select name from customers"), message(b'C', b"Pp\0"), bind("p", "f"), execute("p", 1)];
    let seen = hides(&mut wire, &[begun, execute("p", 1), other.concat(), message(b'S', b"")].concat(), "its own");
    assert!(!seen.contains(&b'E'), "{seen:?}");
}

/// Whoever logs in may change the settings of the login, and with them whether the catalog answers.
#[test]
fn a_catalog_that_does_not_answer_loses_no_rule() {
    if direct_only() {
        return;
    }
    let target = target(MASKED);
    let database = &target.database;
    let setup = format!(
        "create role \"blind {database}\"; grant select on customers to \"blind {database}\"; \
         revoke select on pg_catalog.pg_attribute from public; \
         alter role current_user in database \"{database}\" set role = \"blind {database}\""
    );
    psql(&target.direct, &["-c", &setup]).ok();
    let refused = psql(&target.gateway, &["-c", "select ssn as x from customers"]).failure();
    assert!(refused.contains("could not be looked up") && !refused.contains(HIDDEN), "{refused}");
}

/// Where what cannot be traced is refused, texts in which it could be are no way out.
#[test]
fn no_message_tells_what_is_not_shown() {
    if direct_only() {
        return;
    }
    let target = strict();
    let mut wire = Wire::login(&target.gateway).expect("a login");
    for text in [
        "select ssn || '' from customers",
        "select set_config('application_name', ssn, false) from customers",
        "select set_config(ssn, 'x', false) from customers",
        "select current_setting(replace(ssn, ' ', '.')) from customers",
        "listen told",
        "select pg_notify('told', ssn) from customers",
        "select (ssn)::int from customers",
        "select ssn::json from customers",
        "select xmlparse(document ssn) from customers",
        "select ('\"' || ssn || '\"')::regclass from customers",
        "select ('\"' || ssn || '\"')::regrole from customers",
        "select ssn::timestamp from customers",
        "select pg_read_file(ssn) from customers",
        "select query_to_xml(ssn, true, true, '') from customers",
        "select query_to_xml('select ''' || ssn || '''::int', true, true, '') from customers",
        "insert into log (line) select 'x' from customers where ssn::int > 0",
        "do $$ begin raise notice '%', (select ssn from customers limit 1); end $$",
        "do $$ begin raise exception 'x' using detail = (select ssn from customers limit 1), \
         hint = (select ssn from customers limit 1), table = (select ssn from customers limit 1); end $$",
        "do $$ begin execute 'select ''' || (select ssn from customers limit 1) || ''' from'; end $$",
        "explain analyze select ssn::int from customers",
    ] {
        hides(&mut wire, &query(text), text);
    }
    let seen = psql(&target.gateway, &["-c", "select nothing from customers"]).failure();
    assert!(seen.contains("column \"nothing\" does not exist"), "what is the client's own stays: {seen}");
}
