//! What the tests of HTTP share: a service, a gateway, and clients with a token.

use std::process::Command;
use std::sync::OnceLock;

use hoop_testkit::{Api, Gateway, Options, Output, WebServer, WebSocket, find, output};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stand::no_masking;

/// The agent that a `hoop dev` has.
pub(crate) const AGENT: &str = "local";

/// What most tests share: a service, a gateway, and a role to it.
pub(crate) struct Stand {
    pub(crate) app: WebServer,
    pub(crate) gateway: Gateway,
}

/// A role without rules.
pub(crate) const PLAIN: &str = "app";

pub(crate) fn stand() -> &'static Stand {
    static STAND: OnceLock<Stand> = OnceLock::new();
    STAND.get_or_init(|| {
        let app = WebServer::start();
        let gateway = Gateway::start(&Options::default());
        role(&gateway, PLAIN, &app, |_| {});
        Stand { app, gateway }
    })
}

/// Makes a role to this service without rules; `edit` changes its definition before.
pub(crate) fn role(gateway: &Gateway, name: &str, app: &WebServer, edit: impl FnOnce(&mut Value)) {
    let mut definition = json!({
        "name": name, "agent": AGENT, "target": { "kind": "http", "url": app.url() },
        "plugins": { "masking": no_masking() },
    });
    edit(&mut definition);
    gateway.api().post("/api/v1/roles", &definition);
}

/// What a client of a role has.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// The credential's id, for revoking it.
    pub(crate) id: String,
    /// The token, as it stands in `Hoop-Token`.
    pub(crate) token: String,
    /// The same as a user and a password.
    pub(crate) user: String,
    pub(crate) password: String,
    /// The role's origin, `http://app.localhost:18888`.
    pub(crate) origin: String,
    /// The URL with user and password, as the gateway gives it.
    pub(crate) url: String,
    /// The line for a shell, as the gateway gives it.
    pub(crate) command: String,
    /// Where the door listens.
    pub(crate) address: String,
}

impl Client {
    /// The administrator's, of a role.
    pub(crate) fn new(gateway: &Gateway, role: &str) -> Self {
        Self::of(gateway.api(), role, &json!({}))
    }

    /// Of a role, for the caller of an API.
    pub(crate) fn of(api: &Api, role: &str, wish: &Value) -> Self {
        let made = api.post(&format!("/api/v1/roles/{role}/credentials"), wish);
        let text = |field: &str| made[field].as_str().unwrap_or_else(|| panic!("no {field} in {made}")).to_owned();
        let mut origin = url::Url::parse(&text("url")).expect("a URL");
        origin.set_username("").and_then(|()| origin.set_password(None)).expect("a URL of a host");
        Self {
            id: text("id"),
            token: format!("hoopw_{}.{}", text("user"), text("password")),
            user: text("user"),
            password: text("password"),
            origin: origin.origin().ascii_serialization(),
            url: text("url"),
            command: text("command"),
            address: format!("127.0.0.1:{}", made["port"]),
        }
    }

    /// `Hoop-Token` with the token, as a line of a head.
    pub(crate) fn line(&self) -> String {
        format!("Hoop-Token: {}", self.token)
    }

    /// As [`curl`](Self::curl); the status, and the body.
    pub(crate) fn ask(&self, options: &[&str], path: &str) -> (u16, String) {
        status(&[&["-H", &self.line()], options, &[&self.at(path)]].concat())
    }

    /// The URL of a path.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Gives the token back, which ends its session.
    pub(crate) fn leave(&self, gateway: &Gateway) {
        gateway.api().call(Method::DELETE, &format!("/api/v1/credentials/{}", self.id), None);
    }

    /// Opens a WebSocket with this client's token.
    pub(crate) fn websocket(&self, path: &str) -> Result<WebSocket, u16> {
        let url = self.at(path).replacen("http", "ws", 1);
        WebSocket::open(&self.address, &url, &[("hoop-token", &self.token)])
    }
}

/// `curl` without a user's settings.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(find("curl", "curl"));
    command.args(["-q", "--silent", "--show-error", "--max-time", "60", "--noproxy", "*"]).args(arguments);
    command
}

/// Runs it.
#[track_caller]
pub(crate) fn curl(arguments: &[&str]) -> Output {
    output(&mut command(arguments), b"")
}

/// Runs it, and gives status and body.
#[track_caller]
pub(crate) fn status(arguments: &[&str]) -> (u16, String) {
    let text = curl(&[&["-w", "\n%{http_code}"], arguments].concat()).ok();
    let (body, status) = text.rsplit_once('\n').expect("the status is in the last line");
    (status.parse().expect("a status"), body.to_owned())
}

/// What the audit trail has of the newest session of a role, once it has ended.
pub(crate) fn events(gateway: &Gateway, role: &str) -> Vec<Value> {
    let session = gateway.ended_session(role);
    let id = session["id"].as_str().expect("a session has an id");
    let shown = gateway.hoop(&["audit", "show", id, "-o", "json"]).ok();
    serde_json::from_str(&shown).expect("events are JSON")
}
