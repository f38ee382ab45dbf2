//! `hoop login`, `hoop logout`, `hoop whoami`.

mod browser;
mod device;
mod password;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use hoop_core::Secret;
use reqwest::Method;
use serde_json::Value;
use url::Url;

use crate::api::Api;
use crate::failure::Failure;
use crate::files::{Context, Token};
use crate::gateway::{self, Origin, base, check_transport};
use crate::output;
use crate::shell::{self, Shell, variable};
use crate::stop::Stop;
use crate::trust::{self, Fingerprint, Trust};

#[derive(Args)]
pub(crate) struct Options {
    /// Where the gateway's API is; unless given, `HOOP_URL` or the URL of the context.
    url: Option<String>,
    /// Signs in with the browser of this machine; usual on a desktop.
    #[arg(long, group = "way")]
    browser: bool,
    /// Signs in with a code that is typed in on another machine; usual where there is no desktop.
    #[arg(long, group = "way")]
    device: bool,
    /// Signs in with a password that is typed in here.
    #[arg(long, group = "way")]
    password: bool,
    /// Who signs in with a password; unless given, it is asked for.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["browser", "device"])]
    user: Option<String>,
    /// Takes the password from the first line of standard input, and from the second the new one, where it is to be changed.
    #[arg(long, conflicts_with_all = ["token_stdin", "browser", "device"])]
    password_stdin: bool,
    /// Takes a token from standard input instead of signing in.
    #[arg(long, group = "way", conflicts_with = "user")]
    token_stdin: bool,
    /// PEM file with the authorities that the gateway's certificate is verified against.
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    ca_file: Option<PathBuf>,
    /// The certificate that the gateway must show, as its operator says: `sha256:…`.
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<Fingerprint>,
    /// Lets passwords and tokens go to another machine without encryption.
    #[arg(long)]
    allow_http: bool,
}

/// What this program is called where it is let in.
const CLIENT: &str = "hoop-cli";
/// How long somebody may take in a browser.
const PATIENCE: Duration = Duration::from_secs(600);

/// How somebody proves who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Token,
    Password,
    Browser,
    Device,
}

pub(crate) async fn login(options: Options, shell: &Shell) -> Result<(), Failure> {
    let way = options.way(shell)?;
    let (name, context) = wanted(&options, shell)?;
    check_transport(&context.url, context.allow_http)?;
    let trust = trust_in(&context, shell).await?;
    let mut api = Api::new(&context.url, &trust)?.verbose(shell.verbose);
    let (token, user) = match way {
        Way::Token => {
            let token = Secret::new(shell::line()?);
            api.set_token(token.expose().trim());
            let token = Token { url: context.url.clone(), token: token.expose().trim().to_owned(), expires_at: None };
            (token, api.get("/api/v1/me").await?)
        }
        Way::Password => given(&context, &password::sign_in(&mut api, &options, &context, shell).await?),
        Way::Browser | Way::Device => given(&context, &elsewhere(&api, way).await?),
    };
    let user = output::text(&user, "name");
    let until = token.expires_at.map(|at| format!(" until {}", at.format("%Y-%m-%d %H:%M UTC"))).unwrap_or_default();
    let told = format!("signed in to {} as {user}{until}; this is context {name}", context.url);
    let fingerprint = trust.fingerprint.map(|pin| pin.to_string());
    let context = Context { user: Some(user), fingerprint, ..context };
    let mut config = shell.files.config()?;
    config.contexts.insert(name.clone(), context);
    config.current = Some(name.clone());
    shell.files.set_token(&name, Some(token))?;
    shell.files.write_config(&config)?;
    shell.tell(told);
    Ok(())
}

