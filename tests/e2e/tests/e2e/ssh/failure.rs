//! What goes wrong is said in a line, with what to do, and with an exit status; never by a connection that just ends.

use std::net::TcpListener;
use std::process::Stdio;

use hoop_testkit::{Sshd, make_key, output, until};
use serde_json::json;

use super::{Client, PLAIN, gateway, gateway_with, role, stand};

#[track_caller]
fn refused(client: &Client, role: &str, words: &[&str]) {
    let refused = client.run(role, "echo in");
    assert_eq!(refused.status.code(), Some(255), "{refused}");
    for word in words {
        assert!(refused.stderr.contains(word), "no {word:?} in {refused}");
    }
    assert!(refused.stderr.contains("hoop: "), "{refused}");
}

#[test]
fn each_reason_has_its_own_words() {
    let stand = stand();
    let other = stand.client.folder.join("other-host");
    make_key(&other, "ed25519");
    let (closed, wrong) = (hoop_testkit::free_port(), hoop_testkit::public_key(&other));
    role(&stand.gateway, "down", &stand.sshd, |target| target["port"] = json!(closed));
    role(&stand.gateway, "wrong-host", &stand.sshd, |target| target["host_keys"] = json!([wrong]));
    role(&stand.gateway, "unknown-host", &stand.sshd, |target| target["host_keys"] = json!([]));
    role(&stand.gateway, "wrong-user", &stand.sshd, |target| target["user"] = json!("nobody-at-all"));
    role(&stand.gateway, "no-secret", &stand.sshd, |target| target["private_key"] = json!("env:HOOP_SECRET_NOTHING"));
    let nowhere = json!({ "name": "no-agent", "agent": "nowhere", "target": {
        "kind": "ssh", "host": "127.0.0.1", "port": 22, "user": "x", "private_key": "env:HOOP_SECRET_SSH_KEY" } });
    stand.gateway.api().post("/api/v1/roles", &nowhere);
    refused(&stand.client, "down", &["cannot be reached"]);
    refused(&stand.client, "wrong-host", &["has changed", "SHA256:"]);
    refused(&stand.client, "unknown-host", &["is not known", "hoop admin roles trust"]);
    refused(&stand.client, "wrong-user", &["refuses user nobody-at-all"]);
    refused(&stand.client, "no-secret", &["HOOP_SECRET_NOTHING"]);
    refused(&stand.client, "no-agent", &["agent nowhere", "is not connected"]);
}

#[test]
fn who_may_not_is_told_so() {
    let stand = stand();
    role(&stand.gateway, "not-yours", &stand.sshd, |_| {});
    let user = stand.gateway.user("ssh-nobody", &[]);
    let client = Client::new(&stand.gateway);
    let key = client.folder.join("key");
    make_key(&key, "ed25519");
    user.post("/api/v1/keys", &json!({ "public_key": hoop_testkit::public_key(&key), "name": "own" }));
    refused(&client, "not-yours", &["not-yours"]);
}

#[test]
fn a_session_that_is_killed_says_so_and_ends() {
    let stand = stand();
    role(&stand.gateway, "killed", &stand.sshd, |_| {});
    let mut shell = stand.client.terminal("killed", "sh");
    shell.line("echo here $((1 + 1))");
    shell.expect("here 2");
    let session = stand.gateway.sessions().into_iter().find(|session| session["role"] == "killed").expect("it runs");
    let id = session["id"].as_str().expect("an id");
    stand.gateway.hoop(&["sessions", "kill", id]).ok();
    shell.expect("hoop: ");
    assert_eq!(stand.gateway.ended_session("killed")["outcome"], "killed");
}

/// Nobody waits for the login of a session whose client has gone.
#[test]
fn a_client_that_goes_away_before_the_login_ends_its_session() {
    let stand = stand();
    let gateway = gateway_with(&stand.sshd, Some("[limits]\nopen_timeout = \"2m\"\n"));
    let silent = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = silent.local_addr().expect("a bound socket").port();
    role(&gateway, "silent", &stand.sshd, |target| target["port"] = json!(port));
    let client = Client::new(&gateway);
    let mut ssh = client.ssh(&[], "silent").stdin(Stdio::null()).spawn().expect("ssh starts");
    let _target = silent.accept().expect("the agent dials");
    ssh.kill().expect("an own child");
    ssh.wait().expect("an own child");
    assert_eq!(gateway.ended_session("silent")["outcome"], "client_lost");
}

#[test]
fn a_target_that_goes_away_ends_the_session_as_lost() {
    let mut sshd = Sshd::start();
    let gateway = gateway(&sshd);
    role(&gateway, "lost", &sshd, |_| {});
    let client = Client::new(&gateway);
    let mut shell = client.terminal("lost", "sh");
    shell.line("echo $PPID; kill -KILL $PPID");
    shell.expect("hoop: ");
    assert_eq!(gateway.ended_session("lost")["outcome"], "target_lost");
    sshd.stop();
    refused(&client, "lost", &["cannot be reached"]);
    sshd.start_again();
    assert_eq!(client.run("lost", "echo again").ok(), "again\n");
}

#[test]
fn a_gateway_that_stops_tells_its_clients() {
    let sshd = Sshd::start();
    let mut gateway = gateway(&sshd);
    role(&gateway, "drained", &sshd, |_| {});
    let client = Client::new(&gateway);
    let mut shell = client.terminal("drained", "sh");
    shell.line("echo here $((1 + 1))");
    shell.expect("here 2");
    std::thread::scope(|scope| {
        scope.spawn(|| gateway.server().stop("TERM"));
        shell.expect("the gateway is shutting down");
    });
    gateway.start_again();
    assert_eq!(gateway.ended_session("drained")["outcome"], "drained");
}

#[test]
fn a_command_whose_client_leaves_ends_on_the_target() {
    let stand = stand();
    let mark = format!("/tmp/hoop-e2e-left-{}", std::process::id());
    let mut ssh = stand.client.ssh(&["-tt"], PLAIN);
    let script = format!("trap 'touch {mark}; exit' HUP; echo begun; while :; do sleep 0.1; done");
    let mut child = ssh.arg(script).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn();
    let child = child.as_mut().expect("ssh starts");
    let mut begun = [0; 5];
    std::io::Read::read_exact(child.stdout.as_mut().expect("a pipe"), &mut begun).expect("it has begun");
    child.kill().expect("an own child");
    child.wait().expect("it ends");
    until(std::time::Duration::from_secs(20), "the end of the command", || {
        std::path::Path::new(&mark).exists().then_some(())
    });
    std::fs::remove_file(&mark).expect("it was made");
    assert_eq!(output(stand.client.ssh(&[], PLAIN).arg("echo next"), b"").ok(), "next\n");
}
