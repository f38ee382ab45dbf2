//! `/api/v1/roles`: resource roles.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, SubsecRound as _, Utc};
use hoop_core::id::{OrgId, RoleId};
use hoop_core::{AccessMode, AccessRequest, Code, Decision, Denial, RecordingMode, ResourceRole, Target};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema};

use super::body::{Body, Named, convert};
use super::describe::{Created, Done};
use super::etag::{IfMatch, Tagged, etag, stale};
use super::page::{Page, Paging};
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Routes, Source};
use super::users::check_name;
use crate::changes::Subject;
use crate::store::{self, Role};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/api/v1/roles", Permission::Member, "Roles, by name; members get those that they may reach.", list)
        .post("/api/v1/roles", Permission::Admin, "Adds a role.", create)
        .get("/api/v1/roles/{name}", Permission::Member, "A role.", show)
        .patch("/api/v1/roles/{name}", Permission::Admin, "Merges a change into a role (RFC 7396).", update)
        .delete("/api/v1/roles/{name}", Permission::Admin, "Removes a role.", delete)
}

/// What an administrator says of a role. A change replaces what it names, and null takes away (RFC 7396).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoleDefinition)]
pub(super) struct Definition {
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,62}$")]
    name: String,
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
    allowed_groups: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct RoleView {
    id: RoleId,
    name: String,
    kind: &'static str,
    agent: String,
    labels: BTreeMap<String, String>,
    /// How it is reached; this and what follows is for those who may see everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    target: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    recording: Option<RecordingMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    plugins: Option<BTreeMap<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    allowed_groups: Option<Vec<String>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

fn view(role: Role, caller: &Caller) -> RoleView {
    let Role { role, allowed_groups, created_at, updated_at } = role;
    let (kind, all) = (role.kind().as_str(), caller.scope().is_none());
    RoleView {
        id: role.id,
        name: role.name.to_string(),
        kind,
        agent: role.agent.to_string(),
        labels: role.labels,
        target: all.then_some(role.target),
        recording: all.then_some(role.recording),
        plugins: all.then_some(role.plugins),
        allowed_groups: all.then_some(allowed_groups),
        created_at,
        updated_at,
    }
}

/// Members get the roles they may reach, so that a page may have less than `limit` and yet not be the last.
async fn list(
    State(api): State<Api>,
    source: Source,
    caller: Caller,
    paging: Paging,
) -> Result<Json<Page<RoleView>>, Problem> {
    let after: Option<String> = paging.after()?;
    let store::Page { items, more } = api.store.roles().list(caller.user.org, after.as_deref(), paging.limit()).await?;
    let last = items.last().map(|role| role.role.name.to_string()).unwrap_or_default();
    let mut visible = Vec::with_capacity(items.len());
    for role in items {
        if caller.scope().is_none() || reach(&api, &caller, source, &role.role).await?.is_ok() {
            visible.push(role);
        }
    }
    let next_cursor = more.then(|| paging.cursor(&last));
    Ok(Json(Page { items: visible.into_iter().map(|role| view(role, &caller)).collect(), next_cursor }))
}

async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(definition): Body<Definition>,
) -> Result<Created<RoleView>, Problem> {
    let now = now(&api);
    let role = Role {
        allowed_groups: definition.allowed_groups.clone(),
        role: resource_role(&api, caller.user.org, RoleId::new(&*api.clock), definition)?,
        created_at: now,
        updated_at: now,
    };
    api.store.roles().create(&role).await?;
    api.changes.tell(role.role.org, Subject::Role, role.role.id, None, "created");
    Ok(Created { at: format!("/api/v1/roles/{}", role.role.name), view: view(role, &caller) })
}

/// The time as the store keeps it, so that what is answered is what is read again.
fn now(api: &Api) -> DateTime<Utc> {
    api.clock.now().trunc_subsecs(6)
}

async fn show(
    State(api): State<Api>,
    source: Source,
    caller: Caller,
    Named(name): Named,
) -> Result<Tagged<RoleView>, Problem> {
    let version = version(&api, &caller, &name).await?;
    let role = reachable(&api, &caller, source, &name).await?;
    Ok(Tagged { version, view: view(role, &caller) })
}

async fn update(
    State(api): State<Api>,
    caller: Caller,
    Named(name): Named,
    if_match: IfMatch,
    Body(Patch(patch)): Body<Patch>,
) -> Result<Tagged<RoleView>, Problem> {
    let (version, before) = matched(&api, &caller, &name, &if_match).await?;
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
        updated_at: now(&api),
    };
    if !api.store.versions().update_role(&role, version).await? {
        return Err(stale());
    }
    api.changes.tell(role.role.org, Subject::Role, role.role.id, None, "updated");
    Ok(Tagged { version: version + 1, view: view(role, &caller) })
}

async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Named(name): Named,
    if_match: IfMatch,
) -> Result<Done, Problem> {
    let (version, Role { role, .. }) = matched(&api, &caller, &name, &if_match).await?;
    if !api.store.versions().delete_role(role.org, role.id, version).await? {
        return Err(stale());
    }
    api.changes.tell(role.org, Subject::Role, role.id, None, "deleted");
    Ok(Done)
}

/// The role, when it is the one that a change is meant for, and a version that it is at least of.
async fn matched(api: &Api, caller: &Caller, name: &str, if_match: &IfMatch) -> Result<(i64, Role), Problem> {
    let version = version(api, caller, name).await?;
    let role = find(api, caller, name).await?;
    if_match.check(&etag(version, &view(role.clone(), caller)))?;
    Ok((version, role))
}

async fn version(api: &Api, caller: &Caller, name: &str) -> Result<i64, Problem> {
    api.store.versions().role(caller.user.org, name).await?.ok_or_else(|| no_role(name))
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
    let ask = AccessRequest { principal: &principal, role, mode: AccessMode::Native, source, at: api.clock.now() };
    match api.policy.decide(&ask).await {
        Ok(Decision::Allow(_)) => Ok(Ok(())),
        Ok(Decision::Deny(denial)) => Ok(Err(denial)),
        Err(error) => Err(Denial::failed("access policy", error).with_code(Code::StoreUnavailable).into()),
    }
}

fn no_role(name: &str) -> Problem {
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

/// A change of a role: any part of its definition, and null for what is to go.
#[derive(Deserialize)]
#[serde(transparent)]
struct Patch(serde_json::Map<String, Value>);

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
fn merge(target: &mut Value, patch: Value) {
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