impl Options {
    /// As it is said; otherwise by the browser of a desktop, or with one elsewhere. A name is that of somebody with a password.
    fn way(&self, shell: &Shell) -> Result<Way, Failure> {
        if self.token_stdin {
            return Ok(Way::Token);
        }
        if self.password || self.password_stdin || self.user.is_some() {
            return Ok(Way::Password);
        }
        let said = self.browser || self.device;
        if shell.no_input || !(said || io::stderr().is_terminal()) {
            let text = "nobody can be asked here to sign in";
            let hint = "--token-stdin, or --user NAME --password-stdin; hoop login --device where somebody reads along";
            return Err(Failure::new(Failure::USAGE, text).hint(hint));
        }
        let here = self.browser || !self.device && has_desktop();
        Ok(if here { Way::Browser } else { Way::Device })
    }
}

/// Whether a browser would open where somebody sees it.
fn has_desktop() -> bool {
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(|name| variable(name).is_some());
    desktop || (cfg!(target_os = "macos") && variable("SSH_CONNECTION").is_none())
}

/// The name of this machine, for who lets it in.
fn machine() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| variable("HOSTNAME"))?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Signs in by a page of the gateway, and gives what that says to it.
async fn elsewhere(api: &Api, way: Way) -> Result<Value, Failure> {
    let mut stop = Stop::new()?;
    let signed_in = async {
        match way {
            Way::Browser => browser::sign_in(api).await,
            _ => device::sign_in(api).await,
        }
    };
    tokio::select! {
        done = signed_in => done,
        failure = stop.any(None) => Err(failure),
    }
}

fn late() -> Failure {
    Failure::new(Failure::TIMED_OUT, "nobody has approved the sign-in in time").hint("begin again: hoop login")
}

/// The token that a sign-in has given, and its user.
fn given(context: &Context, signed_in: &Value) -> (Token, Value) {
    let token = signed_in["token"].as_str().unwrap_or_default().to_owned();
    let expires_at: Option<DateTime<Utc>> = signed_in["expires_at"].as_str().and_then(|text| text.parse().ok());
    (Token { url: context.url.clone(), token, expires_at }, signed_in["user"].clone())
}

/// The context that is made or renewed, and its name.
fn wanted(options: &Options, shell: &Shell) -> Result<(String, Context), Failure> {
    let config = shell.files.config()?;
    let named = shell.choice.context.clone();
    let usual = named.clone().or_else(|| variable("HOOP_CONTEXT")).or_else(|| config.current.clone());
    let known = usual.as_ref().and_then(|name| config.contexts.get(name));
    let variable = variable("HOOP_URL").filter(|_| named.is_none());
    let Some(url) = options.url.clone().or(variable).or_else(|| known.map(|context| context.url.clone())) else {
        return Err(Failure::new(Failure::USAGE, "no gateway is named").hint("hoop login https://hoop.example.com"));
    };
    let url = base(&url)?;
    let same = config.contexts.iter().find(|(_, context)| context.url == url);
    let name = named.or_else(|| same.map(|(name, _)| name.clone())).map_or_else(|| host(&url), Ok)?;
    // What was said of the same gateway before holds until something else is said.
    let before = config.contexts.get(&name).filter(|context| context.url == url);
    let said = options.ca_file.is_some() || options.fingerprint.is_some();
    let before_trust = before.filter(|_| !said);
    let ca_file = options.ca_file.as_ref().map(std::path::absolute).transpose()?;
    let pin = options.fingerprint.map(|pin| pin.to_string());
    let context = Context {
        url,
        user: before.and_then(|context| context.user.clone()),
        ca_file: ca_file.or_else(|| before_trust.and_then(|context| context.ca_file.clone())),
        fingerprint: pin.or_else(|| before_trust.and_then(|context| context.fingerprint.clone())),
        allow_http: options.allow_http || before.is_some_and(|context| context.allow_http),
        recording_key: before.and_then(|context| context.recording_key.clone()),
    };
    Ok((name, context))
}

