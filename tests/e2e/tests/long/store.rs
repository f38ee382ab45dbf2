//! The store is away for longer than anything waits for it: retries, the age of rules, pools of connections.

use std::io::Write as _;
use std::time::{Duration, Instant};

use hoop_testkit::wire::{Wire, message};
use hoop_testkit::{Gateway, Options, Postgres, until};
use reqwest::Method;
use serde_json::Value;

/// How long the store is away.
const AWAY: Duration = Duration::from_secs(60);
/// How long it may take until all is well again.
const BACK: Duration = Duration::from_secs(30);

fn asks(wire: &mut Wire, statement: &str) {
    wire.query(statement).expect("an open session");
    let kinds: Vec<u8> = wire.read_all().into_iter().map(|message| message.kind).collect();
    assert_eq!(kinds, b"TDCZ", "{statement}");
}

fn session_on(gateway: &Gateway, database: &str) -> Option<Value> {
    gateway.sessions().into_iter().find(|session| session["database"] == database)
}

#[test]
fn a_store_that_is_away_for_a_minute_ends_no_session_and_loses_no_end() {
    let (postgres, mut store) = (Postgres::start(), Postgres::start());
    // The server of the tests would lose what it has answered when it is stopped at once.
    let config = format!("[store]\nurl = \"{}&options[synchronous_commit]=on\"\n", store.url(&store.database()));
    let gateway = Gateway::start(&Options { config: Some(config), ..Options::default() });
    let agent = gateway.agent("here");
    gateway.role("orders", "here", &postgres, |_| {});
    let [staying, leaving] = [(); 2].map(|()| postgres.database());
    let url = gateway.credential("orders", &staying).url;
    let mut stays = Wire::login(&url).expect("a login");
    let mut leaves = Wire::login(&gateway.credential("orders", &leaving).url).expect("a login");
    let ready = || gateway.api().try_call(Method::GET, "/readyz", None).0;
    assert_eq!(ready(), 200);

    store.stop_immediately();
    let gone = Instant::now();
    leaves.socket.write_all(&message(b'X', b"")).expect("an open session");
    let (mut statements, mut refused) = (0, 0);
    while gone.elapsed() < AWAY {
        asks(&mut stays, "select pg_sleep(1)");
        let error = Wire::login(&url).expect_err("nobody can say who this is").to_string();
        assert!(error.starts_with("57P03") && error.contains("cannot reach its store"), "{error}");
        assert_eq!(ready(), 503);
        (statements, refused) = (statements + 1, refused + 1);
    }
    assert!(agent.is_alive());

    store.start_again();
    let back = Instant::now();
    until(BACK, "a gateway that is ready again", || (ready() == 200).then_some(()));
    let mut new = until(BACK, "a new session", || Wire::login(&url).ok());
    println!("{statements} statements and {refused} refused logins; all well again after {:?}", back.elapsed());
    asks(&mut new, "select 1");
    asks(&mut stays, "select 1");
    let left = until(BACK, "the end that nobody could note", || {
        session_on(&gateway, &leaving).filter(|session| !session["ended_at"].is_null())
    });
    assert_eq!(left["outcome"], "completed", "{left}");
    let id = left["id"].as_str().expect("a session has an id");
    gateway.hoop(&["audit", "verify", id]).ok();
    assert!(
        gateway
            .sessions()
            .iter()
            .any(|session| session["ended_at"].is_null() && session["database"] == staying.as_str())
    );
}
