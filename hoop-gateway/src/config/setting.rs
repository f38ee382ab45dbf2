//! The settings that environment variables and flags reach, one line each.

use std::fmt;
use std::time::Duration;

use toml::{Table, Value};

use super::{ConfigError, Origin, duration};

/// How the text of an environment variable or a flag becomes a value, and which values there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// Taken as it is: text, paths, addresses.
    Text,
    /// A time, such as `250ms`, `30s`, `15m`, `8h` or `7d`.
    Duration {
        /// The shortest that is taken.
        least: Duration,
        /// The longest.
        most: Duration,
    },
    /// A whole number.
    Integer {
        /// The smallest that is taken.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// `true` or `false`.
    Boolean,
    /// Parts separated by commas.
    List,
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Duration { least, most } => {
                write!(f, "a time from {} to {}", duration::format(*least), duration::format(*most))
            }
            Self::Integer { least, most } => write!(f, "a number from {least} to {most}"),
            Self::Boolean => f.write_str("true or false"),
            Self::List => f.write_str("a list"),
        }
    }
}

const fn times(least: Duration, most: Duration) -> ValueKind {
    ValueKind::Duration { least, most }
}

const fn numbers(least: u64, most: u64) -> ValueKind {
    ValueKind::Integer { least, most }
}

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// Longer than anybody means, and short enough to be added to any time.
const FAR: Duration = Duration::from_secs(3660 * 86_400);

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

