//! What is asked for. A resource is a database, a host, a service; a *resource role* is one way to reach it: through
//! which agent, as whom, and under which rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Code, Denial};
use crate::id::{OrgId, RoleId};

/// A resource role.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceRole {
    /// Its lasting identity.
    pub id: RoleId,
    /// The organisation it belongs to.
    pub org: OrgId,
    /// Its name, unique in the organisation: lower-case letters, digits, `-`, `_` and `.`, at most 63 characters.
    pub name: Arc<str>,
    /// The name of the agent that reaches it.
    pub agent: Arc<str>,
    /// Where it is and how to log in there.
    pub target: Target,
    /// For people and rules to select by.
    pub labels: BTreeMap<String, String>,
    /// What must be durable before a statement goes on.
    pub recording: RecordingMode,
    /// Settings of plugins for this role, by plugin name. A plugin reads its own with [`settings`](Self::settings).
    pub plugins: BTreeMap<String, Value>,
}

impl ResourceRole {
    /// What kind of resource it is.
    pub const fn kind(&self) -> ResourceKind {
        match self.target {
            Target::Postgres(_) => ResourceKind::Postgres,
        }
    }

    /// This role's settings for the named plugin, or `None` when the role has none.
    ///
    /// # Errors
    /// A [`Denial`] when the settings are not of the form that the plugin documents: a rule that cannot be read is not
    /// a rule that can be skipped.
    pub fn settings<T: for<'de> Deserialize<'de>>(&self, plugin: &str) -> Result<Option<T>, Denial> {
        let Some(value) = self.plugins.get(plugin) else { return Ok(None) };
        T::deserialize(value).map(Some).map_err(|error| {
            let reason = format!("the settings of {plugin} on role {} cannot be read: {error}", self.name);
            Denial::new(plugin.to_owned(), Code::PluginFailed, reason).hint("ask an administrator to correct the role")
        })
    }
}

/// The kinds of resources.
#[non_exhaustive]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    /// A PostgreSQL server.
    Postgres,
}

impl ResourceKind {
    /// The name as the API and the CLI spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
        }
    }
}

/// What must be durable before a statement goes on.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordingMode {
    /// At most a second of recording is lost when the gateway is killed.
    #[default]
    Default,
    /// A statement goes to the target, and its end to the client, only after they are on disk.
    Strict,
}

/// Where a resource is and how the agent logs in there.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Target {
    /// A PostgreSQL server.
    Postgres(PostgresTarget),
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Target {
    /// One object, as it is on the wire: the kind stands among the fields of the target.
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
        use utoipa::openapi::{OneOfBuilder, RefOr};
        let mut postgres = <PostgresTarget as utoipa::PartialSchema>::schema();
        if let RefOr::T(Schema::Object(object)) = &mut postgres {
            let kind = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["postgres"]));
            object.properties.insert("kind".to_owned(), kind.into());
            object.required.push("kind".to_owned());
        }
        OneOfBuilder::new().item(postgres).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Target {
    fn name() -> std::borrow::Cow<'static, str> {
        std::borrow::Cow::Borrowed("Target")
    }

    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        <PostgresTarget as utoipa::ToSchema>::schemas(schemas);
    }
}

/// A PostgreSQL server. The parameters mean what they mean in libpq
/// ([PostgreSQL, Database Connection Control Functions]).
///
/// [PostgreSQL, Database Connection Control Functions]: https://www.postgresql.org/docs/current/libpq-connect.html
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresTarget {
    /// Host name, address, or the absolute path of the folder of a Unix-domain socket.
    #[cfg_attr(feature = "openapi", schema(min_length = 1))]
    pub host: String,
    /// Port, 5432 unless given.
    #[serde(default = "default_port")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub port: u16,
    /// The user to log in as.
    #[cfg_attr(feature = "openapi", schema(min_length = 1))]
    pub user: String,
    /// Where the agent finds the password: `env:NAME`, `file:/path`, `vault:<mount>/<path>#<field>`, `aws-sm:<name>` or
    /// `aws-sm:<name>#<key>`. Never the password itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^(env:|file:/|vault:|aws-sm:).*$"))]
    pub password: Option<String>,
    /// The database of a client that names none.
    #[cfg_attr(feature = "openapi", schema(min_length = 1))]
    pub database: String,
    /// Other databases of the same server that a client may name; `*` stands for any run of characters.
    #[serde(default)]
    pub databases: Vec<String>,
    /// Whether replication connections are allowed. They bypass rows, so nothing on them is masked.
    #[serde(default)]
    pub replication: bool,
    /// `disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`.
    #[serde(default)]
    pub sslmode: SslMode,
    /// File with the certificates of the authorities to trust, on the agent's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslrootcert: Option<String>,
    /// Where the agent finds the client certificate, as for `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^(env:|file:/|vault:|aws-sm:).*$"))]
    pub sslcert: Option<String>,
    /// Where the agent finds the key of the client certificate, as for `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^(env:|file:/|vault:|aws-sm:).*$"))]
    pub sslkey: Option<String>,
    /// Whether SCRAM binds to the TLS channel: `disable`, `prefer` or `require`.
    #[serde(default)]
    pub channel_binding: ChannelBinding,
}

const fn default_port() -> u16 {
    5432
}

impl PostgresTarget {
    /// Whether a client of this role may connect to the database.
    pub fn allows_database(&self, database: &str) -> bool {
        database == self.database || self.databases.iter().any(|pattern| matches_wildcard(pattern, database))
    }
}

/// When the agent speaks TLS to the server, and what it verifies.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// Without TLS, with it when the server insists.
    Allow,
    /// TLS when the server has it, without verification.
    Prefer,
    /// TLS without verification, or as `verify-ca` when authorities are given.
    Require,
    /// TLS, and the certificate is signed by a trusted authority.
    VerifyCa,
    /// TLS, signed by a trusted authority and issued for this host.
    #[default]
    VerifyFull,
}

impl SslMode {
    /// The name as libpq spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// Whether SCRAM authentication binds to the TLS channel.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// When both ends can.
    #[default]
    Prefer,
    /// Always, or the login fails.
    Require,
}

impl ChannelBinding {
    /// The name as libpq spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
        }
    }
}

/// Whether `pattern`, in which `*` stands for any run of characters, matches the whole of `text`.
///
/// ```
/// use hoop_core::role::matches_wildcard;
/// assert!(matches_wildcard("shop_*", "shop_eu"));
/// assert!(!matches_wildcard("shop_*", "the_shop_eu"));
/// ```
pub fn matches_wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some(at) = rest.find(middle) else { return false };
            rest = rest.split_at(at + middle.len()).1;
        }
    }
    match last {
        Some(suffix) => rest.ends_with(suffix),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("shop", "shop", true),
            ("shop", "shops", false),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "acb", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxc", false),
            ("*_test", "shop_test", true),
            ("ab*b", "ab", false),
        ] {
            assert_eq!(matches_wildcard(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
