//! What most tests share: a server, a gateway, an agent and a few roles. Tests have sessions and databases of their own.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hoop_testkit::{Gateway, Guarded, Options, Postgres, direct_only, until};
use serde_json::{Value, json};

/// The shared servers.
pub(crate) struct Stand {
    pub(crate) postgres: Postgres,
    pub(crate) gateway: Gateway,
    pub(crate) agent: Option<Guarded>,
}

/// The same database twice: straight, and through the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) direct: String,
    pub(crate) gateway: String,
    pub(crate) database: String,
}

/// No rule at all.
pub(crate) const PLAIN: &str = "plain";
/// Every built-in detector, and a rule for one column.
pub(crate) const MASKED: &str = "masked";
/// No masking, and `drop table` is refused.
pub(crate) const GUARDED: &str = "guarded";
/// The agent of these roles.
pub(crate) const AGENT: &str = "shared";
/// The name of the rule that refuses.
pub(crate) const RULE: &str = "no-drop-table";

pub(crate) fn no_masking() -> Value {
    json!({ "detectors": {} })
}

pub(crate) fn guardrail() -> Value {
    json!({ "rules": [{ "name": RULE, "kinds": ["drop_table"], "hint": "ask the owner of the table" }] })
}

/// The shared servers, started by the first test that asks.
pub(crate) fn stand() -> &'static Stand {
    static STAND: OnceLock<Stand> = OnceLock::new();
    STAND.get_or_init(|| {
        let postgres = Postgres::start();
        let gateway = Gateway::start(&Options { processes: true, ..Options::default() });
        if direct_only() {
            return Stand { postgres, gateway, agent: None };
        }
        let agent = gateway.agent(AGENT);
        gateway.role(PLAIN, AGENT, &postgres, |role| role["plugins"] = json!({ "masking": no_masking() }));
        let ssn = json!([{ "column": "customers.ssn" }]);
        gateway.role(MASKED, AGENT, &postgres, |role| role["plugins"] = json!({ "masking": { "columns": ssn } }));
        gateway.role(GUARDED, AGENT, &postgres, |role| {
            role["plugins"] = json!({ "masking": no_masking(), "guardrail": guardrail() });
        });
        Stand { postgres, gateway, agent: Some(agent) }
    })
}

impl Stand {
    /// A database through a role.
    pub(crate) fn target(&self, role: &str, database: &str) -> Target {
        let direct = self.postgres.url(database);
        let gateway = if direct_only() { direct.clone() } else { self.gateway.credential(role, database).url };
        Target { direct, gateway, database: database.to_owned() }
    }

    /// A copy of the zoo through a role.
    pub(crate) fn zoo(&self, role: &str) -> Target {
        static ZOO: OnceLock<String> = OnceLock::new();
        let zoo = ZOO.get_or_init(|| self.postgres.database_from(&fixture("zoo.sql")));
        self.target(role, &self.postgres.copy_of(zoo))
    }

    /// Runs something on two equal copies of the zoo, first straight and then through a role, and asserts that it gave
    /// the same. Two copies, so that what a first run changes does not show in the second.
    #[track_caller]
    pub(crate) fn same_in_the_zoo(&self, role: &str, run: impl Fn(&str) -> String) -> String {
        let (straight, through) = (self.zoo(role), self.zoo(role));
        let [expected, got] = [(straight.direct, straight.database), (through.gateway, through.database)]
            .map(|(url, database)| run(&url).replace(&database, "DATABASE"));
        same(&expected, &got);
        expected
    }

    /// A new database with the canaries, through a role.
    pub(crate) fn secrets(&self, role: &str) -> Target {
        self.target(role, &self.postgres.database_from(&fixture("secret.sql")))
    }

    /// The ended session on a database.
    pub(crate) fn ended_session(&self, database: &str) -> Value {
        ended_session(&self.gateway, database)
    }
}

/// The newest session on a database, once it has ended.
pub(crate) fn ended_session(gateway: &Gateway, database: &str) -> Value {
    until(std::time::Duration::from_secs(60), "the end of the session", || {
        let session = gateway.sessions().into_iter().find(|session| session["database"] == database)?;
        (!session["ended_at"].is_null()).then_some(session)
    })
}

pub(crate) fn id(session: &Value) -> String {
    session["id"].as_str().expect("a session has an id").to_owned()
}

/// The file with the recording of a session.
pub(crate) fn recording(gateway: &Gateway, session: &str) -> PathBuf {
    let mut found = Vec::new();
    files(&gateway.recordings(), &mut found);
    let named = found.into_iter().find(|path| path.to_string_lossy().contains(session));
    named.unwrap_or_else(|| panic!("no recording of {session}"))
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

pub(crate) fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Asserts that two texts are the same, and shows the first lines that differ.
#[track_caller]
pub(crate) fn same(direct: &str, gateway: &str) {
    if direct == gateway {
        return;
    }
    let mut pairs = direct.lines().zip(gateway.lines()).enumerate();
    match pairs.find(|(_, (a, b))| a != b) {
        Some((line, (a, b))) => panic!("line {} differs\ndirect:  {}\ngateway: {}", line + 1, short(a), short(b)),
        None => panic!("direct has {} lines, gateway {}", direct.lines().count(), gateway.lines().count()),
    }
}

fn short(line: &str) -> String {
    line.chars().take(2000).collect()
}
