//! What is measured: a server, proxies in front of it, and the gateway with its agent.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use hoop_testkit::wire::Wire;
use hoop_testkit::{Folder, Gateway, Guarded, Options, Plan, Postgres, find, free_port, output, retry};
use nix::unistd::Uid;
use serde_json::{Value, json};

/// The rows of pgbench's tables are 100,000 times this; with more, mapping them would take the server's processes longer than they
/// are measured.
const SCALE: &str = "1";
const AGENT: &str = "bench";

/// A way to the database.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) url: String,
}

/// The names of the ways, in the order of the report.
pub(crate) const DIRECT: &str = "direct";
pub(crate) const PGBOUNCER: &str = "pgbouncer";
pub(crate) const CHAINED: &str = "2 pgbouncers";
pub(crate) const HAPROXY: &str = "haproxy";
/// As many hops as the gateway with its agent, which do nothing but forward.
pub(crate) const RELAYS: &str = "2 relays";
/// Audit alone.
pub(crate) const HOOP: &str = "hoop";
/// Audit, masking with every built-in detector and a column, and a guardrail.
pub(crate) const RULES: &str = "hoop, all rules";

/// The running servers.
pub(crate) struct Stand {
    pub(crate) peers: Vec<Peer>,
    pub(crate) postgres: Postgres,
    pub(crate) gateway: Gateway,
    pub(crate) agent: Guarded,
    pub(crate) database: String,
    _proxies: Vec<Guarded>,
    _folder: Folder,
}

impl Stand {
    pub(crate) fn start() -> Self {
        let postgres = Postgres::start();
        let database = postgres.database();
        fill(&postgres.url(&database));
        let folder = Folder::new("bench");
        let (one, first) = pgbouncer(folder.path(), "pgbouncer-1", postgres.port);
        let (two, second) = pgbouncer(folder.path(), "pgbouncer-2", first);
        let (three, third) = haproxy(folder.path(), postgres.port);
        let (four, fourth) = relay(folder.path(), "relay-1", postgres.port);
        let (five, fifth) = relay(folder.path(), "relay-2", fourth);
        let gateway = Gateway::start(&Options { processes: true, ..Options::default() });
        let agent = gateway.agent(AGENT);
        gateway.role("plain", AGENT, &postgres, |role| role["plugins"] = plain());
        gateway.role("rules", AGENT, &postgres, |role| role["plugins"] = rules());
        let proxy = |port| straight(port, &database);
        let role = |name| gateway.credential(name, &database).url;
        let peers = [
            (DIRECT, postgres.url(&database)),
            (PGBOUNCER, proxy(first)),
            (CHAINED, proxy(second)),
            (HAPROXY, proxy(third)),
            (RELAYS, proxy(fifth)),
            (HOOP, role("plain")),
            (RULES, role("rules")),
        ];
        let peers: Vec<_> = peers.into_iter().map(|(name, url)| Peer { name, url }).collect();
        for peer in &peers {
            let ready = retry(Duration::from_secs(20), || Wire::login(&peer.url));
            ready.unwrap_or_else(|error| panic!("{} is not ready: {error}", peer.name));
        }
        Self { peers, postgres, gateway, agent, database, _proxies: vec![one, two, three, four, five], _folder: folder }
    }

    /// The processes of the gateway and the agent.
    pub(crate) fn own(&self) -> [(&'static str, u32); 2] {
        [("gateway", self.gateway.pid("gateway")), ("agent", self.agent.pid)]
    }

    /// Straight to the server, for what prepares a measurement.
    pub(crate) fn direct(&self) -> String {
        self.postgres.url(&self.database)
    }
}

fn plain() -> Value {
    json!({ "masking": { "detectors": {} } })
}

fn rules() -> Value {
    json!({
        "masking": { "columns": [{ "column": "customers.ssn" }] },
        "guardrail": { "rules": [{ "name": "no-drop", "kinds": ["drop_table", "truncate"] }] },
    })
}

/// pgbench's tables.
fn fill(url: &str) {
    let mut command = std::process::Command::new(find("pgbench", "postgresql"));
    output(command.args(["--initialize", "--quiet", "--scale", SCALE, url]), b"").ok();
}

fn straight(port: u16, database: &str) -> String {
    format!("postgresql://{}:{}@127.0.0.1:{port}/{database}?sslmode=disable", Postgres::user(), Postgres::password())
}

/// One that gives every client a connection of its own, so that it does what a gateway must do.
fn pgbouncer(folder: &Path, name: &str, server: u16) -> (Guarded, u16) {
    let port = free_port();
    let users = folder.join("users.txt");
    write(&users, &format!("\"{}\" \"{}\"\n", Postgres::user(), Postgres::password()));
    let mut settings = format!(
        "[databases]\n* = host=127.0.0.1 port={server}\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
        unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = session\nmax_client_conn = 1000\n\
        default_pool_size = 100\nignore_startup_parameters = extra_float_digits\n",
        users.display()
    );
    if Uid::effective().is_root() {
        // It refuses to run as root.
        let _ = writeln!(settings, "user = postgres");
    }
    let file = folder.join(format!("{name}.ini"));
    write(&file, &settings);
    (run(folder, name, "pgbouncer", &[&file.display().to_string()]), port)
}

/// One that forwards bytes and knows nothing of them.
fn haproxy(folder: &Path, server: u16) -> (Guarded, u16) {
    let port = free_port();
    let file = folder.join("haproxy.cfg");
    let settings = format!(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
        listen postgres\n  bind 127.0.0.1:{port}\n  server target 127.0.0.1:{server}\n"
    );
    write(&file, &settings);
    (run(folder, "haproxy", "haproxy", &["-db", "-f", &file.display().to_string()]), port)
}

fn relay(folder: &Path, name: &str, to: u16) -> (Guarded, u16) {
    let port = free_port();
    let this = std::env::current_exe().expect("a program that runs");
    (start(folder, name, &this, &["relay", &port.to_string(), &to.to_string()]), port)
}

fn run(folder: &Path, name: &str, program: &str, arguments: &[&str]) -> Guarded {
    start(folder, name, &find(program, program), arguments)
}

fn start(folder: &Path, name: &str, program: &Path, arguments: &[&str]) -> Guarded {
    let mut command = vec![program.display().to_string()];
    command.extend(arguments.iter().map(|&argument| argument.to_owned()));
    Guarded::start(&Plan {
        name: name.to_owned(),
        command,
        environment: Vec::new(),
        stop: "TERM",
        folder: folder.to_owned(),
    })
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("an own folder takes a file");
}
