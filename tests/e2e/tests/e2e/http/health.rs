//! Targets that are checked: what is told of them, and what that does.

use std::time::Duration;

use hoop_testkit::{Gateway, Grpc, Options, WebServer, direct_only, until};
use serde_json::{Value, json};

use super::{AGENT, Client, curl, unmasked};

const SOON: Duration = Duration::from_secs(60);

fn role(gateway: &Gateway, name: &str, url: &str, health: Value) -> Client {
    let target = json!({ "kind": "http", "url": url, "health": health });
    let role = json!({ "name": name, "agent": AGENT, "target": target, "plugins": unmasked() });
    gateway.api().post("/api/v1/roles", &role);
    Client::new(gateway, name)
}

/// Waits until a role's target is like this, and gives what is told of it.
fn wait_for(gateway: &Gateway, name: &str, state: &str) -> Value {
    until(SOON, &format!("{name} to be {state}"), || {
        let health = gateway.api().get(&format!("/api/v1/roles/{name}"))["health"].clone();
        (health["state"] == state).then_some(health)
    })
}

#[test]
fn a_target_that_is_away_is_told_and_refused_with_a_reason() {
    if direct_only() {
        return;
    }
    let gateway = Gateway::start(&Options::default());
    let every_second = |more: Value| {
        let mut health = json!({ "interval_seconds": 1 });
        health.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        health
    };
    let (app, shop) = (WebServer::start(), Grpc::start());
    let well = role(&gateway, "well", &app.url(), every_second(json!({ "path": "/healthz", "status": [200] })));
    role(&gateway, "serves", &shop.url(), every_second(json!({ "grpc_service": "shop.v1.Customers" })));
    role(&gateway, "unknown-service", &shop.url(), every_second(json!({ "grpc_service": "nobody" })));
    let open = role(&gateway, "open", &app.url(), every_second(json!({ "status": [599] })));
    let shut = role(&gateway, "shut", &app.url(), every_second(json!({ "status": [599], "blocks": true })));
    let away = role(&gateway, "away", "http://127.0.0.1:1", every_second(json!({})));

    assert!(wait_for(&gateway, "well", "healthy")["checked_at"].is_string());
    wait_for(&gateway, "serves", "healthy");
    let told = wait_for(&gateway, "unknown-service", "unhealthy");
    assert!(told["reason"].as_str().is_some_and(|reason| reason.contains("status 5 of gRPC")), "{told}");
    for name in ["open", "shut", "away"] {
        wait_for(&gateway, name, "unhealthy");
    }
    assert_eq!(well.ask(&[], "/").0, 200);
    assert_eq!(open.ask(&[], "/").0, 200, "a check alone refuses nobody");
    for client in [&shut, &away] {
        let (status, text) = client.ask(&[], "/");
        assert!(status == 503 && text.contains("target_unhealthy"), "{status} {text}");
    }
    assert!(away.ask(&[], "/").1.contains("its last check has failed as well"));

    let shown = gateway.hoop(&["roles", "show", "shut"]).ok();
    assert!(shown.contains("unhealthy") && shown.contains("the status 200"), "{shown}");
    let listed = gateway.hoop(&["roles", "list"]).ok();
    for (name, state) in [("well", "healthy"), ("away", "unhealthy")] {
        assert!(listed.lines().any(|line| line.trim().starts_with(name) && line.trim().ends_with(state)), "{listed}");
    }
    let listed: Value = serde_json::from_str(&gateway.hoop(&["roles", "list", "-o", "json"]).ok()).expect("JSON");
    let listed = listed.as_array().expect("a list").iter().find(|role| role["name"] == "away").expect("it is listed");
    assert_eq!(listed["health"]["state"], "unhealthy", "{listed}");
    let metrics = curl(&[&format!("{}/metrics", gateway.api().base())]).ok();
    for line in ["hoop_target_healthy{role=\"well\"} 1", "hoop_target_healthy{role=\"away\"} 0"] {
        assert!(metrics.lines().any(|said| said == line), "{line}: {metrics}");
    }
    // A change is not put off by a check that came in between.
    gateway.hoop(&["admin", "roles", "update", "away", "--health-path="]).ok();
    assert_eq!(gateway.api().get("/api/v1/roles/away")["health"], Value::Null);
    assert_eq!(away.ask(&[], "/").0, 502);
}
