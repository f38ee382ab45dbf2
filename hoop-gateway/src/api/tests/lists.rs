//! Pages.

use super::*;

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
async fn a_member_pages_through_roles_that_are_not_for_them() {
    let gateway = Gateway::start().await;
    for number in 0..4 {
        gateway.role(&format!("role-{number}")).await;
    }
    let mia = gateway.user("mia", "member", &[]).await;
    let (_, first) = gateway.get(&mia, "/api/v1/roles?limit=3").await;
    assert_eq!(first["items"], json!([]));
    let cursor = first["next_cursor"].as_str().expect("there is more to look at");
    let (_, last) = gateway.get(&mia, &format!("/api/v1/roles?limit=3&cursor={cursor}")).await;
    assert_eq!(last, json!({ "items": [], "next_cursor": null }));
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let (_, seen) = gateway.get(&alice, "/api/v1/roles").await;
    assert_eq!(seen["items"].as_array().map(Vec::len), Some(4));
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
