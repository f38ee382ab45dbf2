//! Gateways and agents, from the built binaries.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::{Api, Folder, Guarded, Output, Plan, Postgres, output, until};

/// How a gateway is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// With the sample database and its role.
    pub demo: bool,
    /// Gateway and agent as processes of their own.
    pub processes: bool,
    /// `gateway.toml`, where there is to be one.
    pub config: Option<String>,
    /// More environment variables.
    pub environment: Vec<(String, String)>,
}

/// A running `hoop dev`, reached through what it prints and its API.
#[derive(Debug)]
pub struct Gateway {
    server: Option<Guarded>,
    folder: Folder,
    options: Options,
    ready: Value,
    api: Option<Api>,
}

/// What a client of a role needs.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Its id, for revoking it.
    pub id: String,
    /// Through the gateway, without TLS.
    pub url: String,
}

/// Whether the tests run without a gateway, every client straight at its server. It shows that the tests themselves are
/// right where a direct connection is the measure.
pub fn direct_only() -> bool {
    std::env::var_os("HOOP_E2E_DIRECT").is_some()
}

impl Gateway {
    /// Starts one in a folder of its own and waits until it is ready.
    ///
    /// # Panics
    /// With its log, when it is not ready within a minute.
    pub fn start(options: &Options) -> Self {
        let folder = Folder::new("gateway");
        if let Some(config) = &options.config {
            std::fs::create_dir(folder.join("dev")).expect("an own folder takes a folder");
            std::fs::write(folder.join("dev/gateway.toml"), config).expect("an own folder takes a file");
        }
        let mut gateway = Self { server: None, folder, options: options.clone(), ready: Value::Null, api: None };
        if !direct_only() {
            gateway.start_again();
        }
        gateway
    }

    /// Starts it again in the same folder, as after a power cut.
    pub fn start_again(&mut self) {
        let words = ["dev", "--output", "json", "--port-offset", "0", "--dir"].map(str::to_owned);
        let mut command = vec![hoop().display().to_string()];
        command.extend(words);
        command.push(self.dir().display().to_string());
        command.extend(self.options.demo.then(|| "--demo".to_owned()));
        command.extend(self.options.processes.then(|| "--processes".to_owned()));
        let mut environment = gateway_environment();
        environment.extend(self.options.environment.iter().cloned());
        let folder = self.folder.path().to_owned();
        let server = self.server.insert(Guarded::start(&Plan {
            name: "hoop-dev".to_owned(),
            command,
            environment,
            stop: "TERM",
            folder,
        }));
        let ready = until(Duration::from_secs(60), "a line of hoop dev", || {
            let text = server.printed();
            let line = text.split_once('\n').map(|(line, _)| line.to_owned());
            line.or_else(|| (!server.is_alive()).then(String::new))
        });
        self.ready = serde_json::from_str(&ready)
            .unwrap_or_else(|error| panic!("hoop dev printed {ready:?}: {error}\n{}", self.log()));
        let admin =
            |field: &str| self.ready["admin"][field].as_str().expect("the line names the administrator").to_owned();
        self.api = Some(Api::sign_in(self.text("api"), &admin("user"), &admin("password")));
    }

    /// The folder of the `hoop dev`.
    pub fn dir(&self) -> PathBuf {
        self.folder.join("dev")
    }

    /// The folder of the recordings.
    pub fn recordings(&self) -> PathBuf {
        self.dir().join("recordings")
    }

    /// The line that it printed when it was ready.
    pub const fn ready(&self) -> &Value {
        &self.ready
    }

    /// Its API, signed in as the administrator.
    pub fn api(&self) -> &Api {
        self.api.as_ref().expect("the gateway was started")
    }

    /// Where PostgreSQL clients connect: host and port.
    pub fn address(&self) -> String {
        self.text("postgres").to_owned()
    }

    /// The process id of a part: `hoop`, `gateway`, `agent`, `postgres`.
    pub fn pid(&self, part: &str) -> u32 {
        let pid = self.ready["pids"][part].as_u64().unwrap_or_else(|| panic!("no pid of {part} in {}", self.ready));
        u32::try_from(pid).expect("a process id")
    }

