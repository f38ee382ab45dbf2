//! Callers that go away before they are answered.

use super::*;

#[tokio::test]
async fn a_change_and_its_event_do_not_need_their_caller() {
    let gateway = Gateway::start().await;
    for (name, key) in [("bob", None), ("eve", Some("k"))] {
        let mut call = gateway.call(Method::POST, "/api/v1/users").token(&gateway.admin);
        if let Some(key) = key {
            call = call.header("idempotency-key", key);
        }
        let request = call.json(&json!({ "name": name })).request();
        let mut answer = Box::pin(gateway.router.clone().oneshot(request));
        assert!(futures::poll!(&mut answer).is_pending());
    }
    gateway.tasks.close();
    gateway.tasks.wait().await;
    for name in ["bob", "eve"] {
        let user = gateway.store.users().by_name(OrgId::DEFAULT, name).await.expect("works");
        assert!(user.is_some(), "{name}");
    }
    let events = gateway.store.events().list(OrgId::DEFAULT, None, 10).await.expect("works").items;
    let made = events.iter().filter(|event| event.action == "POST /api/v1/users" && event.status == 201);
    assert_eq!(made.count(), 2);
}
