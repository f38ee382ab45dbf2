//! gRPC: grpcurl, and the library that most programs use.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use hoop_testkit::clients::{go_grpc, go_grpc_command, grpcurl, python, python_command};
use hoop_testkit::{Calls, Gateway, Options, Output, direct_only, output};
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

pub(super) fn calls() -> &'static Calls {
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

/// Runs a client to the first line that it says, then this, and gives both lines.
fn interrupted(mut client: Command, interrupt: impl FnOnce()) -> [String; 2] {
    let mut client = client.stdout(Stdio::piped()).spawn().expect("the client starts");
    let mut said = BufReader::new(client.stdout.take().expect("a pipe"));
    let (mut first, mut rest) = (String::new(), String::new());
    said.read_line(&mut first).expect("the answer has begun");
    interrupt();
    said.read_to_string(&mut rest).expect("it ends");
    assert!(client.wait().expect("an own child").success(), "{first}{rest}");
    [first, rest].map(|said| said.trim_end().to_owned())
}

/// A part of the client program, of which the first message is answered.
pub(super) fn begun(client: &Client, part: &str) -> Command {
    let host = client.origin.replace("http://", "");
    python_command("web", "calls_client.py", &[part, &client.address, &host, &client.token])
}

const REVOKED: &str =
    "this session is not allowed any more: the credential that it came in by was taken away; get a new one";

#[test]
fn a_call_that_is_ended_in_its_midst_ends_with_a_status() {
    if direct_only() {
        return;
    }
    calls();
    let gateway = &stand().gateway;
    let client = Client::new(gateway, "calls");
    let [first, end] = interrupted(begun(&client, "held"), || client.leave(gateway));
    assert_eq!(first, "b'ONE'");
    assert!(end.starts_with(&format!("StatusCode.PERMISSION_DENIED {REVOKED}")), "{end}");
    let client = Client::new(gateway, "calls");
    let host = client.origin.replace("http://", "");
    let go = go_grpc_command("held", &client.address, &host, &client.token);
    let [first, end] = interrupted(go, || client.leave(gateway));
    assert_eq!(first, "ONE");
    assert!(end.starts_with(&format!("PermissionDenied {REVOKED}")), "{end}");
    // Over HTTP/1.1, in the last frame.
    for part in ["web", "web_text"] {
        let client = Client::new(gateway, "calls");
        let [first, end] = interrupted(begun(&client, part), || client.leave(gateway));
        assert_eq!(first, r"b'\x00\x00\x00\x00\x03one'", "{part}");
        let is_frame = end.starts_with(r"b'\x80\x00\x00") && end.matches("grpc-status").count() == 1;
        assert!(is_frame && end.contains(r"grpc-status: 7\r\n") && end.contains(REVOKED), "{part}: {end}");
    }
}

#[test]
fn a_message_that_may_not_be_shown_ends_its_call_with_a_status() {
    if direct_only() {
        return;
    }
    let config = "[limits]\nmessage_bytes = 4096\n".to_owned();
    let gateway = Gateway::start(&Options { config: Some(config), ..Options::default() });
    let target = json!({ "kind": "http", "url": calls().url() });
    gateway.api().post("/api/v1/roles", &json!({ "name": "calls", "agent": AGENT, "target": target }));
    let client = Client::new(&gateway, "calls");
    let [first, end] = interrupted(begun(&client, "deep"), || {});
    assert_eq!(first, "b'ONE'");
    assert!(end.starts_with("StatusCode.INTERNAL the response could not be searched, so it is not shown"), "{end}");
    assert!(end.ends_with("; ask the administrator of the role"), "{end}");
    let [first, end] = interrupted(begun(&client, "long"), || {});
    assert_eq!(first, "b'ONE'");
    assert!(end.starts_with("StatusCode.RESOURCE_EXHAUSTED a message of gRPC has more than 4096 bytes; "), "{end}");
}
