//! `/api/v1/roles`: resource roles.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, SubsecRound as _, Utc};
use hoop_core::id::RoleId;
use hoop_core::{AccessMode, AccessRequest, Code, Decision, Denial, RecordingMode, ResourceRole, Target};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{Body, Named, convert};
use super::definition::{Definition, Patch, merge, resource_role};
use super::describe::{Created, Done};
use super::etag::{IfMatch, Tagged, stale};
use super::jump;
use super::page::{Page, Paging};
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Routes, Source};
use super::users::no_rule_names;
use crate::access::RuleDefinition;
use crate::changes::Subject;
use crate::health::Checked;
use crate::secrets::SecretField;
use crate::store::{self, Role};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/api/v1/roles", Permission::Member, "Roles, by name; members get those that they may reach.", list)
        .post("/api/v1/roles", Permission::Admin, "Adds a role.", create)
        .get("/api/v1/roles/{name}", Permission::Member, "A role.", show)
        .patch("/api/v1/roles/{name}", Permission::Admin, "Merges a change into a role (RFC 7396).", update)
        .delete("/api/v1/roles/{name}", Permission::Admin, "Removes a role that no access rule names.", delete)
        .may_refuse(&[StatusCode::CONFLICT])
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
    /// How the checks of its target went, where it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    health: Option<Checked>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

fn view(api: &Api, role: Role, caller: &Caller) -> RoleView {
    let Role { role, allowed_groups, created_at, updated_at } = role;
    let (kind, all) = (role.kind().as_str(), caller.scope().is_none());
    RoleView {
        health: api.health.of(&role),
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

async fn list(
    State(api): State<Api>,
    source: Source,
    caller: Caller,
    paging: Paging,
) -> Result<Json<Page<RoleView>>, Problem> {
    let after: Option<String> = paging.after()?;
    let page = match caller.scope() {
        None => api.store.roles().list(caller.user.org, after.as_deref(), paging.limit()).await?,
        Some(_) => visible(&api, &caller, source, after, paging.limit()).await?,
    };
    Ok(paging.page(page, |role| role.role.name.to_string(), |role| view(&api, role, &caller)))
}

/// Roles that are read from the store at once, and how often, for a page of those that a caller may reach.
const BATCH: u32 = 200;
const BATCHES: usize = 50;

/// The roles that the caller may reach. One more than fits is looked for: a cursor names the last role that is seen, and a
/// page that leads nowhere would tell of roles that are not. After 10,000 roles of which none may be reached the list ends.
async fn visible(
    api: &Api,
    caller: &Caller,
    source: Source,
    mut after: Option<String>,
    limit: u32,
) -> Result<store::Page<Role>, Problem> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut items = Vec::new();
    for _ in 0..BATCHES {
        let batch = api.store.roles().list(caller.user.org, after.as_deref(), BATCH).await?;
        after = batch.items.last().map(|role| role.role.name.to_string());
        for role in batch.items {
            if reach(api, caller, source, &role.role).await?.is_ok() {
                items.push(role);
            }
            if items.len() > wanted {
                return Ok(store::Page::cut(items, limit));
            }
        }
        if !batch.more {
            return Ok(store::Page { items, more: false });
        }
    }
    Ok(store::Page { items, more: true })
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
    jump::check(&api, &role.role).await?;
    api.store.roles().create(&role).await?;
    api.changes.tell(role.role.org, Subject::Role, role.role.id, None, "created");
    Ok(Created { at: format!("/api/v1/roles/{}", role.role.name), view: view(&api, role, &caller) })
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
    Ok(Tagged { version, view: view(&api, role, &caller) })
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
    jump::check(&api, &role.role).await?;
    if !api.store.versions().update_role(&role, version).await? {
        return Err(stale());
    }
    forget_replaced(&api, &before.role, &role.role).await?;
    api.changes.tell(role.role.org, Subject::Role, role.role.id, None, "updated");
    Ok(Tagged { version: version + 1, view: view(&api, role, &caller) })
}

/// A secret that the gateway keeps goes when a reference takes its place.
async fn forget_replaced(api: &Api, before: &ResourceRole, after: &ResourceRole) -> Result<(), Problem> {
    let new =
        |field: &SecretField| field.reference(&before.target).is_none() && field.reference(&after.target).is_some();
    for field in SecretField::ALL.into_iter().filter(new) {
        api.store.role_secrets().delete(after.org, after.id, field.as_str()).await?;
    }
    Ok(())
}

async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Named(name): Named,
    if_match: IfMatch,
) -> Result<Done, Problem> {
    let (version, Role { role, .. }) = matched(&api, &caller, &name, &if_match).await?;
    // The rule would be for whichever role gets the name next. A pattern is for all that it matches, also later ones.
    let names = |rule: &RuleDefinition| rule.roles.names.contains(&*role.name);
    no_rule_names(&api, role.org, &format!("role {}", role.name), names).await?;
    jump::no_role_passes(&api, &role).await?;
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
    // How its target is, is no part of it.
    if_match.check_version(version)?;
    Ok((version, role))
}

pub(super) async fn version(api: &Api, caller: &Caller, name: &str) -> Result<i64, Problem> {
    api.store.versions().role(caller.user.org, name).await?.ok_or_else(|| no_role(name))
}

pub(super) async fn find(api: &Api, caller: &Caller, name: &str) -> Result<Role, Problem> {
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
