//! Service accounts, and what a token is good for.

use super::*;

const ACCOUNTS: &str = "/api/v1/service-accounts";
const TOKENS: &str = "/api/v1/tokens";

impl Gateway {
    /// A token of the caller's own.
    async fn token(&self, of: &str, name: &str, scopes: &[&str]) -> (String, Value) {
        let body = json!({ "name": name, "scopes": scopes });
        secret(self.post(of, TOKENS, body).await)
    }

    /// A service account with a token.
    pub(super) async fn account(&self, name: &str, groups: &[&str], scopes: &[&str]) -> (String, Value) {
        let body = json!({ "name": name, "groups": groups, "description": "builds" });
        let (status, made) = self.post(&self.admin, ACCOUNTS, body).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let body = json!({ "name": "ci", "scopes": scopes });
        secret(self.post(&self.admin, &format!("{ACCOUNTS}/{name}/tokens"), body).await)
    }
}

/// The secret of a new token, and what else is told of it.
fn secret((status, mut made): (StatusCode, Value)) -> (String, Value) {
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let token = made.as_object_mut().and_then(|fields| fields.remove("token")).expect("it is shown this once");
    (token.as_str().expect("text").to_owned(), made)
}

#[tokio::test]
async fn a_service_account_is_made_changed_and_deleted() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin.clone();
    let (token, _) = gateway.account("ci", &["dba"], &["read", "connect"]).await;
    let path = format!("{ACCOUNTS}/ci");
    let read = || gateway.call(Method::GET, &path).token(&admin).send();
    let shown = read().await;
    assert_eq!((&shown.json["created_by"], &shown.json["groups"]), (&json!("root"), &json!(["dba"])));
    let (_, listed) = gateway.get(&admin, ACCOUNTS).await;
    assert_eq!(listed["items"], json!([shown.json]));
    let (_, people) = gateway.get(&admin, "/api/v1/users").await;
    assert_eq!(people["items"].as_array().map(Vec::len), Some(1), "a program is no user: {people}");
    assert_eq!(gateway.get(&admin, "/api/v1/users/ci").await.0, StatusCode::NOT_FOUND);
    assert_eq!(gateway.get(&admin, &format!("{ACCOUNTS}/root")).await.0, StatusCode::NOT_FOUND);
    let taken = json!({ "name": "root" });
    assert_eq!(gateway.post(&admin, ACCOUNTS, taken).await.0, StatusCode::CONFLICT, "names are one caller's");
    assert_eq!(gateway.post(&admin, ACCOUNTS, json!({ "name": "A b" })).await.0, StatusCode::BAD_REQUEST);

    let change = |etag: String| {
        let patch = json!({ "description": "builds and tests" });
        gateway.call(Method::PATCH, &path).token(&admin).json(&patch).header("if-match", etag).send()
    };
    let etag = shown.header("etag").to_owned();
    assert_eq!(change(etag.clone()).await.json["description"], "builds and tests");
    assert_eq!(change(etag).await.status, StatusCode::PRECONDITION_FAILED);

    let (_, me) = gateway.get(&token, "/api/v1/me").await;
    assert_eq!((&me["name"], &me["service_account"], &me["kind"]), (&json!("ci"), &json!(true), &json!("member")));
    let login = json!({ "user": "ci", "password": "" });
    assert_eq!(gateway.post("", "/api/v1/login", login).await.0, StatusCode::UNAUTHORIZED);

    let session = gateway.session("ci").await;
    let disable = Some(json!({ "disabled": true }));
    assert_eq!(gateway.send(&admin, Method::PATCH, &path, disable).await.0, StatusCode::OK);
    assert_eq!(gateway.get(&token, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);
    let body = json!({ "name": "ci", "scopes": ["read"] });
    let refused = gateway.post(&admin, &format!("{path}/tokens"), body).await;
    assert_eq!(refused.0, StatusCode::CONFLICT);
    assert_eq!(gateway.send(&admin, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(*gateway.live.ended.lock(), [session, session], "with the account, and with all of it");
    assert_eq!(gateway.get(&admin, &path).await.0, StatusCode::NOT_FOUND);
}

/// Every scope on every kind of route: what a token is refused, its owner may.
#[tokio::test]
async fn a_token_may_what_it_is_for_and_what_its_owner_may() {
    let gateway = Gateway::start().await;
    gateway.role("shop").await;
    let member = gateway.user("mia", "member", &["dba"]).await;
    let (get, post) = (Method::GET, Method::POST);
    let routes = [
        (get.clone(), "/api/v1/me"),
        (get.clone(), "/api/v1/roles/shop"),
        (post.clone(), "/api/v1/roles/shop/credentials"),
        (get, "/api/v1/users"),
        (post.clone(), "/api/v1/agents/x/rotate"),
        (post, TOKENS),
    ];
    let table = [
        (&gateway.admin, &["read"][..], [200, 200, 403, 200, 403, 403]),
        (&gateway.admin, &["connect"], [200, 200, 201, 403, 403, 403]),
        (&gateway.admin, &["read", "connect"], [200, 200, 201, 200, 403, 403]),
        (&gateway.admin, &["admin"], [200, 200, 201, 200, 404, 403]),
        (&member, &["read"], [200, 200, 403, 403, 403, 403]),
        (&member, &["connect"], [200, 200, 201, 403, 403, 403]),
    ];
    for (owner, scopes, expected) in table {
        let (token, _) = gateway.token(owner, "t", scopes).await;
        for ((method, path), expected) in routes.iter().zip(expected) {
            let body = (*method == Method::POST).then(|| json!({}));
            let (status, answer) = gateway.send(&token, method.clone(), path, body).await;
            assert_eq!(status.as_u16(), expected, "{scopes:?} {method} {path}: {answer}");
        }
    }
    let change = Some(json!({ "current": "the password of mia", "new": "another password of mia" }));
    let (token, _) = gateway.token(&member, "t", &["connect"]).await;
    let (status, problem) = gateway.send(&token, Method::PUT, "/api/v1/me/password", change).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("access_denied")), "{problem}");
    for wrong in [json!(["admin"]), json!([]), json!(["everything"])] {
        let made = gateway.post(&member, TOKENS, json!({ "name": "t", "scopes": wrong })).await;
        assert_eq!(made.0, StatusCode::BAD_REQUEST, "{}", made.1);
    }
}

