//! Pages.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::*;
use crate::access::AccessPolicy;

#[tokio::test]
async fn pages_lead_to_every_item_once() {
    let gateway = Gateway::start().await;
    for number in 0..7 {
        gateway.role(&format!("role-{number}")).await;
    }
    let (mut names, mut path) = (Vec::new(), "/api/v1/roles?limit=3".to_owned());
    loop {
        let (_, answer) = gateway.get(&gateway.admin, &path).await;
        let items = answer["items"].as_array().expect("a list");
        assert!(items.len() <= 3);
        names.extend(items.iter().map(|role| role["name"].as_str().expect("a name").to_owned()));
        let Some(cursor) = answer["next_cursor"].as_str() else { break };
        path = format!("/api/v1/roles?limit=3&cursor={cursor}");
    }
    assert_eq!(names, (0..7).map(|number| format!("role-{number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_member_hears_nothing_of_roles_that_are_not_for_them() {
    let gateway = Gateway::governed(|store, access| Arc::new(AccessPolicy::new(store, access))).await;
    for (number, groups) in [["eng"], ["dba"], ["eng"], ["dba"], ["eng"], ["dba"]].iter().enumerate() {
        let mut role = role(&format!("role-{number}"));
        role["allowed_groups"] = json!(groups);
        assert_eq!(gateway.post(&gateway.admin, "/api/v1/roles", role).await.0, StatusCode::CREATED);
    }
    let mia = gateway.user("mia", "member", &[]).await;
    let nothing = json!({ "items": [], "next_cursor": null });
    assert_eq!(gateway.get(&mia, "/api/v1/roles?limit=1").await.1, nothing);

    let eve = gateway.user("eve", "member", &["eng"]).await;
    let (_, first) = gateway.get(&eve, "/api/v1/roles?limit=2").await;
    let names = |page: &Value| {
        let items = page["items"].as_array().expect("a list");
        items.iter().map(|role| role["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&first), ["role-0", "role-2"], "a page is full while there is more");
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).expect("ours");
    assert!(bytes.ends_with(b"role-2"), "it names the last role that eve saw");
    let (_, last) = gateway.get(&eve, &format!("/api/v1/roles?limit=2&cursor={cursor}")).await;
    assert_eq!((names(&last), &last["next_cursor"]), (vec!["role-4".to_owned()], &Value::Null));

    let alice = gateway.user("alice", "member", &["dba"]).await;
    let (_, seen) = gateway.get(&alice, "/api/v1/roles").await;
    assert_eq!(names(&seen), ["role-1", "role-3", "role-5"]);
    assert!(!seen.to_string().contains("HOOP_SECRET_DB"), "where a role leads to is not theirs to see");
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_alone() {
    let gateway = Gateway::start().await;
    for name in ["one", "two", "three"] {
        gateway.user(name, "member", &["dba"]).await;
        gateway.role(name).await;
    }
    let audrey = gateway.user("audrey", "auditor", &[]).await;
    let (_, users) = gateway.get(&gateway.admin, "/api/v1/users?limit=2").await;
    let cursor = users["next_cursor"].as_str().expect("there is more");
    for (token, path, status) in [
        (&gateway.admin, format!("/api/v1/users?cursor={cursor}"), 200),
        (&audrey, format!("/api/v1/users?cursor={cursor}&limit=1"), 200),
        (&gateway.admin, format!("/api/v1/roles?cursor={cursor}"), 400),
        (&gateway.admin, format!("/api/v1/groups?cursor={cursor}"), 400),
    ] {
        let (answered, answer) = gateway.get(token, &path).await;
        assert_eq!(answered.as_u16(), status, "{path}: {answer}");
    }
    // The same path with another reach is another list.
    let (_, all) = gateway.get(&audrey, "/api/v1/roles?limit=1").await;
    let cursor = all["next_cursor"].as_str().expect("there is more");
    let one = gateway.sign_in("one", "the password of one").await;
    let (status, problem) = gateway.get(&one, &format!("/api/v1/roles?cursor={cursor}")).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (StatusCode::BAD_REQUEST, &json!("cursor")));
}