fn host(url: &str) -> Result<String, Failure> {
    let url = Url::parse(url)?;
    let host = url.host_str().unwrap_or_default();
    Ok(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// How the gateway is recognized. A certificate that nobody vouches for is trusted only when somebody says so.
async fn trust_in(context: &Context, shell: &Shell) -> Result<Trust, Failure> {
    let pin = context.fingerprint.as_deref().map(str::parse).transpose();
    let fingerprint = pin.map_err(|error: String| Failure::new(1, error))?;
    let ca_file = context.ca_file.clone().or_else(|| variable("HOOP_CA_FILE").map(PathBuf::from));
    let trust = Trust { ca_file, fingerprint };
    let Err(failure) = Api::new(&context.url, &trust)?.get("/healthz").await else { return Ok(trust) };
    let url = Url::parse(&context.url)?;
    if !failure.is_unavailable() || url.scheme() != "https" {
        return Err(failure);
    }
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443));
    let Ok(shown) = trust::shown(host, port).await else { return Err(failure) };
    if trust.fingerprint.is_some() || trust.ca_file.is_some() {
        let text = format!("{url} shows another certificate than it should: {shown}");
        return Err(Failure::new(1, text).hint("ask its operator; it was changed, or somebody is in between"));
    }
    confirm(shown, &url, shell)?;
    Ok(Trust { ca_file: None, fingerprint: Some(shown) })
}

fn confirm(shown: Fingerprint, url: &Url, shell: &Shell) -> Result<(), Failure> {
    let unknown = format!("no authority that this machine knows has signed the certificate of {url}: {shown}");
    let else_say = format!("--ca-file FILE; or --fingerprint {shown}, if its operator says the same");
    if shell.may_ask("", "").is_err() {
        return Err(Failure::new(1, unknown).hint(else_say));
    }
    eprintln!("{unknown}\nIs that what its operator says? Somebody in between would show another one.");
    match shell.ask("Trust it from now on (yes/no)", &else_say)?.as_str() {
        "yes" => Ok(()),
        _ => Err(Failure::new(1, "the certificate is not trusted; nothing was sent")),
    }
}

pub(crate) async fn logout(shell: &Shell) -> Result<(), Failure> {
    let remote = shell.remote()?;
    // Its gateway would end the token of the variable, and the context would forget its own, which would stay good.
    let is_variables = matches!(remote.token, Some((_, Origin::Variable(_))));
    let Some(context) = remote.context.as_ref().filter(|_| !is_variables) else {
        let text = "the token is that of HOOP_TOKEN, and no login of a context";
        let hint = "unset HOOP_TOKEN, or name the context with --context";
        return Err(Failure::new(Failure::NOT_SIGNED_IN, text).hint(hint));
    };
    let ended = match Api::of_remote(&remote) {
        Ok(api) => api.verbose(shell.verbose).call(Method::POST, "/api/v1/logout", None).await,
        Err(failure) => Err(failure),
    };
    // It is forgotten here whatever the gateway says.
    shell.files.set_token(context, None)?;
    match ended {
        Ok(_) => shell.tell(format!("signed out of {}", remote.url)),
        Err(failure) if failure.code() == Failure::NOT_SIGNED_IN => shell.tell("nobody was signed in"),
        Err(failure) => return Err(failure.hint("the token is forgotten here; the gateway takes it until it expires")),
    }
    Ok(())
}

/// Who the gateway says is calling.
pub(crate) async fn whoami(shell: &Shell) -> Result<(), Failure> {
    let gateway = shell.gateway()?;
    let api = shell.api_of(&gateway).await?;
    let me = api.get("/api/v1/me").await?;
    output::show(shell.format, &me, &["name", "kind", "groups", "id"])?;
    let of = match &gateway {
        gateway::Gateway::Dev { folder, .. } => format!(", the hoop dev in {}", folder.display()),
        gateway::Gateway::Remote(remote) => remote.context.iter().map(|name| format!(", context {name}")).collect(),
    };
    shell.tell(format!("at {}{of}", api.base()));
    Ok(())
}
