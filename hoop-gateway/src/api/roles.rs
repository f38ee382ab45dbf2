//! `/api/v1/roles`: resource roles.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use hoop_core::id::{OrgId, RoleId};
use hoop_core::{AccessMode, AccessRequest, Code, Decision, Denial, RecordingMode, ResourceRole, Target};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::body::{Body, Parameters, convert};
use super::page::{Page, Paging, cursor};
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Routes, Source};
use super::users::check_name;
use crate::store::{self, Role};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/api/v1/roles", Permission::Member, list)
        .post("/api/v1/roles", Permission::Admin, create)
        .get("/api/v1/roles/{name}", Permission::Member, show)
        .patch("/api/v1/roles/{name}", Permission::Admin, update)
        .delete("/api/v1/roles/{name}", Permission::Admin, delete)
}

/// What an administrator says of a role. A change replaces what it names, and null takes away (RFC 7396).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    name: String,
    agent: String,
    target: Target,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    recording: RecordingMode,
    #[serde(default)]
    plugins: BTreeMap<String, Value>,
    #[serde(default)]
    allowed_groups: Vec<String>,
}

#[derive(Serialize)]
struct RoleView {
    id: RoleId,
    name: String,
    kind: &'static str,
    agent: String,
    labels: BTreeMap<String, String>,
    /// How it is reached and governed; for those who may see everything.
    #[serde(flatten)]
    inside: Option<Inside>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct Inside {
    target: Target,
    recording: RecordingMode,
    plugins: BTreeMap<String, Value>,
    allowed_groups: Vec<String>,
}

fn view(role: Role, caller: &Caller) -> RoleView {
    let Role { role, allowed_groups, created_at, updated_at } = role;
    let kind = role.kind().as_str();
    let inside = Inside { target: role.target, recording: role.recording, plugins: role.plugins, allowed_groups };
    RoleView {
        id: role.id,
        name: role.name.to_string(),
        kind,
        agent: role.agent.to_string(),
        labels: role.labels,
        inside: caller.scope().is_none().then_some(inside),
        created_at,
        updated_at,
    }
}

/// Members get the roles they may reach, so that a page may have less than `limit` and yet not be the last.
async fn list(
    State(api): State<Api>,
    source: Source,
    caller: Caller,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<Page<RoleView>>, Problem> {
    let after: Option<String> = paging.after()?;
    let store::Page { items, more } =
        api.store.roles().list(caller.user.org, after.as_deref(), paging.limit()?).await?;
    let last = items.last().map(|role| role.role.name.to_string()).unwrap_or_default();
    let mut visible = Vec::with_capacity(items.len());
    for role in items {
        if caller.scope().is_none() || reach(&api, &caller, source, &role.role).await?.is_ok() {
            visible.push(role);
        }
    }
    let next_cursor = more.then(|| cursor(&last));
    Ok(Json(Page { items: visible.into_iter().map(|role| view(role, &caller)).collect(), next_cursor }))
}

async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(definition): Body<Definition>,
) -> Result<(StatusCode, Json<RoleView>), Problem> {
    let now = api.clock.now();
    let role = Role {
        allowed_groups: definition.allowed_groups.clone(),
        role: resource_role(&api, caller.user.org, RoleId::new(&*api.clock), definition)?,
        created_at: now,
        updated_at: now,
    };
    api.store.roles().create(&role).await?;
    Ok((StatusCode::CREATED, Json(view(role, &caller))))
}

async fn show(
    State(api): State<Api>,
    source: Source,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<RoleView>, Problem> {
    let role = reachable(&api, &caller, source, &name).await?;
    Ok(Json(view(role, &caller)))
}

async fn update(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Body(patch): Body<serde_json::Map<String, Value>>,
) -> Result<Json<RoleView>, Problem> {
    let before = find(&api, &caller, &name).await?;
    let mut merged = serde_json::to_value(Definition::from(&before)).unwrap_or_default();
    merge(&mut merged, Value::Object(patch));
    let definition: Definition = convert(merged)?;
    if definition.name != name {
        return Err(Problem::field("/name", "a role keeps its name"));
    }
    let role = Role {
        allowed_groups: definition.allowed_groups.clone(),
        role: resource_role(&api, before.role.org, before.role.id, definition)?,
        created_at: before.created_at,
        updated_at: api.clock.now(),
    };
    if !api.store.roles().update(&role).await? {
        return Err(no_role(&name));
    }
    Ok(Json(view(role, &caller)))
}

async fn delete(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    let role = find(&api, &caller, &name).await?;
    api.store.roles().delete(role.role.org, role.role.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(api: &Api, caller: &Caller, name: &str) -> Result<Role, Problem> {
    api.store.roles().by_name(caller.user.org, name).await?.ok_or_else(|| no_role(name))
}

/// The role, when the caller may see everything or may reach it. One that they may not reach is not there for them.
pub(super) async fn reachable(api: &Api, caller: &Caller, source: Source, name: &str) -> Result<Role, Problem> {
    let role = find(api, caller, name).await?;
    if caller.scope().is_none() || reach(api, caller, source, &role.role).await?.is_ok() {
        Ok(role)
    } else {
        Err(no_role(name))
    }
}

/// What the policy says of the caller and the role.
pub(super) async fn reach(
    api: &Api,
    caller: &Caller,
    source: Source,
    role: &ResourceRole,
) -> Result<Result<(), Denial>, Problem> {
    let principal = caller.principal();
    let source = source.0.map(|source| source.ip());
    let (mode, at) = (AccessMode::Native, api.clock.now());
    let ask = AccessRequest { principal: &principal, role, mode, source, at, reason: None, since: None };
    match api.policy.decide(&ask).await {
        Ok(Decision::Allow(_)) => Ok(Ok(())),
        Ok(Decision::Deny(denial)) => Ok(Err(denial)),
        Err(error) => Err(Denial::failed("access policy", error).with_code(Code::StoreUnavailable).into()),
    }
}

pub(super) fn no_role(name: &str) -> Problem {
    Problem::new(Code::RoleNotFound, format!("there is no role {name}, or none that you may reach"))
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

fn resource_role(api: &Api, org: OrgId, id: RoleId, definition: Definition) -> Result<ResourceRole, Problem> {
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
    let Target::Postgres(target) = target else { return Ok(()) };
    for (field, value) in [("host", &target.host), ("user", &target.user), ("database", &target.database)] {
        if value.is_empty() || value.contains('\0') {
            return Err(Problem::field(format!("/target/{field}"), "must not be empty"));
        }
    }
    if target.port == 0 {
        return Err(Problem::field("/target/port", "must not be 0"));
    }
    for (field, secret) in [("password", &target.password), ("sslcert", &target.sslcert), ("sslkey", &target.sslkey)] {
        // A secret itself would be stored, shown and logged.
        let reference = |text: &str| text.starts_with("env:") || text.starts_with("file:/");
        if secret.as_deref().is_some_and(|secret| !reference(secret)) {
            return Err(Problem::field(
                format!("/target/{field}"),
                "a reference that the agent resolves: env:NAME or file:/path",
            ));
        }
    }
    Ok(())
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
    use super::merge;
    use serde_json::json;

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
