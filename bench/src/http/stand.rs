//! What is measured: two services, nginx in front of them, and the gateway with its agent.

use std::path::Path;
use std::time::Duration;

use hoop_testkit::{Api, Folder, Gateway, Guarded, Options, Plan, find, free_port, until};
use serde_json::{Value, json};

use super::server::ADDRESS;
use crate::stand::{DIRECT, HOOP, RULES};

/// A reverse proxy that keeps its connections to the service.
pub(crate) const NGINX: &str = "nginx";
/// The names of the ways, in the order of the report.
pub(super) const NAMES: [&str; 4] = [DIRECT, NGINX, HOOP, RULES];
/// The agent that a `hoop dev` has.
const AGENT: &str = "local";

/// A way to the services.
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// Where HTTP/1.1 is spoken …
    pub(super) port: u16,
    /// … HTTP/2 …
    pub(super) http2_port: u16,
    /// … and gRPC.
    pub(super) grpc_port: u16,
    /// What the gateway knows the role by.
    pub(super) token: Option<String>,
    pub(super) grpc_token: Option<String>,
}

impl Peer {
    /// Whether the gateway is on it.
    pub(super) fn is_ours(&self) -> bool {
        is_ours(self.name)
    }
}

pub(super) fn is_ours(name: &str) -> bool {
    [HOOP, RULES].contains(&name)
}

/// The running servers.
pub(super) struct Stand {
    pub(super) peers: [Peer; 4],
    gateway: Gateway,
    _servers: [Guarded; 3],
    _folder: Folder,
}

impl Stand {
    pub(super) fn start() -> Self {
        let folder = Folder::new("bench-http");
        let [http, grpc, proxy, proxy2] = [(); 4].map(|()| free_port());
        let servers = [
            service(folder.path(), "serve-http", http),
            service(folder.path(), "serve-grpc", grpc),
            nginx(folder.path(), [proxy, proxy2], [http, grpc]),
        ];
        let gateway = Gateway::start(&Options {
            processes: true,
            // WebSockets by the thousand are one session here.
            config: Some("[limits]\nhttp_exchanges = 20000\n".to_owned()),
            ..Options::default()
        });
        let door = gateway.ready()["proxy"].as_str().and_then(|address| address.rsplit(':').next()?.parse().ok());
        let door = door.expect("the door has a port");
        let token = |name: &str, port, masking: Value| Some(role(&gateway, name, port, &masking));
        let straight = |name, port, http2_port, grpc_port| Peer {
            name,
            port,
            http2_port,
            grpc_port,
            token: None,
            grpc_token: None,
        };
        let peers = [
            straight(DIRECT, http, http, grpc),
            straight(NGINX, proxy, proxy2, proxy2),
            Peer {
                token: token("plain", http, json!({ "detectors": {} })),
                grpc_token: token("plain-calls", grpc, json!({ "detectors": {} })),
                ..straight(HOOP, door, door, door)
            },
            Peer {
                token: token("rules", http, json!({})),
                grpc_token: token("rules-calls", grpc, json!({})),
                ..straight(RULES, door, door, door)
            },
        ];
        let stand = Self { peers, gateway, _servers: servers, _folder: folder };
        stand.check();
        stand
    }

    /// The peers of a round. Another one begins each time, so that nobody always follows the same neighbour.
    pub(super) fn turns(&self, round: usize) -> impl Iterator<Item = usize> + use<> {
        let peers = self.peers.len();
        (0..peers).map(move |turn| (round + turn) % peers)
    }

    /// The processes of the gateway and the agent.
    pub(super) fn own(&self) -> [(&'static str, u32); 2] {
        ["gateway", "agent"].map(|part| (part, self.gateway.pid(part)))
    }

    /// Every way leads to the service, and masks only where it is meant to.
    fn check(&self) {
        for peer in &self.peers {
            let answer = peer.get("/contact");
            let masked = !String::from_utf8_lossy(&answer.text).contains(ADDRESS);
            assert!(!masked || peer.name == RULES, "{} gave {:?}", peer.name, answer.text);
            if !masked && peer.name == RULES {
                eprintln!("{RULES}: this gateway does not mask the bodies of answers");
            }
        }
    }
}

/// Makes a role for a service, and gives the token of a credential of it.
fn role(gateway: &Gateway, name: &str, port: u16, masking: &Value) -> String {
    let definition = json!({
        "name": name,
        "agent": AGENT,
        "target": { "kind": "http", "url": format!("http://127.0.0.1:{port}") },
        "plugins": { "masking": masking },
    });
    let api: &Api = gateway.api();
    api.post("/api/v1/roles", &definition);
    // http://user:password@role.host:port/
    let url = gateway.credential_for(api, name, &json!({})).url;
    let known = url.split_once("://").and_then(|(_, rest)| rest.split_once('@')?.0.split_once(':'));
    let (user, password) = known.unwrap_or_else(|| panic!("no user and password in the URL of {name}"));
    format!("hoopw_{user}.{password}")
}

/// This program, as a service.
fn service(folder: &Path, command: &str, port: u16) -> Guarded {
    let this = std::env::current_exe().expect("a program that runs").display().to_string();
    started(folder, command, &[this, command.to_owned(), port.to_string()], port)
}

/// A port for HTTP/1.1, and one for HTTP/2, in front of a service and one of gRPC.
fn nginx(folder: &Path, [port, http2]: [u16; 2], [http, grpc]: [u16; 2]) -> Guarded {
    let own = folder.display();
    let upstream = |name, port| {
        format!("upstream {name} {{ server 127.0.0.1:{port}; keepalive 128; keepalive_requests 1000000000; }}\n")
    };
    let settings = format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {own}/nginx.pid;\nerror_log stderr error;\n\
        events {{ worker_connections 1024; }}\nhttp {{\naccess_log off;\ntcp_nodelay on;\n\
        keepalive_requests 1000000000;\nclient_max_body_size 0;\nproxy_http_version 1.1;\n\
        proxy_set_header Connection \"\";\nproxy_buffering off;\nproxy_request_buffering off;\n\
        client_body_temp_path {own}/body;\nproxy_temp_path {own}/proxy;\nfastcgi_temp_path {own}/fastcgi;\n\
        uwsgi_temp_path {own}/uwsgi;\nscgi_temp_path {own}/scgi;\n{}{}\
        server {{\nlisten 127.0.0.1:{port};\nlocation / {{ proxy_pass http://service; }}\n}}\n\
        server {{\nlisten 127.0.0.1:{http2} http2;\nlocation / {{ proxy_pass http://service; }}\n\
        location /shop.v1. {{ grpc_pass grpc://calls; }}\n}}\n}}\n",
        upstream("service", http),
        upstream("calls", grpc),
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, settings).expect("an own folder takes a file");
    let program = find("nginx", "nginx-light").display().to_string();
    let words = [&program, "-p", &own.to_string(), "-c", &file.display().to_string(), "-e", "stderr"];
    started(folder, "nginx", &words.map(str::to_owned), port)
}

fn started(folder: &Path, name: &str, command: &[String], port: u16) -> Guarded {
    let server = Guarded::start(&Plan {
        name: name.to_owned(),
        command: command.to_vec(),
        environment: Vec::new(),
        stop: "TERM",
        folder: folder.to_owned(),
    });
    until(Duration::from_secs(20), name, || {
        assert!(server.is_alive(), "{name} ended: {}", server.log());
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    server
}
