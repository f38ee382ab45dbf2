//! A change that is only looked at: who would gain access, and who would lose it.

use std::net::IpAddr;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use hoop_core::id::OrgId;
use hoop_core::{Code, Denial};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::access::RuleDefinition;
use crate::access::effect::{Change, Comparison};
use crate::api::body::Parameters;
use crate::api::describe::{Answer, Input};
use crate::api::document::Operation;
use crate::api::parts::Api;
use crate::api::problem::Problem;
use crate::api::route::Source;
use crate::store::{self, Role, User};

/// Whether a change is only looked at, and as of when and where.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trial {
    #[serde(default)]
    pub(super) dry_run: bool,
    /// Now, unless given.
    at: Option<DateTime<Utc>>,
    /// Where the caller is, unless given.
    source: Option<IpAddr>,
}

impl<S: Send + Sync> FromRequestParts<S> for Trial {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Parameters::from_request_parts(parts, state).await.map(|Parameters(trial)| trial)
    }
}

impl Input for Trial {
    fn describe(operation: &mut Operation) {
        let about = "Changes nothing, and says who would gain access and who would lose it.";
        operation.parameter("dry_run", "query", false, about, json!({ "type": "boolean", "default": false }));
        let about = "As of when, for `dry_run`; now unless given.";
        operation.parameter("at", "query", false, about, json!({ "type": "string", "format": "date-time" }));
        let about = "From which address, for `dry_run`; the caller's unless given.";
        operation.parameter("source", "query", false, about, json!({ "type": "string" }));
        operation.refuses(&[StatusCode::BAD_REQUEST]);
    }
}

/// A change was made, or only looked at.
pub(super) enum OrTrial<T> {
    Done(T),
    Trial(TrialView),
}

impl<T: IntoResponse> IntoResponse for OrTrial<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Done(done) => done.into_response(),
            Self::Trial(trial) => Json(trial).into_response(),
        }
    }
}

impl<T: Answer> Answer for OrTrial<T> {
    fn describe(operation: &mut Operation) {
        T::describe(operation);
        operation.or_json::<TrialView>(StatusCode::OK, "What the change would do, for `dry_run`.");
    }
}

/// What a change would do.
#[derive(Serialize, ToSchema)]
#[schema(as = AccessTrial)]
pub(super) struct TrialView {
    at: DateTime<Utc>,
    #[schema(value_type = Option<String>)]
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

impl Trial {
    /// What `change` would do.
    pub(super) async fn of<T>(
        self,
        api: &Api,
        org: OrgId,
        source: Source,
        change: impl FnOnce(&mut Vec<RuleDefinition>),
    ) -> Result<OrTrial<T>, Problem> {
        let before = api.access.rules(org).to_vec();
        let mut after = before.clone();
        change(&mut after);
        let (at, source) = (self.at.unwrap_or_else(|| api.clock.now()), self.source.or(source.0.map(|at| at.ip())));
        let (users, roles) = (all_users(api, org).await?, all_roles(api, org).await?);
        let comparison = Comparison { before, after, users, roles, at, source };
        let (users, roles) = (comparison.users.0.len(), comparison.roles.0.len());
        let change = tokio::task::spawn_blocking(move || comparison.change()).await;
        let change = change.map_err(|error| Denial::failed("access rules", error).with_code(Code::Internal))?;
        Ok(OrTrial::Trial(TrialView { at, source, users, roles, change }))
    }
}

/// The users, up to a number of them, and whether that is all.
async fn all_users(api: &Api, org: OrgId) -> Result<(Vec<User>, bool), Problem> {
    let mut users: Vec<User> = Vec::new();
    loop {
        let after = users.last().map(|user| user.name.clone());
        let store::Page { items, more } = api.store.users().list(org, None, after.as_deref(), PAGE).await?;
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
