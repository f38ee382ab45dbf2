//! A refused statement does to its transaction and its pipeline what a failed one does.

use hoop_testkit::clients::Client;
use hoop_testkit::{direct_only, psql, psql_script};

use crate::stand::{GUARDED, RULE, stand};

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