    /// The demo's role: its URLs through the gateway and straight to the database.
    pub fn demo_urls(&self) -> (String, String) {
        let url =
            |field: &str| self.ready["roles"][0][field].as_str().expect("the line has the demo's role").to_owned();
        (url("url"), url("target_url"))
    }

    /// The server process itself.
    pub fn server(&mut self) -> &mut Guarded {
        self.server.as_mut().expect("the gateway was started")
    }

    /// Makes an agent called `name` and runs it as a process of its own; ready when it is attached.
    pub fn agent(&self, name: &str) -> Guarded {
        self.make_agent(name);
        self.run_agent(name)
    }

    /// As [`agent`](Self::agent), with a configuration file and more environment variables.
    pub fn agent_with(&self, name: &str, config: &str, environment: &[(&str, &str)]) -> Guarded {
        self.make_agent(name);
        let file = self.folder.join(format!("{name}.toml"));
        std::fs::write(&file, config).expect("an own folder takes a file");
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut environment: Vec<_> = environment.iter().map(own).collect();
        environment.push(("HOOP_AGENT_CONFIG".to_owned(), file.display().to_string()));
        self.start_agent(name, environment)
    }

    /// Runs another process of an agent that was made before, and waits until it is attached.
    pub fn run_agent(&self, name: &str) -> Guarded {
        self.start_agent(name, Vec::new())
    }

    fn make_agent(&self, name: &str) {
        let key = self.api().post("/api/v1/agents", &json!({ "name": name }));
        let key = key["key"].as_str().expect("a new agent has a key").to_owned();
        std::fs::write(self.folder.join(format!("{name}.key")), &key).expect("an own folder takes a file");
    }

    fn start_agent(&self, name: &str, more: Vec<(String, String)>) -> Guarded {
        let before = self.attached(name);
        let key = std::fs::read_to_string(self.folder.join(format!("{name}.key"))).expect("the agent was made before");
        let command = vec![hoop_agent().display().to_string(), "start".to_owned()];
        let secret = ("HOOP_SECRET_E2E".to_owned(), Postgres::password().to_owned());
        let mut environment = vec![("HOOP_KEY".to_owned(), key), secret, ("HOOP_LOG".to_owned(), "info".to_owned())];
        environment.extend(more);
        let plan = Plan {
            name: format!("agent-{name}"),
            command,
            environment,
            stop: "TERM",
            folder: self.folder.path().to_owned(),
        };
        let agent = Guarded::start(&plan);
        until(Duration::from_secs(60), "the attached agent", || {
            assert!(agent.is_alive(), "the agent ended: {}", agent.log());
            (self.attached(name) > before).then_some(())
        });
        agent
    }

    /// How many processes of an agent are attached.
    pub fn attached(&self, name: &str) -> usize {
        let agent = self.api().get(&format!("/api/v1/agents/{name}"));
        agent["attached"].as_array().map_or(0, Vec::len)
    }

    /// Makes a role through `agent` to any database of a server; `edit` changes its definition before.
    pub fn role(&self, name: &str, agent: &str, postgres: &Postgres, edit: impl FnOnce(&mut Value)) {
        let mut definition = json!({
            "name": name,
            "agent": agent,
            "target": {
                "kind": "postgres", "host": "127.0.0.1", "port": postgres.port, "user": crate::postgres::USER,
                "password": "env:HOOP_SECRET_E2E", "database": "postgres", "databases": ["*"], "sslmode": "disable",
            },
        });
        edit(&mut definition);
        self.api().post("/api/v1/roles", &definition);
    }

    /// A new credential of a role for the administrator.
    pub fn credential(&self, role: &str, database: &str) -> Credential {
        self.credential_for(self.api(), role, &json!({ "database": database }))
    }

    /// A new credential of a role for the caller of an API.
    pub fn credential_for(&self, api: &Api, role: &str, wish: &Value) -> Credential {
        let made = api.post(&format!("/api/v1/roles/{role}/credentials"), wish);
        let field = |name: &str| made[name].as_str().unwrap_or_else(|| panic!("no {name} in {made}")).to_owned();
        let url = field("url").replace("sslmode=require", "sslmode=disable");
        Credential { id: field("id"), url }
    }

