//! Secrets of roles, and whether their targets can be reached.

use super::*;

const PLANTED: &str = "planted-secret-of-a-role";
const PASSWORD: &str = "/api/v1/roles/shop/secrets/password";

/// A role without a reference to a password.
async fn role_without(gateway: &Gateway) {
    let mut shop = role("shop");
    shop["target"]["password"] = Value::Null;
    assert_eq!(gateway.post(&gateway.admin, "/api/v1/roles", shop).await.0, StatusCode::CREATED);
}

async fn put(gateway: &Gateway, path: &str, value: &str) -> (StatusCode, Value) {
    gateway.send(&gateway.admin, Method::PUT, path, Some(json!({ "value": value }))).await
}

#[tokio::test]
async fn a_secret_goes_in_and_does_not_come_out() {
    let gateway = Gateway::start().await;
    role_without(&gateway).await;
    let (status, kept) = put(&gateway, PASSWORD, PLANTED).await;
    assert_eq!((status, &kept["stored"]), (StatusCode::OK, &json!(true)), "{kept}");
    let mut answers = vec![kept.clone()];
    for path in ["/api/v1/roles/shop/secrets", "/api/v1/roles/shop", "/api/v1/roles", "/api/v1/events"] {
        let (status, answer) = gateway.get(&gateway.admin, path).await;
        assert_eq!(status, StatusCode::OK);
        answers.push(answer);
    }
    assert_eq!(answers[1]["password"], kept);
    assert_eq!(answers[1]["sslkey"], json!({ "stored": false, "updated_at": null }));
    assert!(answers[4].to_string().contains("PUT /api/v1/roles/{name}/secrets/{field}"), "{}", answers[4]);
    assert!(answers.iter().all(|answer| !answer.to_string().contains(PLANTED)), "{answers:?}");
    for file in std::fs::read_dir(gateway.folder.path()).expect("a folder").flatten() {
        let bytes = std::fs::read(file.path()).expect("a file");
        assert!(!bytes.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes()), "{file:?}");
    }
    assert_eq!(gateway.send(&gateway.admin, Method::DELETE, PASSWORD, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(gateway.send(&gateway.admin, Method::DELETE, PASSWORD, None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_the_role_names_is_used_and_nothing_else_is_kept() {
    let gateway = Gateway::start().await;
    role_without(&gateway).await;
    assert_eq!(put(&gateway, PASSWORD, PLANTED).await.0, StatusCode::OK);
    let named = json!({ "target": { "password": "env:HOOP_SECRET_DB" } });
    assert_eq!(gateway.send(&gateway.admin, Method::PATCH, "/api/v1/roles/shop", Some(named)).await.0, StatusCode::OK);
    assert_eq!(gateway.get(&gateway.admin, "/api/v1/roles/shop/secrets").await.1["password"]["stored"], false);
    let (status, refused) = put(&gateway, PASSWORD, PLANTED).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(refused["hint"].as_str().is_some_and(|hint| hint.contains("target.password")), "{refused}");
}

#[tokio::test]
async fn secrets_that_cannot_be_kept_are_refused() {
    let gateway = Gateway::start().await;
    role_without(&gateway).await;
    for value in ["", "a\0b", &"x".repeat(64 * 1024 + 1)] {
        assert_eq!(put(&gateway, PASSWORD, value).await.0, StatusCode::BAD_REQUEST);
    }
    for path in ["/api/v1/roles/shop/secrets/host", "/api/v1/roles/other/secrets/password"] {
        assert_eq!(put(&gateway, path, PLANTED).await.0, StatusCode::NOT_FOUND);
    }
    let auditor = gateway.user("otto", "auditor", &[]).await;
    assert_eq!(gateway.get(&auditor, "/api/v1/roles/shop/secrets").await.0, StatusCode::OK);
    let body = Some(json!({ "value": PLANTED }));
    assert_eq!(gateway.send(&auditor, Method::PUT, PASSWORD, body).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn without_an_operators_key_none_is_kept_and_the_setting_is_named() {
    let gateway = Gateway::without_operator_key().await;
    role_without(&gateway).await;
    let (status, refused) = put(&gateway, PASSWORD, PLANTED).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(refused["hint"].as_str().is_some_and(|hint| hint.contains("HOOP_SECRETS_KEY_FILE")), "{refused}");
}

#[tokio::test]
async fn a_target_is_tried_and_what_came_of_it_is_told() {
    let gateway = Gateway::start().await;
    gateway.role("shop").await;
    gateway.role("away").await;
    let (status, tried) = gateway.post(&gateway.admin, "/api/v1/roles/shop/test", json!({})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&tried["ok"], &tried["server_version"]), (&json!(true), &json!("15.8")), "{tried}");
    let (status, tried) = gateway.post(&gateway.admin, "/api/v1/roles/away/test", json!({})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&tried["ok"], &tried["code"], &tried["hint"]),
        (&json!(false), &json!("agent_unavailable"), &json!("start it"))
    );
    assert_eq!(gateway.get(&gateway.admin, "/api/v1/sessions").await.1["items"], json!([]), "it is no session");
    let alice = gateway.user("alice", "member", &["dba"]).await;
    assert_eq!(gateway.post(&alice, "/api/v1/roles/shop/test", json!({})).await.0, StatusCode::FORBIDDEN);
    assert_eq!(gateway.post(&gateway.admin, "/api/v1/roles/nope/test", json!({})).await.0, StatusCode::NOT_FOUND);
}
