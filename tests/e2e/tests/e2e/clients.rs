//! Every client prints through the gateway what it prints without one.

use std::process::Command;

use hoop_testkit::clients::Client;
use hoop_testkit::{Output, find, output, psql, psql_script};

use crate::stand::{MASKED, PLAIN, same, stand};

fn sees_no_difference(client: Client, role: &str) {
    let seen = stand().same_in_the_zoo(role, |url| client.run("transcript", url).ok());
    assert!(seen.lines().count() > 20, "a transcript should have something to compare: {seen}");
}

#[test]
fn psycopg_sees_no_difference() {
    sees_no_difference(Client::Psycopg, PLAIN);
}

#[test]
fn asyncpg_sees_no_difference() {
    sees_no_difference(Client::Asyncpg, PLAIN);
}

#[test]
fn node_postgres_sees_no_difference() {
    sees_no_difference(Client::Node, PLAIN);
}

#[test]
fn pgjdbc_sees_no_difference() {
    sees_no_difference(Client::Jdbc, PLAIN);
}

#[test]
fn pgx_sees_no_difference() {
    sees_no_difference(Client::Pgx, PLAIN);
}

/// Detectors find nothing in the zoo: nothing in it is anybody's.
#[test]
fn nothing_is_masked_that_is_not_sensitive() {
    sees_no_difference(Client::Asyncpg, MASKED);
    sees_no_difference(Client::Pgx, MASKED);
}

fn pgbench(url: &str, arguments: &[&str]) -> Output {
    output(Command::new(find("pgbench", "postgresql")).args(arguments).arg(url), b"")
}

#[test]
fn pgbench_runs_in_every_mode() {
    let target = stand().target(PLAIN, &stand().postgres.database());
    pgbench(&target.gateway, &["-i", "-q", "-s", "1"]).ok();
    for mode in ["simple", "extended", "prepared"] {
        for clients in ["1", "8"] {
            let run = pgbench(&target.gateway, &["-n", "-M", mode, "-c", clients, "-t", "50"]);
            assert!(run.ok().contains("number of failed transactions: 0"), "{run}");
        }
    }
    let pipeline = "\\startpipeline\nselect 1;\nupdate pgbench_branches set bbalance = bbalance + 1;\n\\endpipeline\n";
    let script = hoop_testkit::Folder::new("pgbench");
    std::fs::write(script.join("pipeline.sql"), pipeline).expect("an own folder takes a file");
    let file = script.join("pipeline.sql").display().to_string();
    pgbench(&target.gateway, &["-n", "-M", "extended", "-t", "50", "-f", &file]).ok();
    let sum = psql(&target.direct, &["-c", "select count(*) from pgbench_history"]).ok();
    assert_eq!(sum, "1350\n", "3 modes of 9 clients of 50 transactions");
}

#[test]
fn pg_dump_gives_the_same_and_it_restores() {
    let target = stand().zoo(PLAIN);
    let dump = |url: &str, format: &str| {
        let dump = output(Command::new(find("pg_dump", "postgresql-client")).args(["--no-sync", format, url]), b"");
        dump.ok();
        dump.stdout
    };
    for format in ["--format=plain", "--inserts"] {
        let (direct, gateway) = (dump(&target.direct, format), dump(&target.gateway, format));
        same(&without_key(&direct), &without_key(&gateway));
    }
    let restored = stand().target(PLAIN, &stand().postgres.database());
    let script = dump(&target.gateway, "--format=plain");
    psql_script(&restored.gateway, &String::from_utf8_lossy(&script)).ok();
    let sum = "select md5(string_agg(zoo::text, '' order by id)) from zoo";
    assert_eq!(psql(&target.direct, &["-c", sum]).ok(), psql(&restored.direct, &["-c", sum]).ok());
}

/// A dump without the random word that guards against statements in names.
fn without_key(dump: &[u8]) -> String {
    let text = String::from_utf8_lossy(dump);
    let lines = text.lines().filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Bytes that are no text in any encoding, in a database that does not mind.
#[test]
fn any_encoding_passes_as_it_is() {
    let postgres = &stand().postgres;
    let ascii = postgres.database_with("encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'");
    let latin = postgres.database_with("encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'");
    for (database, encodings) in [(ascii, &["SQL_ASCII"][..]), (latin, &["LATIN1", "UTF8"])] {
        let target = stand().target(PLAIN, &database);
        let fill = r"create table bytes (value text); insert into bytes select convert_from(set_byte('\x00', 0, i), getdatabaseencoding()) from generate_series(1, 255) as i";
        psql(&target.gateway, &["-c", fill]).ok();
        for encoding in encodings {
            let read = |url: &str| {
                let set = format!("set client_encoding to '{encoding}'");
                psql(url, &["-c", &set, "-c", "table bytes", "-c", "\\copy bytes to stdout"]).stdout
            };
            let expected = read(&target.direct);
            assert!(expected.len() > 200);
            assert_eq!(expected, read(&target.gateway), "{encoding}");
        }
    }
}
