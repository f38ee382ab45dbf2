//! Sessions and their recordings.

use super::*;

#[tokio::test]
async fn sessions_are_listed_killed_and_their_recordings_sent() {
    let gateway = Gateway::start().await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let (own, other) = (gateway.session("alice").await, gateway.session("root").await);
    let (_, listed) = gateway.get(&alice, "/api/v1/sessions").await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    let kill = |id: SessionId| format!("/api/v1/sessions/{id}/kill");
    assert_eq!(gateway.post(&alice, &kill(other), json!({})).await.0, StatusCode::NOT_FOUND);
    assert_eq!(gateway.post(&alice, &kill(own), json!({})).await.0, StatusCode::ACCEPTED);
    let ended = Ended {
        at: SystemClock.now(),
        outcome: "killed".to_owned(),
        code: Some("session_killed".to_owned()),
        reason: None,
        totals: Some(json!({ "rows": 7 })),
        log_head: None,
        log_records: Some(3),
    };
    assert!(gateway.store.sessions().close(OrgId::DEFAULT, own, &ended).await.expect("closed"));
    assert_eq!(gateway.post(&alice, &kill(own), json!({})).await.0, StatusCode::CONFLICT);
    let (_, shown) = gateway.get(&alice, &format!("/api/v1/sessions/{own}")).await;
    assert_eq!((&shown["outcome"], &shown["totals"]["rows"]), (&json!("killed"), &json!(7)));

    let path = crate::record::sealed_path(&gateway.folder.path().join("recordings"), own);
    std::fs::create_dir_all(path.parent().map(PathBuf::from).expect("a folder")).expect("made");
    std::fs::write(path, b"HOOPLOG1...").expect("written");
    let request = Request::get(format!("/api/v1/sessions/{own}/recording"))
        .header(header::AUTHORIZATION, format!("Bearer {alice}"));
    let response =
        gateway.router.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible");
    assert_eq!(response.headers()[header::CONTENT_LENGTH], "11");
    assert_eq!(&to_bytes(response.into_body(), 100).await.expect("a body")[..], b"HOOPLOG1...");
    let (_, events) = gateway.get(&gateway.admin, "/api/v1/events?limit=1").await;
    let event = &events["items"][0];
    assert_eq!((&event["user"], &event["action"]), (&json!("alice"), &json!("GET /api/v1/sessions/{id}/recording")));
}
