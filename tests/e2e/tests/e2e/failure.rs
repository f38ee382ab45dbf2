//! What breaks, and what people see of it.

use std::time::{Duration, Instant};

use hoop_testkit::wire::Wire;
use hoop_testkit::{Disk, Gateway, Options, Postgres, direct_only, psql, until};
use nix::sys::signal::Signal;
use reqwest::Method;

use crate::stand::{ended_session, id, recording, stand};

#[test]
fn a_killed_agent_ends_its_sessions_and_another_takes_over() {
    if direct_only() {
        return;
    }
    let stand = stand();
    let agent = stand.gateway.agent("doomed");
    stand.gateway.role("through-doomed", "doomed", &stand.postgres, |_| {});
    let target = stand.target("through-doomed", &stand.postgres.database());
    let mut busy = Wire::login(&target.gateway).expect("a login");
    let mut idle = Wire::login(&target.gateway).expect("a login");
    busy.query("select pg_sleep(300)").expect("a query");
    until(Duration::from_secs(10), "the statement on the server", || {
        let count = "select count(*) from pg_stat_activity where query = 'select pg_sleep(300)' and state = 'active' and datname = current_database()";
        (psql(&target.direct, &["-c", count]).ok() == "1\n").then_some(())
    });
    agent.kill();
    let killed = Instant::now();
    for wire in [&mut busy, &mut idle] {
        wire.socket.set_read_timeout(Some(Duration::from_secs(15))).expect("a timeout");
        let error = wire.read().expect("an error before the end");
        assert_eq!((error.kind, error.field(b'C').as_str()), (b'E', "57P01"), "{error:?}");
        assert!(error.field(b'M').contains("doomed"), "{error:?}");
        assert_eq!(error.field(b'S'), "FATAL");
    }
    assert!(killed.elapsed() < Duration::from_secs(10), "it took {:?}", killed.elapsed());
    let session = ended_session(&stand.gateway, &target.database);
    assert_eq!(session["code"], "agent_lost", "{session}");
    stand.gateway.hoop(&["audit", "verify", &id(&session)]).ok();
    let _next = stand.gateway.run_agent("doomed");
    assert_eq!(psql(&target.gateway, &["-c", "select 1"]).ok(), "1\n");
}

/// An agent that hangs is found out by its silence.
#[test]
fn a_silent_agent_is_given_up() {
    if direct_only() {
        return;
    }
    let stand = stand();
    let agent = stand.gateway.agent("frozen");
    stand.gateway.role("through-frozen", "frozen", &stand.postgres, |_| {});
    let target = stand.target("through-frozen", &stand.postgres.database());
    let mut wire = Wire::login(&target.gateway).expect("a login");
    agent.signal(Signal::SIGSTOP);
    let stopped = Instant::now();
    wire.query("select 1").expect("a query");
    wire.socket.set_read_timeout(Some(Duration::from_secs(15))).expect("a timeout");
    let error = wire.read();
    agent.signal(Signal::SIGCONT);
    let error = error.expect("an error before the end");
    assert_eq!((error.kind, error.field(b'C').as_str()), (b'E', "57P01"), "{error:?}");
    assert!(stopped.elapsed() < Duration::from_secs(10), "it took {:?}", stopped.elapsed());
}

/// An agent that is asked to stop lets what runs come to its end.
#[test]
fn a_draining_agent_finishes_what_runs() {
    if direct_only() {
        return;
    }
    let stand = stand();
    let agent = stand.gateway.agent("leaving");
    stand.gateway.role("through-leaving", "leaving", &stand.postgres, |_| {});
    let target = stand.target("through-leaving", &stand.postgres.database());
    let mut wire = Wire::login(&target.gateway).expect("a login");
    wire.query("select pg_sleep(1), 'finished'").expect("a query");
    agent.signal(Signal::SIGTERM);
    let kinds: Vec<u8> = wire.read_all().into_iter().map(|message| message.kind).collect();
    assert_eq!(kinds, b"TDCZ");
    drop(wire);
    until(Duration::from_secs(10), "the end of the agent", || (!agent.is_alive()).then_some(()));
}

