//! A real browser that signs in on its way to an app, and uses it.

use std::time::Duration;

use hoop_testkit::{Chromium, Gateway, Options, Site, direct_only, until};
use serde_json::{Value, json};

use super::AGENT;
use super::site::{Person, place};

#[test]
fn an_app_works_as_without_a_gateway() {
    if direct_only() {
        return;
    }
    let told = Person::new("web-ada").run("use_site.cjs", json!({})).clean();
    let cookies = ["hidden", "local", "parent", "path", "plain", "script", "wide"];
    for (what, expected) in [
        ("first", json!(true)),
        ("assets", json!({ "style": "rgb(1, 2, 3)", "script": "/app/first", "picture": 7 })),
        ("fetched", json!("yes")),
        ("messages", json!(["second", true, true, true, 4001])),
        ("events", json!(["0", "1", "2", "3"])),
        ("uploaded", json!(true)),
        ("downloaded", json!(["numbers.bin", true])),
        ("inside", json!(["/app/inside?x=y", "/app/inside"])),
        ("back", json!("/app/")),
        ("deep", json!("/app/deep/link")),
        ("relative", json!("/app/relative")),
        ("absolute", json!("/app/absolute")),
        ("form", json!("/app/thanks?name=Ada")),
        // Also those that were meant for more hosts are of this one alone.
        ("cookies", json!(cookies.map(|name| format!("{name} true")))),
        ("sent", json!(cookies.map(|name| format!("{name}=1")))),
        ("own", json!([[true, true, "Lax", true]])),
        ("readable", json!(false)),
        ("left", json!(true)),
        ("after", json!(0)),
    ] {
        assert_eq!(told[what], expected, "{what}: {told}");
    }
}

/// Without TLS, as `hoop dev` has it.
#[test]
fn on_the_machine_itself_a_browser_is_let_in_without_tls() {
    if direct_only() {
        return;
    }
    let (gateway, site) = (Gateway::start(&Options::default()), Site::start());
    let target = json!({ "kind": "http", "url": site.url() });
    let role = json!({ "name": "near", "agent": AGENT, "allowed_groups": ["web"], "target": target });
    gateway.api().post("/api/v1/roles", &role);
    gateway.user("near", &["web"]);
    let port = gateway.ready()["proxy"].as_str().and_then(|address| address.rsplit_once(':')).expect("a port").1;
    let url = format!("http://near.localhost:{port}/app/near?a=b&c=%20d");
    let given = json!({ "url": url, "user": "near", "password": "a long enough passphrase" });
    let shown = Chromium::new().run("open_site.cjs", &given).clean();
    assert_eq!((&shown["url"], &shown["signIns"]), (&json!(url), &json!(1)), "{shown}");
    assert!(shown["text"].as_str().is_some_and(|text| text.contains("/app/near")), "{shown}");
}

fn text(shown: &Value) -> &str {
    shown["text"].as_str().expect("a page has text")
}

#[test]
fn who_is_put_out_is_told_what_to_do_and_comes_back_to_the_same_page() {
    if direct_only() {
        return;
    }
    let person = Person::new("web-grace");
    let shown = person.open("/app/mine?a=b");
    assert_eq!((&shown["signIns"], &shown["url"]), (&json!(1), &json!("https://site.apps.hoop.example/app/mine?a=b")));
    let shown = person.open("/app/mine?a=b");
    assert_eq!((&shown["signIns"], &shown["status"]), (&json!(0), &json!(200)), "the cookie lasts: {shown}");

    let api = place().gateway.api();
    let session = person.session();
    let id = session["id"].as_str().expect("a session has an id");
    api.post(&format!("/api/v1/sessions/{id}/kill"), &json!({}));
    place().end_of(&session);
    let shown = person.open("/app/mine?a=b");
    assert_eq!(shown["status"].as_u64().map(|status| status / 100), Some(4), "{shown}");
    assert!(text(&shown).contains("open the page again to sign in"), "{shown}");
    let shown = person.open("/app/mine?a=b");
    assert_eq!(shown["url"], "https://site.apps.hoop.example/app/mine?a=b", "{shown}");
    assert!(text(&shown).contains("/app/mine"), "{shown}");

    person.revoke();
    let shown = person.open("/app/mine?a=b");
    assert!(text(&shown).contains("this credential was revoked"), "{shown}");
    let shown = person.open("/app/mine?a=b");
    assert!(text(&shown).contains("/app/mine"), "{shown}");
}

#[test]
fn a_sign_in_that_is_over_leads_back_to_the_same_page() {
    if direct_only() {
        return;
    }
    let config = "[credentials]\nttl = \"5s\"\n".to_owned();
    let (gateway, site) = (Gateway::start(&Options { config: Some(config), ..Options::default() }), Site::start());
    let target = json!({ "kind": "http", "url": site.url() });
    let role = json!({ "name": "brief", "agent": AGENT, "allowed_groups": ["web"], "target": target });
    gateway.api().post("/api/v1/roles", &role);
    gateway.user("brief", &["web"]);
    let port = gateway.ready()["proxy"].as_str().and_then(|address| address.rsplit_once(':')).expect("a port").1;
    let url = format!("http://brief.localhost:{port}/app/brief?a=b");
    let given = json!({ "url": url, "user": "brief", "password": "a long enough passphrase" });
    let browser = Chromium::new();
    assert_eq!(browser.run("open_site.cjs", &given).clean()["signIns"], 1);
    until(Duration::from_secs(60), "the end of the sign-in", || {
        let sessions = gateway.sessions();
        sessions.iter().all(|session| !session["ended_at"].is_null()).then_some(())
    });
    let shown = browser.run("open_site.cjs", &given).clean();
    assert_eq!(shown["url"], json!(url), "{shown}");
    assert!(text(&shown).contains("/app/brief"), "{shown}");
}
