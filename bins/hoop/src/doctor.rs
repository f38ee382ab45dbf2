//! `hoop doctor`: what is set and where, what works, and what to do about what does not.

mod ssh;

use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::{TcpStream, lookup_host};
use tokio::process::Command;
use url::Url;

use crate::api::Api;
use crate::completions;
use crate::connect::program;
use crate::credentials::better_host;
use crate::failure::Failure;
use crate::gateway::{Gateway, Remote, is_loopback};
use crate::output::{self, Format, text};
use crate::shell::{Shell, variable};
use crate::trust::{self, Trust};

/// How long each look may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much the clocks may differ: tokens and credentials are good for a time.
const SKEW: TimeDelta = TimeDelta::seconds(60);

#[derive(Args)]
pub(crate) struct Options {
    /// Also logs in to the machine of this SSH role, with a credential that is taken back: a session like any other.
    #[arg(long, value_name = "ROLE", add = completions::roles())]
    role: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    /// It may be as it is.
    Note,
    Broken,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Broken => "broken",
        }
    }
}

/// What was found, in order; each is told as soon as it is known.
struct Findings {
    format: Format,
    all: Vec<Value>,
    /// The exit code of the first that is broken.
    code: Option<u8>,
}

pub(crate) async fn run(options: Options, shell: &Shell) -> Result<(), Failure> {
    let mut findings = Findings { format: shell.format, all: Vec::new(), code: None };
    settings(&mut findings, shell)?;
    let role = options.role.as_deref();
    match shell.gateway() {
        Ok(Gateway::Remote(remote)) => gateway(&mut findings, &remote, role).await?,
        Ok(Gateway::Dev { folder, place }) => {
            findings.ok("gateway", format!("{} (hoop dev in {})", place.api, folder.display()))?;
            reachable(&mut findings, &place.api, &Trust::default()).await?;
            match Api::of(&place).await {
                Ok(api) => {
                    findings.ok("login", format!("{}, with the password in the folder", place.admin.user))?;
                    ssh::look(&mut findings, &api, role).await?;
                    web(&mut findings, &api).await?;
                }
                Err(failure) => findings.broken("login", &failure)?,
            }
        }
        Err(failure) => findings.broken("gateway", &failure)?,
    }
    clients(&mut findings).await?;
    findings.end()
}

/// Where each setting came from.
fn settings(findings: &mut Findings, shell: &Shell) -> Result<(), Failure> {
    match (shell.files.config_path(), shell.files.config()) {
        (Ok(path), Ok(config)) => {
            let there =
                if path.exists() { format!("contexts: {}", config.contexts.len()) } else { "not there yet".to_owned() };
            findings.ok("file", format!("{} ({there})", path.display()))?;
        }
        (Ok(_), Err(failure)) | (Err(failure), _) => findings.broken("file", &failure)?,
    }
    for name in ["HOOP_URL", "HOOP_CONTEXT", "HOOP_CA_FILE", "HOOP_OUTPUT", "HOOP_ALLOW_HTTP"] {
        if let Some(value) = variable(name) {
            findings.note(name, format!("{value} (from the environment)"), "")?;
        }
    }
    if variable("HOOP_TOKEN").is_some() {
        findings.note("HOOP_TOKEN", "set (from the environment)".to_owned(), "")?;
    }
    Ok(())
}

async fn gateway(findings: &mut Findings, remote: &Remote, role: Option<&str>) -> Result<(), Failure> {
    findings.ok("gateway", format!("{} (from {})", remote.url, remote.url_origin))?;
    if let Some(origin) = &remote.trust_origin {
        let trust = match (&remote.trust.fingerprint, &remote.trust.ca_file) {
            (Some(pin), _) => pin.to_string(),
            (None, Some(file)) => format!("authorities in {}", file.display()),
            (None, None) => String::new(),
        };
        findings.ok("certificate", format!("{trust} (from {origin})"))?;
    }
    if reachable(findings, &remote.url, &remote.trust).await? == State::Broken {
        return Ok(());
    }
    let Some((_, origin)) = &remote.token else {
        let failure = Failure::new(Failure::NOT_SIGNED_IN, "nobody is signed in");
        return findings.broken("login", &failure.hint(format!("hoop login {}", remote.url)));
    };
    let api = Api::of_remote(remote)?;
    match api.get("/api/v1/me").await {
        Ok(me) if me["must_change_password"] == true => {
            let failure = Failure::new(Failure::DENIED, "the password must be changed first");
            findings.broken("login", &failure.hint("hoop login asks for a new one"))
        }
        Ok(me) => {
            findings.ok("login", format!("{}, {} (token from {origin})", text(&me, "name"), text(&me, "kind")))?;
            ssh::look(findings, &api, role).await?;
            web(findings, &api).await
        }
        Err(failure) => findings.broken("login", &failure),
    }
}

/// Whether browsers and programs of this machine reach web apps. `hoop connect` has another way.
async fn web(findings: &mut Findings, api: &Api) -> Result<(), Failure> {
    // An older gateway has none.
    let Ok(door) = api.get("/api/v1/web").await else { return Ok(()) };
    let (origin, listens) = (text(&door, "origin"), text(&door, "host"));
    let url = Url::parse(&origin.replace("{role}.", ""))?;
    let (host, port) = match url.host_str() {
        Some(host) if !is_loopback(&url) => (host.to_owned(), url.port_or_known_default()),
        _ => (
            better_host(&listens, api.base()).unwrap_or(listens),
            door["port"].as_u64().and_then(|port| port.try_into().ok()),
        ),
    };
    let dialled = TcpStream::connect((host.trim_matches(['[', ']']), port.unwrap_or_default()));
    match tokio::time::timeout(PATIENCE, dialled).await {
        Ok(Ok(_)) => findings.ok("web apps", origin),
        _ => {
            let text = format!("{origin}: {host} does not answer");
            findings.note("web apps", text, "hoop connect goes through the gateway's port 8010; browsers alone do not")
        }
    }
}

