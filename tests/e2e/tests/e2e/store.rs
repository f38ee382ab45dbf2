//! The store: on either engine, moved, backed up, and gone for a while.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hoop_testkit::wire::{Wire, message};
use hoop_testkit::{Folder, Gateway, Options, Output, Postgres, Terminal, direct_only, hoop_gateway, output, until};
use reqwest::Method;

use crate::stand::{ended_session, id, stand};

/// A gateway whose store is this database, with the role `orders` to the shared server.
fn on_postgres(store: &Postgres) -> Gateway {
    // The server of the tests would lose what it has answered when it is stopped at once.
    let config = format!("[store]\nurl = \"{}&options[synchronous_commit]=on\"\n", store.url(&store.database()));
    Gateway::start(&Options { config: Some(config), ..Options::default() })
}

#[test]
fn a_store_that_goes_away_is_missed_by_new_sessions_alone() {
    if direct_only() {
        return;
    }
    let (stand, mut store) = (stand(), Postgres::start());
    let gateway = on_postgres(&store);
    let agent = gateway.agent("here");
    gateway.role("orders", "here", &stand.postgres, |_| {});
    let [staying, leaving] = [(); 2].map(|()| stand.postgres.database());
    let url = gateway.credential("orders", &staying).url;
    let mut psql = Terminal::psql(&url);
    psql.line("select 'before ' || 40 + 2;");
    psql.expect("before 42");
    let mut wire = Wire::login(&gateway.credential("orders", &leaving).url).expect("a login");
    let ready = || gateway.api().try_call(Method::GET, "/readyz", None);
    assert_eq!(ready().0, 200);

    store.stop_immediately();
    psql.line("select 'meanwhile ' || 40 + 2;");
    psql.expect("meanwhile 42");
    let error = Wire::login(&url).expect_err("nobody can say who this is").to_string();
    assert!(error.starts_with("57P03") && error.contains("cannot reach its store"), "{error}");
    let (status, body) = ready();
    assert_eq!((status, body["code"].as_str()), (503, Some("store_unavailable")), "{body}");
    wire.socket.write_all(&message(b'X', b"")).expect("an open session");
    until(Duration::from_secs(10), "the first try to note its end", || {
        gateway.log().contains("end of a session could not be stored").then_some(())
    });
    psql.line("select 'still ' || 40 + 2;");
    psql.expect("still 42");

    store.start_again();
    until(Duration::from_secs(10), "a gateway that is ready again", || (ready().0 == 200).then_some(()));
    let mut new = Wire::login(&url).expect("a login");
    new.query("select 1").expect("a query");
    assert_eq!(new.read_all().len(), 4);
    let session = ended_session(&gateway, &leaving);
    assert_eq!(session["outcome"], "completed", "it ended while nobody could note it: {session}");
    gateway.hoop(&["audit", "verify", &id(&session)]).ok();
    psql.line("select 'after ' || 40 + 2;");
    psql.expect("after 42");
    assert!(agent.is_alive());
    let open = gateway.sessions().into_iter().find(|session| session["database"] == staying.as_str());
    assert!(open.is_some_and(|session| session["ended_at"].is_null()));
}

#[test]
fn a_killed_gateway_finds_its_sessions_again_in_postgres() {
    if direct_only() {
        return;
    }
    let store = Postgres::start();
    let mut gateway = on_postgres(&store);
    let agent = gateway.agent("here");
    gateway.role("orders", "here", &stand().postgres, |_| {});
    let mut wire = Wire::login(&gateway.credential("orders", "postgres").url).expect("a login");
    wire.query("select 1").expect("a query");
    wire.read_all();
    let session = until(Duration::from_secs(10), "the session", || gateway.sessions().into_iter().next());
    gateway.server().kill();
    gateway.start_again();
    let now = gateway.sessions().into_iter().find(|other| id(other) == id(&session)).expect("it is remembered");
    assert_eq!(now["outcome"], "gateway_lost", "{now}");
    drop(agent);
}

