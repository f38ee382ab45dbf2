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
        let text = String::from_utf8_lossy(&message.body);
        assert!(!text.contains(HIDDEN), "{what}: {text:?}");
    }
    seen.iter().map(|message| message.kind).collect()
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
        let seen = hides(&mut wire, &query(text), text);
        assert!(seen.contains(&b'D') || seen.contains(&b'd'), "{text} gives rows: {seen:?}");
        hides(&mut wire, &[run(text), message(b'S', b"")].concat(), text);
    }
    // What was found out of a view is true for as long as its definition.
    let seen = psql(&target.gateway, &["-c", "select name as x from customers limit 1"]).ok();
    assert_eq!(seen, "Canary One\n", "what no rule is about stays");
    let mut wire = Wire::login(&target.gateway).expect("a login");
    assert!(hides(&mut wire, &query("select x from later"), "a name").contains(&b'D'));
    psql(&target.direct, &["-c", "create or replace view later as select ssn as x from customers"]).ok();
    assert!(hides(&mut wire, &query("select x from later"), "another definition").contains(&b'D'));
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
