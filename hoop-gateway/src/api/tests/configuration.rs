//! Users, roles and agents, and their versions.

use super::*;

#[tokio::test]
async fn a_role_changes_by_merge_and_keeps_its_name() {
    let gateway = Gateway::start().await;
    let made = gateway.role("shop").await;
    let patch =
        json!({ "recording": "strict", "labels": { "env": "prod" }, "target": { "password": null, "port": 6432 } });
    let (status, changed) = gateway.send(&gateway.admin, Method::PATCH, "/api/v1/roles/shop", Some(patch)).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    assert_eq!(
        (&changed["id"], &changed["recording"], &changed["target"]["port"]),
        (&made["id"], &json!("strict"), &json!(6432))
    );
    assert!(changed["target"].get("password").is_none() && changed["target"]["host"] == "db");
    for patch in [json!({ "name": "other" }), json!({ "agent": null }), json!({ "target": { "nope": 1 } })] {
        assert_eq!(
            gateway.send(&gateway.admin, Method::PATCH, "/api/v1/roles/shop", Some(patch)).await.0,
            StatusCode::BAD_REQUEST
        );
    }
    assert_eq!(gateway.post(&gateway.admin, "/api/v1/roles", role("shop")).await.0, StatusCode::CONFLICT);
    assert_eq!(
        gateway.send(&gateway.admin, Method::DELETE, "/api/v1/roles/shop", None).await.0,
        StatusCode::NO_CONTENT
    );
    assert_eq!(gateway.get(&gateway.admin, "/api/v1/roles/shop").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_agent_is_rotated_and_revoked() {
    let gateway = Gateway::start().await;
    let token =
        |answer: &Value| answer["key"].as_str().expect("a key").parse::<hoop_proto::dsn::Dsn>().expect("a DSN").token;
    let (_, made) = gateway.post(&gateway.admin, "/api/v1/agents", json!({ "name": "here" })).await;
    let (_, rotated) = gateway.post(&gateway.admin, "/api/v1/agents/here/rotate", json!({})).await;
    assert!(gateway.agent_tokens.authenticate(&token(&made)).await.is_err());
    assert!(gateway.agent_tokens.authenticate(&token(&rotated)).await.is_ok());
    let (status, revoked) = gateway.post(&gateway.admin, "/api/v1/agents/here/revoke", json!({})).await;
    assert_eq!(status, StatusCode::OK);
    assert!(revoked["revoked_at"].is_string());
    assert!(gateway.agent_tokens.authenticate(&token(&rotated)).await.is_err());
    assert_eq!(gateway.live.cut.lock().len(), 1);
}

#[tokio::test]
async fn two_keys_of_an_agent_overlap_for_as_long_as_was_asked_for() {
    let gateway = Gateway::start().await;
    let token =
        |answer: &Value| answer["key"].as_str().expect("a key").parse::<hoop_proto::dsn::Dsn>().expect("a DSN").token;
    let good = async |token: &Secret<String>| gateway.agent_tokens.authenticate(token).await.is_ok();
    let rotate = async |overlap: u32| {
        let body = json!({ "overlap_seconds": overlap });
        gateway.post(&gateway.admin, "/api/v1/agents/here/rotate", body).await
    };
    let (_, made) = gateway.post(&gateway.admin, "/api/v1/agents", json!({ "name": "here" })).await;
    assert_eq!(rotate(86_401).await.0, StatusCode::BAD_REQUEST);
    let (_, rotated) = rotate(3600).await;
    assert!(rotated["old_key_good_until"].is_string(), "{rotated}");
    let (old, new) = (token(&made), token(&rotated));
    assert!(good(&old).await && good(&new).await);
    *gateway.clock.0.lock() = Duration::from_secs(3601);
    assert!(!good(&old).await && good(&new).await);

    let newer = token(&rotate(3600).await.1);
    assert!(good(&new).await && good(&newer).await);
    let newest = token(&rotate(0).await.1);
    assert!(!good(&new).await && !good(&newer).await && good(&newest).await);

    rotate(3600).await;
    gateway.post(&gateway.admin, "/api/v1/agents/here/revoke", json!({})).await;
    assert!(!good(&newest).await, "revoked is revoked, whichever key it is");
    let back = token(&rotate(3600).await.1);
    assert!(!good(&newest).await && good(&back).await, "a revoked key does not come back");
    gateway.role("shop").await;
    let (_, agent) = gateway.get(&gateway.admin, "/api/v1/agents/here").await;
    assert_eq!(agent["roles"], json!(["shop"]), "{agent}");
}

#[tokio::test]
async fn a_change_names_what_it_is_meant_for() {
    let gateway = Gateway::start().await;
    gateway.role("shop").await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    for (path, patch) in [
        ("/api/v1/roles/shop", json!({ "labels": { "env": "prod" } })),
        ("/api/v1/users/alice", json!({ "groups": ["dba", "ops"] })),
    ] {
        let read = || gateway.call(Method::GET, path).token(&gateway.admin);
        let etag = read().send().await.header("etag").to_owned();
        assert!(etag.starts_with("\"1-"), "{etag}");
        assert_eq!(read().header("if-none-match", &etag).send().await.status, StatusCode::NOT_MODIFIED);
        assert_eq!(read().header("if-none-match", "\"x\"").send().await.status, StatusCode::OK);

        let change = || gateway.call(Method::PATCH, path).token(&gateway.admin).json(&patch);
        let missing = change().send().await;
        assert_eq!(missing.status, StatusCode::PRECONDITION_REQUIRED);
        assert_eq!(missing.json["code"], "precondition_required");
        // Of two at once, exactly one is made.
        let (one, other) =
            tokio::join!(change().header("if-match", &etag).send(), change().header("if-match", &etag).send());
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412]);
        let changed = if one.status == StatusCode::OK { one } else { other };
        assert_eq!(read().send().await.header("etag"), changed.header("etag"));
        assert_eq!(change().header("if-match", &etag).send().await.status, StatusCode::PRECONDITION_FAILED);
        let list = format!("\"x\", {}", changed.header("etag"));
        assert_eq!(change().header("if-match", list).send().await.status, StatusCode::OK);
    }
    let seen = gateway.call(Method::GET, "/api/v1/roles/shop").token(&gateway.admin).send().await;
    let own = gateway.call(Method::GET, "/api/v1/roles/shop").token(&alice).send().await;
    assert_ne!(own.header("etag"), seen.header("etag"), "they are shown two representations");
    let delete = |etag: &str| {
        gateway.call(Method::DELETE, "/api/v1/roles/shop").token(&gateway.admin).header("if-match", etag).send()
    };
    assert_eq!(delete("\"1-x\"").await.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(delete(seen.header("etag")).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn what_is_made_is_found_where_the_answer_says() {
    let gateway = Gateway::start().await;
    for (path, body, found) in [
        ("/api/v1/roles", role("shop"), "/api/v1/roles/shop"),
        ("/api/v1/users", json!({ "name": "a b@x" }), "/api/v1/users/a%20b%40x"),
        ("/api/v1/agents", json!({ "name": "here" }), "/api/v1/agents/here"),
    ] {
        let made = gateway.call(Method::POST, path).token(&gateway.admin).json(&body).send().await;
        assert_eq!((made.status, made.header("location")), (StatusCode::CREATED, found));
        let (status, shown) = gateway.get(&gateway.admin, found).await;
        assert_eq!((status, &shown["name"]), (StatusCode::OK, &body["name"]));
    }
}
