//! Who may see, decide on and take back what.

use super::*;
use crate::access::AccessPolicy;

const REVIEWS: &str = "/api/v1/reviews";

/// A gateway on which members of `dba` reach the role shop when somebody of `leads` agrees.
async fn governed() -> Gateway {
    let gateway = Gateway::governed(|store, access| Arc::new(AccessPolicy::new(store, access))).await;
    let mut shop = role("shop");
    shop["allowed_groups"] = json!([]);
    assert_eq!(gateway.post(&gateway.admin, "/api/v1/roles", shop).await.0, StatusCode::CREATED);
    let rule = json!({
        "name": "prod", "effect": "allow", "subjects": { "groups": ["dba", "leads"] }, "roles": { "names": ["shop"] },
        "obligations": { "review": { "group": "leads" } },
    });
    assert_eq!(gateway.post(&gateway.admin, "/api/v1/access-rules", rule).await.0, StatusCode::CREATED);
    gateway
}

async fn ask(gateway: &Gateway, token: &str) -> (String, Value) {
    let (status, review) = gateway.post(token, REVIEWS, json!({ "role": "shop", "reason": "ticket 42" })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{review}");
    (format!("{REVIEWS}/{}", review["id"].as_str().expect("an id")), review)
}

fn status_and_code((status, answer): (StatusCode, Value)) -> (u16, String) {
    (status.as_u16(), answer["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn somebody_else_of_the_group_decides_and_it_is_told() {
    let gateway = governed().await;
    let (alice, lena) =
        (gateway.user("alice", "member", &["dba"]).await, gateway.user("lena", "member", &["leads"]).await);
    let (auditor, mia) = (gateway.user("audrey", "auditor", &["dba"]).await, gateway.user("mia", "member", &[]).await);
    let (path, review) = ask(&gateway, &alice).await;
    let mine =
        ["state", "user", "role", "mode", "database", "group", "rule", "reason"].map(|field| review[field].clone());
    assert_eq!(json!(mine), json!(["pending", "alice", "shop", "native", "shop", "leads", "prod", "ticket 42"]));
    assert_eq!((&review["session_id"], &review["may_decide"]), (&Value::Null, &json!(false)));
    let again = ask(&gateway, &alice).await.1;
    assert_eq!(again["id"], review["id"], "it is asked for once");

    // Who sees it, and who may decide on it.
    for (token, sees, may) in [(&alice, 200, false), (&lena, 200, true), (&auditor, 200, false), (&mia, 404, false)] {
        let (status, seen) = gateway.get(token, &path).await;
        assert_eq!((status.as_u16(), seen["may_decide"] == true), (sees, may), "{seen}");
        let (_, listed) = gateway.get(token, &format!("{REVIEWS}?state=pending&role=shop")).await;
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(usize::from(sees == 200)), "{listed}");
    }
    for decide in ["approve", "deny"] {
        let decide = format!("{path}/{decide}");
        for (token, expected) in [
            (&alice, (403, "access_denied")),
            (&auditor, (403, "access_denied")),
            (&mia, (404, "not_found")),
            (&gateway.admin, (403, "access_denied")),
        ] {
            let refused = gateway.post(token, &decide, json!({})).await;
            assert_eq!(status_and_code(refused), (expected.0, expected.1.to_owned()), "{decide}");
        }
    }
    for body in [json!({ "for_seconds": 0 }), json!({ "for_seconds": 86401 }), json!({ "comment": "a\u{1b}[2J" })] {
        assert_eq!(gateway.post(&lena, &format!("{path}/approve"), body).await.0, StatusCode::BAD_REQUEST);
    }
    let yes = json!({ "comment": " go ahead ", "for_seconds": 1800 });
    let (status, approved) = gateway.post(&lena, &format!("{path}/approve"), yes).await;
    assert_eq!(status, StatusCode::OK, "{approved}");
    let said = ["state", "decided_by", "comment", "good_once", "may_decide"].map(|field| approved[field].clone());
    assert_eq!(json!(said), json!(["approved", "lena", "go ahead", false, false]));
    let (status, late) = gateway.post(&lena, &format!("{path}/deny"), json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(late["detail"].as_str().is_some_and(|detail| detail.contains("approved by lena already")), "{late}");
    let standing = ask(&gateway, &alice).await.1;
    assert_eq!(standing["id"], review["id"], "the approval is good still");

    let (_, events) = gateway.get(&gateway.admin, "/api/v1/events?limit=200").await;
    let trail = |action: &str, user: &str| {
        let items = events["items"].as_array().expect("a list").iter();
        items.filter(|event| event["action"] == action && event["user"] == user && event["subject"] != "").count()
    };
    assert_eq!(trail("review asked", "alice"), 1, "{events}");
    assert!(
        trail("POST /api/v1/reviews/{id}/approve", "lena") >= 1 && trail("POST /api/v1/reviews/{id}/deny", "lena") == 1
    );
}

#[tokio::test]
async fn a_token_decides_nothing_and_a_program_asks() {
    let gateway = governed().await;
    let (alice, lena) =
        (gateway.user("alice", "member", &["dba"]).await, gateway.user("lena", "member", &["leads"]).await);
    let token = json!({ "name": "ci", "scopes": ["connect"] });
    let (_, token) = gateway.post(&lena, "/api/v1/tokens", token).await;
    let token = token["token"].as_str().expect("shown once");
    let (path, _) = ask(&gateway, &alice).await;
    let refused = gateway.post(token, &format!("{path}/approve"), json!({})).await;
    assert_eq!(status_and_code(refused), (403, "access_denied".to_owned()));
    // What lena asks for herself is for somebody else to decide, with whatever she comes.
    let (own, _) = ask(&gateway, token).await;
    let refused = gateway.post(&lena, &format!("{own}/approve"), json!({})).await;
    assert_eq!(status_and_code(refused), (403, "access_denied".to_owned()));
    assert_eq!(gateway.post(&alice, &format!("{own}/withdraw"), json!({})).await.0, StatusCode::NOT_FOUND);
    assert_eq!(gateway.post(&lena, &format!("{path}/withdraw"), json!({})).await.0, StatusCode::FORBIDDEN);
    assert_eq!(gateway.post(token, &format!("{own}/withdraw"), json!({})).await.0, StatusCode::NO_CONTENT);
    assert_eq!(gateway.post(&lena, &format!("{own}/withdraw"), json!({})).await.0, StatusCode::CONFLICT);
    assert_eq!(gateway.get(&lena, &own).await.1["state"], "withdrawn");
}

#[tokio::test]
async fn a_review_is_asked_for_where_one_is_needed() {
    let gateway = governed().await;
    let (alice, mia) = (gateway.user("alice", "member", &["dba"]).await, gateway.user("mia", "member", &[]).await);
    for role in ["shop", "no-such-role"] {
        assert_eq!(gateway.post(&mia, REVIEWS, json!({ "role": role })).await.0, StatusCode::NOT_FOUND);
    }
    let check = json!({ "role": "shop" });
    let (_, answer) = gateway.post(&alice, "/api/v1/access/check", check).await;
    let said = (&answer["allowed"], &answer["code"], &answer["obligations"]["review"]);
    assert_eq!(said, (&json!(false), &json!("review_required"), &json!("leads")));
    let free = json!({
        "name": "free", "effect": "allow", "subjects": { "users": ["alice"] }, "roles": { "names": ["shop"] },
    });
    assert_eq!(gateway.post(&gateway.admin, "/api/v1/access-rules", free).await.0, StatusCode::CREATED);
    let (status, answer) = gateway.post(&alice, REVIEWS, json!({ "role": "shop" })).await;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("conflict")));
}

#[tokio::test]
async fn the_group_is_told_and_others_are_not() {
    use http_body_util::BodyExt as _;

    let gateway = governed().await;
    let (alice, lena) =
        (gateway.user("alice", "member", &["dba"]).await, gateway.user("lena", "member", &["leads"]).await);
    let mia = gateway.user("mia", "member", &["dba"]).await;
    let mut streams = Vec::new();
    for token in [&alice, &lena, &mia] {
        let call = gateway.call(Method::GET, "/api/v1/events/stream?types=review").token(token);
        let mut body = gateway.router.clone().oneshot(call.request()).await.expect("infallible").into_body();
        assert!(body.frame().await.is_some(), "it begins");
        streams.push(body);
    }
    let (path, review) = ask(&gateway, &alice).await;
    assert_eq!(gateway.post(&lena, &format!("{path}/deny"), json!({})).await.0, StatusCode::OK);
    let mut told = Vec::new();
    for body in &mut streams[..2] {
        for what in ["asked", "denied"] {
            let frame = body.frame().await.expect("told").expect("no error").into_data().expect("data");
            let event = String::from_utf8(frame.to_vec()).expect("UTF-8");
            told.push(event.contains(what) && event.contains(review["id"].as_str().expect("an id")));
        }
    }
    assert_eq!(told, [true; 4]);
    gateway.changes.close();
    assert!(streams[2].frame().await.is_none(), "mia hears of nothing");
}
