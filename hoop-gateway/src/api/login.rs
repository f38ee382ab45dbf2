//! `/api/v1/login`, `/api/v1/logout`.

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::id::{OrgId, TokenId};
use hoop_core::{Code, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Body;
use super::cookie::{self, WithCookie};
use super::describe::{Answer, Done, Input};
use super::document::Operation;
use super::guard::{GivenName, MAX_NAME};
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Proof, Routes, Source};
use super::users::UserView;
use crate::auth::sign_in;
use crate::store::User;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .post("/api/v1/login", Permission::Public, "Signs in, for a token or a cookie.", login)
        .may_refuse(&[StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN])
        .post(
            "/api/v1/logout",
            Permission::OwnAccount,
            "Signs out: the token is good for nothing from then on.",
            logout,
        )
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    user: String,
    password: String,
    /// For browsers: the token comes in a cookie that no script can read, and not in the answer.
    #[serde(default)]
    cookie: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SignedIn {
    /// Unless it is in the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token: Option<String>,
    expires_at: DateTime<Utc>,
    user: UserView,
    pub(super) must_change_password: bool,
}

impl SignedIn {
    pub(super) fn new(user: User, expires_at: DateTime<Utc>) -> Self {
        Self { token: None, expires_at, must_change_password: user.must_change_password, user: user.into() }
    }

    pub(super) fn with_token(self, secret: &Secret<String>) -> Self {
        Self { token: Some(secret.expose().clone()), ..self }
    }
}

/// Where a browser says that the request comes from.
pub(super) struct Browser {
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
}

impl<S: Sync> axum::extract::FromRequestParts<S> for Browser {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self { uri: parts.uri.clone(), headers: parts.headers.clone() })
    }
}

impl Input for Browser {
    fn describe(_: &mut Operation) {}
}

/// An answer to somebody who gave a name.
pub(super) struct Given<T> {
    pub(super) name: Option<GivenName>,
    pub(super) answer: T,
}

impl<T: IntoResponse> IntoResponse for Given<T> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        if let Some(name) = self.name {
            response.extensions_mut().insert(name);
        }
        response
    }
}

impl<T: Answer> Answer for Given<T> {
    fn describe(operation: &mut Operation) {
        T::describe(operation);
    }
}

async fn login(
    State(api): State<Api>,
    source: Source,
    browser: Browser,
    Body(login): Body<Login>,
) -> Given<Result<WithCookie<Json<SignedIn>>, Problem>> {
    let name = Some(GivenName::of(&login.user));
    Given { name, answer: sign_in(&api, source, &browser, login).await }
}

async fn sign_in(
    api: &Api,
    source: Source,
    browser: &Browser,
    login: Login,
) -> Result<WithCookie<Json<SignedIn>>, Problem> {
    if login.cookie {
        // Otherwise a foreign page could sign a browser in as somebody else.
        cookie::same_origin(&browser.uri, &browser.headers)?;
    }
    let (secret, signed_in) = by_password(api, source, &login.user, Secret::new(login.password)).await?;
    if login.cookie {
        let seconds = api.settings.token_ttl.as_secs();
        return Ok(WithCookie::set(Json(signed_in), secret.expose(), seconds));
    }
    Ok(WithCookie::none(Json(signed_in.with_token(&secret))))
}

/// Signs in who knows the password of this user.
pub(super) async fn by_password(
    api: &Api,
    source: Source,
    name: &str,
    password: Secret<String>,
) -> Result<(Secret<String>, SignedIn), Problem> {
    if name.len() > MAX_NAME {
        return Err(Problem::field("/user", "too long"));
    }
    let address = source.0.map(|source| source.ip());
    api.throttle.check(address, name)?;
    let user = api.store.users().by_name(OrgId::DEFAULT, name).await?;
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let matches = api.passwords.verify(password, hash).await;
    // Unknown, disabled and wrong have one answer, after the same work.
    let Some(user) = user.filter(|user| matches && !user.disabled) else {
        api.throttle.failed(address, name);
        api.telemetry.logins_failed.increment(1);
        return Err(refused());
    };
    api.throttle.succeeded(address, name);
    issue(api, user).await
}

fn refused() -> Problem {
    Problem::new(Code::LoginFailed, "user or password is wrong")
}

/// Signs in a user who has proven who they are.
pub(super) async fn issue(api: &Api, user: User) -> Result<(Secret<String>, SignedIn), Problem> {
    let (id, now) = (TokenId::new(&*api.clock), api.clock.now());
    let expires_at = now + ttl(api);
    let secret = sign_in::issue(&*api.store, &user, id, now, expires_at).await?.ok_or_else(refused)?;
    Ok((secret, SignedIn::new(user, expires_at)))
}

/// How long a sign-in is good.
pub(super) fn ttl(api: &Api) -> TimeDelta {
    TimeDelta::from_std(api.settings.token_ttl).unwrap_or(TimeDelta::MAX)
}

/// Ends the sign-in of the caller.
pub(super) async fn end(api: &Api, caller: &Caller) -> Result<(), Problem> {
    api.store.tokens().revoke(caller.user.org, caller.token.id, None, api.clock.now()).await?;
    Ok(())
}

async fn logout(State(api): State<Api>, caller: Caller) -> Result<WithCookie<Done>, Problem> {
    end(&api, &caller).await?;
    Ok(match caller.proof {
        Proof::Cookie => WithCookie::clear(Done),
        Proof::Bearer => WithCookie::none(Done),
    })
}
