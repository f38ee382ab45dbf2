//! Signing in, what is kept of it, and what is not shown.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use hoop_testkit::{Terminal, direct_only, find, hoop, psql, until};
use serde_json::json;

use super::{Machine, PASSWORD, ROLE, Running, account, fails, parsed, url};
use crate::stand::{fixture, stand};

/// The whole way of somebody who is new.
#[test]
fn from_the_first_login_to_the_last() {
    if direct_only() {
        return;
    }
    super::role();
    let boss = Machine::new();
    let api = stand().gateway.api();
    api.post(
        "/api/v1/users",
        &json!({ "name": "cli-boss", "kind": "admin", "password": PASSWORD, "must_change_password": false }),
    );
    boss.login("cli-boss").ok();
    let made = parsed(&boss.run(&["admin", "users", "create", "cli-new", "--group", super::GROUP, "-o", "json"]));
    let first = made["one_time_password"].as_str().expect("a password is shown once");

    let machine = Machine::new();
    fails(&machine.run(&["whoami"]), 3);
    let refused = machine.run_with(&["login", url(), "--user", "cli-new", "--password-stdin"], &format!("{first}x\n"));
    fails(&refused, 3);
    let once = machine.run_with(&["login", url(), "--user", "cli-new", "--password-stdin"], &format!("{first}\n"));
    assert!(fails(&once, 3).contains("second line"), "{once}");
    let lines = format!("{first}\n{PASSWORD}\n");
    machine.run_with(&["login", url(), "--user", "cli-new", "--password-stdin"], &lines).ok();

    let me = parsed(&machine.run(&["whoami", "-o", "json"]));
    assert_eq!((&me["name"], &me["groups"]), (&json!("cli-new"), &json!([super::GROUP])));
    let roles = parsed(&machine.run(&["roles", "list", "-o", "json"]));
    assert_eq!(roles.as_array().map(Vec::len), Some(1), "only what they may reach: {roles}");
    assert!(machine.run(&["roles", "show", ROLE]).ok().contains("postgres"));
    assert_eq!(machine.run(&["connect", ROLE, "--", "-XAtc", "select 1"]).ok(), "1\n");
    assert_eq!(parsed(&machine.run(&["exec", ROLE, "-c", "select 1 as one", "-o", "json"])), json!([{ "one": "1" }]));
    fails(&machine.run(&["exec", "no-such-role", "-c", "select 1"]), 8);
    // Every credential was taken back.
    assert_eq!(parsed(&machine.run(&["credentials", "list", "-o", "json"])), json!([]));

    let mut with_another = machine.command(&["logout"]);
    fails(&hoop_testkit::output(with_another.env("HOOP_TOKEN", "another"), b""), 3);
    machine.run(&["whoami"]).ok();
    let token = machine.token();
    machine.run(&["logout"]).ok();
    for command in [&["whoami"][..], &["exec", ROLE, "-c", "select 1"], &["connect", ROLE]] {
        fails(&machine.run(command), 3);
    }
    let mut with_token = machine.command(&["whoami"]);
    let ended = hoop_testkit::output(with_token.env("HOOP_URL", url()).env("HOOP_TOKEN", token), b"");
    fails(&ended, 3);
}

/// At a terminal everything is asked for, and a password is not seen.
#[test]
fn a_password_is_asked_for_and_not_seen() {
    if direct_only() {
        return;
    }
    account("cli-asked");
    let machine = Machine::new();
    let config = machine.folder.path().display();
    let login = format!("XDG_CONFIG_HOME={config} {} login --password {}", hoop().display(), url());
    let mut terminal = Terminal::start(&login);
    terminal.expect("User: ");
    terminal.line("cli-asked");
    terminal.expect("Password of cli-asked: ");
    terminal.line(PASSWORD);
    let seen = terminal.expect("signed in to ");
    assert!(!seen.contains(PASSWORD), "{seen}");
    terminal.expect("as cli-asked until");
    let unasked = machine.run(&["login", url(), "--user", "cli-asked", "--no-input"]);
    assert!(fails(&unasked, 2).contains("--password-stdin"), "{unasked}");
}

#[test]
fn contexts_are_told_apart() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("cli-contexts");
    account("cli-other");
    let other = ["--context", "other", "login", url(), "--user", "cli-other", "--password-stdin"];
    machine.run_with(&other, &format!("{PASSWORD}\n")).ok();
    let name = |arguments: &[&str]| parsed(&machine.run(arguments))["name"].clone();
    assert_eq!(name(&["whoami", "-o", "json"]), "cli-other", "the last login is the current one");
    let listed = parsed(&machine.run(&["context", "list", "-o", "json"]));
    let first = listed[0]["name"].as_str().expect("the name of the first").to_owned();
    assert_eq!(name(&["whoami", "-o", "json", "--context", &first]), "cli-contexts");
    machine.run(&["context", "use", &first]).ok();
    assert_eq!(name(&["whoami", "-o", "json"]), "cli-contexts");
    machine.run(&["context", "delete", &first]).ok();
    fails(&machine.run(&["whoami"]), 3);
    fails(&machine.run(&["context", "use", &first]), 8);
}

