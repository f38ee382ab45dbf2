//! The pages of the gateway in a real browser, by the keyboard alone.

use std::process::Command;

use hoop_testkit::{Api, Chromium, Folder, direct_only, hoop_gateway, output};
use serde_json::json;

use super::{Machine, PASSWORD, account, fails, parsed, url};
use crate::stock::Stock;

fn path(url: &serde_json::Value) -> String {
    let url: url::Url = url.as_str().expect("a URL").parse().expect("a URL");
    url.path().to_owned()
}

#[test]
fn a_gateway_is_set_up_by_the_keyboard() {
    if direct_only() {
        return;
    }
    let folder = Folder::new("set-up");
    let gateway = Stock::start(&folder, &[], &[]);
    let base = format!("http://{}", gateway.address("http"));
    let mut token = Command::new(hoop_gateway());
    let token = output(token.arg("setup-token").env("HOOP_DATA", folder.join("data")), b"").ok();
    let given = json!({ "base": base, "token": token.trim(), "user": "boss", "password": PASSWORD });
    let shown = Chromium::new().run("set_up.cjs", &given).clean();
    assert!(shown["first"].as_str().is_some_and(|text| text.contains("signed in as boss")), "{shown}");
    let pages = ["signedOut", "asked", "after"].map(|page| path(&shown[page]));
    assert_eq!(pages, ["/done", "/login", "/password"], "it goes on where somebody was sent away");
    assert_eq!(Api::sign_in(&base, "boss", PASSWORD).get("/api/v1/me")["kind"], "admin");
}

#[test]
fn a_device_and_a_program_are_let_in_by_the_keyboard() {
    if direct_only() {
        return;
    }
    account("kbd-eve");
    let (machine, browser) = (Machine::new(), Chromium::new());
    let mut login = machine.start(&["login", url(), "--device"]);
    let code = login.says("and enter the code");
    let link = format!("{}/device", url());
    let given = json!({ "link": link, "user": "kbd-eve", "password": PASSWORD, "code": code.to_lowercase() });
    let shown = browser.run("approve.cjs", &given).clean();
    assert!(path(&shown["done"]) == "/done", "{shown}");
    assert_eq!(login.end(), Some(0), "{}", login.complaints());
    assert_eq!(parsed(&machine.run(&["whoami", "-o", "json"]))["name"], "kbd-eve");

    let signed_out = || browser.run("sign_out.cjs", &json!({ "base": url() })).clean();
    let shown = signed_out();
    assert!(shown["home"].as_str().is_some_and(|text| text.contains("signed in as kbd-eve")), "{shown}");
    assert_eq!((path(&shown["done"]), shown["cookies"].as_u64()), ("/done".to_owned(), Some(0)), "{shown}");
    machine.run(&["logout"]).ok();
    fails(&machine.run(&["whoami"]), 3);
    // The form leads to a port of this machine, which its policy has to let it.
    let mut login = machine.login_on_desktop();
    let given = json!({ "link": machine.link(), "user": "kbd-eve", "password": PASSWORD });
    let shown = browser.run("approve.cjs", &given).clean();
    assert!(shown["asked"].as_str().is_some_and(|text| text.contains("wants to sign in as you")), "{shown}");
    assert_eq!(login.end(), Some(0), "{}", login.complaints());
    assert_eq!(parsed(&machine.run(&["whoami", "-o", "json"]))["name"], "kbd-eve");
    signed_out();
}
