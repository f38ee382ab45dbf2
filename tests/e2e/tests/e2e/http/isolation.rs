//! A page of one role against another role and against the gateway, in a real browser. Both roles lead to one service, which tells
//! what has reached it.

use hoop_testkit::direct_only;
use serde_json::{Value, json};

use super::curl;
use super::site::{Person, place};

/// As many tries there are at least.
const TRIES: usize = 35;

#[test]
fn no_page_of_one_role_reaches_another_or_the_gateway() {
    if direct_only() {
        return;
    }
    let place = place();
    let mallory = place.gateway.user("mallory", &["web"]);
    let (person, code) = (Person::new("victim"), foreign_code(&mallory));
    let told = person.run("attack.cjs", json!({ "service": place.site.url(), "code": code })).value;
    let tries = told["tries"].as_object().expect("tries");
    assert!(tries.len() >= TRIES, "{}", tries.len());
    for (name, told) in tries {
        assert_eq!(told["got"], Value::Null, "{name}: {told}");
        assert_eq!(told["reached"], json!([]), "{name}: {told}");
    }
    let unseen = ["SecurityError", "SecurityError", "SecurityError"];
    assert_eq!(told["opened"], json!(unseen), "{told}");
    assert_eq!(told["posted"]["reached"], json!([]), "{told}");
    for what in ["leave", "enter"] {
        let text = told[what][1].as_str().expect("a page has text");
        assert!(told[what][0].as_str().is_some_and(|path| path.starts_with("/.hoop/")), "{what}: {told}");
        assert!(text.contains("in your name") || text.contains("not for this browser"), "{what}: {text}");
    }
    assert_eq!(told["kept"], true, "nobody is signed out, or signed in as another: {told}");
    assert_eq!(told["own"], json!([200, 200, "open"]), "its own page may: {told}");
    rebound(told["cookie"].as_str().expect("the cookie"));
}

/// A code that lets in whoever has begun elsewhere.
fn foreign_code(mallory: &hoop_testkit::Api) -> String {
    let uri = "https%3A%2F%2Fsite.apps.hoop.example%2F.hoop%2Fenter";
    let at = format!("{}/enter?redirect_uri={uri}&code_challenge={}", mallory.base(), "A".repeat(43));
    let page = curl(&["-H", &mallory.authorization(), &at]).ok();
    let (_, rest) = page.split_once("code=").unwrap_or_else(|| panic!("no code in {page}"));
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect()
}

/// A name of somebody else's that leads to the door, with a cookie that was got somehow.
fn rebound(cookie: &str) {
    let address = place().gateway.ready()["proxy"].as_str().expect("the line has the door").to_owned();
    let to = format!("::{address}");
    let ask = |host: &str, more: &[&str]| {
        let cookie = format!("Cookie: __Host-hoop={cookie}");
        let at = format!("https://{host}/victim?rebound");
        let options = ["--insecure", "--connect-to", &to, "-o", "/dev/null", "-w", "%{http_code}", "-H", &cookie];
        curl(&[&options, more, &[&at]].concat()).ok()
    };
    assert_eq!(ask("site.apps.hoop.example", &[]), "200");
    for (host, more) in [
        ("attacker.example", &[][..]),
        ("127.0.0.1", &[]),
        ("apps.hoop.example", &[]),
        ("site.apps.hoop.example.attacker.example", &[]),
        ("other.apps.hoop.example", &[]),
        ("site.apps.hoop.example", &["-H", "Host: attacker.example"]),
        ("site.apps.hoop.example", &["-H", "Origin: https://attacker.example"]),
        ("site.apps.hoop.example", &["-H", "Origin: null"]),
        ("site.apps.hoop.example", &["-H", "Origin: http://site.apps.hoop.example"]),
        ("site.apps.hoop.example", &["-d", "x"]),
    ] {
        let code = ask(host, more);
        assert!(code.starts_with('4'), "{host} {more:?}: {code}");
    }
}

/// Whoever is signed in is led to origins of roles, and nowhere else.
#[test]
fn the_way_in_leads_nowhere_else() {
    if direct_only() {
        return;
    }
    let user = place().gateway.user("led", &["web"]);
    let authorization = user.authorization();
    let asked = |redirect_uri: &str| {
        let query = format!("redirect_uri={redirect_uri}");
        let challenge = format!("code_challenge={}", "A".repeat(43));
        let fields = ["-G", "--data-urlencode", &query, "-d", &challenge, "-H", &authorization, "-i"];
        curl(&[&fields[..], &[&format!("{}/enter", user.base())]].concat()).ok()
    };
    let right = asked("https://site.apps.hoop.example/.hoop/enter");
    assert!(right.starts_with("HTTP/1.1 200") && right.contains("code="), "{right}");
    for wrong in [
        "https://evil.example/.hoop/enter",
        "https://site.apps.hoop.example.evil.example/.hoop/enter",
        "https://site.apps.hoop.example@evil.example/.hoop/enter",
        "https://evil.example#site.apps.hoop.example/.hoop/enter",
        "https://evil.example?site.apps.hoop.example/.hoop/enter",
        "https://evil.example\\site.apps.hoop.example/.hoop/enter",
        "https://site.apps.hoop.example:444/.hoop/enter",
        "http://site.apps.hoop.example/.hoop/enter",
        "https://apps.hoop.example/.hoop/enter",
        "https://site.apps.hoop.example/elsewhere",
        "https://site.apps.hoop.example/.hoop/enter/../../elsewhere",
        "//evil.example/.hoop/enter",
        "javascript:alert(1)//site.apps.hoop.example/.hoop/enter",
        "https://nobody.apps.hoop.example/.hoop/enter",
    ] {
        let told = asked(wrong);
        assert!(told.starts_with("HTTP/1.1 4") && !told.contains("code="), "{wrong}: {told}");
        assert!(
            !told.to_lowercase().contains("\nlocation:") && !told.to_lowercase().contains("\nrefresh:"),
            "{wrong}: {told}"
        );
    }
}

/// After signing out nothing is shown that was shown before.
#[test]
fn nothing_is_left_after_signing_out() {
    if direct_only() {
        return;
    }
    let told = Person::new("leaver").run("leave_site.cjs", json!({ "service": place().site.url() })).value;
    assert_eq!(told["before"], "for one", "{told}");
    assert_eq!(told["private"], "private, max-age=3600", "{told}");
    assert_eq!(told["again"], json!(true), "who opens it again is sent to sign in: {told}");
    assert_eq!(told["back"], json!(false), "{told}");
}
