//! The pages on which people sign in, as a browser without scripts sees them.

use super::*;

/// A browser with at most one cookie: the gateway's.
pub(super) struct Browser<'a> {
    gateway: &'a Gateway,
    cookie: Option<String>,
}

/// A page, or the way to another.
pub(super) struct Shown {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) html: String,
}

impl Shown {
    pub(super) fn location(&self) -> &str {
        self.headers.get("location").map_or("", |value| value.to_str().expect("ascii"))
    }

    fn policy(&self) -> &str {
        self.headers["content-security-policy"].to_str().expect("ascii")
    }
}

pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

impl<'a> Browser<'a> {
    pub(super) fn new(gateway: &'a Gateway) -> Self {
        Self { gateway, cookie: None }
    }

    /// One in which this user is signed in.
    pub(super) async fn of(gateway: &'a Gateway, user: &str) -> Self {
        let mut browser = Self::new(gateway);
        let password = format!("the password of {user}");
        let shown = browser.send("/login", &[("user", user), ("password", &password)]).await;
        assert_eq!((shown.status, shown.location()), (StatusCode::SEE_OTHER, "/"), "{}", shown.html);
        browser
    }

    pub(super) async fn read(&mut self, path: &str) -> Shown {
        let call = self.gateway.call(Method::GET, path);
        self.show(call).await
    }

    /// Sends a form of the gateway's own.
    pub(super) async fn send(&mut self, path: &str, pairs: &[(&str, &str)]) -> Shown {
        self.send_from("same-origin", path, pairs).await
    }

    async fn send_from(&mut self, site: &str, path: &str, pairs: &[(&str, &str)]) -> Shown {
        let call = self.gateway.call(Method::POST, path).header("sec-fetch-site", site);
        self.show(call.body("application/x-www-form-urlencoded", form(pairs))).await
    }

    async fn show(&mut self, call: Call<'_>) -> Shown {
        let call = match &self.cookie {
            Some(cookie) => call.header("cookie", cookie.clone()),
            None => call,
        };
        let response = self.gateway.router.clone().oneshot(call.request()).await.expect("infallible");
        let (status, headers) = (response.status(), response.headers().clone());
        assert!(headers.contains_key("x-request-id") && headers["cache-control"] == "no-store");
        let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        let html = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        if let Some(set) = headers.get("set-cookie") {
            let set = set.to_str().expect("ascii").split(';').next().expect("a cookie").to_owned();
            self.cookie = Some(set).filter(|set| !set.ends_with('='));
        }
        let shown = Shown { status, headers, html };
        if !status.is_redirection() {
            assert_eq!(shown.headers["x-frame-options"], "DENY", "{}", shown.html);
            let policy = shown.policy();
            assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
            assert!(!policy.contains("unsafe") && !shown.html.contains("<script"));
        }
        shown
    }
}

/// What the trail has of this action: who, and how it ended.
pub(super) async fn trail(gateway: &Gateway, action: &str) -> Vec<(String, u16, Option<String>)> {
    let events = gateway.store.events().list(OrgId::DEFAULT, None, 200).await.expect("readable").items;
    let of_action = events.into_iter().filter(|event| event.action == action).rev();
    let told = of_action.map(|event| {
        assert_eq!(event.source.as_deref(), Some("127.0.0.1:40000"));
        (event.user_name.expect("somebody is behind it"), event.status, event.code)
    });
    told.collect()
}