    /// A new user in no group but `groups`, signed in.
    pub fn user(&self, name: &str, groups: &[&str]) -> Api {
        let password = "a long enough passphrase";
        let body = json!({ "name": name, "password": password, "groups": groups, "must_change_password": false });
        self.api().post("/api/v1/users", &body);
        Api::sign_in(self.text("api"), name, password)
    }

    /// The newest session of a role, once it has ended.
    pub fn ended_session(&self, role: &str) -> Value {
        until(Duration::from_secs(60), "the end of the session", || {
            let session = self.session(role)?;
            (!session["ended_at"].is_null()).then_some(session)
        })
    }

    /// The newest session of a role, however many of others are newer.
    fn session(&self, role: &str) -> Option<Value> {
        let mut path = "/api/v1/sessions?limit=100".to_owned();
        loop {
            let page = self.api().get(&path);
            if let Some(found) = page["items"].as_array()?.iter().find(|session| session["role"] == role) {
                return Some(found.clone());
            }
            path = format!("/api/v1/sessions?limit=100&cursor={}", page["next_cursor"].as_str()?);
        }
    }

    /// The newest sessions, newest first.
    pub fn sessions(&self) -> Vec<Value> {
        self.api().get("/api/v1/sessions?limit=100")["items"].as_array().cloned().unwrap_or_default()
    }

    /// Runs `hoop` in the gateway's folder, without the settings of whoever runs the tests.
    pub fn hoop(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(hoop());
        command.args(arguments).current_dir(self.dir()).env("XDG_CONFIG_HOME", self.dir());
        output(command.env_remove("HOOP_URL").env_remove("HOOP_CONTEXT"), b"")
    }

    /// The end of every log.
    pub fn log(&self) -> String {
        let logs = std::fs::read_dir(self.dir().join("logs")).into_iter().flatten().flatten();
        let mut text = self.server.as_ref().map(Guarded::log).unwrap_or_default();
        for log in logs.map(|entry| entry.path()).filter(|path| !path.ends_with("postgres.log")) {
            text += &format!("\n--- {}\n{}", log.display(), crate::guarded::tail(&log));
        }
        text
    }

    fn text(&self, field: &str) -> &str {
        self.ready[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", self.ready))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// The built `hoop`.
pub fn hoop() -> PathBuf {
    binaries().join("hoop")
}

/// What every gateway of a test is told.
pub fn gateway_environment() -> Vec<(String, String)> {
    // Tests must not depend on how full the machine's disk is.
    let own = [("HOOP_LOG", "info"), ("HOOP_RECORD_FREE_PERCENT", "0"), ("HOOP_RECORD_STRICT_FREE_PERCENT", "0")];
    own.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// The built `hoop-agent`.
pub fn hoop_agent() -> PathBuf {
    binaries().join("hoop-agent")
}

/// The built `hoop-gateway`.
pub fn hoop_gateway() -> PathBuf {
    binaries().join("hoop-gateway")
}

/// Where cargo puts what it builds: this test is in `target/PROFILE/deps`.
pub(crate) fn target() -> &'static Path {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    TARGET.get_or_init(|| {
        let test = std::env::current_exe().expect("a process knows its program");
        let profile = test.ancestors().find(|path| path.ends_with("debug") || path.ends_with("release"));
        let target = profile.and_then(Path::parent).expect("tests are built in target/debug or target/release");
        target.to_owned()
    })
}

/// Builds the binaries, once; nothing happens when they are up to date.
fn binaries() -> &'static Path {
    static BINARIES: OnceLock<PathBuf> = OnceLock::new();
    BINARIES.get_or_init(|| {
        if let Some(folder) = std::env::var_os("HOOP_E2E_BINARIES") {
            return folder.into();
        }
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args([
                "build",
                "--quiet",
                "-p",
                "hoop-cli",
                "-p",
                "hoop-agent-bin",
                "-p",
                "hoop-gateway-bin",
                "--target-dir",
            ])
            .arg(target());
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        let status = cargo.status().expect("cargo starts");
        assert!(status.success(), "the binaries cannot be built");
        target().join("debug")
    })
}
