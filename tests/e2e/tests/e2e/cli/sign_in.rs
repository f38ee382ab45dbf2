//! Signing in by a page of the gateway: the built programs, and a browser that has no scripts.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use hoop_testkit::{Api, Browser, Folder, Page, Terminal, direct_only, hoop, hoop_gateway, output, until};
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Machine, PASSWORD, Running, account, fails, parsed, url};
use crate::stand::stand;
use crate::stock::Stock;

const WAIT: Duration = Duration::from_secs(30);

impl Machine {
    /// `hoop login` on a desktop: what opens the browser writes down where to.
    pub(super) fn login_on_desktop(&self) -> Running {
        let opener = self.folder.join("xdg-open");
        let script = format!("#!/bin/sh\nprintf %s \"$1\" >'{0}.new' && mv '{0}.new' '{0}'\n", self.opened().display());
        std::fs::write(&opener, script).expect("an own folder takes a file");
        std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o700)).expect("an own file");
        let path = std::env::var("PATH").expect("there is a PATH");
        let mut command = self.command(&["login", url(), "--browser"]);
        Running::start(self, command.env("PATH", format!("{}:{path}", self.folder.path().display())))
    }

    fn opened(&self) -> std::path::PathBuf {
        self.folder.join("opened")
    }

    /// Where the browser was opened.
    pub(super) fn link(&self) -> String {
        until(WAIT, "an opened browser", || std::fs::read_to_string(self.opened()).ok())
    }
}

impl Running {
    pub(super) fn end(&mut self) -> Option<i32> {
        until(WAIT, "the end of hoop", || self.child.try_wait().expect("an own child")).code()
    }

    /// A word that it says, after these.
    pub(super) fn says(&self, before: &str) -> String {
        until(WAIT, before, || {
            let text = self.complaints();
            let (_, after) = text.split_once(before)?;
            let (word, _) = after.trim_start().split_once(char::is_whitespace)?;
            Some(word.trim_end_matches('.').to_owned())
        })
    }
}

/// Opens a link in a browser in which nobody is signed in yet, and signs in.
fn sign_in(browser: &mut Browser, link: &str, user: &str) -> Page {
    let login = browser.open(link);
    assert_eq!((login.url.path(), login.status), ("/login", 200), "{}", login.html);
    browser.press(&login, "Sign in", &[("user", user), ("password", PASSWORD)])
}