#[tokio::test]
async fn who_is_not_signed_in_goes_to_the_login_and_back() {
    let gateway = Gateway::start().await;
    gateway.user("mia", "member", &[]).await;
    let mut browser = Browser::new(&gateway);
    let sent = browser.read("/device?user_code=BCDF-GHJK").await;
    assert_eq!(
        (sent.status, sent.location()),
        (StatusCode::SEE_OTHER, "/login?return_to=%2Fdevice%3Fuser_code%3DBCDF-GHJK")
    );
    let login = browser.read(sent.location()).await;
    assert!(login.html.contains("value=\"/device?user_code=BCDF-GHJK\""), "{}", login.html);
    let sent = [("user", "mia"), ("password", "the password of mia"), ("return_to", "/device?user_code=BCDF-GHJK")];
    let back = browser.send("/login", &sent).await;
    assert_eq!((back.status, back.location()), (StatusCode::SEE_OTHER, "/device?user_code=BCDF-GHJK"));
    assert!(browser.read(back.location()).await.html.contains("value=\"BCDF-GHJK\""));
    assert!(browser.read("/").await.html.contains("signed in as mia"));

    for foreign in ["//evil.example", "/\\evil.example", "https://evil.example/"] {
        let sent = [("user", "mia"), ("password", "the password of mia"), ("return_to", foreign)];
        assert_eq!(browser.send("/login", &sent).await.location(), "/", "{foreign}");
    }
    let out = browser.send("/logout", &[]).await;
    assert_eq!((out.location(), browser.cookie.is_none()), ("/done", true));
    assert!(browser.read("/done").await.html.contains("close this window"));
    assert_eq!(browser.read("/").await.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.send("/device/deny", &[]).await.location(), "/login?return_to=%2Fdevice");
}

