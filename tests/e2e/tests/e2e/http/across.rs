//! Pages of other origins that a role lets in, in a real browser.

use hoop_testkit::{Grpc, direct_only};
use serde_json::{Value, json};

use super::site::{Person, place};
use super::{AGENT, Client, curl, unmasked};

/// A role of the site's gateway with rules for pages of other origins.
fn role(name: &str, url: &str, cors: Value) {
    let target = json!({ "kind": "http", "url": url, "cors": cors });
    let role =
        json!({ "name": name, "agent": AGENT, "allowed_groups": ["web"], "target": target, "plugins": unmasked() });
    place().gateway.api().post("/api/v1/roles", &role);
}

#[test]
fn a_page_reads_what_roles_let_it_and_nothing_else() {
    if direct_only() {
        return;
    }
    let (place, shop) = (place(), Grpc::start());
    let site = "https://site.apps.hoop.example";
    role("friend", &place.site.url(), json!({ "origins": [site], "credentials": true, "methods": ["GET"] }));
    role("shop", &shop.url(), json!({ "origins": [site] }));
    let token = Client::new(&place.gateway, "shop").token;
    let given = json!({
        "friend": "https://friend.apps.hoop.example", "shop": "https://shop.apps.hoop.example", "token": token,
    });
    let told = Person::new("web-across").run("ask_across.cjs", given).value;
    assert_eq!(told["cookie"]["status"], 200, "{told}");
    assert!(told["cookie"]["text"].as_str().is_some_and(|text| text.contains("asked")), "{told}");
    for what in ["field", "method", "other"] {
        assert_eq!(told[what], json!({ "failed": "TypeError" }), "{what}: {told}");
    }
    // It is not asked beforehand about this one, and is told why it is refused; so is who has no token.
    assert_eq!((&told["simple"]["status"], &told["nobody"]["status"]), (&json!(403), &json!(401)), "{told}");
    assert_eq!(told["call"]["status"], 200, "{told}");
    let text = told["call"]["text"].as_str().expect("an answer");
    assert!(text.contains("Ada Lovelace") && text.contains("grpc-status: 0"), "{told}");
    assert_eq!((&told["refused"]["status"], &told["refused"]["call"]), (&json!(200), &json!("16")), "{told}");
}

/// What a browser asks beforehand, by hand: over both versions, without a token.
#[test]
fn who_asks_beforehand_is_told_by_the_rule() {
    if direct_only() {
        return;
    }
    let place = place();
    role(
        "asked",
        &place.site.url(),
        json!({ "origins": ["https://app.example"], "methods": ["GET"], "max_age_seconds": 60 }),
    );
    let address = place.gateway.ready()["proxy"].as_str().expect("the line has the door").to_owned();
    let to = format!("::{address}");
    let ask = |version: &str, origin: &str, host: &str| {
        let at = format!("https://{host}.apps.hoop.example/api/me");
        let origin = format!("Origin: {origin}");
        let options = ["--insecure", "--connect-to", &to, version, "-X", "OPTIONS", "-i", "-H", &origin];
        curl(&[&options[..], &["-H", "Access-Control-Request-Method: PATCH", &at]].concat()).ok().to_lowercase()
    };
    for version in ["--http1.1", "--http2"] {
        let told = ask(version, "https://app.example", "asked");
        assert!(told.lines().next().is_some_and(|line| line.contains(" 204")), "{told}");
        for line in [
            "access-control-allow-origin: https://app.example",
            "access-control-allow-methods: get",
            "access-control-max-age: 60",
        ] {
            assert!(told.lines().any(|said| said == line), "{line}: {told}");
        }
        assert!(!told.contains("access-control-allow-credentials") && !told.contains("patch"), "{told}");
        for (origin, host) in
            [("https://evil.example", "asked"), ("https://app.example", "site"), ("https://app.example", "nowhere")]
        {
            let told = ask(version, origin, host);
            assert!(told.lines().next().is_some_and(|line| line.contains(" 401")), "{told}");
            assert!(!told.contains("access-control"), "{told}");
        }
    }
}
