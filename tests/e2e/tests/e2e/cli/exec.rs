//! `hoop exec`: rows as data, refusals as exit codes.

use std::process::Command;
use std::time::Duration;

use hoop_testkit::{direct_only, hoop, output, psql, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{Machine, ROLE, fails, parsed};
use crate::stand::{RULE, stand};

#[test]
fn rows_come_in_each_format() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("cli-formats");
    let sql = "select n as id, nullif('row ' || n, 'row 2') as name from generate_series(1, 2) n";
    let run = |format: &str| machine.run(&["exec", ROLE, "-c", sql, "-o", format]);
    assert_eq!(run("table").ok(), "id  name\n--  -----\n1   row 1\n2\n");
    assert_eq!(run("csv").ok(), "id,name\n1,row 1\n2,\n");
    assert_eq!(run("ndjson").ok(), "{\"id\":\"1\",\"name\":\"row 1\"}\n{\"id\":\"2\",\"name\":null}\n");
    let expected = json!([{ "id": "1", "name": "row 1" }, { "id": "2", "name": null }]);
    assert_eq!(parsed(&run("json")), expected);
    assert!(run("yaml").ok().starts_with("- id: \"1\"\n  name: row 1\n"));
    let piped = machine.run_with(&["exec", ROLE, "-o", "csv"], "select 1 as a; select 2 as b");
    assert_eq!(piped.ok(), "a\n1\n\nb\n2\n");
    std::fs::write(machine.folder.join("q.sql"), "select 'of a file' as text").expect("an own folder");
    assert_eq!(machine.run(&["exec", ROLE, "-f", "q.sql", "-o", "csv"]).ok(), "text\nof a file\n");
}

#[test]
fn a_refusal_has_an_exit_code_and_a_hint() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("cli-refused");
    let database = stand().postgres.database_from("create table customers (id int); insert into customers values (1);");
    let run = |sql: &str| machine.run(&["exec", ROLE, "-d", &database, "-o", "json", "-c", sql]);
    let refused = run("drop table customers");
    let told = fails(&refused, 7);
    assert!(told.contains(RULE) && told.contains("hint: ask the owner of the table"), "{refused}");
    assert_eq!(refused.text(), "");
    let failed = run("select 1/0");
    assert!(fails(&failed, 1).contains("22012"), "{failed}");
    assert_eq!(parsed(&run("select id from customers")), json!([{ "id": "1" }]));
    let session = stand().ended_session(&database);
    assert_eq!((&session["outcome"], &session["application"]), (&json!("completed"), &json!("hoop exec")));
}

#[test]
fn scripts_learn_whose_fault_it_was() {
    if direct_only() {
        return;
    }
    // A group of its own: others count the roles that they may reach.
    let group = "cli-nowhere-users";
    stand().gateway.user("cli-faults", &[group]);
    let machine = Machine::new();
    machine.login("cli-faults").ok();
    stand().gateway.role("cli-nowhere", "nobody", &stand().postgres, |role| {
        role["allowed_groups"] = json!([group]);
        role["target"]["databases"] = json!([]);
    });
    let run = |more: &[&str]| machine.run(&[&["exec", "cli-nowhere", "-c", "select 1"], more].concat());
    let unavailable = run(&[]);
    assert!(fails(&unavailable, 9).contains("agent nobody"), "{unavailable}");
    let denied = run(&["-d", "elsewhere"]);
    assert!(fails(&denied, 4).contains("elsewhere"), "{denied}");
    fails(&machine.run(&["exec", crate::stand::PLAIN, "-c", "select 1"]), 8);
    fails(&run(&["-f", "q.sql"]), 2);
}

#[test]
fn what_takes_too_long_is_cancelled_on_the_server() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("cli-slow");
    let database = stand().postgres.database();
    let direct = stand().postgres.url(&database);
    let sleeping = || {
        psql(&direct, &["-c", "select count(*) from pg_stat_activity where query like '%pg_sleep(601%' and state = 'active' and pid <> pg_backend_pid()"]).ok()
    };
    let sleep = ["exec", ROLE, "-d", &database, "-c", "select pg_sleep(601)"];
    let mut running = machine.start(&sleep);
    until(Duration::from_secs(20), "the statement", || (sleeping() == "1\n").then_some(()));
    assert_eq!(running.signal(Signal::SIGINT), Some(130), "{}", running.complaints());
    until(Duration::from_secs(5), "the end of the statement", || (sleeping() == "0\n").then_some(()));
    let timed_out = machine.run(&[&sleep[..], &["--timeout", "700ms"]].concat());
    assert!(fails(&timed_out, 124).contains("700 ms"), "{timed_out}");
    until(Duration::from_secs(5), "the end of the statement", || (sleeping() == "0\n").then_some(()));
    assert_eq!(parsed(&machine.run(&["credentials", "list", "-o", "json"])), json!([]));
}

