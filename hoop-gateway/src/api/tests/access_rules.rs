//! Access rules through the API.

use super::*;
use crate::access::AccessPolicy;

async fn start() -> Gateway {
    let gateway = Gateway::governed(|store, access| Arc::new(AccessPolicy::new(store, access))).await;
    for name in ["archive", "shop"] {
        let mut role = role(name);
        role["allowed_groups"] = json!([]);
        role["labels"] = json!({ "env": "prod" });
        let (status, made) = gateway.post(&gateway.admin, "/api/v1/roles", role).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
    }
    gateway
}

fn rule(name: &str) -> Value {
    json!({
        "name": name, "effect": "allow", "subjects": { "groups": ["dba"] }, "roles": { "names": ["shop*"] },
    })
}

const RULES: &str = "/api/v1/access-rules";
const CHECK: &str = "/api/v1/access/check";

/// Whoever makes a role of the same name later would let in by a rule that was about another one.
#[tokio::test]
async fn a_role_that_a_rule_names_is_not_deleted() {
    let gateway = start().await;
    let delete = async |path: &str| gateway.send(&gateway.admin, Method::DELETE, path, None).await;
    let mut named = rule("named");
    named["roles"] = json!({ "names": ["other", "shop"] });
    named["enabled"] = false.into();
    for rule in [named, rule("by-pattern")] {
        let made = gateway.post(&gateway.admin, RULES, rule).await;
        assert_eq!(made.0, StatusCode::CREATED, "{made:?}");
    }
    let (status, problem) = delete("/api/v1/roles/shop").await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("conflict")), "{problem}");
    assert_eq!(problem["detail"], "access rules name role shop: named");
    assert!(problem["hint"].as_str().expect("text").contains("access-rules update named -f"), "{problem}");
    assert_eq!(delete(&format!("{RULES}/named")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(delete("/api/v1/roles/shop").await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_rule_is_made_changed_and_deleted_and_holds_at_once() {
    let gateway = start().await;
    let (admin, alice) = (gateway.admin.clone(), gateway.user("alice", "member", &["dba"]).await);
    let seen = async || gateway.get(&alice, "/api/v1/roles/shop").await.0;
    assert_eq!(seen().await, StatusCode::NOT_FOUND);
    let (status, made) = gateway.post(&admin, RULES, rule("dba")).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(made["modes"], json!(["native", "web", "exec", "runbook"]));
    assert!(made["id"].as_str().is_some_and(|id| id.starts_with("acr_")), "{made}");
    assert_eq!(seen().await, StatusCode::OK);
    assert_eq!(gateway.post(&admin, RULES, rule("dba")).await.0, StatusCode::CONFLICT);

    let path = format!("{RULES}/dba");
    let patch = json!({ "conditions": { "sources": ["10.0.0.0/8"] }, "description": "from the office" });
    let (status, changed) = gateway.send(&admin, Method::PATCH, &path, Some(patch)).await;
    assert_eq!((status, &changed["subjects"]["groups"]), (StatusCode::OK, &json!(["dba"])), "{changed}");
    assert_eq!(seen().await, StatusCode::NOT_FOUND, "the test's address is another");
    let (_, shown) = gateway.get(&admin, &path).await;
    assert_eq!(shown["conditions"], changed["conditions"]);
    let (_, listed) = gateway.get(&admin, RULES).await;
    assert_eq!(listed["items"], json!([shown]));
    let null = json!({ "conditions": null });
    assert_eq!(gateway.send(&admin, Method::PATCH, &path, Some(null)).await.0, StatusCode::OK);
    assert_eq!(seen().await, StatusCode::OK);

    assert_eq!(gateway.send(&admin, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(seen().await, StatusCode::NOT_FOUND);
    assert_eq!(gateway.send(&admin, Method::DELETE, &path, None).await.0, StatusCode::NOT_FOUND);
    let (_, events) = gateway.get(&admin, "/api/v1/events?limit=4").await;
    let actions: Vec<_> = events["items"].as_array().expect("a list").iter().map(|event| &event["action"]).collect();
    assert!(actions.iter().all(|action| action.as_str().is_some_and(|action| action.contains(RULES))), "{actions:?}");
}

#[tokio::test]
async fn mistakes_are_named_and_others_are_kept_out() {
    let gateway = start().await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let auditor = gateway.user("audrey", "auditor", &[]).await;
    for (edit, pointer) in [
        (json!({ "colour": "red" }), "/colour"),
        (json!({ "roles": { "names": ["*"], "lables": {} } }), "/roles/lables"),
        (json!({ "subjects": {} }), "/subjects"),
        (json!({ "modes": ["telnet"] }), "/modes/0"),
        (json!({ "conditions": { "sources": ["10.0.0.0/33"] } }), "/conditions/sources/0"),
        (json!({ "conditions": { "times": [{ "zone": "Mars/Base" }] } }), "/conditions/times/0/zone"),
        (json!({ "conditions": { "times": [{ "from": "25:00", "zone": "UTC" }] } }), "/conditions/times/0/from"),
        (json!({ "obligations": { "max_duration_seconds": 0 } }), "/obligations/max_duration_seconds"),
    ] {
        let mut wrong = rule("wrong");
        for (part, value) in edit.as_object().expect("parts") {
            wrong[part] = value.clone();
        }
        let (status, problem) = gateway.post(&gateway.admin, RULES, wrong).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (StatusCode::BAD_REQUEST, &json!(pointer)), "{problem}");
    }
    gateway.post(&gateway.admin, RULES, rule("dba")).await;
    let rename = Some(json!({ "name": "other" }));
    let renamed = gateway.send(&gateway.admin, Method::PATCH, &format!("{RULES}/dba"), rename).await;
    assert_eq!(renamed.0, StatusCode::BAD_REQUEST);
    assert_eq!(gateway.get(&auditor, RULES).await.0, StatusCode::OK);
    for token in [&alice, &auditor] {
        assert_eq!(gateway.post(token, RULES, rule("mine")).await.0, StatusCode::FORBIDDEN);
        let deleted = gateway.send(token, Method::DELETE, &format!("{RULES}/dba?dry_run=true"), None).await;
        assert_eq!(deleted.0, StatusCode::FORBIDDEN);
    }
    assert_eq!(gateway.get(&alice, RULES).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_dry_run_says_who_gains_and_who_loses_and_changes_nothing() {
    let gateway = start().await;
    let admin = gateway.admin.clone();
    gateway.user("alice", "member", &["dba"]).await;
    gateway.user("bob", "member", &[]).await;
    let mut wide = rule("dba");
    wide["modes"] = json!(["native", "exec"]);
    let (status, would) = gateway.post(&admin, &format!("{RULES}?dry_run=true"), wide.clone()).await;
    assert_eq!(status, StatusCode::OK, "{would}");
    assert_eq!(would["gains"], json!([{ "user": "alice", "role": "shop", "modes": ["native", "exec"] }]));
    assert_eq!((&would["losses"], &would["complete"], &would["users"]), (&json!([]), &json!(true), &json!(3)));
    assert_eq!(gateway.get(&admin, &format!("{RULES}/dba")).await.0, StatusCode::NOT_FOUND);

    gateway.post(&admin, RULES, wide).await;
    let path = format!("{RULES}/dba?dry_run=true");
    let patch = json!({ "subjects": { "groups": null, "users": ["bob"] }, "modes": ["native"] });
    let (_, would) = gateway.send(&admin, Method::PATCH, &path, Some(patch.clone())).await;
    assert_eq!(would["gains"], json!([{ "user": "bob", "role": "shop", "modes": ["native"] }]));
    assert_eq!(would["losses"], json!([{ "user": "alice", "role": "shop", "modes": ["native", "exec"] }]));
    let (_, would) = gateway.send(&admin, Method::DELETE, &path, None).await;
    assert_eq!((would["losses"].as_array().map(Vec::len), &would["gains"]), (Some(1), &json!([])));

    // As of another time, and from elsewhere.
    let office = json!({ "conditions": {
        "sources": ["10.0.0.0/8"], "times": [{ "weekdays": ["mon"], "from": "09:00", "to": "17:00", "zone": "Europe/Berlin" }],
    } });
    let monday = format!("{path}&source=10.0.0.1&at=2026-11-30T09:00:00Z");
    let (_, would) = gateway.send(&admin, Method::PATCH, &monday, Some(office.clone())).await;
    assert_eq!(would["losses"], json!([]), "{would}");
    let sunday = format!("{path}&source=10.0.0.1&at=2026-11-29T09:00:00Z");
    let (_, would) = gateway.send(&admin, Method::PATCH, &sunday, Some(office)).await;
    assert_eq!(would["losses"].as_array().map(Vec::len), Some(1), "{would}");
    let (_, shown) = gateway.get(&admin, &format!("{RULES}/dba")).await;
    assert_eq!(shown["subjects"]["groups"], json!(["dba"]), "nothing of it was applied");
}

#[tokio::test]
async fn a_check_names_the_rule_and_what_the_others_lack() {
    let gateway = start().await;
    let (admin, alice) = (gateway.admin.clone(), gateway.user("alice", "member", &["dba"]).await);
    gateway.user("bob", "member", &[]).await;
    let mut asks = rule("asks");
    asks["obligations"] = json!({ "reason": true, "max_duration_seconds": 60 });
    gateway.post(&admin, RULES, asks).await;
    let mut far = rule("far");
    far["roles"] = json!({ "names": ["archive"] });
    gateway.post(&admin, RULES, far).await;

    let question = json!({ "user": "alice", "role": "shop", "at": "2026-11-27T12:00:00Z", "reason": "ticket" });
    let (status, answer) = gateway.post(&admin, CHECK, question).await;
    assert_eq!((status, &answer["allowed"], &answer["by"]), (StatusCode::OK, &json!(true), &json!("access rule asks")));
    assert_eq!(answer["obligations"]["expires_at"], "2026-11-27T12:01:00Z");
    assert_eq!(
        answer["rules"][1],
        json!({ "rule": "far", "effect": "allow", "matches": false, "why": "is not for role shop" })
    );
    let (_, answer) = gateway.post(&admin, CHECK, json!({ "user": "alice", "role": "shop" })).await;
    assert_eq!((&answer["allowed"], &answer["code"]), (&json!(false), &json!("reason_required")), "{answer}");
    let (_, answer) = gateway.post(&admin, CHECK, json!({ "user": "bob", "role": "shop", "mode": "web" })).await;
    assert_eq!((&answer["allowed"], &answer["code"]), (&json!(false), &json!("access_denied")), "{answer}");
    assert_eq!(answer["rules"][0]["why"], "is not for user bob");
    for wrong in [json!({ "user": "nobody", "role": "shop" }), json!({ "user": "bob", "role": "none" })] {
        assert_eq!(gateway.post(&admin, CHECK, wrong).await.0, StatusCode::NOT_FOUND);
    }

    // For themself, with the rules that are about them, and with nothing of roles that they may not reach.
    let (_, answer) = gateway.post(&alice, CHECK, json!({ "role": "shop", "reason": "ticket" })).await;
    assert_eq!((&answer["user"], &answer["allowed"]), (&json!("alice"), &json!(true)));
    assert_eq!(answer["rules"].as_array().map(Vec::len), Some(1), "{answer}");
    let (_, answer) = gateway.post(&alice, CHECK, json!({ "role": "archive" })).await;
    assert_eq!(answer["allowed"], true, "{answer}");
    gateway.send(&admin, Method::DELETE, &format!("{RULES}/far"), None).await;
    let unreachable = gateway.post(&alice, CHECK, json!({ "role": "archive" })).await;
    let missing = gateway.post(&alice, CHECK, json!({ "role": "none" })).await;
    assert_eq!((unreachable.0, missing.0), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    assert_eq!(gateway.post(&alice, CHECK, json!({ "user": "bob", "role": "shop" })).await.0, StatusCode::FORBIDDEN);
}

/// What a rule asks is asked when a session opens: who may reach a role gets a credential for it.
#[tokio::test]
async fn a_credential_needs_no_reason() {
    let gateway = start().await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let credentials = "/api/v1/roles/shop/credentials";
    assert_eq!(gateway.post(&alice, credentials, json!({})).await.0, StatusCode::NOT_FOUND);
    let mut asks = rule("asks");
    asks["obligations"] = json!({ "reason": true });
    gateway.post(&gateway.admin, RULES, asks).await;
    assert_eq!(gateway.post(&alice, credentials, json!({})).await.0, StatusCode::CREATED);
}
