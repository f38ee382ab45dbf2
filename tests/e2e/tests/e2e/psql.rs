//! psql, as people use it.

use std::process::Command;

use hoop_testkit::{Folder, Terminal, find, output, psql, psql_script};

use crate::stand::{PLAIN, stand};

/// What psql prints for a script, errors among the rest.
fn transcript(url: &str, script: &str, folder: &Folder) -> String {
    std::fs::write(folder.join("script.sql"), script).expect("an own folder takes a file");
    let psql = find("psql", "postgresql-client").display().to_string();
    let shell = format!("'{psql}' -X '{url}' -f script.sql 2>&1");
    let printed = output(Command::new("sh").args(["-c", &shell]).current_dir(folder.path()), b"");
    without_pids(&printed.text())
}

/// A notification names the server's process.
fn without_pids(text: &str) -> String {
    let mut parts = text.split("PID ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "PID " + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[track_caller]
fn no_difference(script: &str) -> String {
    let folder = Folder::new("psql");
    stand().same_in_the_zoo(PLAIN, |url| transcript(url, script, &folder))
}

#[test]
fn statements_and_errors() {
    let seen = no_difference(
        r"
        select 1 as one, 'two' as two, null as three;
        select * from zoo where id < 5;
        \x
        select * from zoo where id in (1, 4);
        \x
        select 1; select 2; select 3;
        select 1 \; select 'second' \; select count(*) from plain;
        select 1/0;
        \echo :LAST_ERROR_SQLSTATE :LAST_ERROR_MESSAGE
        select nothing_there from zoo;
        \echo :ERROR :SQLSTATE
        insert into plain values (1, 'again');
        \set VERBOSITY verbose
        insert into plain values (1, 'again');
        \set VERBOSITY default
        select speak('words');
        do $$ begin raise exception 'raised' using errcode = 'P0042', hint = 'a hint', detail = 'a detail'; end $$;
        select repeat('x', 3000000);
        table nothing;
        select;
        ;
        -- nothing but a comment
        values (1), (2);
        explain (costs off) select * from plain where id = 3;
        show server_version;
        create temp table later (id int);
        drop table later;
        ",
    );
    assert!(seen.contains("22012 division by zero") && seen.contains("LINE 1: select nothing_there"), "{seen}");
}

#[test]
fn transactions() {
    let seen = no_difference(
        r"
        \set PROMPT1 '%x'
        begin;
        insert into plain values (2001, 'new');
        savepoint one;
        select 1/0;
        select 'ignored';
        rollback to one;
        select count(*) from plain;
        commit;
        begin; select 1/0; commit;
        select 'after';
        begin; select 1; select 1/0; select 3;
        rollback;
        \set ON_ERROR_ROLLBACK on
        begin;
        selec 1;
        select 'still in it';
        rollback;
        prepare p(int) as select word from plain where id = $1;
        execute p(2);
        deallocate p;
        begin;
        declare c scroll cursor for select id from plain order by id;
        fetch 3 from c; fetch last from c; fetch backward 2 from c; move absolute 10 in c; fetch c;
        close c;
        commit and chain;
        select 1;
        rollback;
        set local search_path to nowhere;
        begin isolation level serializable read only deferrable;
        insert into plain values (1, 'x');
        rollback;
        ",
    );
    assert!(seen.contains("current transaction is aborted"), "{seen}");
}

#[test]
fn backslash_commands() {
    let seen = no_difference(
        r"
        \d
        \d zoo
        \d+ plain
        \dt
        \dT+ mood
        \df speak
        \sf speak
        \l postgres
        \encoding
        select 1 as a, 'x'::varchar(3) as b, now() as c, row(1, 2) as d \gdesc
        select 'select ' || i from generate_series(1, 3) as i \gexec
        select 5 as five \gset
        \echo :five
        select id, word, 1 from plain where id < 4 \crosstabview
        select $1::int + $2::int \bind 1 2 \g
        \watch
        \conninfo_is_not_compared
        ",
    );
    assert!(seen.contains("character varying(3)") && seen.contains("Indexes:"), "{seen}");
}

#[test]
fn copy_both_ways() {
    no_difference(
        r"
        \copy zoo to 'zoo.text'
        \copy zoo to 'zoo.csv' (format csv, header)
        \copy zoo to 'zoo.binary' (format binary)
        \copy (select id, word from plain order by id limit 3) to stdout
        create temp table again (like zoo);
        \copy again from 'zoo.text'
        \copy again from 'zoo.csv' (format csv, header)
        \copy again from 'zoo.binary' (format binary)
        select count(*), count(distinct again::text) from again;
        create temp table two (a int, b text);
        copy two from stdin;
1	one
2	\N
\.
        table two;
        copy two from stdin (format csv);
3,three
x,not a number
\.
        select 'goes on';
        copy two to stdout (format csv, header);
        copy zoo (id) to stdout \; select 'after a copy' \; copy plain (id) to stdout;
        copy nowhere from stdin;
        ",
    );
    let target = stand().zoo(PLAIN);
    let lines: String = (0..200_000).map(|i| format!("{}\tword {i}\n", i + 10_000)).collect();
    let script = format!("copy plain from stdin;\n{lines}\\.\nselect count(*), max(id) from plain;\n");
    assert_eq!(psql_script(&target.gateway, &script).ok(), "201000|209999\n");
}

#[test]
fn notifications() {
    let seen = no_difference(
        r"
        listen news;
        notify news, 'heard';
        select pg_notify('news', 'again');
        begin; notify news, 'at the end'; select 1; commit;
        unlisten news;
        notify news, 'not heard';
        select 1;
        ",
    );
    assert!(seen.contains(r#""news" with payload "at the end""#), "{seen}");
}

#[test]
fn a_notification_comes_without_a_question() {
    let target = stand().zoo(PLAIN);
    let mut listener = hoop_testkit::wire::Wire::login(&target.gateway).expect("a login");
    listener.query("listen news").expect("a query");
    listener.read_all();
    psql(&target.gateway, &["-c", "notify news, 'from another'"]).ok();
    let message = listener.read().expect("a message on an idle connection");
    assert_eq!(message.kind, b'A');
    assert!(String::from_utf8_lossy(&message.body).contains("from another"), "{message:?}");
}

#[test]
fn large_objects() {
    let target = stand().zoo(PLAIN);
    let folder = Folder::new("lo");
    let content: Vec<u8> = (0..300_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let (from, to) = (folder.join("from"), folder.join("to"));
    std::fs::write(&from, &content).expect("an own folder takes a file");
    let script = format!(
        "\\lo_import {} 'a comment'\n\\lo_list\n\\lo_export :LASTOID {}\n\\lo_unlink :LASTOID\n",
        from.display(),
        to.display()
    );
    let printed = psql_script(&target.gateway, &script).ok();
    assert!(printed.contains("a comment"), "{printed}");
    assert_eq!(std::fs::read(&to).expect("the export"), content);
}

#[test]
fn at_a_terminal() {
    let target = stand().zoo(PLAIN);
    let mut terminal = Terminal::psql(&target.gateway);
    terminal.expect("ready> ");
    terminal.line("\\d plain");
    let seen = terminal.expect("ready> ");
    assert!(seen.contains("plain_pkey"), "{seen}");
    terminal.line("begin;");
    terminal.expect("ready*> ");
    terminal.line("select 1/0;");
    terminal.expect("division by zero");
    terminal.expect("ready!> ");
    terminal.line("rollback;");
    terminal.expect("ready> ");
    terminal.line("select 'in two");
    terminal.expect("more> ");
    terminal.line("lines';");
    terminal.expect("lines");
    terminal.expect("ready> ");
    terminal.line("\\q");
}

#[test]
fn control_c_cancels_and_the_session_goes_on() {
    let target = stand().zoo(PLAIN);
    let mut terminal = Terminal::psql(&target.gateway);
    terminal.expect("ready> ");
    for _ in 0..2 {
        terminal.line("select pg_sleep(300);");
        let running = "select count(*) from pg_stat_activity where datname = current_database() and query like 'select pg_sleep%' and state = 'active'";
        hoop_testkit::until(std::time::Duration::from_secs(10), "the statement on the server", || {
            (psql(&target.direct, &["-c", running]).ok() == "1\n").then_some(())
        });
        let pressed = std::time::Instant::now();
        terminal.keys("\u{3}");
        terminal.expect("canceling statement due to user request");
        assert!(pressed.elapsed() < std::time::Duration::from_secs(2), "cancelling took {:?}", pressed.elapsed());
        terminal.expect("ready> ");
    }
    terminal.line("select 'goes ' || 'on';");
    terminal.expect("goes on");
}

/// The client's choice of database reaches the server.
#[test]
fn another_database_of_the_same_server() {
    let target = stand().zoo(PLAIN);
    let here = psql(&target.gateway, &["-c", "select current_database()"]).ok();
    assert_eq!(here.trim(), target.database);
    let other = stand().postgres.database();
    let url = target.gateway.replace(&format!("/{}?", target.database), &format!("/{other}?"));
    assert_eq!(psql(&url, &["-c", "select current_database()"]).ok().trim(), other);
}

/// Options of the startup packet and the application's name too.
#[test]
fn startup_options() {
    let target = stand().zoo(PLAIN);
    let show = "select current_setting('application_name'), current_setting('statement_timeout'), current_setting('datestyle')";
    let more = "&application_name=a%20name&options=-c%20statement_timeout%3D4321%20-c%20datestyle%3Dgerman";
    let [direct, gateway] =
        [&target.direct, &target.gateway].map(|url| psql(&format!("{url}{more}"), &["-c", show]).ok());
    assert_eq!(direct, "a name|4321ms|German, DMY\n");
    assert_eq!(direct, gateway);
}
