//! The site behind two roles of one company: its names share a domain, so that for a browser the roles are one site and two
//! origins. That is how they are found in earnest, and the harder case.

use std::sync::OnceLock;
use std::time::Duration;

use hoop_testkit::{Chromium, Folder, Gateway, Options, Shown, Site, until};
use reqwest::Method;
use serde_json::{Value, json};

use super::AGENT;
use crate::trust::Authority;

const PASSWORD: &str = "a long enough passphrase";
const GROUP: &str = "web";

/// The roles `site` and `other`, both to the same service.
pub(crate) struct Place {
    pub(crate) gateway: Gateway,
    pub(crate) site: Site,
    folder: Folder,
}

pub(crate) fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let folder = Folder::new("site");
        let authority = Authority::new(folder.path(), "company");
        let (certificate, key) = authority.issue_with(folder.path(), |params| {
            params.subject_alt_names.push(rcgen::SanType::DnsName("*.apps.hoop.example".try_into().expect("a name")));
        });
        let door = "[listen.proxy]\ntls = \"required\"\npublic = \"https://apps.hoop.example\"\n";
        let config = format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n{door}");
        let environment = vec![("HOOP_CA_FILE".to_owned(), authority.pem.display().to_string())];
        let gateway = Gateway::start(&Options { config: Some(config), environment, ..Options::default() });
        let site = Site::start();
        for name in ["site", "other"] {
            let target = json!({ "kind": "http", "url": site.url() });
            let role = json!({ "name": name, "agent": AGENT, "allowed_groups": [GROUP], "target": target });
            gateway.api().post("/api/v1/roles", &role);
        }
        Place { gateway, site, folder }
    })
}

impl Place {
    /// Waits for a session to end.
    pub(crate) fn end_of(&self, session: &Value) {
        let path = format!("/api/v1/sessions/{}", session["id"].as_str().expect("a session has an id"));
        until(Duration::from_secs(60), "the end of the session", || {
            (!self.gateway.api().get(&path)["ended_at"].is_null()).then_some(())
        });
    }
}

/// Somebody with a browser.
pub(crate) struct Person {
    name: &'static str,
    browser: Chromium,
}

impl Person {
    pub(crate) fn new(name: &'static str) -> Self {
        place().gateway.user(name, &[GROUP]);
        Self { name, browser: Chromium::new() }
    }

    /// Runs a script with what it needs to know, and `more`.
    #[track_caller]
    pub(crate) fn run(&self, script: &str, more: Value) -> Shown {
        let place = place();
        let ready = |field: &str| place.gateway.ready()[field].as_str().expect("the line has it").to_owned();
        let mut given = json!({
            "origin": "https://site.apps.hoop.example", "other": "https://other.apps.hoop.example",
            "pages": ready("api"), "user": self.name, "password": PASSWORD, "folder": place.folder.path(),
            "resolve": format!("MAP *.hoop.example:443 {}", ready("proxy")),
        });
        let (all, more) = (given.as_object_mut().expect("an object"), more.as_object().expect("an object").clone());
        all.extend(more);
        self.browser.run(script, &given)
    }

    /// What is shown at a path of the role `site`.
    #[track_caller]
    pub(crate) fn open(&self, path: &str) -> Value {
        self.run("open_site.cjs", json!({ "url": format!("https://site.apps.hoop.example{path}") })).value
    }

    /// The session of the role `site` that runs.
    pub(crate) fn session(&self) -> Value {
        let sessions = place().gateway.sessions();
        let own = |session: &&Value| {
            session["user"] == self.name && session["role"] == "site" && session["ended_at"].is_null()
        };
        sessions.iter().find(own).unwrap_or_else(|| panic!("no session of {}: {sessions:?}", self.name)).clone()
    }

    /// Takes all credentials of the role away, with which its session ends.
    pub(crate) fn revoke(&self) {
        let api = place().gateway.api();
        let session = self.session();
        let user = &session["user_id"];
        let credentials = api.get("/api/v1/credentials")["items"].as_array().cloned().unwrap_or_default();
        for credential in credentials.iter().filter(|credential| credential["user_id"] == *user) {
            let id = credential["id"].as_str().expect("a credential has an id");
            api.call(Method::DELETE, &format!("/api/v1/credentials/{id}"), None);
        }
        place().end_of(&session);
    }
}
