//! What is wrong with a request, and what every answer has.

use super::*;

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let gateway = Gateway::start().await;
    let mut unknown = role("a");
    unknown["target"]["hots"] = json!("x");
    let mut literal = role("a");
    literal["target"]["password"] = json!("hunter2");
    let mut broken = role("a");
    broken["plugins"] = json!({ "broken": {} });
    let mut missing = role("a");
    missing.as_object_mut().expect("an object").remove("agent");
    for (path, body, named) in [
        ("/api/v1/roles", unknown, "hots"),
        ("/api/v1/roles", literal, "target.password"),
        ("/api/v1/roles", broken, "plugins"),
        ("/api/v1/roles", missing, "agent"),
        ("/api/v1/roles", role("Not a slug"), "name"),
        ("/api/v1/users", json!({ "name": "x", "pasword": "y" }), "pasword"),
        ("/api/v1/users", json!({ "name": "x", "kind": "boss" }), "kind"),
        ("/api/v1/users", json!({ "name": "x", "groups": ["a", 7] }), "groups"),
        ("/api/v1/users", json!({ "name": "x", "password": "short" }), "password"),
        ("/api/v1/agents", json!({ "name": "x", "token": "y" }), "token"),
        ("/api/v1/login", json!({ "user": "x" }), "password"),
    ] {
        let (status, problem) = gateway.post(&gateway.admin, path, body).await;
        assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "{problem}");
        assert!(problem["detail"].as_str().expect("a text").contains(named), "{named}: {problem}");
        assert!(
            problem["errors"][0]["pointer"]
                .as_str()
                .expect("a pointer")
                .contains(named.split('.').next_back().expect("one")),
            "{problem}"
        );
        assert!(!problem.to_string().contains("hunter2"));
    }
    for path in [
        "/api/v1/users?limit=0",
        "/api/v1/users?limit=201",
        "/api/v1/users?limt=1",
        "/api/v1/users?cursor=!",
        "/api/v1/users?limit=x",
    ] {
        assert_eq!(gateway.get(&gateway.admin, path).await.0, StatusCode::BAD_REQUEST, "{path}");
    }
    assert_eq!(gateway.get(&gateway.admin, "/api/v1/nothing").await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        gateway.send(&gateway.admin, Method::DELETE, "/api/v1/me", None).await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    let long = json!({ "name": "x".repeat(2 << 20) });
    assert_eq!(gateway.post(&gateway.admin, "/api/v1/agents", long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_request_id_is_kept_when_it_is_one_and_metrics_are_shown() {
    let gateway = Gateway::start().await;
    let id = RequestId::new(&SystemClock).to_string();
    for (given, kept) in [(id.as_str(), true), ("forged\u{7f}", false), ("req_1", false)] {
        let Ok(request) = Request::get("/readyz").header("x-request-id", given).body(Body::empty()) else { continue };
        let response = gateway.router.clone().oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["x-request-id"] == given, kept);
    }
    let request = Request::get("/metrics").body(Body::empty()).expect("a request");
    let response = gateway.router.clone().oneshot(request).await.expect("infallible");
    let text = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("hoop_agents_attached 3") && text.contains("hoop_http_request_seconds_count"), "{text}");
}

#[tokio::test]
async fn a_body_that_is_none_is_refused_by_what_is_wrong_with_it() {
    let gateway = Gateway::start().await;
    let post = |kind: &'static str, body: String| {
        gateway.call(Method::POST, "/api/v1/roles").token(&gateway.admin).body(kind, body).send()
    };
    let deep = |depth: usize| format!("{{\"name\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let plugins = |depth: usize| {
        let mut role = role("deep");
        role["plugins"] = json!({ "a": 0 });
        role.to_string().replace("{\"a\":0}", &format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth)))
    };
    let twice = role("x").to_string().replacen('{', "{\"name\":\"y\",", 1);
    for (kind, body, status, pointer) in [
        ("text/plain", role("x").to_string(), 415, None),
        ("application/jsonp", role("x").to_string(), 415, None),
        ("application/merge-patch+json", role("x").to_string(), 415, None),
        ("application/json; charset=utf-8", role("ok").to_string(), 201, None),
        ("application/json", deep(10), 400, Some("/name")),
        ("application/json", plugins(1000), 400, Some("/plugins")),
        ("application/json", "[]".to_owned(), 400, Some("")),
        ("application/json", "{".to_owned(), 400, Some("")),
        ("application/json", "{} {}".to_owned(), 400, None),
        ("application/json", twice, 400, Some("/name")),
        ("application/json", format!("{{\"{}\":1}}", "x".repeat(100_000)), 400, None),
        ("application/json", " ".repeat(2 << 20), 413, None),
    ] {
        let answer = post(kind, body).await;
        assert_eq!(answer.status.as_u16(), status, "{kind}: {}", answer.json);
        assert!(answer.json.to_string().len() < 4096, "what was sent is not sent back whole");
        if let Some(pointer) = pointer {
            let told = answer.json["errors"][0]["pointer"].as_str().expect("a pointer");
            assert!(told.starts_with(pointer), "{pointer}: {}", answer.json);
        }
    }
    let raw = gateway.call(Method::POST, "/api/v1/roles").token(&gateway.admin);
    let untyped = Call { body: b"{}".to_vec(), ..raw }.send().await;
    assert_eq!((untyped.status.as_u16(), &untyped.json["code"]), (415, &json!("unsupported_media_type")));
    for path in ["/api/v1/users/%ff", "/api/v1/roles/%00", "/api/v1/sessions/%F0%9F"] {
        assert_eq!(gateway.get(&gateway.admin, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn every_answer_tells_browsers_to_be_careful() {
    let gateway = Gateway::start().await;
    for path in ["/api/v1/me", "/api/v1/users", "/api/v1/nothing", "/healthz", "/api/v1/docs"] {
        let mut call = gateway.call(Method::GET, path).request();
        for tls in [false, true] {
            if tls {
                call = gateway.call(Method::GET, path).request();
                call.extensions_mut().insert(crate::listen::OverTls);
            }
            let response = gateway.router.clone().oneshot(call).await.expect("infallible");
            let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("ascii"));
            assert_eq!(header("cache-control"), Some("no-store"));
            assert_eq!(header("x-content-type-options"), Some("nosniff"));
            assert_eq!(header("referrer-policy"), Some("no-referrer"));
            let policy = header("content-security-policy").expect("one");
            assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
            assert_eq!(header("strict-transport-security").is_some(), tls);
            call = gateway.call(Method::GET, path).request();
        }
    }
}
