//! `/api/v1/access-rules`: who may reach what.

mod check;

use std::net::IpAddr;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use hoop_core::id::{AccessRuleId, OrgId};
use hoop_core::{Code, Denial};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::body::{Body, Parameters, convert};
use super::page::{Page, Paging, page};
use super::parts::Api;
use super::problem::Problem;
use super::roles::merge;
use super::route::{Caller, Permission, Routes, Source};
use crate::access::effect::{Change, Comparison};
use crate::access::rule::MAX_RULES;
use crate::access::{AccessRule, RuleDefinition};
use crate::store::{self, Role, User};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/api/v1/access-rules", Permission::Auditor, list)
        .post("/api/v1/access-rules", Permission::Admin, create)
        .get("/api/v1/access-rules/{name}", Permission::Auditor, show)
        .patch("/api/v1/access-rules/{name}", Permission::Admin, update)
        .delete("/api/v1/access-rules/{name}", Permission::Admin, delete)
        .post("/api/v1/access/check", Permission::Member, check::check)
}

#[derive(Serialize)]
struct RuleView {
    id: AccessRuleId,
    #[serde(flatten)]
    definition: RuleDefinition,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<AccessRule> for RuleView {
    fn from(AccessRule { id, definition, created_at, updated_at, .. }: AccessRule) -> Self {
        Self { id, definition, created_at, updated_at }
    }
}

async fn list(
    State(api): State<Api>,
    caller: Caller,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<Page<RuleView>>, Problem> {
    let after: Option<String> = paging.after()?;
    let rules = api.store.access_rules().list(caller.user.org, after.as_deref(), paging.limit()?).await?;
    Ok(page(rules, |rule| rule.definition.name.clone(), RuleView::from))
}

async fn show(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Result<Json<RuleView>, Problem> {
    find(&api, &caller, &name).await.map(|rule| Json(rule.into()))
}

/// Whether a change is only looked at, and as of when and where.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trial {
    #[serde(default)]
    dry_run: bool,
    /// Now, unless given.
    at: Option<DateTime<Utc>>,
    /// Where the caller is, unless given.
    source: Option<IpAddr>,
}

async fn create(
    State(api): State<Api>,
    source: Source,
    caller: Caller,
    Parameters(trial): Parameters<Trial>,
    Body(definition): Body<RuleDefinition>,
) -> Result<Response, Problem> {
    checked(&definition)?;
    let (org, now) = (caller.user.org, api.clock.now());
    let before = api.access.rules(org);
    if before.iter().any(|rule| rule.name == definition.name) {
        return Err(Problem::new(Code::Conflict, format!("access rule {} already exists", definition.name)));
    }
    if before.len() >= MAX_RULES {
        return Err(Problem::new(Code::Conflict, format!("there are {MAX_RULES} access rules already"))
            .hint("delete one, or make one of several"));
    }
    if trial.dry_run {
        return compare(&api, org, trial, source, |rules| rules.push(definition)).await;
    }
    let rule = AccessRule { org, id: AccessRuleId::new(&*api.clock), definition, created_at: now, updated_at: now };
    api.store.access_rules().create(&rule).await?;
    applied(&api).await;
    Ok((StatusCode::CREATED, Json(RuleView::from(rule))).into_response())
}

async fn update(
    State(api): State<Api>,
    source: Source,
    caller: Caller,
    Path(name): Path<String>,
    Parameters(trial): Parameters<Trial>,
    Body(patch): Body<serde_json::Map<String, Value>>,
) -> Result<Response, Problem> {
    let before = find(&api, &caller, &name).await?;
    let mut merged = serde_json::to_value(&before.definition).unwrap_or_default();
    merge(&mut merged, Value::Object(patch));
    let definition: RuleDefinition = convert(merged)?;
    checked(&definition)?;
    if definition.name != name {
        return Err(Problem::field("/name", "an access rule keeps its name"));
    }
    if trial.dry_run {
        let change = |rules: &mut Vec<RuleDefinition>| {
            rules.retain(|rule| rule.name != name);
            rules.push(definition);
        };
        return compare(&api, before.org, trial, source, change).await;
    }
    let rule = AccessRule { definition, updated_at: api.clock.now(), ..before };
    if !api.store.access_rules().update(&rule).await? {
        return Err(no_rule(&name));
    }
    applied(&api).await;
    Ok(Json(RuleView::from(rule)).into_response())
}

async fn delete(
    State(api): State<Api>,
    source: Source,
    caller: Caller,
    Path(name): Path<String>,
    Parameters(trial): Parameters<Trial>,
) -> Result<Response, Problem> {
    let rule = find(&api, &caller, &name).await?;
    if trial.dry_run {
        return compare(&api, rule.org, trial, source, |rules| rules.retain(|rule| rule.name != name)).await;
    }
    api.store.access_rules().delete(rule.org, rule.id).await?;
    applied(&api).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn find(api: &Api, caller: &Caller, name: &str) -> Result<AccessRule, Problem> {
    api.store.access_rules().by_name(caller.user.org, name).await?.ok_or_else(|| no_rule(name))
}

fn no_rule(name: &str) -> Problem {
    Problem::not_found(format_args!("access rule {name}"))
}

fn checked(definition: &RuleDefinition) -> Result<(), Problem> {
    definition.check().map_err(|invalid| Problem::field(invalid.pointer, invalid.detail))
}

/// The change is stored: it holds from here on. Where the rules cannot be read just now, that is tried again soon.
async fn applied(api: &Api) {
    if let Err(error) = api.access.reload().await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "access rules could not be read after a change; it holds when they can be");
    }
}

/// What a change would do.
#[derive(Serialize)]
struct TrialView {
    at: DateTime<Utc>,
    source: Option<IpAddr>,
    users: usize,
    roles: usize,
    #[serde(flatten)]
    change: Change,
}

/// Most users and roles that a change is looked at for.
const MOST_USERS: usize = 2000;
const MOST_ROLES: usize = 500;
const PAGE: u32 = 200;

async fn compare(
    api: &Api,
    org: OrgId,
    trial: Trial,
    source: Source,
    change: impl FnOnce(&mut Vec<RuleDefinition>),
) -> Result<Response, Problem> {
    let before = api.access.rules(org).to_vec();
    let mut after = before.clone();
    change(&mut after);
    let (at, source) = (trial.at.unwrap_or_else(|| api.clock.now()), trial.source.or(source.0.map(|at| at.ip())));
    let (users, roles) = (all_users(api, org).await?, all_roles(api, org).await?);
    let comparison = Comparison { before, after, users, roles, at, source };
    let (users, roles) = (comparison.users.0.len(), comparison.roles.0.len());
    let change = tokio::task::spawn_blocking(move || comparison.change()).await;
    let change = change.map_err(|error| Denial::failed("access rules", error).with_code(Code::Internal))?;
    Ok(Json(TrialView { at, source, users, roles, change }).into_response())
}

/// The users, up to a number of them, and whether that is all.
async fn all_users(api: &Api, org: OrgId) -> Result<(Vec<User>, bool), Problem> {
    let mut users: Vec<User> = Vec::new();
    loop {
        let after = users.last().map(|user| user.name.clone());
        let store::Page { items, more } = api.store.users().list(org, after.as_deref(), PAGE).await?;
        users.extend(items);
        if !more || users.len() >= MOST_USERS {
            return Ok((users, !more));
        }
    }
}

/// The roles, up to a number of them, and whether that is all.
async fn all_roles(api: &Api, org: OrgId) -> Result<(Vec<Role>, bool), Problem> {
    let mut roles: Vec<Role> = Vec::new();
    loop {
        let after = roles.last().map(|role| role.role.name.to_string());
        let store::Page { items, more } = api.store.roles().list(org, after.as_deref(), PAGE).await?;
        roles.extend(items);
        if !more || roles.len() >= MOST_ROLES {
            return Ok((roles, !more));
        }
    }
}