#[tokio::test]
async fn wrong_unknown_and_guessed_are_told_alike() {
    let gateway = Gateway::start().await;
    gateway.user("mia", "member", &[]).await;
    let mut browser = Browser::new(&gateway);
    for user in ["mia", "nobody"] {
        let shown = browser.send("/login", &[("user", user), ("password", "\"><script>")]).await;
        assert_eq!(shown.status, StatusCode::UNAUTHORIZED);
        assert!(shown.html.contains("User or password is wrong.") && browser.cookie.is_none(), "{}", shown.html);
    }
    let failed = |name: &str| (name.to_owned(), 401, Some("login_failed".to_owned()));
    assert_eq!(trail(&gateway, "POST /login").await, [failed("mia"), failed("nobody")]);
    let mut last = StatusCode::OK;
    for _ in 0..6 {
        last = browser.send("/login", &[("user", "mia"), ("password", "wrong")]).await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    // The throttle is the API's own.
    let login = json!({ "user": "mia", "password": "the password of mia" });
    assert_eq!(gateway.post("", "/api/v1/login", login).await.0, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_foreign_page_sends_nothing() {
    let gateway = Gateway::start().await;
    gateway.user("mia", "member", &[]).await;
    let mut browser = Browser::new(&gateway);
    let sent = [("user", "mia"), ("password", "the password of mia")];
    for site in ["cross-site", "same-site", "none"] {
        let shown = browser.send_from(site, "/login", &sent).await;
        assert_eq!((shown.status, browser.cookie.is_none()), (StatusCode::FORBIDDEN, true), "{site}");
    }
    let mut browser = Browser::of(&gateway, "mia").await;
    for path in
        ["/logout", "/password", "/device", "/device/approve", "/device/deny", "/authorize/approve", "/authorize/deny"]
    {
        let shown = browser.send_from("cross-site", path, &[("user_code", "BCDF-GHJK")]).await;
        assert_eq!(shown.status, StatusCode::FORBIDDEN, "{path}");
        assert!(shown.html.contains("does not come from the gateway"), "{}", shown.html);
    }
    // Neither header: there is no proof.
    let call = gateway.call(Method::POST, "/logout").body("application/x-www-form-urlencoded", "");
    assert_eq!(browser.show(call).await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.read("/").await.status, StatusCode::OK);
    let refused = ("mia".to_owned(), 403, Some("cross_site".to_owned()));
    assert_eq!(trail(&gateway, "POST /device/approve").await, [refused]);
}

/// No browser would keep the cookie: that is said, instead of the login again.
#[tokio::test]
async fn a_page_without_encryption_signs_nobody_in() {
    let gateway = Gateway::start().await;
    gateway.user("mia", "member", &[]).await;
    let mut browser = Browser::new(&gateway);
    let sent = form(&[("user", "mia"), ("password", "the password of mia")]);
    let call = gateway.call(Method::POST, "/login").header("host", "gw:8009").header("origin", "http://gw:8009");
    let shown = browser.show(call.body("application/x-www-form-urlencoded", sent)).await;
    assert!(shown.status == StatusCode::BAD_REQUEST && shown.html.contains("https"), "{}", shown.html);
    assert!(browser.cookie.is_none());
}

#[tokio::test]
async fn a_password_that_was_given_is_changed_first() {
    let gateway = Gateway::start().await;
    let body = json!({ "name": "new", "kind": "member", "password": "one time password" });
    assert_eq!(gateway.post(&gateway.admin, "/api/v1/users", body).await.0, StatusCode::CREATED);
    let mut browser = Browser::new(&gateway);
    let sent = [("user", "new"), ("password", "one time password"), ("return_to", "/device")];
    let to = browser.send("/login", &sent).await.location().to_owned();
    assert_eq!(to, "/password?return_to=%2Fdevice");
    assert_eq!(browser.read("/device").await.location(), to);
    assert_eq!(browser.send("/device", &[("user_code", "BCDF-GHJK")]).await.status, StatusCode::FORBIDDEN);
    let change = |new: &'static str, again: &'static str| {
        [("current", "one time password"), ("new", new), ("again", again), ("return_to", "/device")]
    };
    let differ = browser.send("/password", &change("another password", "another passwort")).await;
    assert!(differ.status == StatusCode::BAD_REQUEST && differ.html.contains("not the same"), "{}", differ.html);
    assert!(browser.send("/password", &change("short", "short")).await.html.contains("at least 12"));
    let changed = browser.send("/password", &change("another password", "another password")).await;
    assert_eq!((changed.status, changed.location()), (StatusCode::SEE_OTHER, "/device"));
    assert_eq!(browser.read("/device").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_first_administrator_has_the_token() {
    let gateway = Gateway::empty().await;
    let mut browser = Browser::new(&gateway);
    assert!(browser.read("/login").await.html.contains("href=\"/setup\""));
    let token = gateway.setup_token.expose().to_owned();
    let sent = |token: &'static str, user: &'static str, password: &'static str, again: &'static str| {
        [("token", token), ("user", user), ("password", password), ("again", again)]
    };
    let token: &'static str = Box::leak(token.into_boxed_str());
    let password = "a long enough password";
    assert!(browser.read("/setup").await.html.contains("setup-token"));
    for (form, status) in [
        (sent("hoops_wrong", "boss", password, password), StatusCode::UNAUTHORIZED),
        (sent(token, "boss", password, "another one entirely"), StatusCode::BAD_REQUEST),
        (sent(token, "boss", "short", "short"), StatusCode::BAD_REQUEST),
        (sent(token, " ", password, password), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(browser.send("/setup", &form).await.status, status);
    }
    assert_eq!(
        browser.send_from("cross-site", "/setup", &sent(token, "boss", password, password)).await.status,
        StatusCode::FORBIDDEN
    );
    let form = [sent(token, "boss", password, password), sent(token, "other", password, password)];
    let (mut one, mut other) = (Browser::new(&gateway), Browser::new(&gateway));
    let (one, other) = tokio::join!(one.send("/setup", &form[0]), other.send("/setup", &form[1]));
    let made = [&one, &other].map(|shown| shown.status == StatusCode::SEE_OTHER);
    assert!(made[0] ^ made[1], "of two who come at once, one is the first");
    let users = gateway.store.users().list(OrgId::DEFAULT, None, None, 10).await.expect("readable").items;
    assert_eq!(users.iter().map(|user| user.kind).collect::<Vec<_>>(), [crate::store::UserKind::Admin]);
    assert_eq!(browser.read("/setup").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.send("/setup", &form[0]).await.status, StatusCode::NOT_FOUND);
    assert!(browser.read("/login").await.html.contains("action=\"/login\""));
    let told = trail(&gateway, "POST /setup").await;
    assert_eq!(told.iter().filter(|(_, status, _)| *status == 303).count(), 1, "{told:?}");
    assert_eq!(told.first().map(|(_, _, code)| code.as_deref()), Some(Some("login_failed")));
}

#[tokio::test]
async fn who_guesses_the_set_up_token_is_slowed_down() {
    let gateway = Gateway::empty().await;
    let mut browser = Browser::new(&gateway);
    let sent = [("token", "hoops_wrong"), ("user", "boss"), ("password", "x"), ("again", "x")];
    let mut last = StatusCode::OK;
    for _ in 0..7 {
        last = browser.send("/setup", &sent).await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}
