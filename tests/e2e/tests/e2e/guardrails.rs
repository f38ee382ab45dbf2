//! A refused statement does to its transaction and its pipeline what a failed one does.

use hoop_testkit::clients::Client;
use hoop_testkit::wire::{VERSION_3, Wire, message};
use hoop_testkit::{direct_only, psql, psql_script};
use serde_json::json;

use crate::stand::{AGENT, GUARDED, PLAIN, RULE, id, no_masking, stand};

#[test]
fn the_refusal_says_what_and_why_and_the_session_goes_on() {
    if direct_only() {
        return;
    }
    let target = stand().secrets(GUARDED);
    let script = "\\set ON_ERROR_STOP off\n\\set VERBOSITY verbose\ndrop table customers;\n\\echo :SQLSTATE\nselect 'goes on';\n";
    let seen = psql_script(&target.gateway, script);
    assert!(seen.text().contains("42501\ngoes on"), "{seen}");
    assert!(seen.stderr.contains(RULE) && seen.stderr.contains("HINT:"), "{seen}");
    assert_eq!(psql(&target.direct, &["-c", "select count(*) from customers"]).ok(), "2\n");
}

#[test]
fn no_spelling_gets_past() {
    if direct_only() {
        return;
    }
    let target = stand().secrets(GUARDED);
    let spellings = [
        "DROP TABLE customers",
        "dRoP/**/tAbLe customers",
        "drop -- a comment\ntable customers",
        "/* select */ drop table if exists \"customers\" cascade",
        "select 1; drop table customers",
        "drop table customers; select 1",
        "begin; drop table customers; commit",
        "drop table public.customers, log",
        "prepare p as select 1; drop table customers",
        ";;; drop table customers",
        "explain analyze drop table customers",
        "select 'a;b'; drop table customers --",
        "select $$text$$; drop table customers",
        "select E'\\''; drop table customers; --'",
    ];
    for spelling in spellings {
        psql(&target.gateway, &["-c", spelling]).failure();
        let count = psql(&target.direct, &["-c", "select count(*) from customers"]).ok();
        assert_eq!(count, "2\n", "{spelling} got past");
    }
}

#[test]
fn text_that_only_looks_like_it_passes() {
    let target = stand().secrets(GUARDED);
    for harmless in ["select 'drop table customers'", "select 1 -- drop table customers", "select 1 as \"drop table\""]
    {
        psql(&target.gateway, &["-c", harmless]).ok();
    }
}

#[test]
fn a_transaction_fails_as_the_server_would_let_it() {
    if direct_only() {
        return;
    }
    let target = stand().secrets(GUARDED);
    let script = "\\set ON_ERROR_STOP off\nbegin;\ninsert into log (line) values ('one');\nsavepoint s;\ndrop table customers;\n\
        select 'ignored';\nrollback to s;\nselect 'after the savepoint';\ncommit;\ntable log;\n";
    let seen = psql_script(&target.gateway, script);
    assert!(!seen.text().contains("ignored"), "{seen}");
    assert!(seen.stderr.contains("current transaction is aborted"), "{seen}");
    assert!(seen.text().contains("after the savepoint\n1|one\n"), "{seen}");
}

#[test]
fn psycopg_believes_nothing_wrong() {
    if direct_only() {
        return;
    }
    let target = stand().secrets(GUARDED);
    let seen = Client::Psycopg.run("denied", &target.gateway).ok();
    let lines: Vec<&str> = seen.lines().collect();
    let line = |start: &str| {
        let found = lines.iter().find(|line| line.starts_with(start));
        *found.unwrap_or_else(|| panic!("no line {start:?} in:\n{seen}"))
    };
    assert!(line("alone").contains("42501") && line("alone").contains(RULE), "{seen}");
    assert_eq!(line("goes on"), "goes on (1,) IDLE");
    assert!(line("parameters").contains("42501"), "{seen}");
    assert!(line("in a transaction").contains("42501"), "{seen}");
    assert!(lines.contains(&"INERROR"), "{seen}");
    assert!(line("after it").contains("25P02"), "{seen}");
    assert!(line("pipeline").contains("42501"), "{seen}");
    // What was before it in the same implicit transaction is rolled back, and what came after did not run.
    assert_eq!(line("lines"), "lines [] IDLE");
    assert!(line("of two").contains("42501"), "{seen}");
    assert_eq!(line("customers"), "customers (2,)");
    assert_eq!(psql(&target.direct, &["-c", "select count(*) from log"]).ok(), "0\n");
}

