//! How often a caller may ask.

use super::*;

fn few() -> ApiSettings {
    ApiSettings { rates: Rates { reads: 3, writes: 2, strangers: 4 }, ..ApiSettings::default() }
}

#[tokio::test]
async fn each_user_has_reads_and_writes() {
    let gateway = Gateway::with(few()).await;
    let read = || gateway.call(Method::GET, "/api/v1/me").token(&gateway.admin).send();
    for left in [2, 1, 0] {
        let answer = read().await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("ratelimit-policy"), "\"reads\";q=3;w=60");
        assert_eq!(answer.header("ratelimit"), format!("\"reads\";r={left};t={}", (3 - left) * 20));
    }
    let refused = read().await;
    assert_eq!((refused.status, &refused.json["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("throttled")));
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit"), "\"reads\";r=0;t=60");

    let write = || gateway.call(Method::POST, "/api/v1/users").token(&gateway.admin).json(&json!({})).send();
    for status in [400, 400, 429] {
        assert_eq!(write().await.status.as_u16(), status, "writes are counted apart");
    }
    *gateway.clock.0.lock() += Duration::from_secs(wait);
    assert_eq!(read().await.status, StatusCode::OK, "the wait was told rightly");
    assert_eq!(read().await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn who_guesses_tokens_is_stopped_and_who_has_one_is_not() {
    let gateway = Gateway::with(few()).await;
    let guess = || gateway.call(Method::GET, "/api/v1/me").token("hoopt_guess").send();
    // The sign-in at the start was the first without a token.
    for status in [401, 401, 401, 429, 429] {
        let answer = guess().await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.header("ratelimit-policy"), "\"strangers\";q=4;w=60");
    }
    assert_eq!(gateway.get("", "/healthz").await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(gateway.get(&gateway.admin, "/api/v1/me").await.0, StatusCode::OK);
    let mut elsewhere = gateway.call(Method::GET, "/healthz").request();
    elsewhere.extensions_mut().insert(ConnectInfo(std::net::SocketAddr::from(([192, 0, 2, 1], 40000))));
    let response = gateway.router.clone().oneshot(elsewhere).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn no_limit_is_one_that_can_be_set() {
    let rates = Rates { reads: 0, writes: 0, strangers: 0 };
    let gateway = Gateway::with(ApiSettings { rates, ..ApiSettings::default() }).await;
    let answer = gateway.call(Method::GET, "/api/v1/me").token(&gateway.admin).send().await;
    assert_eq!((answer.status, answer.header("ratelimit")), (StatusCode::OK, ""));
}
