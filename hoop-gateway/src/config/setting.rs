//! The settings that environment variables and flags reach, one line each.

use super::{ConfigError, Origin};

/// How the text of an environment variable or a flag becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// Taken as it is: text, paths, addresses, durations.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Parts separated by commas.
    List,
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its path in the file, dots between the parts.
    pub path: &'static str,
    /// How text becomes its value.
    pub kind: ValueKind,
    /// One line on what it does.
    pub about: &'static str,
}

const fn setting(path: &'static str, kind: ValueKind, about: &'static str) -> Setting {
    Setting { path, kind, about }
}

/// Every setting but the rule lists, in the order of the file.
pub const SETTINGS: &[Setting] = &[
    setting("data", ValueKind::Text, "folder of everything the gateway keeps; relative paths start here"),
    setting("store.url", ValueKind::Text, "where users, roles and sessions are stored: sqlite:FILE, postgres://…"),
    setting("listen.http.address", ValueKind::Text, "API, health and metrics"),
    setting("listen.http.tls", ValueKind::Boolean, "true: HTTPS, with the certificate of the other doors"),
    setting("listen.http.public", ValueKind::Text, "URL by which browsers find it, when it differs"),
    setting("listen.grpc.address", ValueKind::Text, "where agents attach"),
    setting("listen.grpc.tls", ValueKind::Boolean, "false only where agents and gateway share a host"),
    setting("listen.grpc.public", ValueKind::Text, "host:port that agents dial, when it differs"),
    setting("listen.postgres.address", ValueKind::Text, "where psql and drivers connect"),
    setting("listen.postgres.tls", ValueKind::Text, "off, optional or required"),
    setting("listen.postgres.public", ValueKind::Text, "host:port that clients connect to, when it differs"),
    setting("listen.ssh.address", ValueKind::Text, "where ssh connects"),
    setting("listen.ssh.public", ValueKind::Text, "host:port that ssh connects to, when it differs"),
    setting(
        "listen.ssh.user_authorities",
        ValueKind::List,
        "keys of authorities whose SSH certificates of users are taken",
    ),
    setting("listen.proxy.address", ValueKind::Text, "where browsers and HTTP clients connect"),
    setting("listen.proxy.tls", ValueKind::Text, "off, optional or required"),
    setting("listen.proxy.public", ValueKind::Text, "URL below whose host every HTTP role has its own origin"),
    setting(
        "listen.ssh.sign_in_timeout",
        ValueKind::Text,
        "how long ssh waits for a sign-in by browser; 0s: no such way in",
    ),
    setting(
        "tls.certificate",
        ValueKind::Text,
        "PEM chain, leaf first, read again when it changes; unset: self-signed",
    ),
    setting("tls.key", ValueKind::Text, "PEM private key of the certificate"),
    setting("tls.names", ValueKind::List, "host names and addresses in a self-signed certificate"),
    setting("limits.login_timeout", ValueKind::Text, "everything before a client is authenticated"),
    setting("limits.open_timeout", ValueKind::Text, "the agent's connection and login to a session's target"),
    setting("limits.review_timeout", ValueKind::Text, "how long a review may wait for somebody's decision"),
    setting("limits.held_sessions", ValueKind::Integer, "sessions that wait for a review, at once"),
    setting("limits.ssh_keys", ValueKind::Integer, "public keys that an SSH client may try"),
    setting("limits.pending_logins", ValueKind::Integer, "connections not yet authenticated, at once"),
    setting("limits.message_bytes", ValueKind::Integer, "longest message or row that is read as a whole"),
    setting("limits.ssh_channels", ValueKind::Integer, "channels of one SSH session, at once"),
    setting("limits.http_exchanges", ValueKind::Integer, "requests of one session over HTTP, at once"),
    setting("limits.http_idle", ValueKind::Text, "a session over HTTP ends after this time without a request"),
    setting("limits.http_answer", ValueKind::Text, "how long an HTTP target may take to begin its answer"),
    setting("limits.drain", ValueKind::Text, "how long running sessions may go on after SIGTERM"),
    setting("limits.reads_per_minute", ValueKind::Integer, "API requests that read, of one user; 0: no limit"),
    setting("limits.writes_per_minute", ValueKind::Integer, "API requests that do something, of one user; 0: no limit"),
    setting(
        "limits.strangers_per_minute",
        ValueKind::Integer,
        "API requests without a sign-in, of one address; 0: no limit",
    ),
    setting("limits.token_days", ValueKind::Integer, "longest life of an API token, in days"),
    setting("record.folder", ValueKind::Text, "one recording per session"),
    setting("record.strict", ValueKind::Boolean, "true: a statement runs only once it is on disk"),
    setting("credentials.ttl", ValueKind::Text, "how long a new credential is good for"),
    setting("agents.heartbeat_interval", ValueKind::Text, "silence after which each end says that it lives"),
    setting("agents.heartbeat_timeout", ValueKind::Text, "silence after which the other end counts as lost"),
    setting("telemetry.otlp_endpoint", ValueKind::Text, "collector of traces, such as http://127.0.0.1:4318"),
    setting("secrets.key_file", ValueKind::Text, "the operator's key for secrets of roles; unset: none are kept"),
];

impl Setting {
    /// The setting of this path.
    pub fn find(path: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.path == path)
    }

    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("HOOP_{}", self.path.replace('.', "_").to_ascii_uppercase())
    }

    pub(super) fn value(&self, text: &str, origin: &Origin) -> Result<toml::Value, ConfigError> {
        let wrong = |wanted: &str| ConfigError::Value {
            key: self.path.to_owned(),
            origin: origin.clone(),
            reason: format!("`{text}` is not {wanted}"),
        };
        Ok(match self.kind {
            ValueKind::Text => toml::Value::String(text.to_owned()),
            ValueKind::Integer => toml::Value::Integer(text.parse().map_err(|_| wrong("a whole number"))?),
            ValueKind::Boolean => toml::Value::Boolean(text.parse().map_err(|_| wrong("true or false"))?),
            ValueKind::List => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                toml::Value::Array(parts.map(|part| toml::Value::String(part.to_owned())).collect())
            }
        })
    }
}