#[test]
fn a_token_is_shown_nowhere() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("cli-token");
    let token = machine.token();
    let machine = Machine::new();
    machine.run_with(&["login", url(), "--token-stdin"], &format!("{token}\n")).ok();
    let mode = |name: &str| {
        let found = std::fs::metadata(machine.folder.join("hoop").join(name)).expect("it was written");
        found.permissions().mode() & 0o777
    };
    assert_eq!((mode("tokens.toml"), mode("config.toml"), mode("")), (0o600, 0o600, 0o700));
    let config = std::fs::read_to_string(machine.folder.join("hoop/config.toml")).expect("a file");
    let mut shown = vec![config];
    for arguments in [
        &["doctor"][..],
        &["doctor", "-o", "json"],
        &["context", "list", "-o", "yaml"],
        &["whoami", "--verbose"],
        &["exec", ROLE, "-c", "select 1/0", "--verbose"],
        &["exec", ROLE, "-c", "table pg_stat_activity", "-o", "json"],
    ] {
        shown.push(machine.run(arguments).to_string());
    }
    let running = machine.start(&["connect", ROLE, "--", "-Xc", "select pg_sleep(600)"]);
    let psql = until(Duration::from_secs(15), "psql", || child_of(running.pid()));
    shown.push(String::from_utf8_lossy(&find_output("ps", "procps", &["-ef"])).into_owned());
    // The child is hoop's own image until it becomes psql.
    let (environment, password) = until(Duration::from_secs(15), "a password in psql's environment", || {
        let environment = std::fs::read(format!("/proc/{psql}/environ")).ok()?;
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let password = environment.split('\0').find_map(|pair| pair.strip_prefix("PGPASSWORD="))?.to_owned();
        Some((environment, password))
    });
    assert!(!shown.iter().any(|text| text.contains(&password)), "the credential's password is in no list");
    shown.push(environment);
    shown.push(stand().gateway.log());
    for text in shown {
        assert!(!text.contains(&token), "{text}");
    }
}

/// The process that another has started.
fn child_of(pid: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

fn find_output(program: &str, package: &str, arguments: &[&str]) -> Vec<u8> {
    hoop_testkit::output(Command::new(find(program, package)).args(arguments), b"").stdout
}

/// A gateway behind TLS whose certificate nobody has signed is trusted only when somebody says which one it is.
#[test]
fn a_certificate_is_pinned_or_signed_by_a_given_authority() {
    if direct_only() {
        return;
    }
    account("cli-tls");
    let machine = Machine::new();
    std::fs::write(machine.folder.join("proxy.py"), fixture("tls_proxy.py")).expect("an own folder takes a file");
    let certificates = stand().gateway.dir().join("tls");
    let target = url().trim_start_matches("http://");
    let mut proxy = Command::new(find("python3", "python3"));
    proxy.arg(machine.folder.join("proxy.py")).args([certificates.join("tls.crt"), certificates.join("tls.key")]);
    let proxy = Running::start(&machine, proxy.arg(target));
    let port =
        until(Duration::from_secs(15), "the port of the proxy", || proxy.text().strip_suffix('\n').map(str::to_owned));
    let https = format!("https://localhost:{port}");
    let login = |more: &[&str]| {
        let arguments = [&["login", https.as_str(), "--user", "cli-tls", "--password-stdin"], more].concat();
        machine.run_with(&arguments, &format!("{PASSWORD}\n"))
    };
    let refused = login(&[]);
    let told = fails(&refused, 1);
    let shown = told.split_whitespace().find(|word| word.starts_with("sha256:")).expect("the fingerprint is shown");
    assert!(!machine.folder.join("hoop").exists(), "nothing is kept of a login that failed");
    let wrong = format!("sha256:{}", "0".repeat(64));
    assert!(fails(&login(&["--fingerprint", &wrong]), 1).contains("another certificate"));
    login(&["--fingerprint", shown]).ok();
    assert_eq!(machine.run(&["exec", ROLE, "-c", "select 1 as n", "-o", "csv"]).ok(), "n\n1\n");
    machine.run(&["doctor"]).ok();
    let authority = certificates.join("tls.crt").display().to_string();
    login(&["--ca-file", &authority]).ok();
    assert_eq!(parsed(&machine.run(&["whoami", "-o", "json"]))["name"], "cli-tls");
    let url = machine.run(&["connect", ROLE, "--print", "url"]).ok();
    assert_eq!(psql(url.trim(), &["-c", "select 1"]).ok(), "1\n");
}

#[test]
fn secrets_go_nowhere_in_clear_text() {
    let machine = Machine::new();
    let refused = machine.run_with(&["login", "http://192.0.2.1", "--user", "ada", "--password-stdin"], "secret\n");
    assert!(fails(&refused, 1).contains("without encryption"), "{refused}");
}

#[test]
fn what_does_not_answer_is_unavailable() {
    let machine = Machine::new();
    let port = hoop_testkit::free_port();
    let login =
        machine.run_with(&["login", &format!("127.0.0.1:{port}"), "--user", "ada", "--password-stdin"], "secret\n");
    assert!(fails(&login, 9).contains("hoop doctor"), "{login}");
    let mut doctor = machine.command(&["doctor", "-o", "ndjson"]);
    let doctor = hoop_testkit::output(doctor.env("HOOP_URL", format!("http://127.0.0.1:{port}")), b"");
    fails(&doctor, 9);
    assert!(doctor.text().contains(r#""state":"broken","what":"port""#), "{doctor}");
}
