//! gRPC: grpcurl, and the library that most programs use.

use std::process::Command;
use std::sync::OnceLock;

use hoop_testkit::clients::{go_grpc, grpcurl, python};
use hoop_testkit::{Calls, Output, direct_only, output};
use serde_json::{Value, json};

use super::services::{client, services};
use super::{AGENT, Client, stand, unmasked};

fn ask(arguments: &[&str], input: &str) -> Output {
    output(Command::new(grpcurl()).arg("-plaintext").args(arguments), input.as_bytes())
}

/// The same call straight and through the gateway.
#[track_caller]
fn same(client: &Client, options: &[&str], input: &str, words: &[&str]) -> String {
    let straight = ask(&[options, &[&format!("127.0.0.1:{}", services().grpc.port())], words].concat(), input);
    let (line, host) = (client.line(), client.origin.replace("http://", ""));
    let through = ask(&[&["-H", &line, "-authority", &host], options, &[&client.address], words].concat(), input);
    let seen = |output: &Output| (output.status.code(), output.text(), output.stderr.clone());
    assert_eq!(seen(&through), seen(&straight), "{words:?}");
    straight.text()
}

#[test]
fn grpcurl_is_answered_as_by_the_service_itself() {
    if direct_only() {
        return;
    }
    let client = client("grpc");
    assert!(same(&client, &[], "", &["list"]).contains("shop.v1.Customers\n"));
    assert!(same(&client, &[], "", &["describe", "shop.v1.Customers.List"]).contains("stream"));
    assert!(same(&client, &["-d", r#"{"id":1}"#], "", &["shop.v1.Customers/Get"]).contains("Ada Lovelace"));
    assert_eq!(same(&client, &["-d", r#"{"name":"a"}"#], "", &["shop.v1.Customers/List"]).matches("\"id\"").count(), 3);
    let three = r#"{"name":"Ada"}{"name":"Grace"}{"name":"Alan"}"#;
    assert!(same(&client, &["-d", "@"], three, &["shop.v1.Customers/Count"]).contains("\"characters\": \"12\""));
    assert!(same(&client, &["-d", "@"], three, &["shop.v1.Customers/Shout"]).contains("GRACE"));
    assert!(same(&client, &[], "", &["grpc.health.v1.Health/Check"]).contains("SERVING"));
    same(&client, &["-d", r#"{"id":9}"#], "", &["shop.v1.Customers/Get"]);
    same(&client, &["-d", r#"{"service":"nobody"}"#], "", &["grpc.health.v1.Health/Check"]);
}

fn calls() -> &'static Calls {
    static CALLS: OnceLock<Calls> = OnceLock::new();
    CALLS.get_or_init(|| {
        let calls = Calls::start();
        let target = json!({ "kind": "http", "url": calls.url() });
        let api = stand().gateway.api();
        api.post("/api/v1/roles", &json!({ "name": "calls", "agent": AGENT, "target": target, "plugins": unmasked() }));
        calls
    })
}

/// A part of the client program, straight.
fn straight(part: &str) -> Output {
    python("web", "calls_client.py", &[part, &format!("127.0.0.1:{}", calls().port), "", ""])
}

/// The same through the gateway.
fn through(client: &Client, part: &str) -> Output {
    let host = client.origin.replace("http://", "");
    python("web", "calls_client.py", &[part, &client.address, &host, &client.token])
}

#[test]
fn a_program_is_answered_as_by_the_service_itself() {
    if direct_only() {
        return;
    }
    let first = calls().port;
    let client = Client::new(&stand().gateway, "calls");
    for (part, expected) in [
        ("kinds", "b'hello'\nb'8'\n[b'0', b'1', b'2', b'3', b'4']\n[b'ONE', b'TWO', b'THREE']\n"),
        ("deadline", "StatusCode.DEADLINE_EXCEEDED\n"),
        ("cancelled", "True\nthe service has noticed\n"),
        ("metadata", ""),
        ("details", ""),
        ("large", "True\n[8388608, 8388608, 8388608]\n"),
        ("many", ""),
    ] {
        let told = through(&client, part).ok();
        assert_eq!(told, straight(part).ok(), "{part} at {first}");
        assert!(told.starts_with(expected), "{part}: {told}");
    }
}

#[test]
fn go_is_answered_as_by_the_service_itself() {
    if direct_only() {
        return;
    }
    let straight = format!("127.0.0.1:{}", calls().port);
    let client = Client::new(&stand().gateway, "calls");
    let host = client.origin.replace("http://", "");
    for (part, expected) in [
        ("kinds", "hello\n8\n0\n1\n2\n3\n4\nONE\nTWO\nTHREE\nfalse\n"),
        ("deadline", "DeadlineExceeded\n"),
        ("cancelled", "Canceled\nthe service has noticed\n"),
        // The details have words of their own, and Go shows these.
        ("details", "FailedPrecondition sorry"),
    ] {
        let told = go_grpc(part, &client.address, &host, &client.token).ok();
        assert_eq!(told, go_grpc(part, &straight, "", "").ok(), "{part}");
        assert!(told.starts_with(expected), "{part}: {told}");
    }
    let told = go_grpc("refused", &client.address, &host, "").ok();
    assert_eq!(told, "false Unauthenticated\n");
}

/// The service has no schema, and no reflection.
#[test]
fn messages_of_types_that_are_not_told_are_not_shown() {
    if direct_only() {
        return;
    }
    let target = json!({ "kind": "http", "url": calls().url(), "reflection": true });
    let rules = json!({ "masking": { "detectors": {}, "fields": [{ "grpc": "calls.v1.Text.word" }] } });
    let role = json!({ "name": "calls-unknown", "agent": AGENT, "target": target, "plugins": rules });
    stand().gateway.api().post("/api/v1/roles", &role);
    let told = through(&Client::new(&stand().gateway, "calls-unknown"), "kinds");
    assert!(!told.status.success() && !told.text().contains("hello"), "{told}");
}

/// The codes of [gRPC](https://github.com/grpc/grpc/blob/master/doc/statuscodes.md), and the gateway's words.
#[test]
fn a_refusal_is_a_status_of_the_call() {
    if direct_only() {
        return;
    }
    calls();
    let stand = stand();
    let known = Client::new(&stand.gateway, "calls");
    let nobody = Client { token: String::new(), ..known.clone() };
    let wrong = Client { token: format!("{}x", known.token), ..known.clone() };
    let other = Client { token: client("grpc").token, ..known.clone() };
    let away = {
        let api = stand.gateway.api();
        api.post("/api/v1/agents", &json!({ "name": "never" }));
        let target = json!({ "kind": "http", "url": "http://127.0.0.1:1" });
        api.post("/api/v1/roles", &json!({ "name": "away", "agent": "never", "target": target }));
        let down: Value = json!({ "name": "down", "agent": AGENT, "target": target });
        api.post("/api/v1/roles", &down);
        Client::new(&stand.gateway, "away")
    };
    let down = Client::new(&stand.gateway, "down");
    for (client, code, words) in [
        (&nobody, "UNAUTHENTICATED", "no token"),
        (&wrong, "UNAUTHENTICATED", ""),
        (&other, "PERMISSION_DENIED", "this token is for the role grpc, and not for calls"),
        (&away, "UNAVAILABLE", "never"),
        (&down, "UNAVAILABLE", ""),
    ] {
        let told = through(client, "refused").ok();
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines.len(), 2, "{told}");
        for line in lines {
            assert!(line.starts_with(&format!("StatusCode.{code} ")) && line.contains(words), "{code}: {told}");
        }
    }
}
