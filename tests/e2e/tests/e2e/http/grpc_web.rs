//! Calls as web apps make them: the libraries of Connect and of gRPC, translated for a service and passed on to one that speaks it
//! itself.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hoop_testkit::clients::{grpc_web, grpcurl};
use hoop_testkit::{Grpc, Told, direct_only, output};
use serde_json::{Value, json};

use super::services::{client, services};
use super::{AGENT, Client, events, stand, unmasked};

const FORMATS: [&str; 3] = ["connect", "binary", "text"];

fn call(format: &str, client: &Client) -> Value {
    let descriptors = BASE64_STANDARD.encode(Grpc::DESCRIPTORS);
    let told = grpc_web(format, &format!("http://{}", client.address), &client.token, &descriptors).ok();
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
}

/// A role to the service, with these settings of masking, and what else there is to say of its target and plugins.
fn role(name: &str, masking: Value, edit: impl FnOnce(&mut Value)) -> Client {
    let target = json!({ "kind": "http", "url": services().grpc.url(), "reflection": true });
    let mut role = json!({ "name": name, "agent": AGENT, "target": target, "plugins": { "masking": masking } });
    edit(&mut role);
    stand().gateway.api().post("/api/v1/roles", &role);
    Client::new(&stand().gateway, name)
}

/// A role whose target is the gateway's own door with a token of another: it speaks gRPC-Web itself.
fn through(name: &str, other: &Client, plugins: Value) -> Client {
    let api = stand().gateway.api();
    let login = json!({ "kind": "header", "name": "Hoop-Token" });
    let target = json!({
        "kind": "http", "url": format!("http://{}", other.address), "login": login, "grpc_web": "pass", "version": "1.1",
    });
    api.post("/api/v1/roles", &json!({ "name": name, "agent": AGENT, "target": target, "plugins": plugins }));
    api.call(
        reqwest::Method::PUT,
        &format!("/api/v1/roles/{name}/secrets/secret"),
        Some(&json!({ "value": other.token })),
    );
    Client::new(&stand().gateway, name)
}

