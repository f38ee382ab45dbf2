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
use super::guard::GivenName;
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Proof, Routes, Source};
use super::users::UserView;
use crate::auth::token;
use crate::store::{Token, User};

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
struct SignedIn {
    /// Unless it is in the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token: Option<String>,
    expires_at: DateTime<Utc>,
    user: UserView,
    must_change_password: bool,
}

/// The longest name that is looked up.
const MAX_NAME: usize = 256;

/// Where a browser says that the request comes from.
struct Browser {
    uri: Uri,
    headers: HeaderMap,
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
struct Given<T> {
    name: GivenName,
    answer: T,
}

impl<T: IntoResponse> IntoResponse for Given<T> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        response.extensions_mut().insert(self.name);
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
    // The trail is kept whatever the name is: of a NUL, not every database could.
    let name = GivenName(login.user.chars().take(MAX_NAME).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect());
    Given { name, answer: sign_in(&api, source, &browser, login).await }
}

async fn sign_in(
    api: &Api,
    source: Source,
    browser: &Browser,
    login: Login,
) -> Result<WithCookie<Json<SignedIn>>, Problem> {
    let Login { user: name, password, cookie } = login;
    let password = Secret::new(password);
    if name.len() > MAX_NAME {
        return Err(Problem::field("/user", "too long"));
    }
    if cookie {
        // Otherwise a foreign page could sign a browser in as somebody else.
        cookie::same_origin(&browser.uri, &browser.headers)?;
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
        return Err(refused());
    };
    api.throttle.succeeded(address, &name);
    let (secret, signed_in) = issue(api, user).await?;
    if cookie {
        let seconds = api.settings.token_ttl.as_secs();
        return Ok(WithCookie::set(Json(signed_in), secret.expose(), seconds));
    }
    Ok(WithCookie::none(Json(SignedIn { token: Some(secret.expose().clone()), ..signed_in })))
}

fn refused() -> Problem {
    Problem::new(Code::LoginFailed, "user or password is wrong")
}

async fn issue(api: &Api, user: User) -> Result<(Secret<String>, SignedIn), Problem> {
    let (secret, hash) = token::generate();
    let now = api.clock.now();
    let token = Token {
        org: user.org,
        id: TokenId::new(&*api.clock),
        user: user.id,
        hash,
        grant: None,
        expires_at: now + TimeDelta::from_std(api.settings.token_ttl).unwrap_or(TimeDelta::MAX),
        revoked_at: None,
        last_used_at: None,
        created_at: now,
    };
    api.store.tokens().create(&token).await?;
    // A change takes away the tokens that there are. Where it came before this one, it is seen here.
    let stored = api.store.users().get(user.org, user.id).await?;
    if stored.is_none_or(|stored| stored.disabled || stored.password_hash != user.password_hash) {
        api.store.tokens().revoke(token.org, token.id, None, now).await?;
        return Err(refused());
    }
    tracing::info!(user = user.name, "signed in");
    let signed_in = SignedIn {
        token: None,
        expires_at: token.expires_at,
        must_change_password: user.must_change_password,
        user: user.into(),
    };
    Ok((secret, signed_in))
}

async fn logout(State(api): State<Api>, caller: Caller) -> Result<WithCookie<Done>, Problem> {
    api.store.tokens().revoke(caller.user.org, caller.token.id, None, api.clock.now()).await?;
    Ok(match caller.proof {
        Proof::Cookie => WithCookie::clear(Done),
        Proof::Bearer => WithCookie::none(Done),
    })
}
