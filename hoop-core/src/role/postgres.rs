//! A PostgreSQL server, and how the agent logs in there.

use serde::{Deserialize, Serialize};

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
        database == self.database || self.databases.iter().any(|pattern| super::matches_wildcard(pattern, database))
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
