//! `/api/v1/service-accounts`: programs with an account of their own. They come with API tokens and never with a
//! password, and reach the roles that access rules allow them.
//!
//! **Limits.** An account is a member and nothing more, in at most 256 groups, with a description of at most 1,024 characters. Its name
//! is a slug that no person has. Each token has scopes, is shown once, and ends after `limits.token_days` at the latest; what was
//! made with it ends with it. An account that an access rule names is not deleted, so that nobody else comes by what it may. Requests
//! count for the rates of a user (`limits.reads_per_minute`, `limits.writes_per_minute`), and it watches at most 16 streams at once.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, SubsecRound as _, Utc};
use hoop_core::id::UserId;
use hoop_core::{Code, PrincipalKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, Named};
use super::definition::check_slug;
use super::describe::{Created, Done, ShownOnce};
use super::etag::{IfMatch, Tagged, etag, stale};
use super::page::{Page, Paging};
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Routes};
use super::tokens::{self, CreateToken, TokenView, TokenWithSecret};
use super::users::{end_sessions, groups, named_in_no_rule};
use crate::changes::Subject;
use crate::store::{ServiceAccount, User, UserKind};

pub(super) fn routes(routes: Routes) -> Routes {
    let (all, one, tokens) =
        ("/api/v1/service-accounts", "/api/v1/service-accounts/{name}", "/api/v1/service-accounts/{name}/tokens");
    routes
        .get(all, Permission::Auditor, "Service accounts, by name.", list)
        .post(all, Permission::Admin, "Adds a service account.", create)
        .get(one, Permission::Auditor, "A service account.", show)
        .patch(one, Permission::Admin, "Changes what is named of a service account.", update)
        .delete(
            one,
            Permission::Admin,
            "Removes a service account that no access rule names, with its tokens, credentials and sessions.",
            delete,
        )
        .may_refuse(&[StatusCode::CONFLICT])
        .get(tokens, Permission::Auditor, "The API tokens of a service account, the latest first.", list_tokens)
        .post(tokens, Permission::Admin, "Makes an API token for a service account.", create_token)
        .may_refuse(&[StatusCode::CONFLICT])
}

/// Longest description, in characters.
const MAX_DESCRIPTION: usize = 1024;

#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ServiceAccount)]
struct ServiceAccountView {
    id: UserId,
    name: String,
    description: String,
    groups: Vec<String>,
    disabled: bool,
    /// Who added it, by the name at that time.
    created_by: Option<String>,
    created_at: DateTime<Utc>,
}

