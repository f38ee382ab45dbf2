//! What an administrator says of a role, and whether it can be one.

use std::collections::BTreeMap;

use hoop_core::id::{OrgId, RoleId};
use hoop_core::role::{HttpCors, HttpHealth, HttpLogin, HttpTarget, SshTarget};
use hoop_core::{PostgresTarget, RecordingMode, ResourceRole, Target};
use russh::keys::PublicKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema};

use super::parts::Api;
use super::problem::Problem;
use super::users::check_name;
use crate::auth::keys::MAX_KEY_BYTES;
use crate::proxy::http::fields::is_hop_by_hop;
use crate::session::HttpUrl;
use crate::store::Role;

/// What an administrator says of a role. A change replaces what it names, and null takes away (RFC 7396).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoleDefinition)]
pub(super) struct Definition {
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,62}$")]
    pub(super) name: String,
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,62}$")]
    agent: String,
    target: Target,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    recording: RecordingMode,
    #[serde(default)]
    plugins: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) allowed_groups: Vec<String>,
}

impl From<&Role> for Definition {
    fn from(Role { role, allowed_groups, .. }: &Role) -> Self {
        Self {
            name: role.name.to_string(),
            agent: role.agent.to_string(),
            target: role.target.clone(),
            labels: role.labels.clone(),
            recording: role.recording,
            plugins: role.plugins.clone(),
            allowed_groups: allowed_groups.clone(),
        }
    }
}

pub(super) fn resource_role(
    api: &Api,
    org: OrgId,
    id: RoleId,
    definition: Definition,
) -> Result<ResourceRole, Problem> {
    check_slug("/name", &definition.name)?;
    check_slug("/agent", &definition.agent)?;
    for (at, group) in definition.allowed_groups.iter().enumerate() {
        check_name(&format!("/allowed_groups/{at}"), group)?;
    }
    check_target(&definition.target)?;
    let role = ResourceRole {
        id,
        org,
        name: definition.name.into(),
        agent: definition.agent.into(),
        target: definition.target,
        labels: definition.labels,
        recording: definition.recording,
        plugins: definition.plugins,
    };
    api.check_role.check(&role).map_err(|denial| Problem::field("/plugins", denial.reason))?;
    Ok(role)
}

/// Names that stand in logins, URLs and file names.
pub(super) fn check_slug(pointer: &str, name: &str) -> Result<(), Problem> {
    if is_slug(name) { Ok(()) } else { Err(Problem::field(pointer, SLUG)) }
}

/// The form of such names.
pub(crate) const SLUG: &str = "1 to 63 lower-case letters, digits, `-`, `_` or `.`, the first a letter or digit";

