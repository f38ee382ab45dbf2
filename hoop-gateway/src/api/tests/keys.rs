//! Public keys of users.

use super::*;
use crate::auth::keys::AcceptedKey;

const KEYS: &str = "/api/v1/keys";

/// Some key; for each byte another one.
fn key(byte: u8) -> String {
    use russh::keys::ssh_key::private::Ed25519Keypair;
    use russh::keys::ssh_key::public::KeyData;
    let pair = Ed25519Keypair::from_seed(&[byte; 32]);
    russh::keys::PublicKey::new(KeyData::Ed25519(pair.public), "me@laptop").to_string()
}

impl Gateway {
    async fn add_key(&self, of: &str, byte: u8) -> Value {
        let (status, added) = self.post(of, KEYS, json!({ "public_key": key(byte) })).await;
        assert_eq!(status, StatusCode::CREATED, "{added}");
        added
    }
}

fn at(key: &Value) -> String {
    format!("{KEYS}/{}", key["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn a_key_is_added_shown_and_removed() {
    let gateway = Gateway::start().await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let made = gateway.add_key(&alice, 1).await;
    let expected = AcceptedKey::read(&key(1)).expect("a key");
    assert_eq!(
        (&made["name"], &made["expires_at"], &made["last_used_at"]),
        (&json!("me@laptop"), &Value::Null, &Value::Null)
    );
    assert_eq!((&made["fingerprint"], &made["public_key"]), (&json!(expected.fingerprint), &json!(expected.line)));
    assert_eq!(gateway.get(&alice, KEYS).await.1["items"], json!([made]));
    assert_eq!(gateway.get(&alice, &at(&made)).await.1, made);
    let (status, twice) = gateway.post(&gateway.admin, KEYS, json!({ "public_key": key(1) })).await;
    assert_eq!((status, &twice["code"]), (StatusCode::CONFLICT, &json!("conflict")), "it is one caller's");
    assert_eq!(gateway.send(&alice, Method::DELETE, &at(&made), None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(gateway.send(&alice, Method::DELETE, &at(&made), None).await.0, StatusCode::NOT_FOUND);
    let events = gateway.get(&gateway.admin, "/api/v1/events").await.1.to_string();
    assert!(events.contains("POST /api/v1/keys") && events.contains("DELETE /api/v1/keys/{id}"), "{events}");
}

#[tokio::test]
async fn what_is_no_key_is_refused_with_the_reason() {
    let gateway = Gateway::start().await;
    for (body, pointer) in [
        (json!({ "public_key": "ssh-ed25519 AAAA" }), "/public_key"),
        (json!({ "public_key": "-----BEGIN OPENSSH PRIVATE KEY-----" }), "/public_key"),
        (json!({ "public_key": key(1), "name": "a\u{7}" }), "/name"),
        (json!({ "public_key": key(1), "ttl_seconds": 0 }), "/ttl_seconds"),
        (json!({ "public_key": key(1), "ttl_seconds": u64::MAX }), "/ttl_seconds"),
        (json!({}), "/public_key"),
    ] {
        let (status, refused) = gateway.post(&gateway.admin, KEYS, body).await;
        assert_eq!((status, &refused["errors"][0]["pointer"]), (StatusCode::BAD_REQUEST, &json!(pointer)), "{refused}");
    }
}

#[tokio::test]
async fn a_user_has_fifty_keys_at_most() {
    let gateway = Gateway::start().await;
    for byte in 0..50 {
        gateway.add_key(&gateway.admin, byte).await;
    }
    let (status, refused) = gateway.post(&gateway.admin, KEYS, json!({ "public_key": key(50) })).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("50 keys")), "{refused}");
}

#[tokio::test]
async fn everyone_has_their_own_and_administrators_have_all() {
    let gateway = Gateway::start().await;
    let (alice, bob) = (gateway.user("alice", "member", &["dba"]).await, gateway.user("bob", "member", &[]).await);
    let hers = gateway.add_key(&alice, 1).await;
    for (method, status) in [(Method::GET, StatusCode::NOT_FOUND), (Method::DELETE, StatusCode::NOT_FOUND)] {
        assert_eq!(gateway.send(&bob, method, &at(&hers), None).await.0, status);
    }
    let of_alice = "/api/v1/users/alice/keys";
    for method in [Method::GET, Method::POST] {
        let body = (method == Method::POST).then(|| json!({ "public_key": key(2) }));
        assert_eq!(gateway.send(&bob, method, of_alice, body).await.0, StatusCode::FORBIDDEN);
    }
    let auditor = gateway.user("otto", "auditor", &[]).await;
    for everyones in [of_alice, KEYS] {
        assert_eq!(gateway.get(&auditor, everyones).await.1["items"], json!([hers]));
    }
    assert_eq!(gateway.get(&bob, KEYS).await.1["items"], json!([]));
    let more = json!({ "public_key": key(2), "name": "given", "ttl_seconds": 60 });
    let (status, given) = gateway.post(&gateway.admin, of_alice, more).await;
    assert_eq!((status, &given["user_id"]), (StatusCode::CREATED, &hers["user_id"]), "{given}");
    assert!(given["expires_at"].is_string());
    let elsewhere = format!("/api/v1/users/bob/keys/{}", given["id"].as_str().expect("an id"));
    assert_eq!(gateway.send(&gateway.admin, Method::DELETE, &elsewhere, None).await.0, StatusCode::NOT_FOUND);
    let there = format!("{of_alice}/{}", given["id"].as_str().expect("an id"));
    assert_eq!(gateway.send(&gateway.admin, Method::DELETE, &there, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(
        gateway.post(&gateway.admin, "/api/v1/users/nobody/keys", json!({ "public_key": key(3) })).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_key_ends_with_the_token_that_added_it_and_with_a_new_password() {
    let gateway = Gateway::start().await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let body = json!({ "name": "ci", "scopes": ["connect"], "ttl_seconds": 3600 });
    let (_, token) = gateway.post(&alice, "/api/v1/tokens", body).await;
    let secret = token["token"].as_str().expect("a token");
    let (by_token, by_login) = (gateway.add_key(secret, 1).await, gateway.add_key(&alice, 2).await);
    assert_eq!(by_token["expires_at"], token["expires_at"]);
    let (_, read) = gateway.post(&alice, "/api/v1/tokens", json!({ "name": "r", "scopes": ["read"] })).await;
    let read = read["token"].as_str().expect("a token");
    assert_eq!(gateway.post(read, KEYS, json!({ "public_key": key(3) })).await.0, StatusCode::FORBIDDEN);

    let revoke = format!("/api/v1/tokens/{}", token["id"].as_str().expect("an id"));
    assert_eq!(gateway.send(&alice, Method::DELETE, &revoke, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(gateway.get(&alice, KEYS).await.1["items"], json!([by_login]));
    let reset = Some(json!({ "password": "another password of alice" }));
    assert_eq!(gateway.send(&gateway.admin, Method::PATCH, "/api/v1/users/alice", reset).await.0, StatusCode::OK);
    assert_eq!(gateway.get(&gateway.admin, "/api/v1/users/alice/keys").await.1["items"], json!([]));
}
