//! Services that several of these tests ask, straight and through one gateway, each with a role of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::Duration;

use hoop_testkit::{Grpc, HttpEcho, Nginx, Node, Uvicorn};
use serde_json::json;

use super::{AGENT, Client, stand, unmasked};

/// The services.
pub(crate) struct Services {
    pub(crate) nginx: Nginx,
    pub(crate) node: Node,
    pub(crate) uvicorn: Uvicorn,
    pub(crate) echo: HttpEcho,
    pub(crate) grpc: Grpc,
}

/// Starts them once; their roles are `nginx`, `node`, `uvicorn`, `echo` and `grpc`.
pub(crate) fn services() -> &'static Services {
    static SERVICES: OnceLock<Services> = OnceLock::new();
    SERVICES.get_or_init(|| {
        let services = Services {
            nginx: Nginx::start(),
            node: Node::start(),
            uvicorn: Uvicorn::start(),
            echo: HttpEcho::start(),
            grpc: Grpc::start(),
        };
        let Services { nginx, node, uvicorn, echo, grpc } = &services;
        for (name, url) in [
            ("nginx", nginx.url()),
            ("node", node.url()),
            ("uvicorn", uvicorn.url()),
            ("echo", echo.url()),
            ("grpc", grpc.url()),
        ] {
            let target = json!({ "kind": "http", "url": url });
            stand().gateway.api().post(
                "/api/v1/roles",
                &json!({ "name": name, "agent": AGENT, "target": target, "plugins": unmasked() }),
            );
        }
        services
    })
}

/// The administrator's client of one of their roles.
pub(crate) fn client(role: &str) -> Client {
    services();
    Client::new(&stand().gateway, role)
}

/// How long anything of a raw connection may take.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A connection to a door, over which a test says what no client would.
pub(crate) fn dial(address: &str) -> TcpStream {
    let io = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    io.set_read_timeout(Some(SOON)).and_then(|()| io.set_write_timeout(Some(SOON))).expect("a socket takes a deadline");
    io
}

/// Says this, and gives all that is answered until the other end closes.
pub(crate) fn say(address: &str, bytes: &[u8]) -> String {
    let mut io = dial(address);
    io.write_all(bytes).unwrap_or_else(|error| panic!("{address}: {error}"));
    let mut said = Vec::new();
    // A reset after the answer leaves the answer.
    let _ = io.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}