#[test]
fn a_killed_gateway_leaves_what_verifies() {
    if direct_only() {
        return;
    }
    let mut gateway = Gateway::start(&Options { demo: true, ..Options::default() });
    let (url, _) = gateway.demo_urls();
    let mut wire = Wire::login(&url).expect("a login");
    for round in 0..20 {
        wire.query(&format!("select {round}, name from customers limit 2")).expect("a query");
        wire.read_all();
    }
    let session = until(Duration::from_secs(10), "the session", || gateway.sessions().into_iter().next());
    assert!(session["ended_at"].is_null(), "{session}");
    let session = id(&session);
    // By default a second may be lost; strict roles lose nothing.
    let path = recording(&gateway, &session);
    until(Duration::from_secs(10), "the recording on its way to the disk", || {
        let bytes = std::fs::read(&path).ok()?;
        bytes.windows(10).any(|window| window == b"select 19,").then_some(())
    });
    gateway.server().kill();
    gateway.start_again();
    let now = until(Duration::from_secs(10), "the end of the orphan", || {
        let found = gateway.sessions().into_iter().find(|other| id(other) == session)?;
        (!found["ended_at"].is_null()).then_some(found)
    });
    assert_eq!(now["outcome"], "gateway_lost", "{now}");
    let verified = gateway.hoop(&["audit", "verify", &session]);
    verified.ok();
    let shown = gateway.hoop(&["audit", "show", &session]).ok();
    assert!(shown.contains("select 0,") && shown.contains("select 19,"), "{shown}");
    let (url, _) = gateway.demo_urls();
    assert_eq!(psql(&url, &["-c", "select 1"]).ok(), "1\n");
}

/// In a strict role every acknowledged statement is on disk.
#[test]
fn a_strict_role_loses_nothing() {
    if direct_only() {
        return;
    }
    let stand = stand();
    let mut gateway = Gateway::start(&Options::default());
    let _agent = gateway.agent("here");
    gateway.role("strict", "here", &stand.postgres, |role| role["recording"] = "strict".into());
    let mut wire = Wire::login(&gateway.credential("strict", "postgres").url).expect("a login");
    for round in 0..5 {
        wire.query(&format!("select 'statement {round}'")).expect("a query");
        wire.read_all();
    }
    let session = id(&gateway.sessions()[0]);
    gateway.server().kill();
    gateway.start_again();
    gateway.hoop(&["audit", "verify", &session]).ok();
    let shown = gateway.hoop(&["audit", "show", &session]).ok();
    assert!(shown.contains("statement 4"), "{shown}");
}

