//! Port 8010 as the way of native clients: what works at the gateway's own doors works there, and nothing more.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use hoop_testkit::{Gateway, Options, Output, Postgres, Terminal, direct_only, hoop, memory, psql, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::{GROUP, Machine, PASSWORD, ROLE, account, fails, parsed};
use crate::stand::{RULE, no_masking, stand};

/// A gateway whose native door nobody reaches: where it is said to be, nothing listens.
struct Walled {
    postgres: Postgres,
    gateway: Gateway,
    _agent: hoop_testkit::Guarded,
}

impl Walled {
    fn new() -> Self {
        let config = "[listen.postgres]\npublic = \"127.0.0.1:1\"\n".to_owned();
        let postgres = Postgres::start();
        let gateway = Gateway::start(&Options { processes: true, config: Some(config), ..Options::default() });
        let agent = gateway.agent("walled");
        gateway.role("walled", "walled", &postgres, |role| {
            role["allowed_groups"] = json!([GROUP]);
            role["plugins"] = json!({ "masking": no_masking() });
        });
        gateway.user("walled-ada", &[GROUP]);
        Self { postgres, gateway, _agent: agent }
    }

    /// A machine on which somebody has signed in.
    fn machine(&self) -> Machine {
        let machine = Machine::new();
        let url = self.gateway.ready()["api"].as_str().expect("the line has the API").to_owned();
        let login = ["login", &url, "--user", "walled-ada", "--password-stdin"];
        machine.run_with(&login, &format!("{PASSWORD}\n")).ok();
        machine
    }
}

/// How many statements like this run on the server.
fn running(direct: &str, statement: &str) -> String {
    let sql = format!(
        "select count(*) from pg_stat_activity where query like '%{statement}%' and state = 'active' and pid <> pg_backend_pid()"
    );
    psql(direct, &["-c", &sql]).ok()
}

#[test]
fn without_a_way_to_the_door_clients_go_through_the_tunnel() {
    if direct_only() {
        return;
    }
    let walled = Walled::new();
    let machine = walled.machine();
    let database = walled.postgres.database();
    let on = ["-d", &database];
    let connect =
        |via: &[&str]| machine.run(&[&["connect", "walled"], &on[..], via, &["--", "-XAtc", "select 1"]].concat());
    let exec =
        |via: &[&str], sql: &str| machine.run(&[&["exec", "walled"], &on[..], via, &["-o", "csv", "-c", sql]].concat());
    for via in [&[][..], &["--via", "tunnel"]] {
        assert_eq!(connect(via).ok(), "1\n");
        assert_eq!(walled.gateway.ended_session("walled")["outcome"], "completed");
        assert_eq!(exec(via, "select 2 as a").ok(), "a\n2\n");
        let session = walled.gateway.ended_session("walled");
        assert_eq!((&session["outcome"], &session["application"]), (&json!("completed"), &json!("hoop exec")));
        assert!(session["source"].as_str().is_some_and(|source| source.starts_with("127.0.0.1:")), "{session}");
    }
    let told = exec(&["--via", "native"], "select 1");
    assert!(fails(&told, 9).contains("127.0.0.1:1 does not answer"), "{told}");
    let printed = machine.run(&["connect", "walled", "--via", "tunnel", "--print", "url"]);
    assert!(fails(&printed, 2).contains("--listen"), "{printed}");
    assert_eq!(parsed(&machine.run(&["credentials", "list", "-o", "json"])), json!([]));

    // A gateway that dies is told as what it is.
    let direct = walled.postgres.url(&database);
    let mut exec = machine.start(&["exec", "walled", "-d", &database, "-c", "select pg_sleep(605)"]);
    until(Duration::from_secs(20), "the statement", || (running(&direct, "pg_sleep(605") == "1\n").then_some(()));
    kill(Pid::from_raw(walled.gateway.pid("gateway").cast_signed()), Signal::SIGKILL).expect("it runs");
    let status = until(Duration::from_secs(15), "the end of hoop", || exec.child.try_wait().expect("an own child"));
    assert_eq!(status.code(), Some(9), "{}", exec.complaints());
    assert!(exec.complaints().contains("connection"), "{}", exec.complaints());
}

