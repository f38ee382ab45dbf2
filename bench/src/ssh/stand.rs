//! What is measured: a server, another one to jump over, and the gateway with its agent.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use hoop_testkit::{Api, Folder, Gateway, Options, Sshd, find, make_key, output, public_key, until};
use serde_json::{Value, json};

use crate::stand::{DIRECT, HOOP, RULES};

/// Another OpenSSH server on the way, as `ssh -J` takes it.
pub(crate) const JUMP: &str = "ProxyJump";
/// That server in the clients' configuration.
pub(super) const JUMP_HOST: &str = "jump";
/// The agent that a `hoop dev` has.
const AGENT: &str = "local";
/// Where that agent finds the key.
const SECRET: &str = "HOOP_SECRET_SSH_KEY";

/// What a detector finds.
const ADDRESS: &str = "someone@example.com";

/// A way to the server.
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// What `ssh` calls it, see [`Stand::ssh`].
    pub(super) host: &'static str,
    pub(super) user: String,
    pub(super) port: u16,
}

impl Peer {
    /// Whether the gateway is on it.
    pub(super) fn is_ours(&self) -> bool {
        [HOOP, RULES].contains(&self.name)
    }
}

/// The running servers. One key opens all of them.
pub(super) struct Stand {
    pub(super) peers: [Peer; 4],
    gateway: Gateway,
    folder: Folder,
    _servers: [Sshd; 2],
}

impl Stand {
    pub(super) fn start() -> Self {
        let folder = Folder::new("bench-ssh");
        let key = folder.join("key");
        make_key(&key, "ed25519");
        // What the shell of whoever measures does first is no part of it.
        let server = || Sshd::with(|folder| format!("SetEnv HOME={}", folder.display()));
        let servers = [server(), server()];
        servers.iter().for_each(|server| server.authorize(&public_key(&key)));
        let [target, jump] = &servers;
        let secret = std::fs::read_to_string(&key).expect("an own file can be read");
        let gateway = Gateway::start(&Options {
            processes: true,
            environment: vec![(SECRET.to_owned(), secret)],
            ..Options::default()
        });
        role(gateway.api(), "plain", target, &json!({ "detectors": {} }));
        role(gateway.api(), "rules", target, &json!({}));
        gateway.api().post("/api/v1/keys", &json!({ "public_key": public_key(&key), "name": "bench" }));
        let door = gateway.api().get("/api/v1/ssh");
        let port = door["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("the door has a port");
        let peer = |name, host, user: String, port| Peer { name, host, user, port };
        let peers = [
            peer(DIRECT, "direct", Sshd::user(), target.port),
            peer(JUMP, "jumped", Sshd::user(), target.port),
            peer(HOOP, "plain", "plain".to_owned(), port),
            peer(RULES, "rules", "rules".to_owned(), port),
        ];
        configure(&folder, &peers, jump.port);
        recognize(&folder, &servers, &door);
        let stand = Self { peers, gateway, folder, _servers: servers };
        stand.check();
        stand
    }

    /// The peers of a round. Another one begins each time, so that nobody always follows the same neighbour.
    pub(super) fn turns(&self, round: usize) -> impl Iterator<Item = usize> + use<> {
        let peers = self.peers.len();
        (0..peers).map(move |turn| (round + turn) % peers)
    }

    /// Waits until no session runs any more, so that the end of them is not measured with what comes next.
    pub(super) fn settle(&self) {
        until(Duration::from_secs(120), "the end of all sessions", || {
            let metrics = self.gateway.api().get("/metrics");
            metrics.as_str()?.lines().any(|line| line == "hoop_sessions_open 0").then_some(())
        });
    }

    /// The processes of the gateway and the agent.
    pub(super) fn own(&self) -> [(&'static str, u32); 2] {
        ["gateway", "agent"].map(|part| (part, self.gateway.pid(part)))
    }

    /// `ssh` to a host of the clients' configuration, for options or a command.
    pub(super) fn ssh(&self, host: &str) -> Command {
        let mut command = Command::new(find("ssh", "openssh-client"));
        command.arg("-F").arg(self.folder.join("config")).arg(host);
        command
    }

    pub(super) fn key(&self) -> PathBuf {
        self.folder.join("key")
    }

    pub(super) fn known_hosts(&self) -> PathBuf {
        self.folder.join("known_hosts")
    }

    /// A file of its own.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Every way leads to the server, and masks exactly where it is meant to.
    fn check(&self) {
        for peer in &self.peers {
            let printed = output(self.ssh(peer.host).arg(format!("echo {ADDRESS}")), b"").ok();
            let masked = printed.trim_end() != ADDRESS;
            assert_eq!(masked, peer.name == RULES, "{} gave {printed:?}", peer.name);
        }
    }
}

fn role(api: &Api, name: &str, target: &Sshd, masking: &Value) {
    let definition = json!({
        "name": name,
        "agent": AGENT,
        "target": {
            "kind": "ssh", "host": "127.0.0.1", "port": target.port, "user": Sshd::user(),
            "private_key": format!("env:{SECRET}"), "host_keys": [target.host_key()],
        },
        "plugins": { "masking": masking },
    });
    api.post("/api/v1/roles", &definition);
}

/// The clients' configuration: a host for each peer.
fn configure(folder: &Folder, peers: &[Peer], jump: u16) {
    let mut text = format!("Host {JUMP_HOST}\n  Port {jump}\n  User {}\n", Sshd::user());
    for Peer { name, host, user, port } in peers {
        text += &format!("Host {host}\n  Port {port}\n  User {user}\n");
        if *name == JUMP {
            text += &format!("  ProxyJump {JUMP_HOST}\n");
        }
    }
    let [key, known_hosts] = ["key", "known_hosts"].map(|name| folder.join(name).display().to_string());
    text += &format!(
        "Host *\n  HostName 127.0.0.1\n  IdentityFile {key}\n  IdentitiesOnly yes\n  BatchMode yes\n  \
        UserKnownHostsFile {known_hosts}\n  LogLevel ERROR\n"
    );
    std::fs::write(folder.join("config"), text).expect("an own folder takes a file");
}

/// What every server is recognized by.
fn recognize(folder: &Folder, servers: &[Sshd], door: &Value) {
    let read = |server: &Sshd| std::fs::read_to_string(server.known_hosts()).expect("a server has the file");
    let mut text: String = servers.iter().map(read).collect();
    for line in door["known_hosts"].as_array().expect("the door has keys") {
        text += &format!("{}\n", line.as_str().expect("a line"));
    }
    std::fs::write(folder.join("known_hosts"), text).expect("an own folder takes a file");
}