#[test]
fn pgx_believes_nothing_wrong() {
    if direct_only() {
        return;
    }
    let target = stand().secrets(GUARDED);
    let seen = Client::Pgx.run("denied", &target.gateway).ok();
    assert_eq!(seen.matches("lines 0 I").count(), 15, "three times in each of five modes:\n{seen}");
    assert_eq!(seen.matches("batch ERROR 42501").count(), 5, "{seen}");
    assert_eq!(seen.matches("in a transaction ERROR 42501").count(), 5, "{seen}");
    assert_eq!(seen.lines().filter(|line| *line == "E").count(), 5, "{seen}");
}

/// Nothing is left behind on the server that the client does not know of.
#[test]
fn a_refused_prepare_leaves_no_statement() {
    if direct_only() {
        return;
    }
    let target = stand().secrets(GUARDED);
    let script = "\\set ON_ERROR_STOP off\nprepare doomed as select 1; drop table customers;\nselect count(*) from pg_prepared_statements where name <> 'doomed';\n";
    let seen = psql_script(&target.gateway, script);
    assert!(seen.text().ends_with("0\n"), "{seen}");
}

/// What is sent in one go is read before the server has said what the first of it changes.
#[test]
fn a_setting_on_its_way_hides_nothing() {
    if direct_only() {
        return;
    }
    let target = stand().secrets(GUARDED);
    let query = |text: &str| message(b'Q', &[text.as_bytes(), b"\0"].concat());
    let extended = |text: &str| {
        let parse = message(b'P', &[b"\0", text.as_bytes(), b"\0\0\0"].concat());
        [parse, message(b'B', &[0; 8]), message(b'E', &[0; 9])].concat()
    };
    let set = "set standard_conforming_strings = off";
    let escaped = "select 'a\\''; drop table customers; --'";
    for sent in [
        [query(set), query(escaped)].concat(),
        [extended(set), message(b'S', b""), query(escaped)].concat(),
        [query("set client_encoding = sjis"), query("select E'\u{3043}\\'; drop table customers; --'")].concat(),
        [query("select set_config('standard_conforming_strings', 'off', false)"), query(escaped)].concat(),
    ] {
        let mut wire = Wire::login(&target.gateway).expect("a login");
        wire.send(&[sent, message(b'X', b"")].concat()).expect("it is sent");
        wire.read_to_end().expect("the end of the session");
        let count = psql(&target.direct, &["-c", "select count(*) from customers"]).ok();
        assert_eq!(count, "2\n", "the table is there still");
    }
    // What does no harm either way goes on.
    let mut wire = Wire::login(&target.gateway).expect("a login");
    wire.send(&[query("begin"), query("select '\\d+ caf\u{e9}'")].concat()).expect("it is sent");
    let seen: Vec<u8> = [wire.read_all(), wire.read_all()].concat().iter().map(|message| message.kind).collect();
    assert_eq!(seen, b"CZTDCZ");
}

/// A role that is taken at the login is taken.
#[test]
fn what_is_set_at_the_login_is_judged_and_recorded() {
    if direct_only() {
        return;
    }
    let stand = stand();
    stand.gateway.role("own-role-alone", AGENT, &stand.postgres, |role| {
        let rules = json!([{ "name": "own-role", "kinds": ["set_role"] }]);
        role["plugins"] = json!({ "masking": no_masking(), "guardrail": { "rules": rules } });
    });
    let target = stand.secrets("own-role-alone");
    for more in [("options", "-c statement_timeout=0 -c ROLE=pg_monitor"), ("role", "pg_monitor")] {
        let refused = Wire::login_with(&target.gateway, VERSION_3, &[more]).expect_err("no session").to_string();
        assert!(refused.contains("42501") && refused.contains("own-role"), "{more:?}: {refused}");
    }
    let free = stand.secrets(PLAIN);
    let (wire, _) = Wire::login_with(&free.gateway, VERSION_3, &[("options", "-c role=pg_monitor")]).expect("a login");
    drop(wire);
    let session = id(&stand.ended_session(&free.database));
    let shown = stand.gateway.hoop(&["audit", "show", &session]).ok();
    assert!(shown.contains("SET \"role\" TO 'pg_monitor'"), "{shown}");
}
