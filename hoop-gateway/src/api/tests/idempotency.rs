//! What is sent twice is done once.

use chrono::TimeDelta;

use super::*;
use crate::store::Claim;

const KEY: &str = "idempotency-key";

#[tokio::test]
async fn what_is_sent_twice_is_done_once() {
    let gateway = Gateway::start().await;
    let add = |key: &'static str, name: &'static str| {
        gateway
            .call(Method::POST, "/api/v1/users")
            .token(&gateway.admin)
            .header(KEY, key)
            .json(&json!({ "name": name }))
            .send()
    };
    let (first, again) = (add("k1", "bob").await, add("k1", "bob").await);
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!((&first.json, first.header("location")), (&again.json, again.header("location")));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    let other = add("k1", "carol").await;
    assert_eq!((other.status.as_u16(), &other.json["code"]), (422, &json!("idempotency_key_reused")));
    assert_eq!(add("k2", "bob").await.status, StatusCode::CONFLICT, "another key is another request");

    // What was refused did nothing: the key is as new.
    assert_eq!(add("k2", "dave").await.status, StatusCode::CREATED);
    let mia = gateway.user("mia", "admin", &[]).await;
    let theirs = gateway.call(Method::POST, "/api/v1/users").token(&mia).header(KEY, "k1");
    assert_eq!(
        theirs.json(&json!({ "name": "eve" })).send().await.status,
        StatusCode::CREATED,
        "keys are each user's own"
    );

    *gateway.clock.0.lock() += Duration::from_secs(23 * 3600);
    let admin = gateway.sign_in("mia", "the password of mia").await;
    let late = |name: &str| {
        gateway
            .call(Method::POST, "/api/v1/users")
            .token(&admin)
            .header(KEY, "k1")
            .json(&json!({ "name": name }))
            .send()
    };
    assert_eq!(late("eve").await.header("idempotency-replayed"), "true");
    *gateway.clock.0.lock() += Duration::from_secs(2 * 3600);
    assert_eq!(late("eve").await.status, StatusCode::CONFLICT, "the key is forgotten, and eve is there");
    assert_eq!(late("frank").await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn keys_have_a_form_and_strangers_have_none() {
    let gateway = Gateway::start().await;
    let body = json!({ "name": "bob" });
    for key in [String::new(), "a b".to_owned(), "x".repeat(256)] {
        let call = gateway.call(Method::POST, "/api/v1/users").token(&gateway.admin).header(KEY, key).json(&body);
        assert_eq!(call.send().await.status, StatusCode::BAD_REQUEST);
    }
    let call = gateway.call(Method::POST, "/api/v1/users").header(KEY, "k").json(&body);
    assert_eq!(call.send().await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn of_many_at_once_one_is_done() {
    let gateway = Gateway::start().await;
    let add = || {
        gateway
            .call(Method::POST, "/api/v1/users")
            .token(&gateway.admin)
            .header(KEY, "k")
            .json(&json!({ "name": "bob" }))
            .send()
    };
    let answers = futures::future::join_all((0..8).map(|_| add())).await;
    let done = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    let replayed = answers.iter().filter(|answer| answer.header("idempotency-replayed") == "true").count();
    assert_eq!(done - replayed, 1);
    for answer in &answers {
        assert!(matches!(answer.status.as_u16(), 201 | 409), "{}", answer.json);
    }
}

#[tokio::test]
async fn a_request_that_runs_still_and_one_that_never_ended_are_told() {
    let gateway = Gateway::start().await;
    let root = gateway.store.users().by_name(OrgId::DEFAULT, "root").await.expect("works").expect("a user");
    let call = || {
        gateway
            .call(Method::POST, "/api/v1/users")
            .token(&gateway.admin)
            .header(KEY, "k")
            .json(&json!({ "name": "bob" }))
    };
    // What a gateway leaves that dies in the middle of it.
    let sample = call();
    let mut hasher = blake3::Hasher::new_keyed(gateway.request_key.expose());
    for part in [&b"POST"[..], b"/api/v1/users", &sample.body] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let at = gateway.clock.now();
    let claim = Claim {
        org: root.org,
        user: root.id,
        key: "k".to_owned(),
        request: hasher.finalize().into(),
        at,
        expires_at: at + TimeDelta::hours(24),
    };
    assert_eq!(gateway.store.idempotency().claim(&claim).await.expect("works"), None);
    let running = call().send().await;
    assert_eq!(running.status, StatusCode::CONFLICT);
    assert!(running.json["detail"].as_str().expect("a text").contains("being worked on"), "{}", running.json);
    *gateway.clock.0.lock() += Duration::from_secs(60);
    let unknown = call().send().await;
    assert_eq!(unknown.status, StatusCode::CONFLICT);
    assert!(unknown.json["detail"].as_str().expect("a text").contains("is not known"), "{}", unknown.json);
}

#[tokio::test]
async fn a_secret_is_shown_once_and_is_in_no_file() {
    let gateway = Gateway::start().await;
    gateway.role("shop").await;
    let make = || {
        let path = "/api/v1/roles/shop/credentials";
        gateway.call(Method::POST, path).token(&gateway.admin).header(KEY, "k").json(&json!({})).send()
    };
    let (first, again) = (make().await, make().await);
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CONFLICT));
    assert_eq!(again.header("location"), first.header("location"));
    assert!(first.header("location").starts_with("/api/v1/credentials/crd_"));
    let (_, listed) = gateway.get(&gateway.admin, "/api/v1/credentials").await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));

    let body = json!({ "name": "bob", "password": "a password of bob's" });
    let add = gateway.call(Method::POST, "/api/v1/users").token(&gateway.admin).header(KEY, "k2").json(&body);
    assert_eq!(add.send().await.status, StatusCode::CREATED);
    let password = first.json["password"].as_str().expect("a password");
    for name in ["hoop.db", "hoop.db-wal"] {
        let file = std::fs::read(gateway.folder.path().join(name)).expect("a file");
        for secret in [password, "a password of bob's"] {
            assert!(memchr::memmem::find(&file, secret.as_bytes()).is_none(), "{secret} in {name}");
        }
    }
}
