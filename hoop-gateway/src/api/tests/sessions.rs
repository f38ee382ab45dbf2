//! Sessions and their recordings.

use std::path::Path;

use ed25519_dalek::SigningKey;

use super::*;
use crate::record::event::{BodyHead, Command, End, Header, HttpDone, HttpRequest, Stream, StreamHead};
use crate::record::{Kind, Recorder, RecorderConfig, SessionLog, Space};

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

#[tokio::test]
async fn lists_have_what_is_asked_for() {
    let gateway = Gateway::start().await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let (first, second, third) =
        (gateway.session("alice").await, gateway.session("alice").await, gateway.session("root").await);
    gateway.store.sessions().running(OrgId::DEFAULT, second).await.expect("stored");
    let ended = Ended {
        at: SystemClock.now(),
        outcome: "agent_lost".to_owned(),
        code: None,
        reason: None,
        totals: None,
        log_head: None,
        log_records: None,
    };
    gateway.store.sessions().close(OrgId::DEFAULT, first, &ended).await.expect("closed");
    let soon = (SystemClock.now() + chrono::TimeDelta::hours(1)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    for (query, expected) in [
        ("", vec![third, second, first]),
        ("user=alice", vec![second, first]),
        ("user=alice&state=closed", vec![first]),
        ("state=open", vec![third, second]),
        ("state=opening", vec![third]),
        ("state=running", vec![second]),
        ("outcome=agent_lost", vec![first]),
        ("role=shop&database=shop&limit=200", vec![third, second, first]),
        ("role=other", vec![]),
        (&format!("since={soon}"), vec![]),
        (&format!("until={soon}"), vec![third, second, first]),
    ] {
        let (status, listed) = gateway.get(&gateway.admin, &format!("/api/v1/sessions?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{query}: {listed}");
        let ids = |ids: Vec<String>| ids.into_iter().collect::<std::collections::BTreeSet<_>>();
        let items = listed["items"].as_array().expect("a list").iter();
        let found = items.map(|item| item["id"].as_str().expect("an id").to_owned()).collect();
        assert_eq!(ids(found), ids(expected.iter().map(ToString::to_string).collect()), "{query}");
    }
    let (_, hers) = gateway.get(&alice, "/api/v1/sessions?user=root").await;
    assert_eq!(hers["items"], json!([]), "a filter shows nobody more");
    for wrong in ["state=done", "since=yesterday", "limit=0", "role=a&role=b", "rol=shop", "limit=1&limit=2"] {
        let (status, problem) = gateway.get(&gateway.admin, &format!("/api/v1/sessions?{wrong}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}: {problem}");
    }
    let (_, page) = gateway.get(&gateway.admin, "/api/v1/sessions?user=alice&limit=1").await;
    let cursor = page["next_cursor"].as_str().expect("there is more");
    let next =
        async |query: &str| gateway.get(&gateway.admin, &format!("/api/v1/sessions?{query}&cursor={cursor}")).await;
    let (_, rest) = next("limit=1&user=alice").await;
    assert_eq!((&rest["items"][0]["user"], &rest["next_cursor"]), (&json!("alice"), &Value::Null));
    assert_ne!(rest["items"][0]["id"], page["items"][0]["id"]);
    assert_eq!(next("user=root").await.0, StatusCode::BAD_REQUEST, "of another list");
}

/// The log of a session, in which a shell has a terminal; with the recorder that writes it.
fn log(folder: &Path, session: SessionId, term: &str) -> (SessionLog, Recorder) {
    let space = Space { strict_percent: 0, all_percent: 0 };
    let config = RecorderConfig { space, ..RecorderConfig::new(folder, SigningKey::from_bytes(&[7; 32])) };
    let recorder = Recorder::open(config, Arc::new(SystemClock)).expect("a fresh folder").0;
    let log =
        recorder.session(session, &Header { name: "alice".into(), ..Header::default() }).expect("a fresh recorder");
    let mut command = Vec::new();
    Command { channel: 1, program: "shell".into(), term: term.into(), ..Command::default() }.encode(&mut command);
    assert!(log.append(Kind::Command, &[&command]).expect("working").is_done());
    (log, recorder)
}

fn output(log: &SessionLog, text: &str) {
    let head = StreamHead { channel: 1, stream: Stream::Stdout, terminal: true, hidden: false }.encode();
    assert!(log.append(Kind::Output, &[&head, text.as_bytes()]).expect("working").is_done());
}

async fn body(gateway: &Gateway, token: &str, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
    let request = request.body(Body::empty()).expect("a request");
    let response = gateway.router.clone().oneshot(request).await.expect("infallible");
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_terminal_is_sent_as_asciicast_and_followed() {
    let gateway = Gateway::start().await;
    let alice = gateway.user("alice", "member", &[]).await;
    let (own, other) = (gateway.session("alice").await, gateway.session("root").await);
    let (log, _recorder) = log(&gateway.folder.path().join("recordings"), own, "xterm");
    output(&log, "$ ls\r\n");
    log.durable().await.expect("a working disk");
    let path = |id: SessionId, query: &str| format!("/api/v1/sessions/{id}/recording?format=asciicast{query}");

    let request = Request::get(path(own, "&follow=true")).header(header::AUTHORIZATION, format!("Bearer {alice}"));
    let request = request.body(Body::empty()).expect("a request");
    let response = gateway.router.clone().oneshot(request).await.expect("infallible");
    assert_eq!(
        (response.status(), &response.headers()[header::CONTENT_TYPE]),
        (StatusCode::OK, &"application/x-asciicast".parse().expect("a value"))
    );
    let follows = gateway.tasks.spawn(to_bytes(response.into_body(), 1 << 20));
    output(&log, "bin\r\n");
    log.close(&End { outcome: "completed".into(), ..End::default() }).await.expect("a working recorder");
    let followed = follows.await.expect("no panic").expect("a body");
    let followed = String::from_utf8_lossy(&followed).into_owned();
    assert!(
        followed.starts_with("{\"")
            && followed.contains("\"o\", \"$ ls\\r\\n\"]")
            && followed.contains("\"bin\\r\\n\"]"),
        "{followed}"
    );

    let (status, whole) = body(&gateway, &alice, &path(own, "")).await;
    assert_eq!((status, whole.as_str()), (StatusCode::OK, followed.as_str()));
    assert_eq!(body(&gateway, &alice, &path(other, "")).await.0, StatusCode::NOT_FOUND, "another user's");
    let (status, problem) = body(&gateway, &alice, &path(own, "&channel=7")).await;
    assert!(status == StatusCode::NOT_FOUND && problem.contains("terminal on channel 7"), "{problem}");
    let wrong = format!("/api/v1/sessions/{own}/recording?follow=true");
    assert_eq!(body(&gateway, &alice, &wrong).await.0, StatusCode::BAD_REQUEST);
}

/// The log of a session of HTTP with so many exchanges, each with a body of 100 KiB; with the recorder that writes it.
async fn http_log(folder: &Path, session: SessionId, exchanges: u32) -> (SessionLog, Recorder) {
    let space = Space { strict_percent: 0, all_percent: 0 };
    let config = RecorderConfig { space, ..RecorderConfig::new(folder, SigningKey::from_bytes(&[7; 32])) };
    let recorder = Recorder::open(config, Arc::new(SystemClock)).expect("a fresh folder").0;
    let header = Header { name: "alice".into(), resource: "http".into(), ..Header::default() };
    let log = recorder.session(session, &header).expect("a fresh recorder");
    for number in 1..=exchanges {
        let channel = u64::from(number);
        let mut request = Vec::new();
        HttpRequest { channel, method: "GET".into(), path: "/x".into(), ..HttpRequest::default() }.encode(&mut request);
        let body = [&BodyHead { channel: number, from_target: true }.encode()[..], &[b'a'; 100 << 10]].concat();
        let mut done = Vec::new();
        HttpDone { channel, status: Some(200), ..HttpDone::default() }.encode(&mut done);
        for (kind, payload) in [(Kind::HttpRequest, request), (Kind::HttpBody, body), (Kind::HttpDone, done)] {
            if let crate::record::Appended::Full(room) = log.append(kind, &[&payload]).expect("working") {
                room.append(vec![(kind, payload)]).await.expect("working");
            }
        }
    }
    (log, recorder)
}

#[tokio::test(flavor = "multi_thread")]
async fn exchanges_are_sent_as_an_archive_and_followed() {
    let gateway = Gateway::start().await;
    let alice = gateway.user("alice", "member", &[]).await;
    let (own, other) = (gateway.session("alice").await, gateway.session("root").await);
    let (log, _recorder) = http_log(&gateway.folder.path().join("recordings"), own, 30).await;
    log.durable().await.expect("a working disk");
    let path = |id: SessionId, query: &str| format!("/api/v1/sessions/{id}/recording?format={query}");

    let request =
        Request::get(path(own, "exchanges&follow=true")).header(header::AUTHORIZATION, format!("Bearer {alice}"));
    let request = request.body(Body::empty()).expect("a request");
    let response = gateway.router.clone().oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    let follows = gateway.tasks.spawn(to_bytes(response.into_body(), 1 << 20));
    let mut request = Vec::new();
    HttpRequest { channel: 99, method: "PUT".into(), path: "/last".into(), ..HttpRequest::default() }
        .encode(&mut request);
    assert!(log.append(Kind::HttpRequest, &[&request]).expect("working").is_done());
    log.close(&End { outcome: "completed".into(), ..End::default() }).await.expect("a working recorder");
    let followed = follows.await.expect("no panic").expect("a body");
    let followed = String::from_utf8_lossy(&followed).into_owned();
    let lines: Vec<serde_json::Value> = followed
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 31);
    assert_eq!((&lines[0]["status"], &lines[0]["url"]), (&json!(200), &json!("/x")));
    assert_eq!((&lines[30]["status"], &lines[30]["method"]), (&json!(null), &json!("PUT")));

    let request = Request::get(path(own, "har")).header(header::AUTHORIZATION, format!("Bearer {alice}"));
    let request = request.body(Body::empty()).expect("a request");
    let response = gateway.router.clone().oneshot(request).await.expect("infallible");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let archive = to_bytes(response.into_body(), 8 << 20).await.expect("a body");
    let archive: serde_json::Value = serde_json::from_slice(&archive).expect("JSON");
    let entries = archive["log"]["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), 31);
    assert_eq!(entries[29]["response"]["content"]["text"].as_str().map(str::len), Some(100 << 10));

    assert_eq!(body(&gateway, &alice, &path(other, "har")).await.0, StatusCode::NOT_FOUND, "another user's");
    for query in ["har&follow=true", "exchanges&channel=1", "har&input=true"] {
        assert_eq!(body(&gateway, &alice, &path(own, query)).await.0, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn a_terminal_has_no_exchanges() {
    let gateway = Gateway::start().await;
    let alice = gateway.user("alice", "member", &[]).await;
    let own = gateway.session("alice").await;
    let (log, _recorder) = log(&gateway.folder.path().join("recordings"), own, "xterm");
    log.durable().await.expect("a working disk");
    for format in ["har", "exchanges"] {
        let path = format!("/api/v1/sessions/{own}/recording?format={format}");
        let (status, problem) = body(&gateway, &alice, &path).await;
        assert!(status == StatusCode::NOT_FOUND && problem.contains("HTTP exchange in the recording"), "{problem}");
    }
}