/// What the trail has of a user, oldest first: the action, and the status.
fn trail(user: &str) -> Vec<(String, u64)> {
    let (mut events, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = stand().gateway.api().get(&format!("/api/v1/events?limit=200{cursor}"));
        events.extend(page["items"].as_array().expect("a list").iter().cloned());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let of_user = events.iter().rev().filter(|event| event["user"] == user);
    let told = of_user.map(|event| {
        assert!(event["source"].as_str().is_some_and(|source| source.starts_with("127.0.0.1:")), "{event}");
        assert!(event["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{event}");
        let text = event["action"].as_str().expect("an action").to_owned();
        (text, event["status"].as_u64().expect("a status"))
    });
    told.collect()
}

fn call(path: &str, body: &Value) -> (u16, Value) {
    Api::nobody(url()).try_call(Method::POST, path, Some(body))
}

#[test]
fn the_browser_of_the_machine_brings_the_code() {
    if direct_only() {
        return;
    }
    account("web-ada");
    let (machine, mut browser) = (Machine::new(), Browser::new());
    let mut login = machine.login_on_desktop();
    let link = machine.link();
    assert_eq!(login.says("Sign in with your browser:"), link, "it is said, too");
    let asked = sign_in(&mut browser, &link, "web-ada");
    assert!(asked.url.path() == "/authorize" && asked.html.contains("wants to sign in as you"), "{}", asked.html);

    // Somebody else's answer is not the one that is waited for.
    let (_, back) = link.split_once("redirect_uri=").expect("the link says where to");
    let back = back.split('&').next().expect("a value").replace("%3A", ":").replace("%2F", "/");
    let foreign = Browser::new().open(&format!("{back}?code=hoopc_another&state=another"));
    assert_eq!(foreign.status, 400, "{}", foreign.html);

    let done = browser.press(&asked, "Approve", &[]);
    assert!(done.url.path() == "/done" && done.html.contains("close this window"), "{}", done.html);
    assert_eq!(login.end(), Some(0), "{}", login.complaints());
    assert!(login.complaints().contains("as web-ada until"), "{}", login.complaints());
    assert_eq!(parsed(&machine.run(&["whoami", "-o", "json"]))["name"], "web-ada");
    let told = trail("web-ada");
    let ways = ["POST /login", "POST /authorize/approve", "POST /api/v1/auth/token"];
    for (way, status) in ways.into_iter().zip([303, 303, 200]) {
        assert_eq!(told.iter().filter(|(action, _)| action == way).collect::<Vec<_>>(), [&(way.to_owned(), status)]);
    }
}

#[test]
fn a_code_that_leaks_is_good_for_nothing() {
    if direct_only() {
        return;
    }
    account("web-bea");
    let (machine, mut browser) = (Machine::new(), Browser::new());
    let mut login = machine.login_on_desktop();
    let asked = sign_in(&mut browser, &machine.link(), "web-bea");
    let back = browser.press_and_stay(&asked, "Approve");
    let code = back.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    let mut redirect_uri = back.clone();
    redirect_uri.set_query(None);
    let stolen = json!({
        "grant_type": "authorization_code", "client_id": "hoop-cli", "code": code,
        "redirect_uri": redirect_uri.as_str(), "code_verifier": "a".repeat(43),
    });
    assert_eq!(call("/api/v1/auth/token", &stolen).0, 401, "without what only hoop knows");
    let told = browser.open(back.as_str());
    assert_eq!(told.status, 502, "{}", told.html);
    assert_eq!(login.end(), Some(3), "it was used: {}", login.complaints());

    // And one that was used already ends what came of it.
    std::fs::remove_file(machine.opened()).expect("it was opened");
    let mut login = machine.login_on_desktop();
    let asked = browser.open(&machine.link());
    let back = browser.press_and_stay(&asked, "Approve");
    let code = back.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    browser.open(back.as_str());
    assert_eq!(login.end(), Some(0), "{}", login.complaints());
    machine.run(&["whoami"]).ok();
    let replayed = json!({ "code": code, "redirect_uri": redirect_uri.as_str(), "code_verifier": "a".repeat(43),
        "grant_type": "authorization_code", "client_id": "hoop-cli" });
    assert_eq!(call("/api/v1/auth/token", &replayed).0, 401);
    fails(&machine.run(&["whoami"]), 3);
}

#[test]
fn a_browser_that_says_no_signs_nobody_in() {
    if direct_only() {
        return;
    }
    account("web-cai");
    let (machine, mut browser) = (Machine::new(), Browser::new());
    let mut login = machine.login_on_desktop();
    let link = machine.link();
    let elsewhere = link.replace("127.0.0.1%3A", "evil.example%3A");
    let foreign = sign_in(&mut browser, &elsewhere, "web-cai");
    assert_eq!((foreign.status, foreign.url.path()), (400, "/authorize"), "{}", foreign.html);
    let asked = browser.open(&link);
    let done = browser.press(&asked, "Deny", &[]);
    assert_eq!(done.url.path(), "/done");
    assert_eq!(login.end(), Some(4), "{}", login.complaints());
    fails(&machine.run(&["whoami"]), 3);
    assert!(trail("web-cai").contains(&("POST /authorize/deny".to_owned(), 303)));
}

#[test]
fn a_device_is_let_in_from_elsewhere() {
    if direct_only() {
        return;
    }
    account("web-dot");
    let (machine, mut browser) = (Machine::new(), Browser::new());
    let mut login = machine.start(&["login", url(), "--device"]);
    let (code, link) = (login.says("and enter the code"), login.says("filled in already at"));
    let typed = sign_in(&mut browser, &link, "web-dot");
    assert!(typed.html.contains(&code), "{}", typed.html);
    let wrong = browser.press(&typed, "Go on", &[("user_code", "BCDF-GHJK")]);
    assert!(wrong.status == 404 && wrong.html.contains("No device waits"), "{}", wrong.html);
    let asked = browser.press(&wrong, "Go on", &[("user_code", &code.to_lowercase())]);
    assert!(asked.html.contains("127.0.0.1:") && asked.html.contains("hoop"), "{}", asked.html);
    assert_eq!(browser.press(&asked, "Approve", &[]).url.path(), "/done");
    assert_eq!(login.end(), Some(0), "{}", login.complaints());
    assert_eq!(parsed(&machine.run(&["whoami", "-o", "json"]))["name"], "web-dot");
    let told = trail("web-dot");
    for (way, times) in [("POST /device/approve", 1), ("POST /api/v1/auth/token", 1), ("POST /device", 2)] {
        assert_eq!(told.iter().filter(|(action, _)| action == way).count(), times, "{way}: {told:?}");
    }

    let machine = Machine::new();
    let mut login = machine.start(&["login", url(), "--device"]);
    let typed = browser.open(&login.says("filled in already at"));
    let asked = browser.press(&typed, "Go on", &[]);
    browser.press(&asked, "Deny", &[]);
    assert_eq!(login.end(), Some(4), "{}", login.complaints());
    fails(&machine.run(&["whoami"]), 3);
}

#[test]
fn what_is_broken_off_leaves_nothing() {
    if direct_only() {
        return;
    }
    super::role();
    let machine = Machine::new();
    let mut login = machine.login_on_desktop();
    machine.link();
    assert_eq!(login.signal(Signal::SIGINT), Some(130));
    let mut login = machine.start(&["login", url(), "--device"]);
    login.says("and enter the code");
    assert_eq!(login.signal(Signal::SIGINT), Some(130));
    fails(&machine.run(&["login", url(), "--device", "--timeout", "1s"]), 124);
    for arguments in [&["login", url()][..], &["login", url(), "--device", "--no-input"]] {
        assert!(fails(&machine.run(arguments), 2).contains("--token-stdin"));
    }
    fails(&machine.run(&["login", url(), "--device", "--browser"]), 2);
    assert!(!machine.folder.join("hoop").exists(), "nothing is kept of a login that was not done");
}

/// At a terminal nothing need be said: a desktop has a browser, and where there is none it is elsewhere.
#[test]
fn the_way_is_found() {
    if direct_only() {
        return;
    }
    super::role();
    let machine = Machine::new();
    let login = |desktop: &str| {
        let (config, hoop) = (machine.folder.path().display(), hoop().display().to_string());
        Terminal::start(&format!(
            "env -u WAYLAND_DISPLAY {desktop} PATH=/nowhere XDG_CONFIG_HOME={config} {hoop} login {}",
            url()
        ))
    };
    login("DISPLAY=:99").expect("No browser could be opened");
    login("-u DISPLAY").expect("and enter the code");
}

#[test]
fn the_first_administrator_is_made_in_a_browser() {
    if direct_only() {
        return;
    }
    let (folder, mut browser) = (Folder::new("first"), Browser::new());
    let gateway = Stock::start(&folder, &[], &[]);
    let base = format!("http://{}", gateway.address("http"));
    let mut token = Command::new(hoop_gateway());
    let token = output(token.arg("setup-token").env("HOOP_DATA", folder.join("data")), b"").ok();
    let empty = browser.open(&format!("{base}/"));
    assert!(empty.html.contains("href=\"/setup\""), "{}", empty.html);
    let page = browser.open(&format!("{base}/setup"));
    let form = |token: &'_ str| {
        [
            ("token", token.to_owned()),
            ("user", "boss".to_owned()),
            ("password", PASSWORD.to_owned()),
            ("again", PASSWORD.to_owned()),
        ]
    };
    let press = |browser: &mut Browser, token: &str| {
        let fields = form(token);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        browser.press(&page, "Become the administrator", &fields)
    };
    assert_eq!(press(&mut browser, "hoops_wrong").status, 401);
    let home = press(&mut browser, token.trim());
    assert!(home.html.contains("signed in as boss"), "{}", home.html);
    assert_eq!(press(&mut browser, token.trim()).status, 404, "once");
    assert_eq!(Api::sign_in(&base, "boss", PASSWORD).get("/api/v1/me")["kind"], "admin");
    assert!(!gateway.server.log().contains(token.trim()), "it is in no log");
}