/// What cannot be recorded does not happen: strict sessions are refused first, and all come back by themselves.
#[test]
fn a_full_disk_refuses_and_ends_sessions_until_there_is_room() {
    if direct_only() {
        return;
    }
    let stand = stand();
    let disk = Disk::new(64 << 20);
    let limits = [("HOOP_RECORD_STRICT_FREE_PERCENT", "10"), ("HOOP_RECORD_FREE_PERCENT", "3")];
    let environment = limits.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let config = Some(format!("[record]\nfolder = {:?}\n", disk.path()));
    let gateway = Gateway::start(&Options { config, environment, ..Options::default() });
    let _agent = gateway.agent("here");
    let [url, strict] = [("orders", "default"), ("ledger", "strict")].map(|(name, recording)| {
        gateway.role(name, "here", &stand.postgres, |role| role["recording"] = recording.into());
        gateway.credential(name, "postgres").url
    });
    let login = |url: &str| Wire::login(url).map_err(|error| error.to_string());
    let refused = |url: &str, why: &str| {
        let error = until(Duration::from_secs(10), "a refusal", || login(url).err());
        assert!(error.contains(why), "{error}");
    };
    let ready = || gateway.api().try_call(Method::GET, "/readyz", None).0;
    let mut running = login(&url).expect("a login");
    let session = format!("/api/v1/sessions/{}", id(&gateway.sessions()[0]));
    let mut idle = login(&url).expect("a login");

    disk.leave_percent(8);
    refused(&strict, "too little room for sessions that are recorded strictly");
    login(&url).expect("there is enough for who does not wait for the disk");
    running.query("select 'while there is little'").expect("a query");
    assert_eq!(running.read_all().last().map(|message| message.kind), Some(b'Z'));

    disk.leave_percent(2);
    refused(&url, "the disk of the recordings is full");
    running.query("select 'while there is nothing'").expect("a query");
    let error = running.read().expect("an error before the end");
    assert!(error.field(b'M').contains("the disk of the recordings is full"), "{error:?}");
    assert_eq!(ready(), 503);
    let session = until(Duration::from_secs(10), "the end of the session", || {
        let session = gateway.api().get(&session);
        (!session["ended_at"].is_null()).then_some(session)
    });
    assert_eq!(session["code"], "recording_failed", "{session}");
    let shown = gateway.hoop(&["audit", "show", &id(&session)]).ok();
    assert!(shown.contains("while there is little") && !shown.contains("while there is nothing"), "{shown}");
    gateway.hoop(&["audit", "verify", &id(&session)]).ok();

    disk.clear();
    for url in [&url, &strict] {
        until(Duration::from_secs(10), "sessions again", || login(url).ok());
    }
    assert_eq!(ready(), 200);
    idle.query("select 1").expect("a query");
    assert_eq!(idle.read_all().last().map(|message| message.kind), Some(b'Z'), "who did nothing lost nothing");
}

#[test]
fn a_stopped_database_is_told_as_such() {
    if direct_only() {
        return;
    }
    let stand = stand();
    let mut postgres = Postgres::start();
    stand.gateway.role("fragile", crate::stand::AGENT, &postgres, |_| {});
    let database = "postgres";
    let url = stand.gateway.credential("fragile", database).url;
    let mut direct = Wire::login(&postgres.url(database)).expect("a login");
    let mut wire = Wire::login(&url).expect("a login");
    // One that is still writing its greeting dies without a word.
    let waiting =
        "select count(*) from pg_stat_activity where backend_type = 'client backend' and wait_event = 'ClientRead'";
    until(Duration::from_secs(10), "both sessions to wait for a statement", || {
        (psql(&postgres.url(database), &["-c", waiting]).ok() == "2\n").then_some(())
    });
    postgres.stop_immediately();
    let [expected, got] = [&mut direct, &mut wire].map(|wire| wire.read().expect("an error before the end"));
    assert_eq!((got.kind, got.field(b'C')), (expected.kind, expected.field(b'C')), "the server's own word for it");
    let session = stand.gateway.ended_session("fragile");
    assert_eq!(session["code"], "target_lost", "{session}");
    let error = Wire::login(&url).expect_err("nobody is there").to_string();
    assert!(error.starts_with("57P03"), "{error}");
    postgres.start_again();
    assert_eq!(psql(&url, &["-c", "select 1"]).ok(), "1\n");
}

/// SIGTERM is not a power cut: clients are told, and everything is sealed.
#[test]
fn a_stopped_gateway_tells_its_clients() {
    if direct_only() {
        return;
    }
    let mut gateway =
        Gateway::start(&Options { config: Some("[limits]\ndrain = \"1s\"\n".to_owned()), ..Options::default() });
    let _agent = gateway.agent("here");
    gateway.role("orders", "here", &stand().postgres, |_| {});
    let mut wire = Wire::login(&gateway.credential("orders", "postgres").url).expect("a login");
    let session = id(&gateway.sessions()[0]);
    gateway.server().stop("TERM");
    let error = wire.read().expect("an error before the end");
    assert_eq!((error.kind, error.field(b'C').as_str()), (b'E', "57P01"), "{error:?}");
    gateway.hoop(&["audit", "verify", &session]).ok();
}
