//! Roles that are reached through other roles.

use hoop_testkit::{Sshd, free_port, make_key};
use reqwest::Method;
use serde_json::{Value, json};

use super::{role, stand};

/// A server that takes the key of the stand's agent.
fn server() -> Sshd {
    let sshd = Sshd::start();
    let key = stand().sshd.private_key().with_added_extension("pub");
    sshd.authorize(&std::fs::read_to_string(key).expect("its public key"));
    sshd
}

fn test(role: &str) -> Value {
    stand().gateway.api().post(&format!("/api/v1/roles/{role}/test"), &json!({}))
}

fn patch(role: &str, patch: &Value) {
    stand().gateway.api().call(Method::PATCH, &format!("/api/v1/roles/{role}"), Some(patch));
}

#[test]
fn a_machine_is_reached_through_others_and_leaves_with_them() {
    let (stand, near, far) = (stand(), server(), server());
    role(&stand.gateway, "way-near", &near, |_| {});
    role(&stand.gateway, "way-mid", &stand.sshd, |target| target["jump"] = json!("way-near"));
    role(&stand.gateway, "way-far", &far, |target| target["jump"] = json!("way-mid"));
    // Where the machine sees its client from is the machine before it.
    let connection = stand.client.run("way-far", "echo $SSH_CONNECTION; echo in").ok();
    assert!(connection.ends_with(&format!(" {}\nin\n", far.port)), "{connection}");
    assert!(near.log().contains("Accepted publickey") && far.log().contains("Accepted publickey"));
    assert_eq!(test("way-far")["ok"], true);

    let mut shell = stand.client.terminal("way-far", "sh");
    shell.line("echo here $((1 + 1))");
    shell.expect("here 2");
    patch("way-near", &json!({ "target": { "allow": { "exec": false } } }));
    shell.expect("role way-near was changed");
}

#[test]
fn what_fails_on_the_way_is_said_of_the_machine_that_it_fails_at() {
    let (stand, near, far) = (stand(), server(), server());
    let (nowhere, key) = (free_port(), stand.client.folder.join("jump-stranger"));
    make_key(&key, "ed25519");
    role(&stand.gateway, "broken-near", &near, |_| {});
    role(&stand.gateway, "broken-far", &far, |target| target["jump"] = json!("broken-near"));
    assert_eq!(test("broken-far")["ok"], true);
    let (host, far_host) = (format!("127.0.0.1:{}", near.port), format!("127.0.0.1:{}", far.port));

    patch("broken-near", &json!({ "target": { "host_keys": [hoop_testkit::public_key(&key)] } }));
    let refused = test("broken-far");
    let reason = refused["reason"].as_str().expect("a reason");
    assert!(reason.starts_with(&format!("the jump host {host}: the host key of {host}")), "{refused}");
    assert_eq!(
        (&refused["code"], &refused["host_key"]),
        (&json!("target_host_key"), &Value::Null),
        "not the target's own"
    );
    let said = stand.client.run("broken-far", "true").failure();
    assert!(said.contains(&format!("the jump host {host}")), "{said}");

    patch("broken-near", &json!({ "target": { "host_keys": [near.host_key()] } }));
    patch("broken-far", &json!({ "target": { "port": nowhere } }));
    let refused = test("broken-far");
    let expected = format!("127.0.0.1:{nowhere} cannot be reached through its jump host");
    assert!(refused["reason"].as_str().is_some_and(|reason| reason.starts_with(&expected)), "{refused}");

    patch("broken-far", &json!({ "target": { "port": far.port, "host_keys": [hoop_testkit::public_key(&key)] } }));
    let refused = test("broken-far");
    assert!(
        refused["reason"].as_str().is_some_and(|reason| reason.starts_with(&format!("the host key of {far_host}"))),
        "{refused}"
    );
    assert!(refused["host_key"].is_object(), "{refused}");

    patch("broken-far", &json!({ "target": { "jump": "broken-away" } }));
    let said = stand.client.run("broken-far", "true").failure();
    assert!(said.contains("hoop: role broken-far has no way to its machine: there is no role broken-away"), "{said}");
}

#[test]
fn secrets_that_the_gateway_keeps_are_used_on_the_way_too() {
    let key_file = stand().client.folder.join("operator.key");
    hoop_testkit::output(
        std::process::Command::new(hoop_testkit::hoop_gateway()).args(["secrets", "new-key"]).arg(&key_file),
        b"",
    )
    .ok();
    let (near, far) = (Sshd::start(), Sshd::start());
    let gateway = hoop_testkit::Gateway::start(&hoop_testkit::Options {
        config: Some(format!("[secrets]\nkey_file = \"{}\"\n", key_file.display())),
        ..hoop_testkit::Options::default()
    });
    for (name, sshd, jump) in [("kept-near", &near, None), ("kept-far", &far, Some("kept-near"))] {
        role(&gateway, name, sshd, |target| {
            target["private_key"] = Value::Null;
            target["jump"] = json!(jump);
        });
        let key = std::fs::read_to_string(sshd.private_key()).expect("an own key");
        let path = format!("/api/v1/roles/{name}/secrets/private_key");
        gateway.api().call(Method::PUT, &path, Some(&json!({ "value": key })));
    }
    let tried = gateway.api().post("/api/v1/roles/kept-far/test", &json!({}));
    assert_eq!(tried["ok"], true, "{tried}");
    assert_eq!(super::Client::new(&gateway).run("kept-far", "echo in").ok(), "in\n");
}
