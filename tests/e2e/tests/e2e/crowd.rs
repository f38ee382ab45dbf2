//! Many at once, and some of them badly behaved.

use std::time::{Duration, Instant};

use hoop_testkit::wire::Wire;
use hoop_testkit::{direct_only, memory, psql, until};

use crate::stand::{PLAIN, stand};

fn resident() -> [u64; 2] {
    if direct_only() {
        return [0, 0];
    }
    let agent = stand().agent.as_ref().map_or(0, |agent| agent.pid);
    [stand().gateway.pid("gateway"), agent].map(memory::resident)
}

#[test]
fn two_hundred_sessions_at_once() {
    let target = stand().target(PLAIN, &stand().postgres.database());
    let mut sessions: Vec<Wire> = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| (0..50).map(|_| Wire::login(&target.gateway).expect("a login")).collect::<Vec<_>>())
            })
            .collect();
        openers.into_iter().flat_map(|opener| opener.join().expect("an opener")).collect()
    });
    for (number, wire) in sessions.iter_mut().enumerate() {
        wire.query(&format!("select pg_sleep(0.1), {number}")).expect("a query");
    }
    for (number, wire) in sessions.iter_mut().enumerate() {
        let row = wire.read_all().into_iter().find(|message| message.kind == b'D').expect("a row");
        assert!(row.body.ends_with(number.to_string().as_bytes()), "session {number} got its own answer: {row:?}");
    }
    let count =
        psql(&target.direct, &["-c", "select count(*) from pg_stat_activity where datname = current_database()"]);
    assert_eq!(count.ok(), "201\n");
    drop(sessions);
    until(Duration::from_secs(20), "the end of all sessions", || {
        let count = "select count(*) from pg_stat_activity where datname = current_database()";
        (psql(&target.direct, &["-c", count]).ok() == "1\n").then_some(())
    });
}

#[test]
fn a_client_that_does_not_read_delays_nobody() {
    let target = stand().target(PLAIN, &stand().postgres.database());
    let before = resident();
    let mut lazy = Wire::login(&target.gateway).expect("a login");
    lazy.query("select repeat('x', 1000) from generate_series(1, 200000) as lazy").expect("a query");
    let stuck = "select count(*) from pg_stat_activity where wait_event = 'ClientWrite' and query like '%as lazy'";
    until(Duration::from_secs(30), "a server that waits for its client", || {
        (psql(&target.direct, &["-c", stuck]).ok() == "1\n").then_some(())
    });
    let mut other = Wire::login(&target.gateway).expect("a login");
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let start = Instant::now();
            other.query("select 1").expect("a query");
            assert!(other.read_all().iter().any(|message| message.kind == b'D'));
            start.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[times.len() / 2] < Duration::from_millis(50), "others wait: {:?}", times.last());
    let bulk =
        psql(&target.gateway, &["-c", "copy (select repeat('y', 1000) from generate_series(1, 50000)) to stdout"]);
    assert_eq!(bulk.ok().len(), 50_050_000);
    for (before, after) in before.into_iter().zip(resident()) {
        assert!(after.saturating_sub(before) < 48 << 20, "{before} bytes grew to {after}");
    }
    // And the rest is still there for who reads at last.
    let rows = lazy.read_all().into_iter().filter(|message| message.kind == b'D').count();
    assert_eq!(rows, 200_000);
}

/// A client that reads nothing for long, and then goes away without a word.
#[test]
fn a_client_that_vanishes_frees_its_place() {
    let target = stand().target(PLAIN, &stand().postgres.database());
    let mut lazy = Wire::login(&target.gateway).expect("a login");
    lazy.query("select repeat('x', 1000) from generate_series(1, 1000000) as vanishing").expect("a query");
    lazy.read().expect("a first message");
    drop(lazy);
    let running = "select count(*) from pg_stat_activity where query like '%as vanishing' and state = 'active'";
    until(Duration::from_secs(20), "the end of the statement", || {
        (psql(&target.direct, &["-c", running]).ok() == "0\n").then_some(())
    });
}

#[test]
fn a_thousand_silent_connections_delay_nobody() {
    if direct_only() {
        return;
    }
    let target = stand().target(PLAIN, "postgres");
    let silent: Vec<Wire> =
        (0..1000).map(|_| Wire::connect(&stand().gateway.address()).expect("the door is open")).collect();
    let mut times: Vec<Duration> = (0..10)
        .map(|_| {
            let start = Instant::now();
            Wire::login(&target.gateway).expect("a login");
            start.elapsed()
        })
        .collect();
    times.sort();
    eprintln!("a login beside a thousand silent connections: {:?}", times[times.len() / 2]);
    assert!(times[times.len() / 2] < Duration::from_millis(500), "{times:?}");
    drop(silent);
}

/// A big upload and a big download at once on many sessions: nothing is mixed up, nothing waits for ever.
#[test]
fn bulk_both_ways_at_once() {
    let target = stand().target(PLAIN, &stand().postgres.database());
    psql(&target.direct, &["-c", "create table bulk (id int, filler text)"]).ok();
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..4)
            .map(|job| {
                let target = &target;
                scope.spawn(move || {
                    let lines: String = (0..40_000).map(|i| format!("{i}\t{}\n", "z".repeat(100))).collect();
                    let script = format!("copy bulk from stdin;\n{lines}\\.\nselect 'done {job}';\n");
                    assert_eq!(hoop_testkit::psql_script(&target.gateway, &script).ok(), format!("done {job}\n"));
                    let out = psql(&target.gateway, &["-c", "copy (select * from bulk limit 20000) to stdout"]).ok();
                    assert_eq!(out.lines().count(), 20_000);
                })
            })
            .collect();
        jobs.into_iter().for_each(|job| job.join().expect("a job"));
    });
    assert_eq!(psql(&target.direct, &["-c", "select count(*) from bulk"]).ok(), "160000\n");
}
