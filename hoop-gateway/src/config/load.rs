//! Reading and merging the sources.

use std::{
    collections::BTreeMap,
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};

use url::Url;

use super::{Config, SETTINGS, Setting};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody said otherwise.
    Default,
    /// The file, at this line (from 1).
    File {
        /// The file as it was named.
        path: PathBuf,
        /// Line of the key.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag on the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => f.write_str(variable),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not TOML, or has a key that does not exist or a value that does not fit.
    #[error("{}:{line}: {}{reason}", path.display(), key.as_deref().map(|key| format!("`{key}`: ")).unwrap_or_default())]
    File {
        /// The file as it was named.
        path: PathBuf,
        /// Line of the mistake, from 1.
        line: usize,
        /// The key it is about, where the file could be read that far.
        key: Option<String>,
        /// What is wrong.
        reason: String,
    },
    /// A value from the environment or a flag does not fit.
    #[error("`{key}` ({origin}): {reason}")]
    Value {
        /// The setting's path.
        key: String,
        /// Where the value came from.
        origin: Origin,
        /// What is wrong.
        reason: String,
    },
    /// A flag names a setting that does not exist.
    #[error("`{key}` is not a setting")]
    Unknown {
        /// What was given.
        key: String,
    },
    /// The values fit alone, not together.
    #[error("{0}")]
    Conflict(String),
}

/// A configuration and where each of its values came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The merged configuration.
    pub config: Config,
    origins: BTreeMap<&'static str, Origin>,
}

impl Loaded {
    /// Where the setting of this path got its value.
    pub fn origin(&self, path: &str) -> &Origin {
        self.origins.get(path).unwrap_or(&Origin::Default)
    }
}

