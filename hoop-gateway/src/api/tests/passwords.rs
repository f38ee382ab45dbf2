//! What ends with a password.

use super::*;
use crate::store::User;
use crate::store::tests::update_user;

async fn user(gateway: &Gateway, name: &str) -> User {
    gateway.store.users().by_name(OrgId::DEFAULT, name).await.expect("works").expect("there")
}

async fn good_credentials(gateway: &Gateway, of: &User) -> usize {
    let all = gateway.store.credentials().list(of.org, Some(of.id), None, 10).await.expect("works");
    all.items.iter().filter(|credential| credential.revoked_at.is_none()).count()
}

#[tokio::test]
async fn a_login_in_flight_does_not_outlive_the_password() {
    let (gateway, strings) = Gateway::wrapped().await;
    gateway.user("mia", "member", &[]).await;
    let before = user(&gateway, "mia").await;
    let login = json!({ "user": "mia", "password": "the password of mia" });
    for changed in [
        User { password_hash: Some("$argon2id$another".to_owned()), ..before.clone() },
        User { disabled: true, ..before.clone() },
    ] {
        update_user(&*gateway.store, &before).await.expect("stored");
        *strings.meanwhile.lock() = Some(changed);
        let (status, problem) = gateway.post("", "/api/v1/login", login.clone()).await;
        assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("login_failed")));
    }
    update_user(&*gateway.store, &before).await.expect("stored");
    assert_eq!(gateway.post("", "/api/v1/login", login).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_reset_ends_what_the_old_password_began() {
    let gateway = Gateway::start().await;
    gateway.role("shop").await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let session = gateway.session("alice").await;
    let make = gateway.post(&alice, "/api/v1/roles/shop/credentials", json!({})).await;
    assert_eq!(make.0, StatusCode::CREATED);
    let other = json!({ "groups": ["dba", "dev"] });
    assert_eq!(gateway.send(&gateway.admin, Method::PATCH, "/api/v1/users/alice", Some(other)).await.0, StatusCode::OK);
    let stored = user(&gateway, "alice").await;
    assert_eq!((good_credentials(&gateway, &stored).await, gateway.live.ended.lock().len()), (1, 0));

    let mut watch = gateway.changes.watch(None).live;
    let reset = json!({ "password": "another password" });
    assert_eq!(gateway.send(&gateway.admin, Method::PATCH, "/api/v1/users/alice", Some(reset)).await.0, StatusCode::OK);
    assert_eq!(good_credentials(&gateway, &stored).await, 0);
    assert_eq!(*gateway.live.ended.lock(), [session]);
    let told = watch.recv().await.expect("told");
    assert_eq!((told.subject.as_str(), told.what), ("credential", "deleted"));
}

#[tokio::test]
async fn a_change_of_ones_own_takes_credentials_away() {
    let gateway = Gateway::start().await;
    gateway.role("shop").await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    gateway.session("alice").await;
    gateway.post(&alice, "/api/v1/roles/shop/credentials", json!({})).await;
    let change = json!({ "current": "the password of alice", "new": "another password" });
    let (status, _) = gateway.send(&alice, Method::PUT, "/api/v1/me/password", Some(change)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let stored = user(&gateway, "alice").await;
    assert_eq!((good_credentials(&gateway, &stored).await, gateway.live.ended.lock().len()), (0, 0));
    assert_eq!(gateway.get(&alice, "/api/v1/me").await.0, StatusCode::OK, "here, alice stays signed in");
}
