mod machines;
mod reviews;

use hoop_core::StatementId;
use proptest::prelude::*;

use super::*;

fn guardrail(rules: &str) -> SessionGuardrail {
    SessionGuardrail::new(serde_json::from_str(rules).expect("rules")).expect("usable")
}

fn statement(text: impl Into<Bytes>, settings: TextSettings) -> Statement {
    Statement { id: StatementId(1), phase: Phase::Query, text: text.into(), settings, parameters: None }
}

fn judge(guardrail: &mut SessionGuardrail, text: &str) -> Result<(), Denial> {
    guardrail.judge(&statement(text.to_owned(), TextSettings::default())).map(drop)
}

fn one(rule: &str) -> SessionGuardrail {
    guardrail(&format!(r#"{{"rules":[{{"name":"r",{rule}}}]}}"#))
}

#[test]
fn no_spelling_gets_past() {
    let mut guardrail = one(r#""kinds":["drop_table"]"#);
    for text in [
        "DROP TABLE customers",
        "dRoP/**/tAbLe customers",
        "drop -- a comment\ntable customers",
        "/* select */ drop table if exists \"customers\" cascade",
        "select 1; drop table customers",
        "begin; drop table customers; commit",
        "drop table public.customers, log",
        ";;; drop table customers",
        "select 'a;b'; drop table customers --",
        "select $$text$$; drop table customers",
        "select E'\\''; drop table customers; --'",
        "drop foreign table f",
    ] {
        let denial = judge(&mut guardrail, text).expect_err(text);
        assert!(
            denial.code == Code::StatementDenied && denial.reason.contains("rule r refuses drop table"),
            "{text}: {denial}"
        );
    }
    for text in [
        "select 'drop table customers'",
        "select 1 -- drop table",
        "select 1 as \"drop table\"",
        "drop view v",
        "",
        ";",
    ] {
        judge(&mut guardrail, text).expect(text);
    }
}

#[test]
fn what_is_within_counts() {
    for (kind, text) in [
        ("delete", "with gone as (delete from t where id = 1 returning *) select * from gone"),
        ("delete", "explain analyze delete from t where true"),
        ("delete_without_where", "prepare p as delete from t"),
        ("delete", "copy (with gone as (delete from t where id = 1 returning *) select * from gone) to stdout"),
        ("insert", "create rule r as on update to t do instead insert into u values (1)"),
        ("select", "declare c cursor for select 1"),
        ("select", "insert into t select 1"),
        ("create_table", "select 1 into t"),
        ("create_table", "create table t as select 1"),
        ("update_without_where", "update t set a = 1"),
        ("truncate", "truncate t, u"),
        ("drop_schema", "drop schema s cascade"),
        ("drop_database", "drop database d"),
        ("role", "create user u superuser"),
        ("role", "grant admins to u"),
        ("grant", "grant all on t to public"),
        ("revoke", "revoke all on t from public"),
        ("alter_table", "alter table t rename column a to b"),
        ("alter_table", "alter table t add column c int"),
        ("alter", "alter function f() owner to u"),
        ("alter_system", "alter system set x = 1"),
        ("copy_program", "copy t to program 'id'"),
        ("copy_file", "copy t from '/etc/passwd'"),
        ("copy_from", "copy t from stdin"),
        ("copy_to", "copy t to stdout"),
        ("do", "do $$ begin end $$"),
        ("call", "call p()"),
        ("create_function", "create procedure p() language sql as 'select 1'"),
        ("create_extension", "create extension dblink"),
        ("set_role", "set session authorization u"),
        ("set_role", "set local role u"),
        ("set", "reset all"),
        ("execute", "execute p"),
        ("lock", "lock t"),
        ("notify", "listen n"),
        ("load", "load 'x'"),
        ("maintenance", "vacuum t"),
        ("transaction", "savepoint s"),
        ("delete", "merge into t using u on true when matched then delete"),
        ("update", "merge into t using u on true when matched then update set a = 1"),
        ("insert", "merge into t using u on true when not matched then insert values (1)"),
        ("create_table", "select 1 into t union select 2"),
        ("drop_table", "drop owned by u"),
        ("drop_table", "drop schema s cascade"),
        ("set_role", "set \"ROLE\" = u"),
        ("set_role", "select set_config('Role', 'u', false)"),
        ("set_role", "select pg_catalog.set_config(lower('ROLE'), 'u', false)"),
        ("set", "select set_config('search_path', 'x', false)"),
        ("set", "alter database d set role = u"),
        ("merge", "merge into t using u on true when matched then delete"),
        ("create", "create publication p for all tables"),
    ] {
        assert!(judge(&mut one(&format!(r#""kinds":["{kind}"]"#)), text).is_err(), "{kind}: {text}");
    }
    let mut careful = one(r#""kinds":["delete_without_where","update_without_where"]"#);
    judge(&mut careful, "delete from t where id = 1; update t set a = 1 where id = 2").expect("with a condition");
}

#[test]
fn what_only_looks_alike_does_not_count() {
    for (kind, text) in [
        ("drop_table", "drop schema s"),
        ("delete", "merge into t using u on true when matched then do nothing"),
        ("set_role", "select set_config('search_path', 'x', false)"),
        ("set", "select current_setting('role')"),
    ] {
        judge(&mut one(&format!(r#""kinds":["{kind}"]"#)), text).unwrap_or_else(|denial| panic!("{text}: {denial}"));
    }
}

/// The limit on depth is far from what people write. `or` and `in` of any length are flat.
#[test]
fn long_chains_are_read() {
    let mut guardrail = one(r#""kinds":["drop"]"#);
    for text in [
        format!("select 1 from t where a = 0{}", " or a = 1".repeat(5000)),
        format!("select 'a'{}", " || 'a'".repeat(40)),
        format!("select 1{}", " union all select 1".repeat(80)),
        format!("select 1 from t{}", " join u using (a)".repeat(40)),
        format!("insert into t values (0){}", ", (1)".repeat(5000)),
    ] {
        judge(&mut guardrail, &text).unwrap_or_else(|denial| panic!("{text:.60}: {denial}"));
    }
}

#[test]
fn tables_functions_and_patterns() {
    let mut tables = one(r#""tables":["payroll.*","secret*"]"#);
    for text in [
        "select * from payroll.salaries",
        "select (select a from Payroll.x)",
        "table secrets",
        "drop table payroll.x",
        "select * from public.secret_one",
    ] {
        assert!(judge(&mut tables, text).is_err(), "{text}");
    }
    judge(&mut tables, "select payroll, secret from public.other").expect("columns are no tables");
    for (text, table) in [("select * from salaries", "salaries"), ("update Orders set a = 1", "orders")] {
        let denial = judge(&mut tables, text).expect_err("it may be in payroll");
        assert!(denial.reason.ends_with(&format!(": {table} may be in a schema that it is about")), "{denial}");
        let hint = denial.hint.expect("a hint");
        assert_eq!(hint, format!("name the table with its schema, as in SCHEMA.{table}"));
    }
    judge(&mut tables, "select * from public.orders").expect("its schema is said");
    for text in ["select * from orders, payroll.x", "select * from secret_one"] {
        let denial = judge(&mut tables, text).expect_err(text);
        assert!(denial.reason.ends_with("rule r refuses this statement"), "{denial}");
    }
    let mut functions = one(r#""functions":["pg_read_*","pg_catalog.lo_export"]"#);
    for text in [
        "select pg_read_file('x')",
        "select * from pg_catalog.pg_read_binary_file('x')",
        "select lo_export(1, 'x')",
        "select 1 where pg_read_file('x') is null",
    ] {
        assert!(judge(&mut functions, text).is_err(), "{text}");
    }
    judge(&mut functions, "select 'pg_read_file'").expect("a text");
    assert!(functions.judge_function().is_err(), "by its number");
    let mut pattern = one(r#""kinds":["select"],"pattern":"for update""#);
    assert!(judge(&mut pattern, "select * from t /* x */ FOR    UPDATE").is_err());
    judge(&mut pattern, "select 'for' -- update").expect("not the clause");
    judge(&mut pattern, "delete from t where a = 'for update'").expect("not a select");
}

#[test]
fn a_text_is_read_as_the_server_reads_it() {
    let mut guardrail = one(r#""kinds":["drop"]"#);
    let tricky = "select '\\'; drop table t; --'";
    let conforming = TextSettings::default();
    assert!(guardrail.judge(&statement(tricky, conforming)).is_err(), "the string ends before the semicolon");
    let escaping = TextSettings { standard_conforming_strings: false, ..conforming };
    guardrail.judge(&statement(tricky, escaping)).expect("all of it is one string");
    let latin = TextSettings { encoding: TextEncoding::AsciiSuperset, ..conforming };
    guardrail.judge(&statement(&b"select 'caf\xe9'"[..], latin)).expect("latin");
    assert!(guardrail.judge(&statement(&b"select '\xe9'; drop table t"[..], latin)).is_err());
    assert!(guardrail.judge(&statement(&b"select '\xe9'"[..], conforming)).is_err(), "not UTF-8");
    let sjis = TextSettings { encoding: TextEncoding::Other, ..conforming };
    guardrail.judge(&statement("select 1", sjis)).expect("ASCII");
    assert!(guardrail.judge(&statement(&b"select '\x83\x5c'"[..], sjis)).is_err());
}

/// While something may still change how it is read, a text must do no harm in any of its readings.
#[test]
fn a_text_behind_others_is_read_in_every_way() {
    let mut guardrail = one(r#""kinds":["drop"]"#);
    let conforming = TextSettings::default();
    let escaping = TextSettings { standard_conforming_strings: false, ..conforming };
    for settled in [conforming, escaping] {
        let open = TextSettings { settled: false, ..settled };
        for hidden in ["select '\\'; drop table t; --'", "select 'a\\''; drop table t; --'"] {
            assert!(guardrail.judge(&statement(hidden, open)).is_err(), "{hidden}");
        }
        for harmless in ["select '\\d+'", "select E'\\'\\n'", "select 'caf\u{e9}'", "select 1"] {
            guardrail.judge(&statement(harmless, open)).expect(harmless);
        }
        // In SJIS these two bytes are one character, and the string ends behind it.
        let sjis = "select E'\u{3043}\\' as a; drop table t; --'";
        guardrail.judge(&statement(sjis, settled)).expect("UTF-8");
        let denial = guardrail.judge(&statement(sjis, open)).expect_err("perhaps SJIS");
        assert!(denial.code == Code::StatementUnparsable && denial.reason.contains("encoding"), "{denial}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_unless_said_otherwise() {
    let deep = |open: &str, close: &str, times| format!("select {}1{}", open.repeat(times), close.repeat(times));
    let mut strict = one(r#""kinds":["drop"]"#);
    let mut lenient = guardrail(r#"{"rules":[{"name":"r","kinds":["drop"]}],"unparsable":"pass"}"#);
    let texts = [
        "selec 1".to_owned(),
        "select $1::int + ".to_owned(),
        "select 'a\0b'".to_owned(),
        deep("(", ")", 100_000),
        deep("f(", ")", 10_000),
        deep("array[", "]", 10_000),
        deep("(select ", ")", 10_000),
        deep("case when true then ", " end", 5_000),
        format!("select 1{}", "+1".repeat(20_000)),
        format!("select {}1", "- ".repeat(50_000)),
        "x".repeat((1 << 20) + 1),
    ];
    for text in &texts {
        let denial = judge(&mut strict, text).expect_err("not readable");
        assert_eq!(denial.code, Code::StatementUnparsable, "{denial}");
        judge(&mut lenient, text).expect("passed on");
    }
    let denial = judge(&mut strict, "selec 1").expect_err("a mistake");
    assert!(denial.reason.contains("syntax error at or near"), "{denial}");
}

#[test]
fn repeated_texts_are_parsed_once() {
    let mut guardrail = one(r#""kinds":["drop"]"#);
    for number in 0..20 {
        judge(&mut guardrail, &format!("select a{}", number % 6)).expect("harmless");
        assert!(judge(&mut guardrail, "drop table t").is_err());
    }
    assert_eq!(guardrail.seen.len(), REMEMBERED);
}

#[test]
fn rules_that_cannot_be_used_are_named() {
    for (rule, word) in [
        (r#"{"name":"r"}"#, "everything"),
        (r#"{"name":"","kinds":["drop"]}"#, "no name"),
        (r#"{"name":"r","pattern":"("}"#, "pattern"),
        (r#"{"name":"r","pattern":"(a{1000}){1000}"}"#, "pattern"),
    ] {
        let rule = serde_json::from_str(rule).expect("of the right form");
        let denial = Compiled::new(rule).err().expect("not usable");
        assert!(denial.reason.contains(word), "{denial}");
    }
    assert!(serde_json::from_str::<GuardrailRules>(r#"{"rules":[{"name":"r","kind":["drop"]}]}"#).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let mut guardrail = one(r#""kinds":["drop"],"pattern":"x""#);
        let _ = judge(&mut guardrail, &text);
        let latin = TextSettings { encoding: TextEncoding::AsciiSuperset, ..TextSettings::default() };
        let _ = guardrail.judge(&statement(bytes, latin));
    }
}

#[test]
fn a_text_that_differs_in_its_numbers_alone_is_read_once() {
    let mut kinds = one(r#""kinds":["drop"]"#);
    for number in 0..10 {
        judge(&mut kinds, &format!("select a from t where id = {number}")).expect("a select");
    }
    assert_eq!(kinds.seen.len(), 1);
    assert!(judge(&mut kinds, "select a from t where id = 10; drop table t").is_err());
    let mut pattern = one(r#""pattern":"limit 1000""#);
    judge(&mut pattern, "select a from t limit 10").expect("another number");
    assert!(judge(&mut pattern, "select a from t limit 1000").is_err(), "a pattern may be about numbers");
}
