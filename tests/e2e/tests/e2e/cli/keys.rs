//! Public keys of users, roles that are reached over SSH, and the settings that `ssh` takes for them.

use std::path::PathBuf;
use std::process::Command;

use hoop_testkit::{Output, direct_only, find, make_key, output, public_key};
use serde_json::json;

use super::{Machine, fails, parsed};
use crate::stand::{AGENT, stand};

/// The group that may use the roles of these tests.
const GROUP: &str = "keys-users";

/// A machine on which a new user of these roles has signed in.
fn machine_of(user: &str) -> Machine {
    let machine = Machine::new();
    stand().gateway.user(user, &[GROUP]);
    machine.login(user).ok();
    machine
}

/// `hoop` as an administrator.
fn admin(arguments: &[&str]) -> Output {
    stand().gateway.hoop(arguments)
}

/// A key on somebody's machine: the file of its public half.
fn key(machine: &Machine, name: &str) -> String {
    let file = machine.folder.join(name);
    make_key(&file, "ed25519");
    file.with_added_extension("pub").display().to_string()
}

/// A role of a machine whose host key is this one.
fn role(name: &str, host_key: &str) {
    let line =
        format!("admin roles create {name} --kind ssh --agent {AGENT} --host web-1 --user deploy --group {GROUP}");
    let mut words: Vec<&str> = line.split_whitespace().collect();
    words.extend(["--private-key", "env:HOOP_SECRET_E2E", "--allow-forward", "db:5432"]);
    if !host_key.is_empty() {
        words.extend(["--host-key", host_key]);
    }
    admin(&words).ok();
}

#[test]
fn somebody_adds_a_key_and_takes_it_away() {
    if direct_only() {
        return;
    }
    let machine = machine_of("keys-ada");
    let file = key(&machine, "id");
    let added = parsed(&machine.run(&["keys", "add", &file, "--expires", "1h", "-o", "json"]));
    assert_eq!(
        (&added["name"], &added["public_key"]),
        (&json!("hoop-test"), &json!(public_key(&machine.folder.join("id"))))
    );
    let fingerprint = added["fingerprint"].as_str().expect("it has one");
    assert!(machine.run(&["keys", "list"]).ok().contains(fingerprint));
    let listed = parsed(&admin(&["admin", "keys", "list", "--user", "keys-ada", "-o", "json"]));
    assert_eq!(listed, json!([added]));
    let line = std::fs::read_to_string(&file).expect("an own file");
    assert!(fails(&machine.run_with(&["keys", "add", "-"], &line), 1).contains("already exists"));
    let private = std::fs::read_to_string(machine.folder.join("id")).expect("an own file");
    assert!(fails(&machine.run_with(&["keys", "add", "-"], &private), 2).contains("nothing was sent"));
    machine.run(&["keys", "remove", fingerprint]).ok();
    fails(&machine.run(&["keys", "remove", fingerprint]), 8);

    let file = key(&machine, "other");
    admin(&["admin", "keys", "add", &file, "--user", "keys-ada", "--name", "given"]).ok();
    let own = parsed(&machine.run(&["keys", "list", "-o", "json"]));
    assert_eq!(own[0]["name"], "given");
    let id = own[0]["id"].as_str().expect("an id");
    admin(&["admin", "keys", "remove", id, "--user", "keys-ada"]).ok();
    assert_eq!(parsed(&machine.run(&["keys", "list", "-o", "json"])), json!([]));
    fails(&admin(&["admin", "keys", "list"]), 2);
}

