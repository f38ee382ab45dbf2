//! `/api/v1/users`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use hoop_core::id::UserId;
use hoop_core::{Code, Denial, Secret};
use serde::{Deserialize, Serialize};

use super::body::{Body, Parameters};
use super::page::{Page, Paging, page};
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Routes};
use crate::auth::PasswordError;
use crate::store::{User, UserKind};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/api/v1/users", Permission::Auditor, list)
        .post("/api/v1/users", Permission::Admin, create)
        .get("/api/v1/users/{name}", Permission::Auditor, show)
        .patch("/api/v1/users/{name}", Permission::Admin, update)
}

/// A user, as the API shows it.
#[derive(Debug, Serialize)]
pub(super) struct UserView {
    id: UserId,
    name: String,
    kind: UserKind,
    groups: Vec<String>,
    disabled: bool,
    must_change_password: bool,
    created_at: DateTime<Utc>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            name: user.name,
            kind: user.kind,
            groups: user.groups,
            disabled: user.disabled,
            must_change_password: user.must_change_password,
            created_at: user.created_at,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    #[serde(default = "member")]
    kind: UserKind,
    #[serde(default)]
    groups: Vec<String>,
    password: Option<String>,
    /// Somebody else knows the password, so it is good for nothing but to set another, unless this says otherwise.
    #[serde(default = "yes")]
    must_change_password: bool,
}

const fn member() -> UserKind {
    UserKind::Member
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    kind: Option<UserKind>,
    groups: Option<Vec<String>>,
    disabled: Option<bool>,
    password: Option<String>,
    must_change_password: Option<bool>,
}

async fn list(
    State(api): State<Api>,
    caller: Caller,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<Page<UserView>>, Problem> {
    let after: Option<String> = paging.after()?;
    let users = api.store.users().list(caller.user.org, after.as_deref(), paging.limit()?).await?;
    Ok(page(users, |user| user.name.clone(), UserView::from))
}

async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(create): Body<Create>,
) -> Result<(StatusCode, Json<UserView>), Problem> {
    check_name("/name", &create.name)?;
    let password_hash = match create.password {
        Some(password) => Some(hash(&api, "/password", Secret::new(password)).await?),
        None => None,
    };
    let user = User {
        org: caller.user.org,
        id: UserId::new(&*api.clock),
        name: create.name,
        kind: create.kind,
        groups: groups(create.groups)?,
        must_change_password: create.must_change_password && password_hash.is_some(),
        password_hash,
        disabled: false,
        created_at: api.clock.now(),
    };
    api.store.users().create(&user).await?;
    Ok((StatusCode::CREATED, Json(user.into())))
}

async fn show(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Result<Json<UserView>, Problem> {
    find(&api, &caller, &name).await.map(|user| Json(user.into()))
}

async fn update(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Body(update): Body<Update>,
) -> Result<Json<UserView>, Problem> {
    let before = find(&api, &caller, &name).await?;
    let mut user = before.clone();
    user.kind = update.kind.unwrap_or(user.kind);
    user.disabled = update.disabled.unwrap_or(user.disabled);
    if let Some(names) = update.groups {
        user.groups = groups(names)?;
    }
    if let Some(password) = update.password {
        user.password_hash = Some(hash(&api, "/password", Secret::new(password)).await?);
        user.must_change_password = true;
    }
    user.must_change_password = update.must_change_password.unwrap_or(user.must_change_password);
    if user.id == caller.user.id && (user.disabled || user.kind != UserKind::Admin) {
        return Err(Problem::new(Code::Conflict, "administrators cannot shut themselves out").hint("ask another one"));
    }
    api.store.users().update(&user).await?;
    if user.disabled || user.kind != before.kind || user.password_hash != before.password_hash {
        api.store.tokens().revoke_all(user.org, user.id, None, api.clock.now()).await?;
    }
    if user.disabled {
        end_sessions(&api, &user).await?;
    }
    Ok(Json(user.into()))
}

/// Who is shut out is out of running sessions, too.
async fn end_sessions(api: &Api, user: &User) -> Result<(), Problem> {
    for session in api.store.sessions().open_of(user.org, user.id).await? {
        let why = Denial::new("gateway", Code::SessionKilled, format!("user {} was disabled", user.name));
        api.sessions.end(user.org, session, why.hint("ask an administrator"));
    }
    Ok(())
}

async fn find(api: &Api, caller: &Caller, name: &str) -> Result<User, Problem> {
    let user = api.store.users().by_name(caller.user.org, name).await?;
    user.ok_or_else(|| Problem::not_found(format_args!("user {name}")))
}

pub(super) async fn hash(api: &Api, pointer: &str, password: Secret<String>) -> Result<String, Problem> {
    api.passwords.hash(password).await.map_err(|error| match error {
        PasswordError::Short { .. } | PasswordError::Long { .. } => Problem::field(pointer, error.to_string()),
        PasswordError::Hash => Problem::new(Code::Internal, error.to_string()),
    })
}

/// Names of users and groups: e-mail addresses, and whatever an identity provider sends, but nothing that a log or a
/// terminal would stumble over.
pub(super) fn check_name(pointer: &str, name: &str) -> Result<(), Problem> {
    let fits = (1..=128).contains(&name.chars().count()) && !name.chars().any(char::is_control) && name.trim() == name;
    if fits {
        Ok(())
    } else {
        Err(Problem::field(pointer, "a name has 1 to 128 characters, none of them a control character"))
    }
}

fn groups(mut names: Vec<String>) -> Result<Vec<String>, Problem> {
    for (at, name) in names.iter().enumerate() {
        check_name(&format!("/groups/{at}"), name)?;
    }
    names.sort();
    names.dedup();
    if names.len() > 256 { Err(Problem::field("/groups", "a user is in at most 256 groups")) } else { Ok(names) }
}
