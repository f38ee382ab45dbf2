//! `/api/v1/tokens`: tokens for programs. Each is for something, and for a time.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use hoop_core::Secret;
use hoop_core::id::{TokenId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, Named};
use super::describe::{Created, Done, ShownOnce};
use super::page::{Page, Paging};
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Routes};
use super::users::check_name;
use crate::auth::{Scope, token};
use crate::changes::Subject;
use crate::store::{Grant, Token, User, UserKind};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/api/v1/tokens", Permission::Member, "API tokens, the latest first; members see their own.", list)
        .post("/api/v1/tokens", Permission::SignIn, "Makes an API token for the caller.", create)
        .get("/api/v1/tokens/{id}", Permission::Member, "An API token.", show)
        .delete(
            "/api/v1/tokens/{id}",
            Permission::Member,
            "Takes an API token away, with the credentials and sessions that came of it.",
            revoke,
        )
}

/// How long a token is good for unless somebody says otherwise.
const USUAL: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateToken {
    /// For people.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// What it is for; it never may more than its owner.
    #[schema(min_items = 1)]
    scopes: BTreeSet<Scope>,
    /// 30 days unless given, and at most what the gateway's `limits.token_days` says.
    ttl_seconds: Option<u64>,
}

/// An API token with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenWithSecret {
    #[serde(flatten)]
    about: TokenView,
    token: String,
}

/// An API token, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct TokenView {
    id: TokenId,
    name: String,
    user_id: UserId,
    scopes: BTreeSet<Scope>,
    expires_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
    /// To the minute.
    last_used_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        // The store lists none without.
        let (name, scopes) = token.grant.map(|Grant { name, scopes }| (name, scopes)).unwrap_or_default();
        Self {
            id: token.id,
            name,
            user_id: token.user,
            scopes,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
            last_used_at: token.last_used_at,
            created_at: token.created_at,
        }
    }
}

async fn list(State(api): State<Api>, caller: Caller, paging: Paging) -> Result<Json<Page<TokenView>>, Problem> {
    list_of(&api, &caller, caller.scope(), &paging).await
}

/// Tokens of a user, or of everyone.
pub(super) async fn list_of(
    api: &Api,
    caller: &Caller,
    of: Option<UserId>,
    paging: &Paging,
) -> Result<Json<Page<TokenView>>, Problem> {
    let found = api.store.tokens().list(caller.user.org, of, paging.after()?, paging.limit()).await?;
    Ok(paging.page(found, |token| token.id.to_string(), TokenView::from))
}

async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(create): Body<CreateToken>,
) -> Result<ShownOnce<Created<TokenWithSecret>>, Problem> {
    issue(&api, &caller.user, create).await
}

/// Makes a token for this owner.
pub(super) async fn issue(
    api: &Api,
    owner: &User,
    create: CreateToken,
) -> Result<ShownOnce<Created<TokenWithSecret>>, Problem> {
    check_name("/name", &create.name)?;
    check_scopes(&create.scopes, owner)?;
    let (secret, hash) = token::generate();
    let now = api.clock.now().trunc_subsecs(6);
    let token = Token {
        org: owner.org,
        id: TokenId::new(&*api.clock),
        user: owner.id,
        hash,
        grant: Some(Grant { name: create.name, scopes: create.scopes }),
        expires_at: now + ttl(api, create.ttl_seconds)?,
        revoked_at: None,
        last_used_at: None,
        created_at: now,
    };
    api.store.tokens().create(&token).await?;
    api.changes.tell(token.org, Subject::Token, token.id, Some(token.user), "created");
    Ok(shown(token, &secret))
}

fn shown(token: Token, secret: &Secret<String>) -> ShownOnce<Created<TokenWithSecret>> {
    let at = format!("/api/v1/tokens/{}", token.id);
    ShownOnce(Created { at, view: TokenWithSecret { about: token.into(), token: secret.expose().clone() } })
}

fn check_scopes(scopes: &BTreeSet<Scope>, owner: &User) -> Result<(), Problem> {
    if scopes.is_empty() {
        return Err(Problem::field("/scopes", "a token without a scope is good for nothing"));
    }
    if scopes.contains(&Scope::Admin) && owner.kind != UserKind::Admin {
        let reason = format!("{} is no administrator, and a token never may more than its owner", owner.name);
        return Err(Problem::field("/scopes", reason));
    }
    Ok(())
}

fn ttl(api: &Api, seconds: Option<u64>) -> Result<TimeDelta, Problem> {
    let most = api.settings.api_token_ttl_max;
    let ttl = seconds.map_or(USUAL.min(most), Duration::from_secs);
    let fits = !ttl.is_zero() && ttl <= most;
    TimeDelta::from_std(ttl)
        .ok()
        .filter(|_| fits)
        .ok_or_else(|| Problem::field("/ttl_seconds", format!("must be from 1 to {}", most.as_secs())))
}

async fn show(State(api): State<Api>, caller: Caller, Named(id): Named) -> Result<Json<TokenView>, Problem> {
    let found = match id.parse() {
        Ok(id) => api.store.tokens().get(caller.user.org, id).await?,
        Err(_) => None,
    };
    let own = |token: &Token| token.grant.is_some() && caller.scope().is_none_or(|user| user == token.user);
    found.filter(own).map(|token| Json(token.into())).ok_or_else(|| missing(&id))
}

/// Sessions that run with it end within seconds, in every gateway.
async fn revoke(State(api): State<Api>, caller: Caller, Named(id): Named) -> Result<Done, Problem> {
    let token: TokenId = id.parse().map_err(|_| missing(&id))?;
    let org = caller.user.org;
    // A sign-in ends by a sign-out; here it is not shown either.
    let found = api.store.tokens().get(org, token).await?.filter(|token| token.grant.is_some());
    let found = found.ok_or_else(|| missing(&id))?;
    if !api.store.tokens().revoke(org, token, caller.change_scope(), api.clock.now()).await? {
        return Err(missing(&id));
    }
    api.access.note_change();
    api.changes.tell(org, Subject::Token, token, Some(found.user), "deleted");
    Ok(Done)
}

fn missing(id: &str) -> Problem {
    Problem::not_found(format_args!("token {id}"))
}
