//! What is asked for. A resource is a database, a host, a service; a *resource role* is one way to reach it: through
//! which agent, as whom, and under which rules.

mod http;
mod postgres;
mod ssh;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Code, Denial};
use crate::id::{OrgId, RoleId};

pub use http::{GrpcWeb, HostField, HttpAllow, HttpCors, HttpHealth, HttpLogin, HttpTarget, HttpVersion};
pub use postgres::{ChannelBinding, PostgresTarget, SslMode};
pub use ssh::{SshAllow, SshTarget};

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
            Target::Ssh(_) => ResourceKind::Ssh,
            Target::Http(_) => ResourceKind::Http,
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
    /// A machine that is reached over SSH.
    Ssh,
    /// A service that speaks HTTP.
    Http,
}

impl ResourceKind {
    /// The name as the API and the CLI spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Ssh => "ssh",
            Self::Http => "http",
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
#[allow(clippy::large_enum_variant, reason = "there is one for each role, and it is seldom moved")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Target {
    /// A PostgreSQL server.
    Postgres(PostgresTarget),
    /// A machine that is reached over SSH.
    Ssh(SshTarget),
    /// A service that speaks HTTP.
    Http(HttpTarget),
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Target {
    /// One object, as it is on the wire: the kind stands among the fields of the target.
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::OneOfBuilder::new()
            .item(of_kind(ResourceKind::Postgres, <PostgresTarget as utoipa::PartialSchema>::schema()))
            .item(of_kind(ResourceKind::Ssh, <SshTarget as utoipa::PartialSchema>::schema()))
            .item(of_kind(ResourceKind::Http, <HttpTarget as utoipa::PartialSchema>::schema()))
            .into()
    }
}

#[cfg(feature = "openapi")]
fn of_kind(
    kind: ResourceKind,
    mut target: utoipa::openapi::RefOr<utoipa::openapi::Schema>,
) -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
    use utoipa::openapi::RefOr;
    use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
    if let RefOr::T(Schema::Object(object)) = &mut target {
        let name = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([kind.as_str()]));
        object.properties.insert("kind".to_owned(), name.into());
        object.required.push("kind".to_owned());
    }
    target
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Target {
    fn name() -> std::borrow::Cow<'static, str> {
        std::borrow::Cow::Borrowed("Target")
    }

    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        <PostgresTarget as utoipa::ToSchema>::schemas(schemas);
        <SshTarget as utoipa::ToSchema>::schemas(schemas);
        <HttpTarget as utoipa::ToSchema>::schemas(schemas);
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