/// A reader that does not read stops the server, and nothing in between fills up.
#[test]
fn a_big_result_is_not_kept_anywhere() {
    if direct_only() {
        return;
    }
    let walled = Walled::new();
    let machine = walled.machine();
    let database = walled.postgres.database();
    let sql = "select n, repeat('x', 1000) from generate_series(1, 300000) n";
    let mut command =
        machine.command(&["exec", "walled", "-d", &database, "--via", "tunnel", "-o", "ndjson", "-c", sql]);
    let mut exec = command.stdout(Stdio::piped()).spawn().expect("hoop starts");
    let stuck = "select count(*) from pg_stat_activity where query like '%generate_series(1, 300000)%' and wait_event = 'ClientWrite'";
    let direct = walled.postgres.url(&database);
    until(Duration::from_secs(30), "a server that waits", || {
        (psql(&direct, &["-c", stuck]).ok() == "1\n").then_some(())
    });
    let lines = BufReader::new(exec.stdout.take().expect("a pipe")).lines().map_while(Result::ok).count();
    let (client, gateway) = (memory::peak(exec.id()), memory::peak(walled.gateway.pid("gateway")));
    assert!(exec.wait().expect("an own child").success());
    assert_eq!(lines, 300_000);
    let most = 150 * 1024 * 1024;
    assert!(client < most && gateway < most, "300 MB of rows took {client} bytes in hoop and {gateway} in the gateway");
}

#[test]
fn what_runs_is_cancelled_through_the_tunnel() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("via-cancel");
    let database = stand().postgres.database();
    let direct = stand().postgres.url(&database);
    let sleeping = |count: &str| {
        until(Duration::from_secs(20), "the statement", || (running(&direct, "pg_sleep(606") == count).then_some(()));
    };
    let mut exec = machine.start(&["exec", ROLE, "-d", &database, "--via", "tunnel", "-c", "select pg_sleep(606)"]);
    sleeping("1\n");
    assert_eq!(exec.signal(Signal::SIGINT), Some(130), "{}", exec.complaints());
    sleeping("0\n");

    let config = machine.folder.path().display();
    let psql = "-X -n -v PROMPT1='ready> '";
    let connect = format!("{} connect {ROLE} -d {database} --via tunnel -- {psql}", hoop().display());
    let mut terminal = Terminal::start(&format!("XDG_CONFIG_HOME={config} {connect}"));
    terminal.expect("ready> ");
    terminal.line("select pg_sleep(606);");
    sleeping("1\n");
    terminal.keys("\x03");
    terminal.expect("canceling statement");
    terminal.line("select 'goes ' || 'on';");
    terminal.expect("goes on");
    terminal.line("drop table customers;");
    terminal.expect(RULE);
}

#[test]
fn the_tunnel_is_its_callers_alone_and_ends_with_the_login() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("via-ada");
    let eve = account("via-eve");
    let mut listening = machine.start(&["connect", ROLE, "--via", "tunnel", "--listen", "0"]);
    let own = until(Duration::from_secs(15), "the port", || listening.text().strip_suffix('\n').map(str::to_owned));
    assert_eq!(psql(&own, &["-c", "select 1"]).ok(), "1\n");

    let port = |url: &str| url::Url::parse(url).expect("a URL").port().expect("it has a port");
    let foreign = stand().gateway.credential_for(&eve, ROLE, &json!({})).url;
    let through = foreign.replace(&format!(":{}/", port(&foreign)), &format!(":{}/", port(&own)));
    let refused = psql(&through, &["-c", "select 1"]).failure();
    assert!(refused.contains("not one of via-ada"), "{refused}");
    assert_eq!(psql(&foreign, &["-c", "select 1"]).ok(), "1\n", "at the door itself it is good");

    let database = stand().postgres.database();
    let direct = stand().postgres.url(&database);
    let busy = std::thread::spawn({
        let mut own = url::Url::parse(&own).expect("a URL");
        own.set_path(&database);
        move || -> Output { psql(own.as_str(), &["-c", "select pg_sleep(607)"]) }
    });
    until(Duration::from_secs(20), "the statement", || (running(&direct, "pg_sleep(607") == "1\n").then_some(()));
    machine.run(&["logout"]).ok();
    let ended = busy.join().expect("it ends").failure();
    assert!(ended.contains("login that it came in by was taken away"), "{ended}");
    assert_eq!(stand().ended_session(&database)["code"], "access_revoked");
    psql(&own, &["-c", "select 1"]).failure();
    assert!(listening.complaints().contains("hoop: the token is unknown"), "{}", listening.complaints());
    listening.signal(Signal::SIGINT);
}