/// `hoop-gateway` on a data folder, with a store.
fn run(data: &Path, store: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(hoop_gateway());
    command.args(arguments).env("HOOP_DATA", data).env("HOOP_STORE_URL", store);
    output(&mut command, b"")
}

#[test]
fn a_store_is_moved_and_restored() {
    let (folder, server) = (Folder::new("store"), Postgres::start());
    let data = folder.join("data");
    let (sqlite, postgres) = ("sqlite:hoop.db", server.url(&server.database()));
    let file = folder.join("hoop.backup").display().to_string();
    let [first, second] = [sqlite, &postgres].map(|store| run(&data, store, &["store", "check"]));
    assert!(first.failure().contains("cannot be opened"), "{first}");
    assert!(second.failure().contains("hoop-gateway store migrate"), "{second}");

    run(&data, sqlite, &["first-admin", "root"]).ok();
    assert!(run(&data, sqlite, &["store", "check"]).ok().contains("is whole"));
    let made = run(&data, sqlite, &["store", "backup", &file]).ok();
    assert!(made.lines().any(|line| line.split_whitespace().eq(["users", "1"])), "{made}");
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    assert!(run(&data, sqlite, &["store", "backup", &file]).failure().contains("File exists"));

    let moved = run(&data, sqlite, &["store", "move", "--to", &postgres]);
    moved.ok();
    let checked = run(&data, &postgres, &["store", "check"]);
    assert!(checked.ok().contains("e2e:***@"), "{checked}");
    for said in [moved.text(), moved.stderr, checked.text(), checked.stderr] {
        assert!(!said.contains(Postgres::password()), "{said}");
    }
    let again = run(&data, &postgres, &["first-admin", "other"]);
    assert!(again.failure().contains("there are users already"), "{again}");
    assert!(run(&data, sqlite, &["store", "move", "--to", &postgres]).failure().contains("is not empty"));
    run(&data, &postgres, &["store", "move", "--to", "sqlite:back.db"]).ok();
    run(&data, "sqlite:restored.db", &["store", "restore", &file]).ok();
    for copy in ["sqlite:back.db", "sqlite:restored.db"] {
        assert!(run(&data, copy, &["store", "check"]).ok().contains("is whole"));
        assert!(run(&data, copy, &["first-admin", "other"]).failure().contains("there are users already"));
    }

    let shown = run(&data, &postgres, &["config", "show", "--origin"]).ok();
    assert!(shown.contains("e2e:***@") && !shown.contains(Postgres::password()), "{shown}");
    server_stops(server, &data, &postgres);
}

fn server_stops(mut server: Postgres, data: &Path, postgres: &str) {
    server.stop_immediately();
    let checked = run(data, postgres, &["store", "check"]);
    assert!(checked.failure().contains("Connection refused"), "{checked}");
    assert!(!checked.stderr.contains(Postgres::password()), "{checked}");
}

/// What runs is backed up, and not replaced.
#[test]
fn a_running_gateway_keeps_its_store() {
    if direct_only() {
        return;
    }
    let gateway = Gateway::start(&Options::default());
    let file = gateway.dir().join("hoop.backup").display().to_string();
    let run = |arguments: &[&str]| run(&gateway.dir(), "sqlite:hoop.db", arguments);
    run(&["store", "backup", &file]).ok();
    run(&["store", "check"]).ok();
    for refused in [["store", "restore", &file].as_slice(), &["store", "move", "--to", "sqlite:other.db"]] {
        assert!(run(refused).failure().contains("in use by another gateway"));
    }
}

/// The schema is made once, whoever comes first.
#[test]
fn gateways_that_start_at_once_do_not_get_in_each_others_way() {
    let (folder, server) = (Folder::new("store"), Postgres::start());
    for store in [format!("sqlite:{}", folder.join("hoop.db").display()), server.url(&server.database())] {
        let (data, store) = (folder.join("data"), &store);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| run(&data, store, &["store", "migrate"]).ok());
            }
        });
        assert!(run(&data, store, &["store", "check"]).ok().contains("is whole"));
    }
}
