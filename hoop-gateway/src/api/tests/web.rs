//! Where clients of HTTP roles find the gateway.

use super::*;

#[tokio::test]
async fn a_client_is_told_the_origin_of_every_role() {
    let gateway = Gateway::start().await;
    let role = json!({
        "name": "billing", "agent": "here", "allowed_groups": ["dba"],
        "target": { "kind": "http", "url": "http://billing.internal:8080" },
    });
    let (status, role) = gateway.post(&gateway.admin, "/api/v1/roles", role).await;
    assert_eq!(status, StatusCode::CREATED, "{role}");
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let door = gateway.get(&alice, "/api/v1/web").await.1;
    assert_eq!(door["origin"], "https://{role}.apps.example.com");
    assert_eq!((&door["host"], &door["port"], &door["tls"]), (&json!("gw.example.com"), &json!(18888), &json!(true)));
    let made = gateway.post(&alice, "/api/v1/roles/billing/credentials", json!({})).await.1;
    let (login, password) = (made["user"].as_str().expect("a login"), made["password"].as_str().expect("a password"));
    assert_eq!(made["url"], format!("https://{login}:{password}@billing.apps.example.com/"));
}
