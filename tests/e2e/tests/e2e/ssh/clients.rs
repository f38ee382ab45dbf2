//! Clients that are not OpenSSH's.

use hoop_testkit::clients::python;

use super::{PLAIN, stand};

#[test]
fn paramiko_and_asyncssh_work() {
    let stand = stand();
    let key = stand.client.folder.join("key").display().to_string();
    let known_hosts = stand.client.folder.join("known_hosts").display().to_string();
    for client in ["paramiko_client.py", "asyncssh_client.py"] {
        let port = stand.client.port.to_string();
        let run = python("ssh", client, &[&port, PLAIN, &key, &known_hosts]);
        assert!(run.ok().ends_with("all done\n"), "{run}");
    }
}

#[test]
fn ansible_pings() {
    let stand = stand();
    let line = stand.client.options().join(" ");
    let run = hoop_testkit::clients::ansible_ping(&format!("{PLAIN}@127.0.0.1"), &line);
    assert!(run.ok().contains("SUCCESS"), "{run}");
}
