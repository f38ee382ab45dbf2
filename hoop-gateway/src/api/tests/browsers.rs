//! A cookie in the place of a token.

use super::*;

const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");

async fn cookie(gateway: &Gateway, user: &str) -> String {
    let body = json!({ "user": user, "password": format!("the password of {user}"), "cookie": true });
    let call = gateway.call(Method::POST, "/api/v1/login").header(OWN.0, OWN.1).json(&body);
    let answer = call.send().await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    assert!(answer.json.get("token").is_none(), "scripts cannot read it");
    let set = answer.header("set-cookie");
    for part in ["__Host-hoop=hoopt_", "; Path=/;", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Max-Age=43200"] {
        assert!(set.contains(part), "{part} in {set}");
    }
    set.split(';').next().expect("a cookie").to_owned()
}

#[tokio::test]
async fn a_cookie_does_what_its_token_does_from_the_own_pages() {
    let gateway = Gateway::start().await;
    gateway.user("ada", "admin", &[]).await;
    gateway.user("mia", "member", &[]).await;
    let (ada, mia) = (cookie(&gateway, "ada").await, cookie(&gateway, "mia").await);
    let get = |cookie: &str| gateway.call(Method::GET, "/api/v1/users").header("cookie", cookie).send();
    assert_eq!(get(&ada).await.status, StatusCode::OK);
    assert_eq!(get(&mia).await.status, StatusCode::FORBIDDEN, "one model of permissions");

    let add = |name: &str, headers: &[(&'static str, &'static str)]| {
        let call = gateway.call(Method::POST, "/api/v1/users").header("cookie", &ada).json(&json!({ "name": name }));
        headers.iter().fold(call, |call, (name, value)| call.header(name, *value)).send()
    };
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("host", "gw"), ("origin", "https://evil")],
    ] {
        let answer = add("bob", headers).await;
        assert_eq!((answer.status, &answer.json["code"]), (StatusCode::FORBIDDEN, &json!("cross_site")), "{headers:?}");
    }
    assert_eq!(add("bob", &[OWN]).await.status, StatusCode::CREATED);
    assert_eq!(add("carol", &[("host", "gw"), ("origin", "https://gw")]).await.status, StatusCode::CREATED);

    let out = gateway.call(Method::POST, "/api/v1/logout").header("cookie", &ada).header(OWN.0, OWN.1).send().await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert!(out.header("set-cookie").starts_with("__Host-hoop=;") && out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(get(&ada).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_foreign_page_signs_nobody_in() {
    let gateway = Gateway::start().await;
    gateway.user("mia", "member", &[]).await;
    let body = json!({ "user": "mia", "password": "the password of mia", "cookie": true });
    for headers in [&[][..], &[("sec-fetch-site", "cross-site")]] {
        let call = gateway.call(Method::POST, "/api/v1/login").json(&body);
        let answer = headers.iter().fold(call, |call, (name, value)| call.header(name, *value)).send().await;
        assert_eq!((answer.status, answer.header("set-cookie")), (StatusCode::FORBIDDEN, ""));
    }
}
