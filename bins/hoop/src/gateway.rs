//! Which gateway a command is for, and where each part of that was said.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use hoop_core::Secret;
use url::{Host, Url};

use crate::failure::Failure;
use crate::files::{Config, Context, Files};
use crate::place::{self, Place};
use crate::trust::Trust;

/// Where something was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In the environment.
    Variable(&'static str),
    /// In a context.
    Context(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Context(name) => write!(f, "context {name}"),
        }
    }
}

/// What the command line says of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choice {
    pub(crate) context: Option<String>,
    pub(crate) dir: Option<PathBuf>,
}

/// The gateway that a command is for.
pub(crate) enum Gateway {
    /// A `hoop dev` on this machine; its folder says how to sign in.
    Dev { folder: PathBuf, place: Place },
    /// One that somebody has signed in to.
    Remote(Remote),
}

/// A gateway that is reached with a token.
pub(crate) struct Remote {
    pub(crate) url: String,
    pub(crate) url_origin: Origin,
    /// The context that it is of.
    pub(crate) context: Option<String>,
    pub(crate) token: Option<(Secret<String>, Origin)>,
    pub(crate) trust: Trust,
    /// Whether another machine may be spoken to without encryption.
    pub(crate) allow_http: bool,
    pub(crate) trust_origin: Option<Origin>,
}

/// Finds it: option, then environment, then context, then the folder of a `hoop dev`.
///
/// A token never goes to another gateway than the one it is for: with `HOOP_URL` it is that of `HOOP_TOKEN`, or of a
/// context with the same URL; `--context` means the whole context, whatever the environment says.
pub(crate) fn find(
    choice: &Choice,
    files: &Files,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Gateway, Failure> {
    if let Some(name) = &choice.context {
        return in_context(name, files, variable, Environment::Ignored);
    }
    if choice.dir.is_some() {
        return in_folder(&place::folder(choice.dir.as_deref())?);
    }
    if let Some(url) = variable("HOOP_URL") {
        return in_environment(&url, files, variable);
    }
    if let Some(name) = variable("HOOP_CONTEXT").or(files.config()?.current) {
        return in_context(&name, files, variable, Environment::Used);
    }
    let nobody =
        |_| Failure::new(Failure::NOT_SIGNED_IN, "not signed in to a gateway").hint("hoop login URL, or hoop dev");
    in_folder(&place::folder(None).map_err(nobody)?)
}

/// Whether a token in the environment is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Environment {
    Used,
    Ignored,
}

fn in_folder(folder: &Path) -> Result<Gateway, Failure> {
    Ok(Gateway::Dev { folder: folder.to_owned(), place: Place::read(folder)? })
}

fn in_context(
    name: &str,
    files: &Files,
    variable: &dyn Fn(&str) -> Option<String>,
    environment: Environment,
) -> Result<Gateway, Failure> {
    let context = context(&files.config()?, name)?;
    let given = variable("HOOP_TOKEN").filter(|_| environment == Environment::Used);
    let token = match given {
        Some(token) => Some((Secret::new(token), Origin::Variable("HOOP_TOKEN"))),
        None => stored(files, name, &context)?,
    };
    remote(name, context, token, Origin::Context(name.to_owned()), variable)
}

fn in_environment(url: &str, files: &Files, variable: &dyn Fn(&str) -> Option<String>) -> Result<Gateway, Failure> {
    let url = base(url)?;
    let known = files.config()?.contexts.into_iter().find(|(_, context)| context.url == url);
    let token = match (variable("HOOP_TOKEN"), &known) {
        (Some(token), _) => Some((Secret::new(token), Origin::Variable("HOOP_TOKEN"))),
        (None, Some((name, context))) => stored(files, name, context)?,
        (None, None) => None,
    };
    let (name, context) = known.unwrap_or_else(|| {
        let context =
            Context { url, user: None, ca_file: None, fingerprint: None, allow_http: false, recording_key: None };
        (String::new(), context)
    });
    remote(&name, context, token, Origin::Variable("HOOP_URL"), variable)
}

fn stored(files: &Files, name: &str, context: &Context) -> Result<Option<(Secret<String>, Origin)>, Failure> {
    let token = files.token(name, &context.url)?;
    Ok(token.map(|token| (Secret::new(token.token), Origin::Context(name.to_owned()))))
}

