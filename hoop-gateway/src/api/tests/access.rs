//! Who may do what.

use futures::FutureExt as _;

use super::*;

#[tokio::test]
async fn from_nothing_to_a_psql_command() {
    let gateway = Gateway::start().await;
    let (status, agent) = gateway.post(&gateway.admin, "/api/v1/agents", json!({ "name": "here" })).await;
    assert_eq!(status, StatusCode::CREATED, "{agent}");
    let key: hoop_proto::dsn::Dsn = agent["key"].as_str().expect("a key").parse().expect("a DSN");
    assert_eq!((key.host.as_str(), key.port, key.certificate), ("gw.example.com", 8010, Some([7; 32])));
    assert_eq!(&*gateway.agent_tokens.authenticate(&key.token).await.expect("good").name, "here");

    let made = gateway.role("shop").await;
    assert_eq!((&made["kind"], &made["recording"]), (&json!("postgres"), &json!("default")));
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let (status, made) = gateway.post(&alice, "/api/v1/roles/shop/credentials", json!({ "ttl_seconds": 60 })).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let (login, password) = (made["user"].as_str().expect("a login"), made["password"].as_str().expect("a password"));
    assert!(login.starts_with("shop-") && login.len() == "shop-".len() + 8);
    assert_eq!(made["url"], format!("postgresql://{login}:{password}@db.example.com:15432/shop?sslmode=require"));
    assert_eq!(made["command"], format!("psql '{}&channel_binding=require'", made["url"].as_str().expect("a URL")));
    let certificate = format!("sha256:{}", "07".repeat(32));
    let tunnel = json!({ "host": "gw.example.com", "port": 8010, "tls": true, "certificate": certificate });
    assert_eq!(made["tunnel"], tunnel);

    let token = key.token.expose();
    for name in ["hoop.db", "hoop.db-wal"] {
        let file = std::fs::read(gateway.folder.path().join(name)).expect("a file");
        for secret in [password, token, &alice, &gateway.admin, "the password of alice"] {
            assert!(memchr::memmem::find(&file, secret.as_bytes()).is_none(), "{secret} in {name}");
        }
    }
    let (_, listed) = gateway.get(&alice, "/api/v1/credentials").await;
    assert_eq!(listed["items"][0]["login"], login);
    assert!(!listed.to_string().contains(password));
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_have_one_answer() {
    let gateway = Gateway::start().await;
    let login =
        |user: &'static str| gateway.post("", "/api/v1/login", json!({ "user": user, "password": "a wrong password" }));
    let (known, mut first) = login("root").await;
    let (unknown, mut second) = login("nobody").await;
    assert_eq!((known, unknown), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    first["request_id"] = Value::Null;
    second["request_id"] = Value::Null;
    assert_eq!(first, second);
    for _ in 0..6 {
        login("root").await;
    }
    let (status, problem) = login("root").await;
    assert_eq!((status, &problem["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("throttled")));
}

#[tokio::test]
async fn each_route_asks_for_its_permission() {
    let gateway = Gateway::start().await;
    gateway.role("shop").await;
    let member = gateway.user("mia", "member", &[]).await;
    let auditor = gateway.user("audrey", "auditor", &[]).await;
    let someone = gateway.session("root").await;
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    let id = someone.to_string();
    let table = [
        // route, then the status for a stranger, a member, an auditor
        (get.clone(), "/api/v1/me".to_owned(), [401, 200, 200]),
        (get.clone(), "/api/v1/users".to_owned(), [401, 403, 200]),
        (post.clone(), "/api/v1/users".to_owned(), [401, 403, 403]),
        (get.clone(), "/api/v1/users/root".to_owned(), [401, 403, 200]),
        (patch.clone(), "/api/v1/users/root".to_owned(), [401, 403, 403]),
        (delete.clone(), "/api/v1/users/root".to_owned(), [401, 403, 403]),
        (get.clone(), "/api/v1/groups".to_owned(), [401, 403, 200]),
        (get.clone(), "/api/v1/service-accounts".to_owned(), [401, 403, 200]),
        (post.clone(), "/api/v1/service-accounts".to_owned(), [401, 403, 403]),
        (get.clone(), "/api/v1/service-accounts/x".to_owned(), [401, 403, 404]),
        (patch.clone(), "/api/v1/service-accounts/x".to_owned(), [401, 403, 403]),
        (delete.clone(), "/api/v1/service-accounts/x".to_owned(), [401, 403, 403]),
        (get.clone(), "/api/v1/service-accounts/x/tokens".to_owned(), [401, 403, 404]),
        (post.clone(), "/api/v1/service-accounts/x/tokens".to_owned(), [401, 403, 403]),
        (get.clone(), "/api/v1/tokens".to_owned(), [401, 200, 200]),
        (delete.clone(), "/api/v1/tokens/tok_x".to_owned(), [401, 404, 404]),
        (get.clone(), "/api/v1/roles".to_owned(), [401, 200, 200]),
        (post.clone(), "/api/v1/roles".to_owned(), [401, 403, 403]),
        (get.clone(), "/api/v1/roles/shop".to_owned(), [401, 404, 200]),
        (patch, "/api/v1/roles/shop".to_owned(), [401, 403, 403]),
        (delete.clone(), "/api/v1/roles/shop".to_owned(), [401, 403, 403]),
        (post.clone(), "/api/v1/roles/shop/credentials".to_owned(), [401, 404, 403]),
        (get.clone(), "/api/v1/credentials".to_owned(), [401, 200, 200]),
        (delete, "/api/v1/credentials/crd_x".to_owned(), [401, 404, 404]),
        (get.clone(), "/api/v1/agents".to_owned(), [401, 403, 200]),
        (post.clone(), "/api/v1/agents".to_owned(), [401, 403, 403]),
        (get.clone(), "/api/v1/agents/x".to_owned(), [401, 403, 404]),
        (post.clone(), "/api/v1/agents/x/rotate".to_owned(), [401, 403, 403]),
        (post.clone(), "/api/v1/agents/x/revoke".to_owned(), [401, 403, 403]),
        (get.clone(), "/api/v1/sessions".to_owned(), [401, 200, 200]),
        (get.clone(), format!("/api/v1/sessions/{id}"), [401, 404, 200]),
        (post.clone(), format!("/api/v1/sessions/{id}/kill"), [401, 404, 404]),
        (get.clone(), format!("/api/v1/sessions/{id}/recording"), [401, 404, 404]),
        (get.clone(), "/api/v1/reviews".to_owned(), [401, 200, 200]),
        (post.clone(), "/api/v1/reviews".to_owned(), [401, 400, 400]),
        (get.clone(), "/api/v1/reviews/rev_x".to_owned(), [401, 404, 404]),
        (post.clone(), "/api/v1/reviews/rev_x/approve".to_owned(), [401, 404, 404]),
        (post.clone(), "/api/v1/reviews/rev_x/deny".to_owned(), [401, 404, 404]),
        (post.clone(), "/api/v1/reviews/rev_x/withdraw".to_owned(), [401, 404, 404]),
        (get.clone(), "/api/v1/events".to_owned(), [401, 403, 200]),
        (get, "/healthz".to_owned(), [200, 200, 200]),
    ];
    for (method, path, expected) in table {
        for (token, expected) in ["", &member, &auditor].into_iter().zip(expected) {
            let (status, answer) = gateway.send(token, method.clone(), &path, None).await;
            assert_eq!(status.as_u16(), expected, "{method} {path}: {answer}");
        }
    }
    assert!(gateway.live.ended.lock().is_empty());
    let (_, events) = gateway.get(&auditor, "/api/v1/events?limit=200").await;
    let refused: Vec<_> =
        events["items"].as_array().expect("a list").iter().filter(|event| event["code"] == "access_denied").collect();
    assert!(
        refused.iter().any(|event| event["user"] == "mia" && event["action"] == "POST /api/v1/agents/{name}/rotate"),
        "{events}"
    );
    let strangers = events["items"].as_array().expect("a list").iter().filter(|event| event["user"].is_null()).count();
    assert_eq!(strangers, 0, "strangers fill no disk");
}

#[tokio::test]
async fn a_password_that_somebody_else_knows_is_good_for_nothing_but_another() {
    let gateway = Gateway::start().await;
    let body = json!({ "name": "bob", "password": "given by the admin" });
    assert_eq!(gateway.post(&gateway.admin, "/api/v1/users", body).await.0, StatusCode::CREATED);
    let bob = gateway.sign_in("bob", "given by the admin").await;
    assert_eq!(gateway.get(&bob, "/api/v1/me").await.1["must_change_password"], true);
    assert_eq!(gateway.get(&bob, "/api/v1/roles").await.0, StatusCode::FORBIDDEN);
    let other = gateway.sign_in("bob", "given by the admin").await;
    let change = json!({ "current": "given by the admin", "new": "known to bob alone" });
    assert_eq!(gateway.send(&bob, Method::PUT, "/api/v1/me/password", Some(change)).await.0, StatusCode::NO_CONTENT);
    assert_eq!(gateway.get(&bob, "/api/v1/roles").await.0, StatusCode::OK);
    assert_eq!(gateway.get(&other, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(gateway.post(&bob, "/api/v1/logout", json!({})).await.0, StatusCode::NO_CONTENT);
    assert_eq!(gateway.get(&bob, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn who_is_shut_out_is_out_at_once() {
    let gateway = Gateway::start().await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let session = gateway.session("alice").await;
    let disable = json!({ "disabled": true });
    let (status, _) = gateway.send(&gateway.admin, Method::PATCH, "/api/v1/users/alice", Some(disable.clone())).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(gateway.get(&alice, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(*gateway.live.ended.lock(), [session]);
    let (status, _) = gateway.send(&gateway.admin, Method::PATCH, "/api/v1/users/root", Some(disable)).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

/// Running sessions are looked at again at once, and not only when it is time to.
#[tokio::test]
async fn who_loses_a_credential_is_looked_at_again() {
    let gateway = Gateway::start().await;
    gateway.role("shop").await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    // What was changed until here.
    let _ = gateway.access.changed().now_or_never();
    let (_, made) = gateway.post(&alice, "/api/v1/roles/shop/credentials", json!({})).await;
    assert!(gateway.access.changed().now_or_never().is_none());
    let path = format!("/api/v1/credentials/{}", made["id"].as_str().expect("an id"));
    assert_eq!(gateway.send(&alice, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert!(gateway.access.changed().now_or_never().is_some());
}
