//! `hoop connect`: the client's own behaviour, and a credential that ends with it.

use std::process::Command;
use std::time::Duration;

use hoop_testkit::{Terminal, direct_only, hoop, output, psql, until};
use nix::sys::signal::Signal;
use serde_json::json;

use super::{Machine, ROLE, fails, parsed};

#[test]
fn the_clients_exit_code_comes_through() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("cli-codes");
    let run = |script: &str| machine.run(&["connect", ROLE, "--", "-XAt", "-v", "ON_ERROR_STOP=1", "-c", script]);
    assert_eq!(run("select 'through'").ok(), "through\n");
    fails(&run("select 1/0"), 1);
    let script = machine.run_with(&["connect", ROLE, "--", "-XAt", "-v", "ON_ERROR_STOP=1"], "select 1/0;\n");
    fails(&script, 3);
    // What the user has set for psql leads nowhere else.
    let mut command = machine.command(&["connect", ROLE, "--", "-XAtc", "select 1"]);
    command.env("PGHOSTADDR", "192.0.2.1").env("PGSERVICE", "elsewhere").env("PGSSLROOTCERT", "/nowhere");
    assert_eq!(output(&mut command, b"").ok(), "1\n");
}

#[test]
fn without_a_client_it_says_what_to_do() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("cli-no-psql");
    let mut command = machine.command(&["connect", ROLE]);
    let told = output(command.env("PATH", machine.folder.path()), b"");
    assert!(fails(&told, 1).contains("--print url"), "{told}");
    assert_eq!(parsed(&machine.run(&["credentials", "list", "-o", "json"])), json!([]));
}

#[test]
fn what_is_printed_is_good_for_a_client_of_ones_own() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("cli-print");
    let url = machine.run(&["connect", ROLE, "--print", "url", "--duration", "5m"]).ok();
    assert_eq!(psql(url.trim(), &["-c", "select 1"]).ok(), "1\n");
    let mut shell = Command::new("sh");
    let script = format!("eval \"$({} connect {ROLE} --print env)\" && psql -XAtc 'select 2'", hoop().display());
    shell.args(["-c", &script]).env("XDG_CONFIG_HOME", machine.folder.path());
    assert_eq!(output(&mut shell, b"").ok(), "2\n");
    std::fs::write(machine.folder.join("services"), machine.run(&["connect", ROLE, "--print", "conf"]).ok())
        .expect("an own folder");
    let mut service = Command::new("psql");
    service.args([&format!("service={ROLE}"), "-XAtc", "select 3"]);
    assert_eq!(output(service.env("PGSERVICEFILE", machine.folder.join("services")), b"").ok(), "3\n");
    let made = parsed(&machine.run(&["credentials", "create", ROLE, "-o", "json"]));
    let id = made["id"].as_str().expect("it has an id");
    machine.run(&["credentials", "revoke", id]).ok();
    psql(made["url"].as_str().expect("it has a URL"), &["-c", "select 1"]).failure();
    fails(&machine.run(&["credentials", "revoke", "crd_00000000000000000000000000000000"]), 8);
}

#[test]
fn a_local_port_leads_to_the_role_until_it_is_closed() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("cli-listen");
    let mut running = machine.start(&["connect", ROLE, "--listen", "0"]);
    let url = until(Duration::from_secs(15), "the port", || running.text().strip_suffix('\n').map(str::to_owned));
    assert!(url.contains("@127.0.0.1:"), "{url}");
    assert_eq!(psql(&url, &["-c", "select 1"]).ok(), "1\n");
    let listed = parsed(&machine.run(&["credentials", "list", "-o", "json"]));
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(running.signal(Signal::SIGINT), Some(0), "{}", running.complaints());
    psql(&url, &["-c", "select 1"]).failure();
    assert_eq!(parsed(&machine.run(&["credentials", "list", "-o", "json"])), json!([]));
}

/// Ctrl-C at the terminal ends a statement of psql, and not the session.
#[test]
fn an_interrupt_is_the_clients() {
    if direct_only() {
        return;
    }
    let machine = Machine::of("cli-terminal");
    let config = machine.folder.path().display();
    let psql = "-X -n -v PROMPT1='ready> '";
    let command = format!("XDG_CONFIG_HOME={config} {} connect {ROLE} -- {psql}", hoop().display());
    let mut terminal = Terminal::start(&command);
    terminal.expect("ready> ");
    terminal.line("\\echo before-the-sleep");
    terminal.expect("\r\nbefore-the-sleep");
    terminal.line("select pg_sleep(603);");
    until(Duration::from_secs(15), "the statement", || {
        let sessions = parsed(&machine.run(&["audit", "show", "-o", "json"]));
        sessions.to_string().contains("pg_sleep(603)").then_some(())
    });
    terminal.keys("\x03");
    terminal.expect("canceling statement");
    terminal.line("select 'goes ' || 'on';");
    terminal.expect("goes on");
}
