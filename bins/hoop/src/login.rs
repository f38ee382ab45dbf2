//! `hoop login`, `hoop logout`, `hoop whoami`.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;
use hoop_core::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::api::Api;
use crate::failure::Failure;
use crate::files::{Context, Token};
use crate::gateway::{self, Origin, base, check_transport};
use crate::output;
use crate::shell::{self, Shell, variable};
use crate::trust::{self, Fingerprint, Trust};

#[derive(Args)]
pub(crate) struct Options {
    /// Where the gateway's API is; unless given, `HOOP_URL` or the URL of the context.
    url: Option<String>,
    /// Who signs in; unless given, it is asked for.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Takes the password from the first line of standard input, and from the second the new one, where it is to be changed.
    #[arg(long, conflicts_with = "token_stdin")]
    password_stdin: bool,
    /// Takes a token from standard input instead of signing in.
    #[arg(long, conflicts_with = "user")]
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

pub(crate) async fn login(options: Options, shell: &Shell) -> Result<(), Failure> {
    let (name, context) = wanted(&options, shell)?;
    check_transport(&context.url, context.allow_http)?;
    let trust = trust_in(&context, shell).await?;
    let mut api = Api::new(&context.url, &trust)?.verbose(shell.verbose);
    let (token, user) = if options.token_stdin {
        let token = Secret::new(shell::line()?);
        api = api.with_token(token.expose().trim());
        let token = Token { url: context.url.clone(), token: token.expose().trim().to_owned(), expires_at: None };
        (token, api.get("/api/v1/me").await?)
    } else {
        sign_in(&mut api, &options, &context, shell).await?
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

async fn sign_in(
    api: &mut Api,
    options: &Options,
    context: &Context,
    shell: &Shell,
) -> Result<(Token, Value), Failure> {
    let user = match (&options.user, &context.user) {
        (Some(user), _) => user.clone(),
        (None, Some(user)) => user.clone(),
        (None, None) => shell.ask("User", "--user NAME")?,
    };
    let password = match options.password_stdin {
        true => Secret::new(shell::line()?),
        false => shell.ask_secret(&format!("Password of {user}"), "--password-stdin")?,
    };
    let signed_in = api.sign_in(&user, password.expose()).await.map_err(|failure| match failure.code() {
        Failure::NOT_SIGNED_IN => failure.hint("passwords are set by an administrator"),
        _ => failure,
    })?;
    if signed_in["must_change_password"] == true {
        let new = new_password(options, shell)?;
        let change = json!({ "current": password.expose(), "new": new.expose() });
        api.call(Method::PUT, "/api/v1/me/password", Some(&change)).await?;
        shell.tell("the password is changed");
    }
    let token = signed_in["token"].as_str().unwrap_or_default().to_owned();
    let expires_at: Option<DateTime<Utc>> = signed_in["expires_at"].as_str().and_then(|text| text.parse().ok());
    Ok((Token { url: context.url.clone(), token, expires_at }, signed_in["user"].clone()))
}

fn new_password(options: &Options, shell: &Shell) -> Result<Secret<String>, Failure> {
    let text = "the password is good for nothing but to set another";
    if options.password_stdin {
        let new = Secret::new(shell::line()?);
        let hint = "give the new one in a second line of standard input";
        return if new.expose().is_empty() {
            Err(Failure::new(Failure::NOT_SIGNED_IN, text).hint(hint))
        } else {
            Ok(new)
        };
    }
    shell.tell(text);
    let new = shell.ask_secret("New password", "--password-stdin")?;
    let again = shell.ask_secret("New password, again", "--password-stdin")?;
    if new.expose() == again.expose() { Ok(new) } else { Err(Failure::new(1, "the two are not the same")) }
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