#[test]
fn ssh_takes_the_settings_that_are_written_for_it() {
    if direct_only() {
        return;
    }
    let machine = machine_of("keys-bob");
    role("keys-web", "");
    let file = machine.folder.join("demo.conf");
    let path = file.display().to_string();
    machine.run(&["ssh-config", "--file", &path, "--prefix", "prod-"]).ok();
    let settings = settings_of(&file, "prod-keys-web", &machine);
    let door = parsed(&machine.run(&["ssh-config", "-o", "json"]));
    for (name, value) in [
        ("hostname", door["hostname"].as_str().expect("a host").to_owned()),
        ("port", door["port"].to_string()),
        ("user", "keys-web".to_owned()),
        ("stricthostkeychecking", "true".to_owned()),
        ("identityfile", door["identity_file"].as_str().expect("a file").to_owned()),
        ("userknownhostsfile", door["known_hosts_file"].as_str().expect("a file").to_owned()),
    ] {
        assert!(settings.contains(&format!("{name} {value}\n")), "no {name} {value} in {settings}");
    }
    let keys = parsed(&machine.run(&["keys", "list", "-o", "json"]));
    assert_eq!(keys.as_array().map(Vec::len), Some(1), "one key, however often it is asked for: {keys}");
    assert!(keys[0]["expires_at"].is_string(), "{keys}");
    let known = std::fs::read_to_string(door["known_hosts_file"].as_str().expect("a file")).expect("it is there");
    assert!(
        known.starts_with(&format!("[{}]:{} ssh-ed25519 ", door["hostname"].as_str().unwrap_or(""), door["port"])),
        "{known}"
    );

    for _ in 0..2 {
        let mut install = machine.command(&["ssh-config", "--install"]);
        output(install.env("HOME", machine.folder.path()), b"").ok();
    }
    let config = machine.folder.join(".ssh/config");
    let included = std::fs::read_to_string(&config).expect("it was made");
    assert_eq!(included.matches("Include").count(), 1, "{included}");
    assert!(settings_of(&config, "keys-web", &machine).contains("user keys-web\n"));
}

/// What `ssh` would do.
fn settings_of(file: &PathBuf, host: &str, machine: &Machine) -> String {
    let mut ssh = Command::new(find("ssh", "openssh-client"));
    output(ssh.args(["-G", "-F"]).arg(file).arg(host).env("HOME", machine.folder.path()), b"").ok()
}

#[test]
fn an_ssh_role_is_made_tried_and_exported() {
    if direct_only() {
        return;
    }
    let machine = machine_of("keys-eve");
    let file = key(&machine, "host");
    let host_key = public_key(&machine.folder.join("host"));
    role("keys-db", &host_key);
    let shown = parsed(&admin(&["admin", "roles", "show", "keys-db", "-o", "json"]));
    let target = &shown["target"];
    assert_eq!((&target["host_keys"], &target["allow"]["direct_tcpip"]), (&json!([host_key]), &json!(["db:5432"])));
    assert!(fails(&admin(&["admin", "roles", "trust", "keys-db", "SHA256:abc"]), 1).contains("SHA256"));
    let url = machine.run(&["connect", "keys-db", "--print", "url"]).ok();
    assert!(
        url.starts_with("ssh://keys-db-")
            && url.trim().ends_with(&parsed(&machine.run(&["ssh-config", "-o", "json"]))["port"].to_string()),
        "{url}"
    );
    let conf = machine.run(&["connect", "keys-db", "--print", "conf"]).ok();
    assert!(conf.starts_with("Host keys-db\n    HostName "), "{conf}");

    admin(&["admin", "keys", "add", &file, "--user", "keys-eve"]).ok();
    let exported = parsed(&admin(&["export", "-o", "json"]));
    let users = exported["users"].as_array().expect("a list");
    let eve = users.iter().find(|user| user["name"] == "keys-eve").expect("she is there");
    assert_eq!(
        eve["keys"],
        json!([format!("{host_key} hoop-test")]),
        "the key of her machine expires, and is not in it"
    );
    let mut without = eve.clone();
    without["keys"] = json!([]);
    let company = machine.folder.join("company.json");
    for (user, told) in [(eve, ""), (&without, "keys: "), (&without, ""), (eve, "keys: ")] {
        std::fs::write(&company, json!({ "users": [user] }).to_string()).expect("an own folder takes a file");
        let done = admin(&["apply", "-f", &company.display().to_string()]).ok();
        assert!(if told.is_empty() { done.is_empty() } else { done.contains(told) }, "{done}");
    }
}
