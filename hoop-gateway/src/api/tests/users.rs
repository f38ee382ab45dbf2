//! Users who are deleted, and what stays of them.

use super::*;

const RULES: &str = "/api/v1/access-rules";

#[tokio::test]
async fn who_is_deleted_is_gone_and_what_they_did_stays() {
    let gateway = Gateway::start().await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    gateway.role("shop").await;
    let session = gateway.session("alice").await;
    let credential = gateway.post(&alice, "/api/v1/roles/shop/credentials", json!({})).await;
    assert_eq!(credential.0, StatusCode::CREATED, "{credential:?}");
    let made = gateway.post(&alice, "/api/v1/tokens", json!({ "name": "laptop", "scopes": ["connect"] })).await;
    assert_eq!(made.0, StatusCode::CREATED, "{made:?}");
    let token = made.1["token"].as_str().expect("it is shown this once").to_owned();
    let (_, before) = gateway.get(&gateway.admin, "/api/v1/users/alice").await;

    let path = "/api/v1/users/alice";
    let without = gateway.call(Method::DELETE, path).token(&gateway.admin).send().await;
    assert_eq!(without.status, StatusCode::PRECONDITION_REQUIRED);
    assert_eq!(gateway.send(&gateway.admin, Method::DELETE, path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(*gateway.live.ended.lock(), [session]);
    for token in [&alice, &token] {
        assert_eq!(gateway.get(token, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);
    }
    let (_, credentials) = gateway.get(&gateway.admin, "/api/v1/credentials").await;
    assert_eq!(credentials["items"], json!([]));
    let (_, shown) = gateway.get(&gateway.admin, &format!("/api/v1/sessions/{session}")).await;
    assert_eq!((&shown["user"], &shown["user_id"]), (&json!("alice"), &before["id"]));
    let (_, events) = gateway.get(&gateway.admin, "/api/v1/events?limit=200").await;
    let hers = events["items"].as_array().expect("a list").iter().filter(|event| event["user_id"] == before["id"]);
    assert!(hers.count() >= 2, "{events}");

    let again = gateway.user("alice", "member", &[]).await;
    let (_, after) = gateway.get(&again, "/api/v1/me").await;
    assert!(after["id"] != before["id"] && after["groups"] == json!([]), "{after}");
    let (_, sessions) = gateway.get(&again, "/api/v1/sessions").await;
    assert_eq!(sessions["items"], json!([]), "those of somebody else of the same name");
    assert_eq!(gateway.get(&again, &format!("/api/v1/sessions/{session}")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(gateway.get(&token, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn nobody_deletes_themself_or_whom_a_rule_names() {
    let gateway = Gateway::start().await;
    gateway.user("bob", "member", &[]).await;
    let delete = async |path: &str| gateway.send(&gateway.admin, Method::DELETE, path, None).await;
    let (status, problem) = delete("/api/v1/users/root").await;
    assert!(status == StatusCode::CONFLICT && problem["detail"].as_str().expect("text").contains("themselves"));
    assert_eq!(delete("/api/v1/users/nobody").await.0, StatusCode::NOT_FOUND);
    gateway.account("ci", &[], &["connect"]).await;
    assert_eq!(delete("/api/v1/users/ci").await.0, StatusCode::NOT_FOUND, "a program is no user");

    gateway.user("ann", "member", &[]).await;
    for (field, path, name) in
        [("users", "/api/v1/users", "bob"), ("service_accounts", "/api/v1/service-accounts", "ci")]
    {
        let subjects = |names: &[&str]| json!({ "subjects": { field: names } });
        let mut rule = subjects(&[name, "ann"]);
        rule["name"] = "for-one".into();
        rule["effect"] = "allow".into();
        rule["enabled"] = false.into();
        rule["roles"] = json!({ "names": ["*"] });
        assert_eq!(gateway.post(&gateway.admin, RULES, rule).await.0, StatusCode::CREATED);
        let (status, problem) = delete(&format!("{path}/{name}")).await;
        assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("conflict")), "{problem}");
        assert!(problem["detail"].as_str().expect("text").ends_with(&format!("{name}: for-one")), "{problem}");
        assert!(problem["hint"].as_str().expect("text").contains("access-rules update for-one -f"), "{problem}");
        // Of the other kind, the name is somebody else's.
        let other = if field == "users" {
            json!({ "subjects": { "users": null, "service_accounts": [name] } })
        } else {
            subjects(&["ann"])
        };
        let changed = gateway.send(&gateway.admin, Method::PATCH, &format!("{RULES}/for-one"), Some(other)).await;
        assert_eq!(changed.0, StatusCode::OK, "{changed:?}");
        assert_eq!(delete(&format!("{path}/{name}")).await.0, StatusCode::NO_CONTENT);
        assert_eq!(delete(&format!("{RULES}/for-one")).await.0, StatusCode::NO_CONTENT);
    }
}

/// A group stays while something names it: who is put into it gets what that says.
#[tokio::test]
async fn a_group_that_is_named_outlives_its_last_member() {
    let gateway = Gateway::start().await;
    gateway.user("bob", "member", &["on-call", "passing"]).await;
    let rule = json!({
        "name": "on-call", "effect": "allow", "subjects": { "groups": ["on-call"] }, "roles": { "names": ["*"] },
        "obligations": { "review": { "group": "leads" } },
    });
    assert_eq!(gateway.post(&gateway.admin, RULES, rule).await.0, StatusCode::CREATED);
    let mut role = role("shop");
    role["allowed_groups"] = json!(["*", "support"]);
    role["plugins"] = json!({ "guardrail": { "rules": [
        { "name": "no-drop", "kinds": ["drop_table"], "except_groups": ["dba"] },
        { "name": "no-truncate", "kinds": ["truncate"], "for_groups": ["juniors"] },
    ] } });
    let made = gateway.post(&gateway.admin, "/api/v1/roles", role).await;
    assert_eq!(made.0, StatusCode::CREATED, "{made:?}");
    assert_eq!(gateway.send(&gateway.admin, Method::DELETE, "/api/v1/users/bob", None).await.0, StatusCode::NO_CONTENT);
    gateway.user("eve", "member", &["leads"]).await;

    let (mut groups, mut path) = (Vec::new(), "/api/v1/groups?limit=2".to_owned());
    loop {
        let (_, answer) = gateway.get(&gateway.admin, &path).await;
        let items = answer["items"].as_array().expect("a list").iter();
        groups.extend(items.map(|group| format!("{} {}", group["name"], group["members"]).replace('"', "")));
        let Some(cursor) = answer["next_cursor"].as_str() else { break };
        path = format!("/api/v1/groups?limit=2&cursor={cursor}");
    }
    assert_eq!(groups, ["dba 0", "juniors 0", "leads 1", "on-call 0", "support 0"]);
}

/// Two administrators who delete each other: the last one's request was let in, and is refused all the same.
#[tokio::test]
async fn the_last_administrator_stays() {
    let gateway = Gateway::start().await;
    let boss = gateway.user("boss", "admin", &[]).await;
    let (one, other) = tokio::join!(
        gateway.send(&gateway.admin, Method::DELETE, "/api/v1/users/boss", None),
        gateway.send(&boss, Method::DELETE, "/api/v1/users/root", None),
    );
    let done = [one.0, other.0].iter().filter(|status| **status == StatusCode::NO_CONTENT).count();
    assert_eq!(done, 1, "{one:?} {other:?}");
    let left = gateway.store.users().list(OrgId::DEFAULT, None, None, 10).await.expect("readable").items;
    assert_eq!(left.len(), 1);
}

#[tokio::test]
async fn the_trail_names_the_token() {
    let gateway = Gateway::start().await;
    let (token, made) = gateway.account("ci", &["dba"], &["connect"]).await;
    gateway.role("shop").await;
    assert_eq!(gateway.post(&token, "/api/v1/roles/shop/credentials", json!({})).await.0, StatusCode::CREATED);
    let (_, events) = gateway.get(&gateway.admin, "/api/v1/events?limit=1").await;
    let event = &events["items"][0];
    assert_eq!((&event["user"], &event["token"], &event["token_id"]), (&json!("ci"), &made["name"], &made["id"]));
    gateway.post(&gateway.admin, "/api/v1/agents", json!({ "name": "there" })).await;
    let (_, events) = gateway.get(&gateway.admin, "/api/v1/events?limit=1").await;
    let event = &events["items"][0];
    assert!(event["token"].is_null() && event["token_id"].as_str().is_some_and(|id| id.starts_with("tok_")), "{event}");
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_and_in_the_trail() {
    let gateway = Gateway::start().await;
    let session = gateway.session("root").await;
    gateway.live.panics.store(true, Ordering::Relaxed);
    let path = format!("/api/v1/sessions/{session}/kill");
    let (status, problem) = gateway.post(&gateway.admin, &path, json!({})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!("internal")), "{problem}");
    let (_, events) = gateway.get(&gateway.admin, "/api/v1/events?limit=1").await;
    let event = &events["items"][0];
    assert_eq!((&event["status"], &event["code"], &event["user"]), (&json!(500), &json!("internal"), &json!("root")));
    assert_eq!(event["request_id"], problem["request_id"]);
}
