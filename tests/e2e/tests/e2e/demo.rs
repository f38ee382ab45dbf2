//! `hoop dev --demo`, as the README has people start it.

use std::process::Command;
use std::sync::OnceLock;

use hoop_testkit::{Gateway, Options, direct_only, find, output, psql};

pub(crate) fn demo() -> &'static Gateway {
    static DEMO: OnceLock<Gateway> = OnceLock::new();
    DEMO.get_or_init(|| Gateway::start(&Options { demo: true, ..Options::default() }))
}

#[test]
fn masks_and_refuses_as_it_says() {
    if direct_only() {
        return;
    }
    let (url, target_url) = demo().demo_urls();
    let select = ["-c", "select email, card_number, ssn from customers order by id limit 20"];
    let (masked, clear) = (psql(&url, &select).ok(), psql(&target_url, &select).ok());
    assert_eq!(masked.lines().count(), 20);
    for (masked, clear) in masked.lines().zip(clear.lines()) {
        let cells = masked.split('|').zip(clear.split('|'));
        for (masked, clear) in cells.filter(|(_, clear)| !clear.is_empty()) {
            assert_ne!(masked, clear);
        }
    }
    let refused = psql(&url, &["-c", "drop table customers"]).failure();
    assert!(refused.contains("HINT"), "{refused}");
    assert_eq!(psql(&target_url, &["-c", "select count(*) > 0 from customers"]).ok(), "t\n");
}

#[test]
fn the_line_has_what_scripts_need() {
    if direct_only() {
        return;
    }
    let ready = demo().ready();
    for part in ["hoop", "gateway", "agent", "postgres", "sshd"] {
        assert!(ready["pids"][part].is_u64(), "{ready}");
    }
    assert!(ready["api"].as_str().is_some_and(|api| api.starts_with("http://127.0.0.1:")), "{ready}");
}

/// The same over TLS, the certificate verified as a careful client does.
#[test]
fn tls_is_verified() {
    if direct_only() {
        return;
    }
    let role = &demo().ready()["roles"][0];
    let url = role["tls_url"].as_str().expect("a URL with TLS");
    assert!(url.contains("sslmode=verify-full"), "{url}");
    assert_eq!(psql(url, &["-c", "select 1"]).ok(), "1\n");
    let strict = format!("{url}&channel_binding=require");
    assert_eq!(psql(&strict, &["-c", "select 1"]).ok(), "1\n");
}

/// The sample machine lets the agent's key in, and nobody else.
#[test]
fn there_is_a_machine_to_try_it_on() {
    if direct_only() {
        return;
    }
    let role = &demo().ready()["roles"][1];
    assert_eq!((role["name"].as_str(), role["kind"].as_str()), (Some("demo-ssh"), Some("ssh")), "{role}");
    assert!(role["url"].as_str().is_some_and(|url| url.starts_with("ssh://demo-ssh-")), "{role}");
    let target = role["target_url"].as_str().expect("a URL");
    let ssh = |more: &[&str]| {
        let mut ssh = Command::new(find("ssh", "openssh-client"));
        ssh.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ]);
        output(ssh.args(["-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR"]).args(more).arg(target).arg("tty"), b"")
    };
    let key = demo().dir().join("secrets/demo-ssh").display().to_string();
    assert!(ssh(&["-i", &key, "-tt"]).ok().starts_with("/dev/"), "there are terminals");
    assert!(ssh(&["-i", "/nowhere"]).failure().contains("Permission denied"));
}
