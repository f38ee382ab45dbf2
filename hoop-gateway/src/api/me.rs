//! `/api/v1/me`: the caller.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hoop_core::{Code, Secret};
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::Body;
use super::describe::Done;
use super::etag::stale;
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Routes, Source};
use super::users::{UserView, find, hash, revoke_credentials};
use crate::changes::Subject;
use crate::store::User;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/api/v1/me", Permission::OwnAccount, "The caller.", me)
        .put("/api/v1/me/password", Permission::OwnAccount, "Changes the caller's password.", change_password)
        .may_refuse(&[StatusCode::PRECONDITION_FAILED])
}

async fn me(caller: Caller) -> Json<UserView> {
    Json(caller.user.into())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangePassword {
    current: String,
    new: String,
}

async fn change_password(
    State(api): State<Api>,
    source: Source,
    caller: Caller,
    Body(change): Body<ChangePassword>,
) -> Result<Done, Problem> {
    new_password(&api, source, &caller, Secret::new(change.current), Secret::new(change.new)).await?;
    Ok(Done)
}

/// Signs every other place out that the user was signed in at, and takes the user's credentials away. Sessions that run go on:
/// it is the user's own change.
pub(super) async fn new_password(
    api: &Api,
    source: Source,
    caller: &Caller,
    current: Secret<String>,
    new: Secret<String>,
) -> Result<(), Problem> {
    let (version, user) = find(api, caller.user.org, &caller.user.name).await?;
    let (token, address) = (caller.token.id, source.0.map(|source| source.ip()));
    api.throttle.check(address, &user.name)?;
    if !api.passwords.verify(current.clone(), user.password_hash.clone()).await {
        api.throttle.failed(address, &user.name);
        return Err(Problem::new(Code::LoginFailed, "the current password is wrong"));
    }
    if current.expose() == new.expose() {
        return Err(Problem::field("/new", "must differ from the current password"));
    }
    let password_hash = Some(hash(api, "/new", new).await?);
    let user = User { password_hash, must_change_password: false, ..user };
    if !api.store.versions().update_user(&user, version).await? {
        return Err(stale());
    }
    api.store.tokens().revoke_all(user.org, user.id, Some(token), api.clock.now()).await?;
    revoke_credentials(api, &user).await?;
    api.changes.tell(user.org, Subject::User, user.id, Some(user.id), "updated");
    Ok(())
}