impl From<User> for ServiceAccountView {
    fn from(user: User) -> Self {
        let (description, created_by) = match user.service {
            Some(ServiceAccount { description, created_by }) => (description, created_by),
            None => (String::new(), None),
        };
        Self {
            id: user.id,
            name: user.name,
            description,
            groups: user.groups,
            disabled: user.disabled,
            created_by,
            created_at: user.created_at,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateServiceAccount {
    #[schema(min_length = 1, max_length = 63)]
    name: String,
    /// For people.
    #[serde(default)]
    #[schema(max_length = 1024)]
    description: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    disabled: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateServiceAccount {
    description: Option<String>,
    groups: Option<Vec<String>>,
    disabled: Option<bool>,
}

async fn list(
    State(api): State<Api>,
    caller: Caller,
    paging: Paging,
) -> Result<Json<Page<ServiceAccountView>>, Problem> {
    let (after, of): (Option<String>, _) = (paging.after()?, Some(PrincipalKind::ServiceAccount));
    let accounts = api.store.users().list(caller.user.org, of, after.as_deref(), paging.limit()).await?;
    Ok(paging.page(accounts, |account| account.name.clone(), ServiceAccountView::from))
}

async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(create): Body<CreateServiceAccount>,
) -> Result<Created<ServiceAccountView>, Problem> {
    check_slug("/name", &create.name)?;
    let account = User {
        org: caller.user.org,
        id: UserId::new(&*api.clock),
        name: create.name,
        kind: UserKind::Member,
        groups: groups(create.groups)?,
        password_hash: None,
        must_change_password: false,
        disabled: create.disabled,
        service: Some(ServiceAccount {
            description: description(create.description)?,
            created_by: Some(caller.user.name),
        }),
        created_at: api.clock.now().trunc_subsecs(6),
    };
    api.store.users().create(&account).await?;
    tell(&api, &account, "created");
    Ok(Created { at: format!("/api/v1/service-accounts/{}", account.name), view: account.into() })
}

async fn show(
    State(api): State<Api>,
    caller: Caller,
    Named(name): Named,
) -> Result<Tagged<ServiceAccountView>, Problem> {
    let (version, account) = find(&api, &caller, &name).await?;
    Ok(Tagged { version, view: account.into() })
}

async fn update(
    State(api): State<Api>,
    caller: Caller,
    Named(name): Named,
    if_match: IfMatch,
    Body(update): Body<UpdateServiceAccount>,
) -> Result<Tagged<ServiceAccountView>, Problem> {
    let (version, mut account) = matched(&api, &caller, &name, &if_match).await?;
    account.disabled = update.disabled.unwrap_or(account.disabled);
    if let Some(names) = update.groups {
        account.groups = groups(names)?;
    }
    if let (Some(text), Some(service)) = (update.description, &mut account.service) {
        service.description = description(text)?;
    }
    if !api.store.versions().update_user(&account, version).await? {
        return Err(stale());
    }
    if account.disabled {
        end_sessions(&api, &account, "was disabled").await?;
        api.store.tokens().revoke_all(account.org, account.id, None, api.clock.now()).await?;
    }
    tell(&api, &account, "updated");
    Ok(Tagged { version: version + 1, view: account.into() })
}

async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Named(name): Named,
    if_match: IfMatch,
) -> Result<Done, Problem> {
    let (version, account) = matched(&api, &caller, &name, &if_match).await?;
    named_in_no_rule(&api, &account).await?;
    if !api.store.versions().delete_user(account.org, account.id, version).await? {
        return Err(stale());
    }
    end_sessions(&api, &account, "was deleted").await?;
    tell(&api, &account, "deleted");
    Ok(Done)
}

async fn list_tokens(
    State(api): State<Api>,
    caller: Caller,
    Named(name): Named,
    paging: Paging,
) -> Result<Json<Page<TokenView>>, Problem> {
    let (_, account) = find(&api, &caller, &name).await?;
    tokens::list_of(&api, &caller, Some(account.id), &paging).await
}

async fn create_token(
    State(api): State<Api>,
    caller: Caller,
    Named(name): Named,
    Body(create): Body<CreateToken>,
) -> Result<ShownOnce<Created<TokenWithSecret>>, Problem> {
    let (_, account) = find(&api, &caller, &name).await?;
    if account.disabled {
        let reason = format!("service account {name} is disabled: a token of it would be good for nothing");
        return Err(Problem::new(Code::Conflict, reason).hint("enable it first"));
    }
    tokens::issue(&api, &account, create).await
}

/// The account, when it is the one that a change is meant for, and a version that it is at least of.
async fn matched(api: &Api, caller: &Caller, name: &str, if_match: &IfMatch) -> Result<(i64, User), Problem> {
    let (version, account) = find(api, caller, name).await?;
    if_match.check(&etag(version, &ServiceAccountView::from(account.clone())))?;
    Ok((version, account))
}

/// An account, and a version that it is at least of.
async fn find(api: &Api, caller: &Caller, name: &str) -> Result<(i64, User), Problem> {
    let version = api.store.versions().user(caller.user.org, name).await?;
    let account = api.store.users().by_name(caller.user.org, name).await?;
    let account = account.filter(|account| account.service.is_some());
    version.zip(account).ok_or_else(|| Problem::not_found(format_args!("service account {name}")))
}

fn description(text: String) -> Result<String, Problem> {
    if text.chars().count() > MAX_DESCRIPTION {
        return Err(Problem::field("/description", format!("has at most {MAX_DESCRIPTION} characters")));
    }
    Ok(text)
}

fn tell(api: &Api, account: &User, what: &'static str) {
    api.changes.tell(account.org, Subject::ServiceAccount, account.id, Some(account.id), what);
}