/// An administrator's token for one's own things shows and changes no others'.
#[tokio::test]
async fn a_token_that_connects_is_for_ones_own_things() {
    let gateway = Gateway::start().await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let (_, of_alice) = gateway.token(&alice, "hers", &["read"]).await;
    let (connect, _) = gateway.token(&gateway.admin, "mine", &["connect"]).await;
    let (admin, _) = gateway.token(&gateway.admin, "all", &["admin"]).await;
    let names = async |token: &str| {
        let (_, listed) = gateway.get(token, TOKENS).await;
        let mut names: Vec<_> = listed["items"].as_array().expect("a list").iter().map(|t| t["name"].clone()).collect();
        names.sort_by_key(ToString::to_string);
        names
    };
    assert_eq!(names(&connect).await, ["all", "mine"]);
    assert_eq!(names(&admin).await, ["all", "hers", "mine"]);
    assert_eq!(names(&alice).await, ["hers"]);
    let path = format!("{TOKENS}/{}", of_alice["id"].as_str().expect("an id"));
    assert_eq!(gateway.get(&connect, &path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(gateway.send(&connect, Method::DELETE, &path, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(gateway.get(&admin, &path).await.1["revoked_at"], Value::Null);
    assert_eq!(gateway.send(&admin, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert!(gateway.get(&alice, &path).await.1["revoked_at"].is_string());
    let session = gateway.session("alice").await;
    let kill = format!("/api/v1/sessions/{session}/kill");
    assert_eq!(gateway.post(&connect, &kill, json!({})).await.0, StatusCode::NOT_FOUND);
    assert_eq!(gateway.post(&admin, &kill, json!({})).await.0, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_token_is_shown_once_and_ends() {
    let settings = ApiSettings { api_token_ttl_max: Duration::from_secs(7 * 24 * 3600), ..ApiSettings::default() };
    let gateway = Gateway::with(settings).await;
    gateway.role("shop").await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    for ttl in [0, 7 * 24 * 3600 + 1, u64::MAX] {
        let body = json!({ "name": "t", "scopes": ["read"], "ttl_seconds": ttl });
        let (status, problem) = gateway.post(&alice, TOKENS, body).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (StatusCode::BAD_REQUEST, &json!("/ttl_seconds")));
    }
    let (token, made) = gateway.token(&alice, "laptop", &["connect"]).await;
    assert!(token.starts_with("hoopt_") && token.len() == 49, "scanners know it: {token}");
    let lasts = |made: &Value| {
        let time = |field: &str| made[field].as_str().expect("a time").parse::<DateTime<Utc>>().expect("RFC 3339");
        (time("expires_at") - time("created_at")).num_seconds()
    };
    assert_eq!(lasts(&made), 7 * 24 * 3600, "30 days are more than this gateway gives");
    let path = format!("{TOKENS}/{}", made["id"].as_str().expect("an id"));
    let (_, shown) = gateway.get(&alice, &path).await;
    assert_eq!((&shown["last_used_at"], &shown["scopes"]), (&Value::Null, &json!(["connect"])));
    for name in ["hoop.db", "hoop.db-wal"] {
        let file = std::fs::read(gateway.folder.path().join(name)).expect("a file");
        assert!(memchr::memmem::find(&file, token.as_bytes()).is_none(), "{name}");
    }

    // The last use is known to the minute, and no more is written.
    let used = async || gateway.get(&alice, &path).await.1["last_used_at"].clone();
    gateway.get(&token, "/api/v1/me").await;
    let first = used().await;
    gateway.get(&token, "/api/v1/me").await;
    assert!(first.is_string() && used().await == first);
    *gateway.clock.0.lock() = Duration::from_secs(61);
    gateway.get(&token, "/api/v1/me").await;
    assert_ne!(used().await, first);

    // What is made with it is good for no longer.
    let body = json!({ "ttl_seconds": 7 * 24 * 3600 });
    let (status, credential) = gateway.post(&token, "/api/v1/roles/shop/credentials", body).await;
    assert_eq!(status, StatusCode::CREATED, "{credential}");
    let until = |value: &Value| value["expires_at"].as_str().expect("a time").parse::<DateTime<Utc>>().expect("a time");
    assert!(until(&credential) <= until(&made), "{credential} {made}");
    *gateway.clock.0.lock() = Duration::from_secs(7 * 24 * 3600 + 1);
    assert_eq!(gateway.get(&token, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_was_made_with_a_token_is_revoked_with_it() {
    let gateway = Gateway::start().await;
    gateway.role("shop").await;
    let (token, made) = gateway.account("ci", &["dba"], &["connect"]).await;
    let (status, credential) = gateway.post(&token, "/api/v1/roles/shop/credentials", json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{credential}");
    let revoked = async || gateway.get(&gateway.admin, "/api/v1/credentials").await.1["items"][0]["revoked_at"].clone();
    assert_eq!(revoked().await, Value::Null);
    let (_, listed) = gateway.get(&gateway.admin, &format!("{ACCOUNTS}/ci/tokens")).await;
    assert_eq!(listed["items"][0]["id"], made["id"]);
    let path = format!("{TOKENS}/{}", made["id"].as_str().expect("an id"));
    assert_eq!(gateway.send(&token, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT, "its own");
    assert!(revoked().await.is_string());
    assert_eq!(gateway.get(&token, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);
}