pub(crate) fn is_slug(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    (1..=63).contains(&name.len()) && name.chars().all(allowed) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn check_target(target: &Target) -> Result<(), Problem> {
    match target {
        Target::Postgres(target) => check_postgres(target),
        Target::Ssh(target) => check_ssh(target),
        Target::Http(target) => check_http(target),
        _ => Ok(()),
    }
}

fn check_postgres(target: &PostgresTarget) -> Result<(), Problem> {
    check_words(&[("host", &target.host), ("user", &target.user), ("database", &target.database)])?;
    check_port(target.port)?;
    check_references(&[("password", &target.password), ("sslcert", &target.sslcert), ("sslkey", &target.sslkey)])
}

/// A target without a host key can be stored: it is tried first, and its key approved then.
fn check_ssh(target: &SshTarget) -> Result<(), Problem> {
    check_words(&[("host", &target.host), ("user", &target.user)])?;
    check_port(target.port)?;
    check_references(&[
        ("password", &target.password),
        ("private_key", &target.private_key),
        ("passphrase", &target.passphrase),
        ("certificate", &target.certificate),
        ("certificate_authority", &target.certificate_authority),
    ])?;
    if let Some(jump) = &target.jump {
        check_slug("/target/jump", jump)?;
    }
    check_host_keys("host_keys", &target.host_keys)?;
    check_host_keys("host_authorities", &target.host_authorities)?;
    if target.known_hosts.as_deref().is_some_and(|path| !path.starts_with('/') || path.contains('\0')) {
        return Err(Problem::field("/target/known_hosts", "an absolute path on the agent's machine"));
    }
    let allow = &target.allow;
    for (field, addresses) in [("direct_tcpip", &allow.direct_tcpip), ("tcpip_forward", &allow.tcpip_forward)] {
        if let Some(at) = addresses.iter().position(|address| !address.contains(':') && address != "*") {
            return Err(Problem::field(format!("/target/allow/{field}/{at}"), "an address with its port: host:port"));
        }
    }
    Ok(())
}

fn check_http(target: &HttpTarget) -> Result<(), Problem> {
    HttpUrl::parse(&target.url).map_err(|denial| Problem::field("/target/url", denial.reason))?;
    let is_path = |path: &String| path.starts_with('/') && !path.contains('\0');
    for (field, path) in [("socket", &target.socket), ("sslrootcert", &target.sslrootcert)] {
        if !path.as_ref().is_none_or(is_path) {
            return Err(Problem::field(format!("/target/{field}"), "an absolute path on the agent's machine"));
        }
    }
    check_references(&[
        ("sslcert", &target.sslcert),
        ("sslkey", &target.sslkey),
        ("secret", &target.secret),
        ("aws_session_token", &target.aws_session_token),
    ])?;
    check_hosts(&target.hosts)?;
    if let Some(cors) = &target.cors {
        check_cors(cors)?;
    }
    if let Some(health) = &target.health {
        check_health(health)?;
    }
    check_http_login(&target.login)
}

fn check_hosts(hosts: &[String]) -> Result<(), Problem> {
    const MOST: usize = 100;
    if hosts.len() > MOST {
        return Err(Problem::field("/target/hosts", "at most 100"));
    }
    // As the door reads it: an address of version 6 stands in brackets there, and a name has no dot at its end here.
    let is_host = |host: &String| {
        let written = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let is_plain = !host.ends_with('.') && !host.contains('*');
        is_plain && url::Host::parse(&written).is_ok_and(|parsed| parsed.to_string() == written)
    };
    match hosts.iter().position(|host| !is_host(host)) {
        Some(at) => {
            Err(Problem::field(format!("/target/hosts/{at}"), "a name or an address in lower case, without a port"))
        }
        None => Ok(()),
    }
}

fn check_health(health: &HttpHealth) -> Result<(), Problem> {
    let HttpHealth { path, interval_seconds, status, grpc_service, .. } = health;
    if !path.starts_with('/') || path.parse::<http::uri::PathAndQuery>().is_err() {
        return Err(Problem::field("/target/health/path", "a path, such as /healthz"));
    }
    if grpc_service.as_deref().is_some_and(|service| service.len() > 500) {
        return Err(Problem::field("/target/health/grpc_service", "the name of a service, or empty"));
    }
    if !(1..=3_600).contains(interval_seconds) {
        return Err(Problem::field("/target/health/interval_seconds", "from 1 to 3600"));
    }
    match status.iter().position(|status| !(200..600).contains(status)) {
        Some(at) => Err(Problem::field(format!("/target/health/status/{at}"), "a status, from 200 to 599")),
        None => Ok(()),
    }
}

fn check_cors(cors: &HttpCors) -> Result<(), Problem> {
    const MOST_ORIGINS: usize = 100;
    const DAY: u32 = 86_400;
    let wrong = |field: String, what: &str| Err(Problem::field(format!("/target/cors/{field}"), what));
    let is_origin = |text: &str| {
        url::Url::parse(text).is_ok_and(|url| url.origin().is_tuple() && url.origin().ascii_serialization() == text)
    };
    if let Some(at) = cors.origins.iter().position(|origin| origin != "*" && !is_origin(origin)) {
        return wrong(format!("origins/{at}"), "an origin, such as https://app.example.com, or *");
    }
    if cors.credentials && cors.origins.iter().any(|origin| origin == "*") {
        return wrong("credentials".to_owned(), "not with the origin *: name the origins");
    }
    if cors.origins.len() > MOST_ORIGINS {
        return wrong("origins".to_owned(), "at most 100");
    }
    if let Some(at) = cors.methods.iter().position(|method| http::Method::from_bytes(method.as_bytes()).is_err()) {
        return wrong(format!("methods/{at}"), "a method");
    }
    for (field, names) in [("headers", &cors.headers), ("expose", &cors.expose)] {
        if let Some(at) = names.iter().position(|name| http::HeaderName::from_bytes(name.as_bytes()).is_err()) {
            return wrong(format!("{field}/{at}"), "the name of a field");
        }
    }
    if cors.max_age_seconds > DAY {
        return wrong("max_age_seconds".to_owned(), "at most 86400");
    }
    Ok(())
}

fn check_http_login(login: &HttpLogin) -> Result<(), Problem> {
    let is_token = |name: &str| http::HeaderName::from_bytes(name.as_bytes()).is_ok();
    match login {
        HttpLogin::None | HttpLogin::Bearer => Ok(()),
        HttpLogin::Basic { user } if user.contains(':') || user.chars().any(char::is_control) => {
            Err(Problem::field("/target/login/user", "must not have a colon or control characters"))
        }
        HttpLogin::Header { name } if !is_token(name) || is_hop_by_hop(name) => {
            Err(Problem::field("/target/login/name", "the name of a field that is not the connection's own"))
        }
        HttpLogin::Cookie { name } if !is_token(name) => Err(Problem::field("/target/login/name", "a cookie's name")),
        HttpLogin::OauthClientCredentials { token_url, client_id, .. } => {
            HttpUrl::parse(token_url).map_err(|denial| Problem::field("/target/login/token_url", denial.reason))?;
            check_words(&[("login/client_id", client_id)])
        }
        HttpLogin::AwsSigv4 { region, service, access_key_id } => {
            check_words(&[("login/region", region), ("login/service", service), ("login/access_key_id", access_key_id)])
        }
        HttpLogin::Basic { .. } | HttpLogin::Header { .. } | HttpLogin::Cookie { .. } => Ok(()),
    }
}

fn check_words(words: &[(&str, &String)]) -> Result<(), Problem> {
    for (field, value) in words {
        if value.is_empty() || value.contains('\0') {
            return Err(Problem::field(format!("/target/{field}"), "must not be empty"));
        }
    }
    Ok(())
}

fn check_port(port: u16) -> Result<(), Problem> {
    if port == 0 { Err(Problem::field("/target/port", "must not be 0")) } else { Ok(()) }
}

/// A secret itself would be stored, shown and logged.
fn check_references(references: &[(&str, &Option<String>)]) -> Result<(), Problem> {
    let is_reference = |text: &str| ["env:", "file:/", "vault:", "aws-sm:"].iter().any(|kind| text.starts_with(kind));
    for (field, reference) in references {
        if reference.as_deref().is_some_and(|reference| !is_reference(reference)) {
            return Err(Problem::field(
                format!("/target/{field}"),
                "a reference that the agent resolves: env:NAME, file:/path, vault:<mount>/<path>#<field> or aws-sm:<name>",
            ));
        }
    }
    Ok(())
}

/// The most host keys of a role.
const HOST_KEYS: usize = 64;

fn check_host_keys(field: &str, keys: &[String]) -> Result<(), Problem> {
    if keys.len() > HOST_KEYS {
        return Err(Problem::field(format!("/target/{field}"), format!("has at most {HOST_KEYS} keys")));
    }
    for (at, key) in keys.iter().enumerate() {
        let is_key =
            key.len() <= MAX_KEY_BYTES && PublicKey::from_openssh(key).is_ok_and(|key| !key.key_data().is_dsa());
        if !is_key {
            let form = "a public key of one line, as ssh-keyscan prints it without the name: ssh-ed25519 AAAA…";
            return Err(Problem::field(format!("/target/{field}/{at}"), form));
        }
    }
    Ok(())
}

/// A change of a role: any part of its definition, and null for what is to go.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Patch(pub(super) serde_json::Map<String, Value>);

impl utoipa::PartialSchema for Patch {
    fn schema() -> RefOr<Schema> {
        let mut schema = Definition::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required.clear();
            let any = |about: &str| RefOr::T(Schema::Object(ObjectBuilder::new().description(Some(about)).build()));
            object.properties.insert("target".to_owned(), any("What changes of it."));
            object.properties.insert("labels".to_owned(), any("What changes of them; null takes one away."));
            object.properties.insert("plugins".to_owned(), any("What changes of them; null takes one away."));
        }
        schema
    }
}

impl ToSchema for Patch {
    fn name() -> std::borrow::Cow<'static, str> {
        "RolePatch".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Definition::schemas(schemas);
    }
}

/// RFC 7396.
pub(super) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(&name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{check_hosts, merge};
    use serde_json::json;

    #[test]
    fn hosts_are_written_as_the_door_reads_them() {
        let check = |host: &str| check_hosts(&[host.to_owned()]).is_ok();
        for host in ["app.example.com", "localhost", "10.0.0.5", "::1", "xn--bcher-kva.example"] {
            assert!(check(host), "{host}");
        }
        for wrong in
            ["", "App.example.com", "app.example.com:8080", "[::1]", "a b", "a/b", "a@b", "app.example.com.", "*"]
        {
            assert!(!check(wrong), "{wrong}");
        }
        assert!(check_hosts(&vec!["a".to_owned(); 100]).is_ok() && check_hosts(&vec!["a".to_owned(); 101]).is_err());
    }

    #[test]
    fn merges_as_in_the_appendix_of_rfc_7396() {
        for (mut target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            merge(&mut target, patch);
            assert_eq!(target, result);
        }
    }
}
