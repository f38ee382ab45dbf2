//! Programs that somebody lets in by a browser.

use super::pages::{Browser, form, trail};
use super::*;
use crate::auth::browser::challenge;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const BACK: &str = "http://127.0.0.1:41234/callback";

fn authorize(change: &[(&str, &str)]) -> String {
    let challenge = challenge(VERIFIER);
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", "hoop-cli"),
        ("client_name", "<laptop>"),
        ("redirect_uri", BACK),
        ("state", "a state"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in change {
        pairs.iter_mut().filter(|(known, _)| known == name).for_each(|pair| pair.1 = value);
    }
    form(&pairs)
}

/// The code that the browser of this user brings.
async fn code(browser: &mut Browser<'_>) -> String {
    let sent = browser.send(&format!("/authorize/approve?{}", authorize(&[])), &[]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.html);
    let back = url::Url::parse(sent.location()).expect("a URL");
    let pairs: std::collections::HashMap<_, _> = back.query_pairs().into_owned().collect();
    assert!(sent.location().starts_with(&format!("{BACK}?")) && pairs["state"] == "a state", "{back}");
    pairs["code"].clone()
}

fn redeem(code: &str) -> Value {
    json!({ "grant_type": "authorization_code", "client_id": "hoop-cli", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER })
}

fn poll(begun: &Value) -> Value {
    json!({ "grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": "hoop-cli", "device_code": begun["device_code"] })
}

async fn token(gateway: &Gateway, body: Value) -> (u16, String, Value) {
    let (status, answer) = gateway.post("", "/api/v1/auth/token", body).await;
    (status.as_u16(), answer["code"].as_str().unwrap_or_default().to_owned(), answer)
}

async fn begin(gateway: &Gateway) -> Value {
    let (status, begun) =
        gateway.post("", "/api/v1/auth/device", json!({ "client_id": "hoop-cli", "client_name": "build-7" })).await;
    assert_eq!(status, StatusCode::OK, "{begun}");
    begun
}

#[tokio::test]
async fn a_code_is_good_once_for_who_began() {
    let gateway = Gateway::start().await;
    gateway.user("mia", "member", &[]).await;
    let mut browser = Browser::of(&gateway, "mia").await;
    let path = format!("/authorize?{}", authorize(&[]));
    let asked = browser.read(&path).await;
    assert!(asked.html.contains("hoop on &lt;laptop&gt; wants to sign in as you") && asked.html.contains("mia"));
    assert!(!asked.html.contains("<laptop>") && asked.location().is_empty(), "nothing happens by itself");

    let good = code(&mut browser).await;
    let (status, _, answer) = token(&gateway, redeem(&good)).await;
    assert_eq!(status, 200, "{answer}");
    let issued = answer["token"].as_str().expect("a token").to_owned();
    assert_eq!(gateway.get(&issued, "/api/v1/me").await.1["name"], "mia");
    // It comes again: somebody else knows it, too.
    let (status, named, _) = token(&gateway, redeem(&good)).await;
    assert_eq!((status, named.as_str()), (401, "login_failed"));
    assert_eq!(gateway.get(&issued, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED, "what came of it ended");
    let told = trail(&gateway, "POST /api/v1/auth/token").await;
    let refused = ("mia".to_owned(), 401, Some("login_failed".to_owned()));
    assert_eq!(told, [("mia".to_owned(), 200, None), refused]);
    assert_eq!(trail(&gateway, "POST /authorize/approve").await, [("mia".to_owned(), 303, None)]);

    for (field, wrong) in [
        ("redirect_uri", "http://127.0.0.1:41235/callback"),
        ("code_verifier", "eBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        ("code_verifier", ""),
    ] {
        let stolen = code(&mut browser).await;
        let mut body = redeem(&stolen);
        body[field] = json!(wrong);
        assert_eq!(token(&gateway, body).await.0, 401, "{field}");
        assert_eq!(token(&gateway, redeem(&stolen)).await.0, 401, "it is used up");
    }
    let late = code(&mut browser).await;
    *gateway.clock.0.lock() += Duration::from_secs(61);
    assert_eq!(token(&gateway, redeem(&late)).await.0, 401);
    // A code without its verifier is none of a device either.
    let bare = code(&mut browser).await;
    assert_eq!(token(&gateway, poll(&json!({ "device_code": bare }))).await.0, 401);
    assert_eq!(token(&gateway, redeem(&bare)).await.0, 200);
}

#[tokio::test]
async fn links_that_lead_elsewhere_lead_nowhere() {
    let gateway = Gateway::start().await;
    gateway.user("mia", "member", &[]).await;
    let mut browser = Browser::of(&gateway, "mia").await;
    for change in [
        ("redirect_uri", "http://evil.example:41234/callback"),
        ("redirect_uri", "http://localhost:41234/callback"),
        ("redirect_uri", "http://127.0.0.1:41234@evil.example/"),
        ("redirect_uri", "javascript:alert(1)"),
        ("response_type", "token"),
        ("code_challenge_method", "plain"),
        ("code_challenge", "short"),
        ("client_id", "another"),
        ("state", ""),
    ] {
        let query = authorize(&[change]);
        for shown in [
            browser.read(&format!("/authorize?{query}")).await,
            browser.send(&format!("/authorize/approve?{query}"), &[]).await,
            browser.send(&format!("/authorize/deny?{query}"), &[]).await,
        ] {
            assert_eq!((shown.status, shown.location()), (StatusCode::BAD_REQUEST, ""), "{change:?}");
        }
    }
    let denied = browser.send(&format!("/authorize/deny?{}", authorize(&[])), &[]).await;
    assert_eq!(denied.location(), format!("{BACK}?error=access_denied&state=a+state"));
    assert_eq!(trail(&gateway, "POST /authorize/deny").await.last(), Some(&("mia".to_owned(), 303, None)));
}

#[tokio::test]
async fn a_device_is_let_in_by_who_types_its_code() {
    let gateway = Gateway::start().await;
    gateway.user("mia", "member", &[]).await;
    let begun = begin(&gateway).await;
    let user_code = begun["user_code"].as_str().expect("a code");
    assert_eq!(begun["verification_uri"], "https://gw.example.com/device");
    assert_eq!(begun["verification_uri_complete"], format!("https://gw.example.com/device?user_code={user_code}"));
    assert_eq!((&begun["expires_in"], &begun["interval"]), (&json!(600), &json!(5)));
    assert_eq!(token(&gateway, poll(&begun)).await.1, "authorization_pending");
    assert_eq!(token(&gateway, poll(&begun)).await.1, "slow_down", "too early");
    *gateway.clock.0.lock() += Duration::from_secs(6);
    assert_eq!(token(&gateway, poll(&begun)).await.1, "slow_down", "five seconds more from then on");
    *gateway.clock.0.lock() += Duration::from_secs(15);
    assert_eq!(token(&gateway, poll(&begun)).await.1, "authorization_pending");

    let mut browser = Browser::of(&gateway, "mia").await;
    let asked = browser.send("/device", &[("user_code", &user_code.to_lowercase())]).await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.html);
    for told in ["Let hoop on build-7 sign in as you?", "127.0.0.1:40000", "UTC", "formaction=\"/device/deny\""] {
        assert!(asked.html.contains(told), "{told}: {}", asked.html);
    }
    assert_eq!(browser.send("/device/approve", &[("user_code", user_code)]).await.location(), "/done");
    let again = browser.send("/device/approve", &[("user_code", user_code)]).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let (status, _, answer) = token(&gateway, poll(&begun)).await;
    assert_eq!((status, &answer["user"]["name"]), (200, &json!("mia")), "{answer}");
    let issued = answer["token"].as_str().expect("a token").to_owned();
    assert_eq!(gateway.get(&issued, "/api/v1/me").await.0, StatusCode::OK);
    assert_eq!(token(&gateway, poll(&begun)).await.0, 401);
    assert_eq!(gateway.get(&issued, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);

    let missing = ("mia".to_owned(), 404, Some("not_found".to_owned()));
    assert_eq!(trail(&gateway, "POST /device/approve").await, [("mia".to_owned(), 303, None), missing]);
    assert_eq!(trail(&gateway, "POST /api/v1/auth/token").await.len(), 2, "questions are not in the trail");
    // Nothing of it can be read from a copy of the store.
    let file = std::fs::read(gateway.folder.path().join("hoop.db-wal")).expect("a file");
    for secret in [user_code, &user_code.replace('-', ""), begun["device_code"].as_str().expect("a code"), &issued] {
        assert!(!file.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
}

#[tokio::test]
async fn a_device_that_is_denied_or_late_stays_out() {
    let gateway = Gateway::start().await;
    gateway.user("mia", "member", &[]).await;
    let mut browser = Browser::of(&gateway, "mia").await;
    let denied = begin(&gateway).await;
    let user_code = denied["user_code"].as_str().expect("a code");
    assert_eq!(browser.send("/device/deny", &[("user_code", user_code)]).await.location(), "/done");
    assert_eq!(trail(&gateway, "POST /device/deny").await, [("mia".to_owned(), 303, None)]);
    let (status, named, _) = token(&gateway, poll(&denied)).await;
    assert_eq!((status, named.as_str()), (403, "access_denied"));

    let late = begin(&gateway).await;
    *gateway.clock.0.lock() += Duration::from_secs(601);
    let (status, named, _) = token(&gateway, poll(&late)).await;
    assert_eq!((status, named.as_str()), (400, "expired_token"));
    let user_code = late["user_code"].as_str().expect("a code");
    assert_eq!(browser.send("/device", &[("user_code", user_code)]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(token(&gateway, poll(&json!({ "device_code": "hoopd_guess" }))).await.1, "login_failed");
    assert!(trail(&gateway, "POST /api/v1/auth/token").await.is_empty());
}

#[tokio::test]
async fn who_guesses_user_codes_is_slowed_down() {
    let gateway = Gateway::start().await;
    gateway.user("mia", "member", &[]).await;
    let mut browser = Browser::of(&gateway, "mia").await;
    let begun = begin(&gateway).await;
    let own = begun["user_code"].as_str().expect("a code").to_owned();
    for guess in ["BCDF-GHJK", "BCDF-GHJL", "BCDF-GHJM", "BCDF-GHJN", "BCDF-GHJP", "BCDF-GHJQ"] {
        assert_eq!(browser.send("/device", &[("user_code", guess)]).await.status, StatusCode::NOT_FOUND);
    }
    for path in ["/device", "/device/approve", "/device/deny"] {
        let shown = browser.send(path, &[("user_code", &own)]).await;
        assert_eq!(shown.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
    assert_eq!(token(&gateway, poll(&begun)).await.1, "authorization_pending");
}

#[tokio::test]
async fn an_approval_ends_with_the_sign_in_that_gave_it() {
    let gateway = Gateway::start().await;
    gateway.user("mia", "member", &[]).await;
    let mut browser = Browser::of(&gateway, "mia").await;
    // What comes of it is good for no longer than the sign-in: otherwise one could go on for ever.
    *gateway.clock.0.lock() += Duration::from_secs(11 * 3600);
    let good = code(&mut browser).await;
    let (_, _, answer) = token(&gateway, redeem(&good)).await;
    let until: DateTime<Utc> = answer["expires_at"].as_str().expect("a time").parse().expect("a time");
    assert!(until - gateway.clock.now() <= chrono::TimeDelta::hours(1), "{answer}");

    let signed_out = code(&mut browser).await;
    browser.send("/logout", &[]).await;
    assert_eq!(token(&gateway, redeem(&signed_out)).await.0, 401);

    let mut browser = Browser::of(&gateway, "mia").await;
    let reset = code(&mut browser).await;
    let another = json!({ "password": "another password" });
    assert_eq!(
        gateway.send(&gateway.sign_in_root().await, Method::PATCH, "/api/v1/users/mia", Some(another)).await.0,
        StatusCode::OK
    );
    assert_eq!(token(&gateway, redeem(&reset)).await.0, 401);
}

#[tokio::test]
async fn a_password_that_changes_meanwhile_ends_it_too() {
    let (gateway, strings) = Gateway::wrapped().await;
    gateway.user("mia", "member", &[]).await;
    let mut browser = Browser::of(&gateway, "mia").await;
    let before = gateway.store.users().by_name(OrgId::DEFAULT, "mia").await.expect("works").expect("there");
    let good = code(&mut browser).await;
    // All sign-ins are taken away right before this one is made, and the user is as before.
    *strings.meanwhile.lock() = Some(before);
    assert_eq!(token(&gateway, redeem(&good)).await.0, 401);
}

#[tokio::test]
async fn an_api_token_lets_nobody_in() {
    let gateway = Gateway::start().await;
    let mia = gateway.user("mia", "member", &[]).await;
    let made = gateway.post(&mia, "/api/v1/tokens", json!({ "name": "ci", "scopes": ["connect"] })).await.1;
    let api_token = made["token"].as_str().expect("a token").to_owned();
    let begun = begin(&gateway).await;
    let user_code = begun["user_code"].as_str().expect("a code");
    let call = gateway.call(Method::POST, "/device/approve").token(&api_token);
    let call = call.body("application/x-www-form-urlencoded", form(&[("user_code", user_code)]));
    let response = gateway.router.clone().oneshot(call.request()).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(token(&gateway, poll(&begun)).await.1, "authorization_pending");
}