/// Every setting, in the order of the file.
pub const SETTINGS: &[Setting] = &[
    setting("data", ValueKind::Text, "folder of everything the gateway keeps; relative paths start here"),
    setting("store.url", ValueKind::Text, "where users, roles and sessions are stored: sqlite:FILE, postgres://…"),
    setting("listen.http.address", ValueKind::Text, "API, health and metrics, and the pages on which people sign in"),
    setting("listen.http.tls", ValueKind::Boolean, "true: HTTPS, with the certificate of the other doors"),
    setting("listen.http.public", ValueKind::Text, "URL by which browsers find it, when it differs"),
    setting("listen.grpc.address", ValueKind::Text, "where agents attach, and clients that reach no other port"),
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
    setting(
        "listen.ssh.sign_in_timeout",
        times(Duration::ZERO, HOUR),
        "how long ssh waits for a sign-in by browser; 0s: no such way in",
    ),
    setting("listen.proxy.address", ValueKind::Text, "where browsers and HTTP clients connect"),
    setting("listen.proxy.tls", ValueKind::Text, "off, optional or required"),
    setting("listen.proxy.public", ValueKind::Text, "URL below whose host every HTTP role has its own origin"),
    setting(
        "tls.certificate",
        ValueKind::Text,
        "PEM chain, leaf first, read again when it changes; unset: self-signed",
    ),
    setting("tls.key", ValueKind::Text, "PEM private key of the certificate"),
    setting("tls.names", ValueKind::List, "host names and addresses in a self-signed certificate"),
    setting("limits.login_timeout", times(MILLISECOND, HOUR), "everything before a client is authenticated"),
    setting(
        "limits.open_timeout",
        // Agents wait no longer, either.
        times(SECOND, Duration::from_secs(120)),
        "the agent's connection and login to a session's target",
    ),
    setting(
        "limits.review_timeout",
        // Somebody must be able to decide, and an approval is of what was asked today.
        times(SECOND, DAY),
        "how long a review may wait for somebody's decision",
    ),
    setting(
        "limits.held_sessions",
        numbers(0, 100_000),
        "sessions, statements and commands that wait for a review, at once",
    ),
    setting("limits.ssh_keys", numbers(0, 1000), "public keys that an SSH client may try"),
    setting("limits.pending_logins", numbers(1, 1_000_000), "connections of a door not yet authenticated, at once"),
    setting(
        "limits.message_bytes",
        numbers(1024, i32::MAX as u64),
        "longest message or row that is read as a whole, in bytes",
    ),
    setting("limits.ssh_channels", numbers(1, 4000), "channels of one SSH session, at once"),
    setting("limits.http_exchanges", numbers(1, 1_000_000), "requests of one session over HTTP, at once"),
    setting("limits.http_idle", times(SECOND, FAR), "a session over HTTP ends after this time without a request"),
    setting(
        "limits.http_answer",
        times(MILLISECOND, DAY),
        "how long an HTTP target may take to begin its answer, or to take more of a request",
    ),
    setting(
        "limits.http_body_idle",
        times(MILLISECOND, DAY),
        "how long an HTTP client may send nothing of a body that is not answered yet",
    ),
    setting(
        "limits.http_held_bytes",
        numbers(1 << 20, 1 << 40),
        "held at once of bodies and messages over HTTP that are read as a whole, in bytes",
    ),
    setting("limits.http_session_held_bytes", numbers(1 << 20, 1 << 40), "the same of one session"),
    setting("limits.drain", times(Duration::ZERO, DAY), "how long running sessions may go on after SIGTERM"),
    setting("limits.reads_per_minute", numbers(0, u32::MAX as u64), "API requests that read, of one user; 0: no limit"),
    setting(
        "limits.writes_per_minute",
        numbers(0, u32::MAX as u64),
        "API requests that do something, of one user; 0: no limit",
    ),
    setting(
        "limits.strangers_per_minute",
        numbers(0, u32::MAX as u64),
        "API requests without a sign-in, of one address; 0: no limit",
    ),
    setting("limits.token_days", numbers(1, u16::MAX as u64), "longest life of an API token, in days"),
    setting("record.folder", ValueKind::Text, "one recording per session"),
    setting("record.strict", ValueKind::Boolean, "true: a statement runs only once it is on disk"),
    setting(
        "record.strict_free_percent",
        numbers(0, 99),
        "with less of the disk free, as df counts, strict sessions are refused; 0: never",
    ),
    setting(
        "record.free_percent",
        numbers(0, 99),
        "with less of the disk free, as df counts, no session is served; 0: never",
    ),
    setting("credentials.ttl", times(SECOND, FAR), "how long a new credential is good for"),
    setting("agents.heartbeat_interval", times(MILLISECOND, HOUR), "silence after which each end says that it lives"),
    setting(
        "agents.heartbeat_timeout",
        times(Duration::from_millis(2), DAY),
        "silence after which the other end counts as lost",
    ),
    setting(
        "agents.busy_poll",
        ValueKind::Text,
        "on: look for the next message before a core sleeps; off; auto: where a virtual machine's cores sleep at once, with one worker and no quota",
    ),
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

    /// Its value in a configuration that is written as a table; `None` where it is unset.
    pub fn find_in<'a>(&self, config: &'a Table) -> Option<&'a Value> {
        let mut parts = self.path.split('.');
        let value = config.get(parts.next()?)?;
        parts.try_fold(value, |value, part| value.get(part))
    }

    /// Whether it may have this value.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub(super) fn check(&self, value: &Value) -> Result<(), String> {
        let fits = match (self.kind, value) {
            (ValueKind::Duration { least, most }, Value::String(text)) => {
                (least..=most).contains(&duration::parse(text)?)
            }
            (ValueKind::Integer { least, most }, Value::Integer(number)) => {
                u64::try_from(*number).is_ok_and(|number| (least..=most).contains(&number))
            }
            _ => true,
        };
        if fits { Ok(()) } else { Err(format!("{value} is not {}", self.kind)) }
    }

    pub(super) fn value(&self, text: &str, origin: &Origin) -> Result<Value, ConfigError> {
        let wrong = |wanted: &str| ConfigError::Value {
            key: self.path.to_owned(),
            origin: origin.clone(),
            reason: format!("`{text}` is not {wanted}"),
        };
        Ok(match self.kind {
            ValueKind::Text | ValueKind::Duration { .. } => Value::String(text.to_owned()),
            ValueKind::Integer { .. } => Value::Integer(text.parse().map_err(|_| wrong("a whole number"))?),
            ValueKind::Boolean => Value::Boolean(text.parse().map_err(|_| wrong("true or false"))?),
            ValueKind::List => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
            }
        })
    }
}
