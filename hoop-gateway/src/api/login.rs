//! `/api/v1/login`, `/api/v1/logout`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::id::{OrgId, TokenId};
use hoop_core::{Code, Secret};
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, GivenName, Permission, Routes, Source};
use super::users::UserView;
use crate::auth::token;
use crate::store::{Token, User};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.post("/api/v1/login", Permission::Public, login).post("/api/v1/logout", Permission::OwnAccount, logout)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    user: String,
    password: String,
}

#[derive(Serialize)]
struct SignedIn {
    token: String,
    expires_at: DateTime<Utc>,
    user: UserView,
    must_change_password: bool,
}

/// The longest name that is looked up.
const MAX_NAME: usize = 256;

async fn login(State(api): State<Api>, source: Source, Body(login): Body<Login>) -> Response {
    // The trail is kept whatever the name is: of a NUL, not every database could.
    let name = GivenName(login.user.chars().take(MAX_NAME).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect());
    let mut response = match sign_in(&api, source, login).await {
        Ok(signed_in) => Json(signed_in).into_response(),
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(name);
    response
}

async fn sign_in(api: &Api, source: Source, login: Login) -> Result<SignedIn, Problem> {
    let Login { user: name, password } = login;
    let password = Secret::new(password);
    if name.len() > MAX_NAME {
        return Err(Problem::field("/user", "too long"));
    }
    let address = source.0.map(|source| source.ip());
    api.throttle.check(address, &name)?;
    let user = api.store.users().by_name(OrgId::DEFAULT, &name).await?;
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let matches = api.passwords.verify(password, hash).await;
    // Unknown, disabled and wrong have one answer, after the same work.
    let Some(user) = user.filter(|user| matches && !user.disabled) else {
        api.throttle.failed(address, &name);
        api.telemetry.logins_failed.increment(1);
        return Err(Problem::new(Code::LoginFailed, "user or password is wrong"));
    };
    api.throttle.succeeded(address, &name);
    issue(api, user).await
}

async fn issue(api: &Api, user: User) -> Result<SignedIn, Problem> {
    let (secret, hash) = token::generate();
    let now = api.clock.now();
    let token = Token {
        org: user.org,
        id: TokenId::new(&*api.clock),
        user: user.id,
        hash,
        expires_at: now + TimeDelta::from_std(api.settings.token_ttl).unwrap_or(TimeDelta::MAX),
        revoked_at: None,
        created_at: now,
    };
    api.store.tokens().create(&token).await?;
    tracing::info!(user = user.name, "signed in");
    Ok(SignedIn {
        token: secret.expose().clone(),
        expires_at: token.expires_at,
        must_change_password: user.must_change_password,
        user: user.into(),
    })
}

async fn logout(State(api): State<Api>, caller: Caller) -> Result<StatusCode, Problem> {
    api.store.tokens().revoke(caller.user.org, caller.token, api.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