fn remote(
    name: &str,
    context: Context,
    token: Option<(Secret<String>, Origin)>,
    url_origin: Origin,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Gateway, Failure> {
    let allow_http = context.allow_http || variable("HOOP_ALLOW_HTTP").is_some_and(|value| value == "true");
    check_transport(&context.url, allow_http)?;
    let fingerprint = context.fingerprint.as_deref().map(str::parse).transpose();
    let fingerprint =
        fingerprint.map_err(|error: String| Failure::new(1, format!("the fingerprint of context {name}: {error}")))?;
    let given = variable("HOOP_CA_FILE").map(PathBuf::from);
    let trust_origin = match &given {
        Some(_) => Some(Origin::Variable("HOOP_CA_FILE")),
        None if fingerprint.is_some() || context.ca_file.is_some() => Some(Origin::Context(name.to_owned())),
        None => None,
    };
    // Authorities that somebody names now are asked instead of a pin that was made before.
    let trust = match given {
        Some(file) => Trust { ca_file: Some(file), fingerprint: None },
        None => Trust { ca_file: context.ca_file, fingerprint },
    };
    let context_name = (!name.is_empty()).then(|| name.to_owned());
    let (url, context) = (context.url, context_name);
    Ok(Gateway::Remote(Remote { url, url_origin, context, token, trust, allow_http, trust_origin }))
}

/// A context by its name.
pub(crate) fn context(config: &Config, name: &str) -> Result<Context, Failure> {
    let missing = || {
        let known = config.contexts.keys().cloned().collect::<Vec<_>>().join(", ");
        let hint = if known.is_empty() { "hoop login URL makes one".to_owned() } else { format!("there are: {known}") };
        Failure::new(Failure::NOT_FOUND, format!("there is no context {name}")).hint(hint)
    };
    config.contexts.get(name).cloned().ok_or_else(missing)
}

/// A gateway's URL in the one spelling that is stored and compared. Without a scheme it is HTTPS, and HTTP on this machine.
pub(crate) fn base(text: &str) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::new(Failure::USAGE, format!("`{text}` is no gateway's URL: {why}"));
    let written = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let mut url = Url::parse(&written).map_err(|error| wrong(&error.to_string()))?;
    if !text.contains("://") && is_loopback(&url) {
        let _ = url.set_scheme("http");
        // The port that stands for HTTPS was never written out.
        url = Url::parse(&written.replacen("https", "http", 1)).map_err(|error| wrong(&error.to_string()))?;
    }
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it begins with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a host, a port and a path, and nothing else"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Whether a URL leads to this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether a host, an address without brackets, is this machine. Whoever connects to an unspecified address stays on it, too.
pub(crate) fn is_here(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address.is_unspecified(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// Refuses to send secrets in clear text to another machine.
pub(crate) fn check_transport(url: &str, allow_http: bool) -> Result<(), Failure> {
    let parsed = Url::parse(url)?;
    if parsed.scheme() == "https" || allow_http || is_loopback(&parsed) {
        return Ok(());
    }
    let text = format!("{url} is another machine, and passwords and tokens would go there without encryption");
    Err(Failure::new(1, text).hint("use https://, or say --allow-http at hoop login (HOOP_ALLOW_HTTP=true)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Token;

    fn files(folder: &Path) -> Files {
        let files = Files::at(folder);
        let context = |url: &str| Context {
            url: url.to_owned(),
            user: None,
            ca_file: None,
            fingerprint: None,
            allow_http: false,
            recording_key: None,
        };
        let contexts = [("a".to_owned(), context("https://a")), ("b".to_owned(), context("https://b"))];
        files.write_config(&Config { current: Some("a".to_owned()), contexts: contexts.into() }).expect("written");
        for name in ["a", "b"] {
            let token = Token { url: format!("https://{name}"), token: format!("token-{name}"), expires_at: None };
            files.set_token(name, Some(token)).expect("written");
        }
        files
    }

    fn found(choice: &Choice, files: &Files, variables: &[(&str, &str)]) -> (String, Option<String>) {
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        match find(choice, files, &variable).expect("found") {
            Gateway::Remote(remote) => (remote.url, remote.token.map(|(token, _)| token.expose().clone())),
            Gateway::Dev { .. } => panic!("no hoop dev was asked for"),
        }
    }

    #[test]
    fn option_then_environment_then_context_and_no_token_goes_astray() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = files(folder.path());
        let none = Choice::default();
        let b = Choice { context: Some("b".to_owned()), dir: None };
        for (choice, variables, url, token) in [
            (&none, &[][..], "https://a", Some("token-a")),
            (&b, &[], "https://b", Some("token-b")),
            (&none, &[("HOOP_CONTEXT", "b")], "https://b", Some("token-b")),
            (&none, &[("HOOP_TOKEN", "given")], "https://a", Some("given")),
            (&none, &[("HOOP_URL", "https://b/")], "https://b", Some("token-b")),
            (&none, &[("HOOP_URL", "https://c")], "https://c", None),
            (&none, &[("HOOP_URL", "https://c"), ("HOOP_TOKEN", "given")], "https://c", Some("given")),
            (&b, &[("HOOP_URL", "https://c"), ("HOOP_TOKEN", "given")], "https://b", Some("token-b")),
        ] {
            let expected = (url.to_owned(), token.map(str::to_owned));
            assert_eq!(found(choice, &files, variables), expected, "{variables:?}");
        }
    }

    #[test]
    fn an_unknown_context_is_not_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let choice = Choice { context: Some("c".to_owned()), dir: None };
        let failure = find(&choice, &files(folder.path()), &|_| None).err().expect("there is none");
        assert!(failure.is_not_found());
    }

    #[test]
    fn one_spelling_of_a_url() {
        for (text, expected) in [
            ("gw.example.com", "https://gw.example.com"),
            ("https://gw.example.com:443/", "https://gw.example.com"),
            ("localhost:8009", "http://localhost:8009"),
            ("127.0.0.1:443", "http://127.0.0.1:443"),
            ("http://[::1]:8009", "http://[::1]:8009"),
            ("https://gw/hoop/", "https://gw/hoop"),
        ] {
            assert_eq!(base(text).expect(text), expected);
        }
        for wrong in ["", "ftp://gw", "https://", "https://ada:secret@gw", "https://gw?x=1"] {
            assert!(base(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn secrets_go_nowhere_in_clear_text() {
        assert!(check_transport("http://gw.example.com", false).is_err());
        for (url, allowed) in [("http://gw.example.com", true), ("https://gw", false), ("http://127.0.0.2:1", false)] {
            assert!(check_transport(url, allowed).is_ok(), "{url}");
        }
    }
}
