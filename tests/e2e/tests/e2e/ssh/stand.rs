//! What the tests of SSH share: a server, a gateway, and the options of OpenSSH's clients.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use hoop_testkit::{Api, Folder, Gateway, Options, Output, Sshd, Terminal, find, make_key, output};
use serde_json::{Value, json};

/// The agent that a `hoop dev` has.
pub(crate) const AGENT: &str = "local";
/// Where that agent finds the key.
pub(crate) const SECRET: &str = "HOOP_SECRET_SSH_KEY";

/// What most tests share: a server, a gateway, and a user with a key.
pub(crate) struct Stand {
    pub(crate) sshd: Sshd,
    pub(crate) gateway: Gateway,
    pub(crate) client: Client,
}

/// A user's end: a key, and what the gateway is recognized by.
pub(crate) struct Client {
    pub(crate) folder: Folder,
    pub(crate) port: u16,
}

/// Everything that is allowed by default.
pub(crate) const PLAIN: &str = "plain";
/// Everything that can be forwarded, too.
pub(crate) const OPEN: &str = "open";

pub(crate) fn stand() -> &'static Stand {
    static STAND: OnceLock<Stand> = OnceLock::new();
    STAND.get_or_init(|| {
        let sshd = Sshd::start();
        let gateway = gateway(&sshd);
        role(&gateway, PLAIN, &sshd, |_| {});
        role(&gateway, OPEN, &sshd, |target| {
            target["allow"] = json!({
                "direct_tcpip": ["*:*"], "direct_streamlocal": ["*"], "tcpip_forward": ["*:*"], "agent_forwarding": true,
                "environment": ["LANG", "LC_*", "HOOP_*"],
            });
        });
        let client = Client::new(&gateway);
        Stand { sshd, gateway, client }
    })
}

/// A gateway whose agent has the key of this server.
pub(crate) fn gateway(sshd: &Sshd) -> Gateway {
    gateway_with(sshd, None)
}

/// Such a gateway with a file of its own.
pub(crate) fn gateway_with(sshd: &Sshd, config: Option<&str>) -> Gateway {
    let key = std::fs::read_to_string(sshd.private_key()).expect("the server's key can be read");
    let environment = vec![(SECRET.to_owned(), key)];
    Gateway::start(&Options { config: config.map(str::to_owned), environment, ..Options::default() })
}

/// Makes a role to this server; `edit` changes its target before.
pub(crate) fn role(gateway: &Gateway, name: &str, sshd: &Sshd, edit: impl FnOnce(&mut Value)) {
    let mut target = json!({
        "kind": "ssh", "host": "127.0.0.1", "port": sshd.port, "user": Sshd::user(),
        "private_key": format!("env:{SECRET}"), "host_keys": [sshd.host_key()],
    });
    edit(&mut target);
    gateway.api().post("/api/v1/roles", &json!({ "name": name, "agent": AGENT, "target": target }));
}

impl Client {
    /// The administrator's, with a new key.
    pub(crate) fn new(gateway: &Gateway) -> Self {
        Self::of(gateway.api())
    }

    /// That of the caller of an API, with a new key.
    pub(crate) fn of(api: &Api) -> Self {
        let folder = Folder::new("ssh-client");
        let key = folder.join("key");
        make_key(&key, "ed25519");
        let line = hoop_testkit::public_key(&key);
        api.post("/api/v1/keys", &json!({ "public_key": line, "name": "tests" }));
        let door = api.get("/api/v1/ssh");
        let lines = door["known_hosts"].as_array().expect("the door has keys").iter();
        let lines: String = lines.map(|line| format!("{}\n", line.as_str().expect("a line"))).collect();
        std::fs::write(folder.join("known_hosts"), lines).expect("an own folder takes a file");
        let port = door["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("the door has a port");
        Self { folder, port }
    }

    /// The options that every OpenSSH client takes.
    pub(crate) fn options(&self) -> Vec<String> {
        let known_hosts = self.folder.join("known_hosts").display().to_string();
        let key = self.folder.join("key").display().to_string();
        let option = |text: String| ["-o".to_owned(), text];
        let mut options = vec!["-F".to_owned(), "none".to_owned()];
        options.extend(option("BatchMode=yes".to_owned()));
        options.extend(option("IdentitiesOnly=yes".to_owned()));
        options.extend(option(format!("IdentityFile={key}")));
        options.extend(option(format!("UserKnownHostsFile={known_hosts}")));
        options.extend(option(format!("Port={}", self.port)));
        options
    }

    /// `ssh` with these options, to a role.
    pub(crate) fn ssh(&self, options: &[&str], role: &str) -> Command {
        let mut command = Command::new(find("ssh", "openssh-client"));
        command.args(self.options()).args(options).arg(format!("{role}@127.0.0.1"));
        command
    }

    /// Runs a command on a role.
    #[track_caller]
    pub(crate) fn run(&self, role: &str, command: &str) -> Output {
        output(self.ssh(&[], role).arg(command), b"")
    }

    /// `ssh` as one line for a shell.
    pub(crate) fn line(&self, options: &str, role: &str) -> String {
        let words = self.options().join("' '");
        format!("ssh '{words}' {options} {role}@127.0.0.1")
    }

    /// A shell on a role, at a terminal.
    pub(crate) fn terminal(&self, role: &str, command: &str) -> Terminal {
        Terminal::start(&format!("stty rows 24 cols 80; {} {command}", self.line("-tt", role)))
    }
}

/// What the audit trail has of the newest session of a role.
pub(crate) fn events(gateway: &Gateway, role: &str) -> Vec<Value> {
    let session = gateway.ended_session(role);
    let id = session["id"].as_str().expect("a session has an id");
    let shown = gateway.hoop(&["audit", "show", id, "-o", "json"]).ok();
    serde_json::from_str(&shown).expect("events are JSON")
}

pub(crate) fn of_kind<'a>(events: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["kind"] == kind)
}

/// A file with bytes that do not compress.
pub(crate) fn file(path: &Path, bytes: usize) -> PathBuf {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut content = Vec::with_capacity(bytes + 8);
    while content.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(bytes);
    std::fs::write(path, content).expect("a test's folder takes a file");
    path.to_owned()
}