/// What the service says by itself.
fn is_answered(told: &Value) {
    assert_eq!(
        (&told["ada"]["name"], &told["ada"]["card"]),
        (&json!("Ada Lovelace"), &json!("4111 1111 1111 1111")),
        "{told}"
    );
    let failed = &told["nobody"]["failed"];
    assert_eq!((&failed["code"], &failed["message"]), (&json!(5), &json!("there is no customer 9")), "{told}");
    let names =
        told["all"].as_array().expect("a list").iter().map(|customer| customer["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names, ["Ada Lovelace", "Grace Hopper", "Alan Turing"], "{told}");
}

#[test]
fn a_library_reaches_a_grpc_service_and_one_that_speaks_grpc_web() {
    if direct_only() {
        return;
    }
    let translated = client("grpc");
    let passed = through("web-passed", &translated, unmasked());
    for format in FORMATS {
        is_answered(&call(format, &translated));
        is_answered(&call(format, &passed));
    }
}

#[test]
fn messages_are_masked_by_types_that_the_service_tells() {
    if direct_only() {
        return;
    }
    let rules = json!({ "detectors": {}, "fields": [{ "grpc": "shop.v1.Customer.card", "action": "partial" }] });
    let translated = role("web-masked", rules.clone(), |_| {});
    let plugins = json!({ "masking": {
        "detectors": {}, "fields": [{ "grpc": "shop.v1.Customer.name" }],
        "grpc": { "descriptor_set": BASE64_STANDARD.encode(Grpc::DESCRIPTORS) },
    } });
    let passed = through("web-masked-passed", &translated, plugins);
    for format in FORMATS {
        let told = call(format, &translated);
        let card = told["ada"]["card"].as_str().expect("a card");
        assert!(card.ends_with("1111") && !card.contains("4111"), "{told}");
        assert_eq!(
            (&told["ada"]["name"], &told["nobody"]["failed"]["code"]),
            (&json!("Ada Lovelace"), &json!(5)),
            "{told}"
        );
        let twice = call(format, &passed);
        assert_eq!((&twice["ada"]["name"], &twice["ada"]["card"]), (&json!("[name]"), &told["ada"]["card"]), "{twice}");
        assert_eq!(twice["all"].as_array().map(Vec::len), Some(3), "{twice}");
        assert_eq!(twice["nobody"]["failed"]["code"], 5, "{twice}");
    }
    let host = translated.origin.replace("http://", "");
    let line = translated.line();
    let words = [
        "-plaintext",
        "-H",
        &line,
        "-authority",
        &host,
        "-d",
        r#"{"id":1}"#,
        &translated.address,
        "shop.v1.Customers/Get",
    ];
    let told = output(std::process::Command::new(grpcurl()).args(words), b"").ok();
    assert!(told.contains("Ada Lovelace") && told.contains("1111\"") && !told.contains("4111"), "{told}");
}

#[test]
fn types_are_told_in_the_version_before_too() {
    if direct_only() {
        return;
    }
    let older = Grpc::with_reflection_v1alpha();
    let rules = json!({ "detectors": {}, "fields": [{ "grpc": "shop.v1.Customer.card", "action": "null" }] });
    let client = role("web-older", rules, |role| role["target"]["url"] = json!(older.url()));
    let told = call("connect", &client);
    assert_eq!((&told["ada"]["name"], &told["ada"]["card"]), (&json!("Ada Lovelace"), &json!("")), "{told}");
}

/// Each takes its role along and nothing else; who is silent is left alone after a while.
#[test]
fn a_service_that_tells_without_end_or_sense_is_not_shown() {
    if direct_only() {
        return;
    }
    let rules = json!({ "detectors": {}, "fields": [{ "grpc": "shop.v1.Customer.card" }] });
    std::thread::scope(|scope| {
        for told in [Told::Circle, Told::Endless, Told::Huge, Told::Flood, Told::Nothing] {
            let rules = rules.clone();
            scope.spawn(move || {
                let service = Grpc::hostile(told);
                let name = format!("web-{told:?}").to_lowercase();
                let client = role(&name, rules, |role| role["target"]["url"] = json!(service.url()));
                let shown = call("connect", &client);
                assert!(shown["ada"]["failed"].is_object() && !shown.to_string().contains("Ada"), "{told:?}: {shown}");
            });
        }
    });
    is_answered(&call("connect", &client("grpc")));
}

#[test]
fn a_field_with_a_rule_that_the_service_does_not_have_is_shown_by_no_other_name() {
    if direct_only() {
        return;
    }
    let rules = json!({ "detectors": {}, "fields": [{ "grpc": "shop.v1.Customer.card_number" }] });
    let told = call("connect", &role("web-renamed", rules, |_| {}));
    assert!(told["ada"]["failed"].is_object() && !told.to_string().contains("Ada"), "{told}");
}

#[test]
fn calls_are_ruled_on_and_recorded_as_those_of_grpc() {
    if direct_only() {
        return;
    }
    let rules = json!([{ "name": "no-lists", "services": ["shop.v1.Customers/List"] }]);
    let client =
        role("web-ruled", json!({ "detectors": {} }), |role| role["plugins"]["guardrail"] = json!({ "http": rules }));
    let nobody = Client { token: String::new(), ..client.clone() };
    for format in FORMATS {
        let told = call(format, &client);
        assert_eq!(
            (&told["ada"]["name"], &told["all"][0]["failed"]["code"]),
            (&json!("Ada Lovelace"), &json!(7)),
            "{told}"
        );
        let refused = call(format, &nobody);
        assert_eq!(refused["ada"]["failed"]["code"], 16, "{refused}");
    }
    client.leave(&stand().gateway);
    let told = Value::from(events(&stand().gateway, "web-ruled")).to_string();
    assert!(told.contains("\"grpc\"") && told.contains("shop.v1.Customers"), "{told}");
}