/// From the name to the answer: the first step that fails is the one to look at.
async fn reachable(findings: &mut Findings, url: &str, trust: &Trust) -> Result<State, Failure> {
    let parsed = Url::parse(url)?;
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = parsed.port_or_known_default().unwrap_or(443);
    let Some(found) =
        findings.step("name", lookup_host((host.as_str(), port)), "check the URL, and this machine's DNS").await?
    else {
        return Ok(State::Broken);
    };
    let addresses: Vec<_> = found.map(|address| address.ip().to_string()).collect();
    findings.ok("name", format!("{host} is {}", addresses.join(", ")))?;
    let hint = "is the gateway running, and is there a firewall or VPN in between?";
    if findings.step("port", TcpStream::connect((host.as_str(), port)), hint).await?.is_none() {
        return Ok(State::Broken);
    }
    findings.ok("port", format!("{port} is open"))?;
    let api = Api::new(url, trust)?;
    match api.send(Method::GET, "/readyz", None).await {
        Ok(answer) => {
            if parsed.scheme() == "https" {
                findings.ok("TLS", "the certificate is the right one".to_owned())?;
            }
            clock(findings, answer.headers().get("date").and_then(|date| date.to_str().ok()))?;
            let ready: Value = answer.json().await.unwrap_or_default();
            let version = ready["version"].as_str().map(|version| format!(", version {version}")).unwrap_or_default();
            findings.ok("gateway", format!("takes sessions{version}"))?;
            Ok(State::Ok)
        }
        Err(failure) => {
            match (parsed.scheme(), trust::shown(&host, port).await) {
                ("https", Ok(shown)) if failure.is_unavailable() => {
                    let text = format!("{failure}; its certificate is {shown}");
                    let hint =
                        "compare it with what its operator says; then hoop login with --ca-file or --fingerprint";
                    findings.broken("TLS", &Failure::new(failure.code(), text).hint(hint))?;
                }
                _ => findings.broken("gateway", &failure)?,
            }
            Ok(State::Broken)
        }
    }
}

fn clock(findings: &mut Findings, date: Option<&str>) -> Result<(), Failure> {
    let Some(theirs) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) else { return Ok(()) };
    let skew = Utc::now().signed_duration_since(theirs);
    // What the gateway says has no fractions of a second.
    match skew.abs() > SKEW {
        false => findings.ok("clock", "as the gateway's".to_owned()),
        true => {
            let text = format!("{} s away from the gateway's", skew.num_seconds());
            findings.note("clock", text, "set the clock; credentials are good for a time")
        }
    }
}

async fn clients(findings: &mut Findings) -> Result<(), Failure> {
    client(findings, "psql", "apt-get install postgresql-client; hoop exec works without").await?;
    client(findings, "curl", "apt-get install curl; hoop connect --listen works without").await
}

async fn client(findings: &mut Findings, name: &str, install: &str) -> Result<(), Failure> {
    let Some(path) = program(name) else {
        return findings.note(name, "not installed".to_owned(), install);
    };
    let mut command = Command::new(&path);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(said)) if said.status.success() => {
            let said = String::from_utf8_lossy(&said.stdout);
            let first = said.lines().next().unwrap_or_default().trim();
            findings.ok(name, format!("{first} ({})", path.display()))
        }
        _ => findings.note(name, format!("{} does not say its version", path.display()), "install it again"),
    }
}

impl Findings {
    fn ok(&mut self, what: &str, found: String) -> Result<(), Failure> {
        self.tell(State::Ok, what, &found, "")
    }

    fn note(&mut self, what: &str, found: String, next: &str) -> Result<(), Failure> {
        self.tell(State::Note, what, &found, next)
    }

    fn broken(&mut self, what: &str, failure: &Failure) -> Result<(), Failure> {
        self.code.get_or_insert(failure.code());
        self.tell(State::Broken, what, &failure.to_string(), failure.next().unwrap_or_default())
    }

    /// Takes a step within its time; one that fails is told, with what to do next.
    async fn step<T>(
        &mut self,
        what: &str,
        step: impl Future<Output = std::io::Result<T>>,
        next: &str,
    ) -> Result<Option<T>, Failure> {
        let failed = match tokio::time::timeout(PATIENCE, step).await {
            Ok(Ok(done)) => return Ok(Some(done)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        self.broken(what, &Failure::new(Failure::UNAVAILABLE, failed).hint(next))?;
        Ok(None)
    }

    fn tell(&mut self, state: State, what: &str, found: &str, next: &str) -> Result<(), Failure> {
        if self.format == Format::Table {
            output::line(&format!("{:<6}  {what:<12}  {}", state.as_str(), output::printable(found)))?;
            if !next.is_empty() {
                output::line(&format!("        {:<12}  next: {next}", ""))?;
            }
        }
        self.all.push(json!({ "state": state.as_str(), "what": what, "found": found, "next": next }));
        Ok(())
    }

    fn end(self) -> Result<(), Failure> {
        if self.format != Format::Table {
            let row = |finding: &Value| ["state", "what", "found", "next"].map(|field| text(finding, field)).to_vec();
            output::list(self.format, &self.all, &["state", "what", "found", "next"], row, "")?;
        }
        match self.code {
            None => Ok(()),
            Some(code) => Err(Failure::new(code, "something is broken")),
        }
    }
}