/// Rows go through as they come.
#[test]
fn many_rows_are_not_kept() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("cli-many");
    let sql = "select n, repeat('x', 1000) from generate_series(1, 300000) n";
    let mut running = machine.start(&["exec", ROLE, "-o", "ndjson", "-c", sql]);
    let mut most = 0;
    let status = until(Duration::from_secs(110), "all rows", || {
        most = most.max(hoop_testkit::memory::peak(running.pid()));
        running.child.try_wait().expect("an own child")
    });
    assert!(status.success(), "{}", running.complaints());
    assert_eq!(running.text().lines().count(), 300_000);
    assert!(most < 150 * 1024 * 1024, "300 MB of rows took {most} bytes");
}

/// A reader that has seen enough ends the statement, and is no error.
#[test]
fn a_reader_may_go() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("cli-head");
    let database = stand().postgres.database();
    let exec = format!("{} exec {ROLE} -d {database} -o csv", hoop().display());
    let script = format!("{exec} -c 'select n from generate_series(1, 100000000) n' | head -n 2");
    let mut shell = Command::new("sh");
    let seen = output(shell.args(["-c", &script]).env("XDG_CONFIG_HOME", machine.folder.path()), b"");
    assert_eq!((seen.ok().as_str(), seen.stderr.as_str()), ("n\n1\n", ""));
    assert_eq!(stand().ended_session(&database)["outcome"], "completed");
}

#[test]
fn sessions_are_listed_told_and_ended_from_anywhere() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("cli-sessions");
    let database = stand().postgres.database();
    let watch = Machine::of("cli-watcher");
    // Members are told of their own sessions alone.
    let mut watching = watch.start(&["sessions", "watch", "-o", "ndjson"]);
    let mut running = machine.start(&["exec", ROLE, "-d", &database, "-c", "select pg_sleep(602)"]);
    let list = ["sessions", "list", "--running", "--database", &database, "-o", "json"];
    let session = until(Duration::from_secs(20), "the session", || {
        let listed = parsed(&machine.run(&list));
        listed[0]["id"].as_str().map(str::to_owned)
    });
    assert_eq!(parsed(&watch.run(&list)), json!([]));
    fails(&watch.run(&["sessions", "kill", &session]), 8);
    machine.run(&["sessions", "kill", &session]).ok();
    let status = until(Duration::from_secs(15), "the end", || running.child.try_wait().expect("an own child"));
    assert!(!status.success());
    let ended = parsed(&machine.run(&["sessions", "watch", &session, "-o", "json"]));
    assert_eq!(ended["code"], "session_killed", "{ended}");
    let shown = machine.run(&["audit", "show", &session]).ok();
    assert!(shown.contains("pg_sleep(602)"), "{shown}");
    let key = stand().gateway.dir().join("recording.pub").display().to_string();
    machine.run(&["audit", "verify", &session, "--key", &key]).ok();

    let told: Vec<Value> = until(Duration::from_secs(20), "a session that is told from start to end", || {
        watch.run(&["exec", ROLE, "-c", "select 1"]).ok();
        let lines: Vec<Value> = watching.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        lines.iter().any(|line| line["event"] == "ended").then_some(lines)
    });
    assert!(told.iter().all(|line| line["session"]["user"] == "cli-watcher"), "{told:?}");
    watching.signal(Signal::SIGINT);
}

/// The shell asks the program itself, so that it knows today's roles.
#[test]
fn a_shell_completes_the_names_of_roles() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("cli-complete");
    let script = machine.run(&["completions", "bash"]).ok();
    let complete = "COMP_WORDS=(hoop exec cl); COMP_CWORD=2; COMP_TYPE=9; _clap_complete_hoop hoop cl exec; echo \"${COMPREPLY[@]}\"";
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("{script}\n{complete}")]).env("XDG_CONFIG_HOME", machine.folder.path());
    assert_eq!(output(&mut shell, b"").ok().trim(), ROLE);
}
