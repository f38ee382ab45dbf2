//! What changes, as it is told.

use http_body_util::BodyExt as _;

use super::*;
use crate::changes::Subject;

/// An open stream.
struct Watching(Body);

impl Watching {
    async fn open(gateway: &Gateway, token: &str, path: &str, last: &str) -> Self {
        let call = gateway.call(Method::GET, path).token(token).header("last-event-id", last);
        let response = gateway.router.clone().oneshot(call.request()).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self(response.into_body())
    }

    /// The next event; none when the stream is over.
    async fn next(&mut self) -> Option<String> {
        let frame = self.0.frame().await?.expect("no error").into_data().expect("data");
        Some(String::from_utf8(frame.to_vec()).expect("UTF-8"))
    }

    async fn data(&mut self) -> Value {
        let event = self.next().await.expect("an event");
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_else(|| panic!("{event}"));
        serde_json::from_str(data).expect("JSON")
    }
}

const PATH: &str = "/api/v1/events/stream";

#[tokio::test]
async fn each_caller_is_told_of_what_they_may_see() {
    let gateway = Gateway::start().await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let mut all = Watching::open(&gateway, &gateway.admin, PATH, "").await;
    let mut own = Watching::open(&gateway, &alice, PATH, "").await;
    let mut roles = Watching::open(&gateway, &alice, "/api/v1/events/stream?types=role", "").await;
    for stream in [&mut all, &mut own, &mut roles] {
        assert_eq!(stream.next().await.as_deref(), Some("event: reset\ndata: {}\n\n"), "the mark was none of ours");
    }
    let made = gateway.role("shop").await;
    gateway.user("bob", "member", &[]).await;
    let (_, credential) = gateway.post(&alice, "/api/v1/roles/shop/credentials", json!({})).await;
    assert_eq!(all.data().await, json!({ "kind": "role", "what": "created", "id": made["id"] }));
    assert_eq!(all.data().await["kind"], "user");
    let told = json!({ "kind": "credential", "what": "created", "id": credential["id"] });
    assert_eq!(all.data().await, told);
    assert_eq!(own.data().await, json!({ "kind": "role", "what": "updated" }), "not which");
    assert_eq!(own.data().await, told);
    assert_eq!(roles.data().await["kind"], "role");
    for path in ["/api/v1/events/stream?types=roles", "/api/v1/events/stream?types=", "/api/v1/events/stream?x=1"] {
        assert_eq!(gateway.get(&alice, path).await.0, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_left() {
    let gateway = Gateway::start().await;
    let call = gateway.call(Method::GET, PATH).token(&gateway.admin);
    let response = gateway.router.clone().oneshot(call.request()).await.expect("infallible");
    let mut first = Watching(response.into_body());
    assert_eq!(first.next().await.as_deref(), Some(": watching\n\n"));
    gateway.role("one").await;
    let event = first.next().await.expect("told");
    let id = event.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id");
    drop(first);
    let two = gateway.role("two").await;
    let mut again = Watching::open(&gateway, &gateway.admin, PATH, id).await;
    assert_eq!(again.next().await.as_deref(), Some(": watching\n\n"));
    assert_eq!(again.data().await["id"], two["id"]);
}

#[tokio::test]
async fn who_is_slow_is_cut_and_who_is_shut_out_is_let_go() {
    let gateway = Gateway::start().await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let mut slow = Watching::open(&gateway, &gateway.admin, PATH, "").await;
    let mut shut_out = Watching::open(&gateway, &alice, PATH, "").await;
    assert!(slow.next().await.is_some() && shut_out.next().await.is_some());
    let disable = json!({ "disabled": true });
    let (status, _) = gateway.send(&gateway.admin, Method::PATCH, "/api/v1/users/alice", Some(disable)).await;
    assert_eq!((status, shut_out.next().await), (StatusCode::OK, None));
    for number in 0..2000 {
        gateway.changes.tell(OrgId::DEFAULT, Subject::Session, number, None, "opened");
    }
    assert_eq!(slow.next().await.as_deref(), Some("event: lagged\ndata: {}\n\n"));
    assert_eq!(slow.next().await, None);
    let mut last = Watching::open(&gateway, &gateway.admin, PATH, "").await;
    assert!(last.next().await.is_some());
    gateway.changes.close();
    assert_eq!(last.next().await, None, "a gateway that stops waits for nobody who watches");
}

#[tokio::test]
async fn a_stream_that_is_still_says_that_it_lives_and_ends_with_its_token() {
    let heartbeat = Duration::from_millis(1);
    let gateway = Gateway::with(ApiSettings { heartbeat, ..ApiSettings::default() }).await;
    let mia = gateway.user("mia", "member", &[]).await;
    let mut stream = Watching::open(&gateway, &mia, PATH, "").await;
    assert!(stream.next().await.is_some());
    assert_eq!(stream.next().await.as_deref(), Some(": alive\n\n"));
    assert_eq!(gateway.post(&mia, "/api/v1/logout", json!({})).await.0, StatusCode::NO_CONTENT);
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn streams_are_counted_and_leave_room_when_they_end() {
    let gateway = Gateway::start().await;
    let watchers: Vec<_> = (0..1024).map(|_| gateway.changes.watch(None)).collect();
    let refused = gateway.call(Method::GET, PATH).token(&gateway.admin).send().await;
    assert_eq!((refused.status, &refused.json["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("throttled")));
    drop(watchers);
    let mut stream = Watching::open(&gateway, &gateway.admin, PATH, "").await;
    assert!(stream.next().await.is_some());
}

#[tokio::test]
async fn nobody_takes_every_stream() {
    let gateway = Gateway::start().await;
    let mia = gateway.user("mia", "member", &[]).await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(Watching::open(&gateway, &mia, PATH, "").await);
    }
    let refused = gateway.call(Method::GET, PATH).token(&mia).send().await;
    assert_eq!((refused.status, &refused.json["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("throttled")));
    let mut other = Watching::open(&gateway, &gateway.admin, PATH, "").await;
    assert!(other.next().await.is_some(), "others have places of their own");
    drop(streams.pop());
    let mut again = Watching::open(&gateway, &mia, PATH, "").await;
    assert!(again.next().await.is_some());
}
