//! `/api/v1/access-rules`: who may reach what.

mod check;
mod trial;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, SubsecRound as _, Utc};
use hoop_core::Code;
use hoop_core::id::AccessRuleId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema as _, ToSchema};

use super::body::{Body, Named, convert};
use super::definition::merge;
use super::describe::{Created, Done};
use super::etag::{IfMatch, Tagged, etag, stale};
use super::page::{Page, Paging};
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Routes, Source};
use crate::access::rule::MAX_RULES;
use crate::access::{AccessRule, RuleDefinition};
use crate::changes::Subject;
use trial::{OrTrial, Trial};

pub(super) fn routes(routes: Routes) -> Routes {
    let rule = "/api/v1/access-rules/{name}";
    routes
        .get("/api/v1/access-rules", Permission::Auditor, "Access rules, by name.", list)
        .post("/api/v1/access-rules", Permission::Admin, "Adds an access rule, or says what it would do.", create)
        .get(rule, Permission::Auditor, "An access rule.", show)
        .patch(
            rule,
            Permission::Admin,
            "Merges a change into an access rule (RFC 7396), or says what it would do.",
            update,
        )
        .delete(rule, Permission::Admin, "Removes an access rule, or says what that would do.", delete)
        .post("/api/v1/access/check", Permission::Member, "Whether somebody may use a role, and why.", check::check)
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

/// What a rule says, and three fields more: as one object, since the definition's own form allows no others.
impl utoipa::PartialSchema for RuleView {
    fn schema() -> RefOr<Schema> {
        let mut schema = RuleDefinition::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let time = || {
                let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
                ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
            };
            let more = [
                ("id", RefOr::Ref(Ref::from_schema_name(AccessRuleId::name()))),
                ("created_at", time()),
                ("updated_at", time()),
            ];
            for (name, field) in more {
                object.properties.insert(name.to_owned(), field);
                object.required.push(name.to_owned());
            }
        }
        schema
    }
}

impl ToSchema for RuleView {
    fn name() -> std::borrow::Cow<'static, str> {
        "AccessRule".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        RuleDefinition::schemas(schemas);
        schemas.push((AccessRuleId::name().into_owned(), AccessRuleId::schema()));
    }
}

/// A change of a rule: any part of its definition, and null for what is to go.
#[derive(Deserialize)]
#[serde(transparent)]
struct Patch(serde_json::Map<String, Value>);

impl utoipa::PartialSchema for Patch {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().description(Some("Any part of a rule.")).into()
    }
}

impl ToSchema for Patch {
    fn name() -> std::borrow::Cow<'static, str> {
        "AccessRulePatch".into()
    }
}

async fn list(State(api): State<Api>, caller: Caller, paging: Paging) -> Result<Json<Page<RuleView>>, Problem> {
    let after: Option<String> = paging.after()?;
    let rules = api.store.access_rules().list(caller.user.org, after.as_deref(), paging.limit()).await?;
    Ok(paging.page(rules, |rule| rule.definition.name.clone(), RuleView::from))
}

async fn show(State(api): State<Api>, caller: Caller, Named(name): Named) -> Result<Tagged<RuleView>, Problem> {
    let (version, rule) = find(&api, &caller, &name).await?;
    Ok(Tagged { version, view: rule.into() })
}

async fn create(
    State(api): State<Api>,
    source: Source,
    caller: Caller,
    trial: Trial,
    Body(definition): Body<RuleDefinition>,
) -> Result<OrTrial<Created<RuleView>>, Problem> {
    checked(&definition)?;
    let (org, now) = (caller.user.org, now(&api));
    let before = api.access.rules(org);
    if before.iter().any(|rule| rule.name == definition.name) {
        return Err(Problem::new(Code::Conflict, format!("access rule {} already exists", definition.name)));
    }
    if before.len() >= MAX_RULES {
        return Err(Problem::new(Code::Conflict, format!("there are {MAX_RULES} access rules already"))
            .hint("delete one, or make one of several"));
    }
    if trial.dry_run {
        return trial.of(&api, org, source, |rules| rules.push(definition)).await;
    }
    let rule = AccessRule { org, id: AccessRuleId::new(&*api.clock), definition, created_at: now, updated_at: now };
    api.store.access_rules().create(&rule).await?;
    applied(&api, &rule, "created").await;
    Ok(OrTrial::Done(Created { at: format!("/api/v1/access-rules/{}", rule.definition.name), view: rule.into() }))
}

/// The time as the store keeps it, so that what is answered is what is read again.
fn now(api: &Api) -> DateTime<Utc> {
    api.clock.now().trunc_subsecs(6)
}

async fn update(
    State(api): State<Api>,
    source: Source,
    caller: Caller,
    Named(name): Named,
    if_match: IfMatch,
    trial: Trial,
    Body(Patch(patch)): Body<Patch>,
) -> Result<OrTrial<Tagged<RuleView>>, Problem> {
    let (version, before) = matched(&api, &caller, &name, &if_match).await?;
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
        return trial.of(&api, before.org, source, change).await;
    }
    let rule = AccessRule { definition, updated_at: now(&api), ..before };
    if !api.store.versions().update_access_rule(&rule, version).await? {
        return Err(stale());
    }
    applied(&api, &rule, "updated").await;
    Ok(OrTrial::Done(Tagged { version: version + 1, view: rule.into() }))
}

async fn delete(
    State(api): State<Api>,
    source: Source,
    caller: Caller,
    Named(name): Named,
    if_match: IfMatch,
    trial: Trial,
) -> Result<OrTrial<Done>, Problem> {
    let (version, rule) = matched(&api, &caller, &name, &if_match).await?;
    if trial.dry_run {
        return trial.of(&api, rule.org, source, |rules| rules.retain(|rule| rule.name != name)).await;
    }
    if !api.store.versions().delete_access_rule(rule.org, rule.id, version).await? {
        return Err(stale());
    }
    applied(&api, &rule, "deleted").await;
    Ok(OrTrial::Done(Done))
}

/// The rule, when it is the one that a change is meant for, and a version that it is at least of.
async fn matched(api: &Api, caller: &Caller, name: &str, if_match: &IfMatch) -> Result<(i64, AccessRule), Problem> {
    let (version, rule) = find(api, caller, name).await?;
    if_match.check(&etag(version, &RuleView::from(rule.clone())))?;
    Ok((version, rule))
}

async fn find(api: &Api, caller: &Caller, name: &str) -> Result<(i64, AccessRule), Problem> {
    let no_rule = || Problem::not_found(format_args!("access rule {name}"));
    let version = api.store.versions().access_rule(caller.user.org, name).await?.ok_or_else(no_rule)?;
    let rule = api.store.access_rules().by_name(caller.user.org, name).await?.ok_or_else(no_rule)?;
    Ok((version, rule))
}

fn checked(definition: &RuleDefinition) -> Result<(), Problem> {
    definition.check().map_err(|invalid| Problem::field(invalid.pointer, invalid.detail))
}

/// The change is stored: it holds from here on. Where the rules cannot be read just now, that is tried again soon.
async fn applied(api: &Api, rule: &AccessRule, what: &'static str) {
    if let Err(error) = api.access.reload().await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "access rules could not be read after a change; it holds when they can be");
    }
    api.changes.tell(rule.org, Subject::AccessRule, rule.id, None, what);
}