/// Collects the sources and merges them; see the module's text for their order.
#[derive(Debug, Clone, Default)]
pub struct Loader {
    text: Option<(PathBuf, String)>,
    environment: Vec<(String, String)>,
    flags: Vec<(String, String)>,
    defaults: Vec<(&'static str, String)>,
}

impl Loader {
    /// No source at all: the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the text of a file that is already in memory; `name` is for messages.
    pub fn text(mut self, name: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        self.text = Some((name.into(), text.into()));
        self
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError::Read`] if the file is missing, unreadable or not UTF-8.
    pub fn file(self, path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Ok(self.text(path, text))
    }

    /// Takes environment variables, as of [`std::env::vars`]; those that name no setting are left alone.
    pub fn env(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// Takes flags as pairs of a setting's path and its text.
    pub fn flags(mut self, flags: impl IntoIterator<Item = (String, String)>) -> Self {
        self.flags.extend(flags);
        self
    }

    /// Replaces a built-in default, as a program does that brings defaults of its own.
    pub fn default_value(mut self, path: &'static str, text: impl Into<String>) -> Self {
        self.defaults.push((path, text.into()));
        self
    }

    /// Merges the sources.
    ///
    /// # Errors
    /// The first mistake of the sources in their order, or of the merged values together.
    pub fn load(self) -> Result<Loaded, ConfigError> {
        let mut origins = BTreeMap::new();
        let mut table = Table::new();
        for (path, text) in &self.defaults {
            let setting = known(path)?;
            insert(&mut table, path, setting.value(text, &Origin::Default)?);
        }
        if let Some((path, text)) = &self.text {
            merge(&mut table, file(path, text, &mut origins)?);
        }
        for setting in SETTINGS {
            let variable = setting.variable();
            let given = self.environment.iter().rev().find(|(name, _)| *name == variable);
            if let Some((_, text)) = given {
                set(&mut table, &mut origins, setting, text, Origin::Environment(variable))?;
            }
        }
        for (path, text) in &self.flags {
            set(&mut table, &mut origins, known(path)?, text, Origin::Flag)?;
        }
        let config = table.try_into().map_err(|error: toml::de::Error| ConfigError::Conflict(error.to_string()))?;
        within(&config, &origins)?;
        check(&config)?;
        Ok(Loaded { config, origins })
    }
}

fn known(path: &str) -> Result<&'static Setting, ConfigError> {
    Setting::find(path).ok_or_else(|| ConfigError::Unknown { key: path.to_owned() })
}

/// Sets one value, after trying it alone so that a mistake is blamed on its own source.
fn set(
    table: &mut Table,
    origins: &mut BTreeMap<&'static str, Origin>,
    setting: &'static Setting,
    text: &str,
    origin: Origin,
) -> Result<(), ConfigError> {
    let value = setting.value(text, &origin)?;
    let mut alone = Table::new();
    insert(&mut alone, setting.path, value.clone());
    if let Err(error) = alone.try_into::<Config>() {
        return Err(ConfigError::Value { key: setting.path.to_owned(), origin, reason: error.message().to_owned() });
    }
    insert(table, setting.path, value);
    origins.insert(setting.path, origin);
    Ok(())
}

/// Reads the file's text as a configuration of its own first, since only then errors have lines.
fn file(path: &Path, text: &str, origins: &mut BTreeMap<&'static str, Origin>) -> Result<Table, ConfigError> {
    let wrong = |error: &toml::de::Error, key: Option<String>| ConfigError::File {
        path: path.to_owned(),
        line: line(text, error.span().map_or(0, |span| span.start)),
        key,
        reason: error.message().to_owned(),
    };
    let document = DeTable::parse(text).map_err(|error| wrong(&error, None))?;
    let mut keys = Vec::new();
    collect(document.get_ref(), "", &mut keys);
    if let Err(error) = toml::from_str::<Config>(text) {
        let at = error.span().unwrap_or(0..0);
        let key = keys.iter().rev().find(|key| key.holds(&at)).map(|key| key.path.clone());
        return Err(wrong(&error, key));
    }
    for key in &keys {
        if let Some(setting) = Setting::find(&key.path) {
            let origin = Origin::File { path: path.to_owned(), line: line(text, key.key.start) };
            origins.insert(setting.path, origin);
        }
    }
    text.parse::<Table>().map_err(|error| wrong(&error, None))
}

struct Key {
    path: String,
    key: Range<usize>,
    value: Range<usize>,
}

impl Key {
    fn holds(&self, at: &Range<usize>) -> bool {
        [&self.key, &self.value].into_iter().any(|span| span.start <= at.start && at.end <= span.end)
    }
}

/// Every key of a document with its spans, outer ones before inner ones.
fn collect(table: &DeTable<'_>, prefix: &str, keys: &mut Vec<Key>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        keys.push(Key { path: path.clone(), key: key.span(), value: value.span() });
        descend(value, &path, keys);
    }
}

fn descend(value: &Spanned<DeValue<'_>>, path: &str, keys: &mut Vec<Key>) {
    match value.get_ref() {
        DeValue::Table(table) => collect(table, path, keys),
        DeValue::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                descend(item, &format!("{path}[{position}]"), keys);
            }
        }
        _ => {}
    }
}

fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn insert(table: &mut Table, path: &str, value: Value) {
    let mut parts: Vec<&str> = path.split('.').collect();
    let last = parts.pop().expect("a split has at least one part");
    let mut table = table;
    for part in parts {
        let entry = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = entry else {
            return;
        };
        table = inner;
    }
    table.insert(last.to_owned(), value);
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Whether every value is one that its setting may have.
fn within(config: &Config, origins: &BTreeMap<&'static str, Origin>) -> Result<(), ConfigError> {
    let table = Table::try_from(config).map_err(|error| ConfigError::Conflict(error.to_string()))?;
    for setting in SETTINGS {
        let Some(Err(reason)) = setting.find_in(&table).map(|value| setting.check(value)) else { continue };
        let origin = origins.get(setting.path).cloned().unwrap_or(Origin::Default);
        return Err(ConfigError::Value { key: setting.path.to_owned(), origin, reason });
    }
    Ok(())
}

fn check(config: &Config) -> Result<(), ConfigError> {
    let conflict = |text: &str| Err(ConfigError::Conflict(text.to_owned()));
    if config.tls.certificate.is_some() != config.tls.key.is_some() {
        return conflict("`tls.certificate` and `tls.key` go together: set both or neither");
    }
    if config.agents.heartbeat_timeout <= config.agents.heartbeat_interval {
        return conflict("`agents.heartbeat_timeout` must be longer than `agents.heartbeat_interval`");
    }
    if !config.listen.grpc.tls && !config.listen.grpc.address.ip().is_loopback() {
        return conflict("`listen.grpc.tls = false` needs a loopback `listen.grpc.address`: agents' keys travel on it");
    }
    if config.telemetry.otlp_endpoint.as_deref().is_some_and(|endpoint| !is_bare_url(endpoint)) {
        // A password in it would be shown with the rest of the configuration.
        return conflict(
            "`telemetry.otlp_endpoint` is no http:// or https:// URL without a user; headers are in OTEL_EXPORTER_OTLP_HEADERS",
        );
    }
    if config.listen.http.public.as_deref().is_some_and(|url| !is_bare_url(url) || !is_root(url)) {
        return conflict("`listen.http.public` is no URL such as https://hoop.example.com, without a path or a user");
    }
    Ok(())
}

fn is_bare_url(text: &str) -> bool {
    let bare = |url: &Url| url.username().is_empty() && url.password().is_none() && url.query().is_none();
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && bare(&url))
}

/// Pages refer to each other by their paths, which begin at the host.
fn is_root(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.path() == "/" && url.fragment().is_none())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::ValueKind;

    fn error(text: &str) -> String {
        let loaded = Loader::new().text("gateway.toml", text).load();
        loaded.expect_err("the text is wrong").to_string()
    }

    #[test]
    fn an_empty_file_is_the_default() {
        let loaded = Loader::new().text("gateway.toml", "").load().expect("defaults are valid");
        assert_eq!(loaded.config, Config::default());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let text = "data = 'x'\n\n[listen.http]\nadress = '127.0.0.1:1'\n";
        let error = error(text);
        assert!(error.starts_with("gateway.toml:4: `listen.http.adress`: unknown field"), "{error}");
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_with_its_line() {
        let wrong = error("[credentials]\n# how long\nttl = '8 hours'\n");
        assert!(wrong.starts_with("gateway.toml:3: `credentials.ttl`: `8 hours` is not a duration"), "{wrong}");
        let wrong = error("[record]\nstrict = 'yes'\n");
        assert!(wrong.starts_with("gateway.toml:2: `record.strict`: invalid type"), "{wrong}");
        let wrong = error("[record\nstrict = true\n");
        assert!(wrong.starts_with("gateway.toml:1: "), "{wrong}");
    }

    #[test]
    fn later_sources_win_and_are_remembered() {
        let env = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let loaded = Loader::new()
            .text("g.toml", "[record]\nfolder = 'a'\n[credentials]\nttl = '1m'\n[limits]\ndrain = '1s'")
            .env([env("HOOP_CREDENTIALS_TTL", "2m"), env("HOOP_LIMITS_DRAIN", "2s"), env("HOOP_KEY", "x")])
            .flags([env("limits.drain", "3s")])
            .load()
            .expect("every value fits");
        assert_eq!(loaded.config.limits.drain.as_secs(), 3);
        assert_eq!(loaded.config.credentials.ttl.as_secs(), 120);
        assert_eq!(loaded.config.record.folder, PathBuf::from("a"));
        assert_eq!(loaded.origin("limits.drain").to_string(), "flag");
        assert_eq!(loaded.origin("credentials.ttl").to_string(), "HOOP_CREDENTIALS_TTL");
        assert_eq!(loaded.origin("record.folder").to_string(), "g.toml:2");
        assert_eq!(loaded.origin("store.url").to_string(), "default");
    }

    #[test]
    fn a_wrong_variable_is_blamed_not_the_file() {
        let variable = ("HOOP_LISTEN_HTTP_ADDRESS".to_owned(), "here".to_owned());
        let error = Loader::new().env([variable]).load().expect_err("not an address").to_string();
        assert!(error.starts_with("`listen.http.address` (HOOP_LISTEN_HTTP_ADDRESS): "), "{error}");
    }

    #[test]
    fn the_list_of_settings_is_the_struct() {
        let mut config = Config::default();
        config.listen.http.public = Some("https://gateway".to_owned());
        config.listen.grpc.public = Some("gateway:8010".to_owned());
        config.listen.postgres.public = Some("gateway:5432".to_owned());
        config.listen.ssh.public = Some("gateway:22".to_owned());
        config.listen.proxy.public = Some("https://apps.example.com".to_owned());
        config.tls.certificate = Some("c".into());
        config.tls.key = Some("k".into());
        config.telemetry.otlp_endpoint = Some("http://collector".to_owned());
        config.secrets.key_file = Some("o".into());
        let mut leaves = Vec::new();
        fn walk(table: &Table, prefix: &str, leaves: &mut Vec<String>) {
            for (key, value) in table {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                match value {
                    Value::Table(inner) => walk(inner, &path, leaves),
                    _ => leaves.push(path),
                }
            }
        }
        walk(&Table::try_from(&config).expect("a configuration is a table"), "", &mut leaves);
        let mut listed: Vec<String> = SETTINGS.iter().map(|setting| setting.path.to_owned()).collect();
        leaves.sort();
        listed.sort();
        assert_eq!(leaves, listed);
    }

    #[test]
    fn a_collector_is_a_url_without_secrets() {
        let of = |endpoint: &str| format!("[telemetry]\notlp_endpoint = '{endpoint}'\n");
        for right in ["http://127.0.0.1:4318", "https://otel.example.com/hoop/"] {
            assert!(Loader::new().text("g.toml", of(right)).load().is_ok(), "{right}");
        }
        for wrong in ["", "127.0.0.1:4318", "grpc://otel:4317", "https://hoop:secret@otel", "https://otel?key=secret"] {
            let error = error(&of(wrong));
            assert!(error.contains("telemetry.otlp_endpoint") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_password_of_the_store_is_not_shown() {
        let variable = ("HOOP_STORE_URL".to_owned(), "postgres://hoop:hunter2@db/hoop".to_owned());
        let config = Loader::new().env([variable]).load().expect("a URL").config;
        let shown = toml::to_string(&config).expect("a configuration is a table");
        assert!(shown.contains("url = \"postgres://hoop:***@db/hoop\""), "{shown}");
        assert!(!format!("{config:?}{shown}").contains("hunter2"));
        assert_eq!(config.store_url().expose(), "postgres://hoop:hunter2@db/hoop");
        let error = error("[store]\nurl = 'mysql://hoop:hunter2@db/hoop'");
        assert!(error.starts_with("gateway.toml:2: `store.url`: ") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        assert!(error("[tls]\ncertificate = 'c.pem'").contains("`tls.key`"));
        assert!(error("[listen.grpc]\ntls = false").contains("loopback"));
        for url in ["gw.example.com", "https://gw.example.com/hoop", "https://a:b@gw.example.com"] {
            assert!(error(&format!("[listen.http]\npublic = '{url}'")).contains("`listen.http.public`"), "{url}");
        }
        assert!(error("[agents]\nheartbeat_timeout = '1s'").contains("heartbeat_interval"));
        let wrong = error("[agents]\nbusy_poll = 'yes'\n");
        assert!(
            wrong.contains("`agents.busy_poll`: unknown variant `yes`, expected one of `auto`, `on`, `off`"),
            "{wrong}"
        );
    }

    /// Every time and number at its edges, and a step beyond them.
    #[test]
    fn values_are_taken_up_to_their_edges() {
        let load = |path: &str, value: String| {
            // The other end waits for longer than it is silent.
            let beside = match path {
                "agents.heartbeat_interval" => Some(("agents.heartbeat_timeout", "1d")),
                "agents.heartbeat_timeout" => Some(("agents.heartbeat_interval", "1ms")),
                _ => None,
            };
            let beside = beside.map(|(path, value)| (path.to_owned(), value.to_owned()));
            Loader::new().flags(beside.into_iter().chain([(path.to_owned(), value)])).load()
        };
        let mut tried = 0;
        for setting in SETTINGS {
            let (taken, refused) = match setting.kind {
                ValueKind::Duration { least, most } => {
                    let shorter = least.checked_sub(Duration::from_millis(1)).map(|time| time.as_millis());
                    let longer = most.as_millis() + 1;
                    let written = |time: u128| format!("{time}ms");
                    let refused = shorter.into_iter().chain([longer]).map(written).chain(["-1s".to_owned()]);
                    ([least, most].map(|time| written(time.as_millis())), refused.collect::<Vec<_>>())
                }
                ValueKind::Integer { least, most } => {
                    let refused = [i128::from(least) - 1, i128::from(most) + 1, i128::from(i64::MAX)];
                    ([least, most].map(|number| number.to_string()), refused.map(|number| number.to_string()).to_vec())
                }
                _ => continue,
            };
            tried += 1;
            for value in taken {
                load(setting.path, value.clone()).unwrap_or_else(|error| panic!("{} = {value}: {error}", setting.path));
            }
            for value in refused {
                let error = load(setting.path, value.clone()).expect_err(setting.path).to_string();
                assert!(error.starts_with(&format!("`{}` (flag): ", setting.path)), "{value}: {error}");
            }
        }
        assert!(tried > 15, "{tried} settings have edges");
        let error = error("[limits]\n\nopen_timeout = '999ms'");
        assert_eq!(error, "`limits.open_timeout` (gateway.toml:3): \"999ms\" is not a time from 1s to 2m");
    }
}
