//! `/api/v1/keys` and `/api/v1/users/{name}/keys`: public keys with which users come over SSH.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use hoop_core::Code;
use hoop_core::id::{KeyId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, Named, NamedPart};
use super::describe::{Created, Done};
use super::page::{Page, Paging};
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Routes};
use super::users::check_name;
use crate::auth::keys::AcceptedKey;
use crate::changes::Subject;
use crate::store::{Token, User, UserKey};

pub(super) fn routes(routes: Routes) -> Routes {
    let (own, of_user) = ("/api/v1/keys", "/api/v1/users/{name}/keys");
    routes
        .get(own, Permission::Member, "Public keys, the latest first; members see their own.", list)
        .post(own, Permission::Member, "Adds a public key with which the caller comes over SSH.", create)
        .may_refuse(&[StatusCode::CONFLICT])
        .get("/api/v1/keys/{id}", Permission::Member, "A public key.", show)
        .delete(
            "/api/v1/keys/{id}",
            Permission::Member,
            "Removes a public key, with the sessions that came by it.",
            delete,
        )
        .get(of_user, Permission::Auditor, "The public keys of a user or a service account.", list_of_user)
        .post(of_user, Permission::Admin, "Adds a public key of a user or a service account.", create_for_user)
        .may_refuse(&[StatusCode::CONFLICT])
        .delete(
            "/api/v1/users/{name}/keys/{id}",
            Permission::Admin,
            "Removes a public key of a user or a service account, with the sessions that came by it.",
            delete_of_user,
        )
}

/// The most keys that one user has.
const MOST: u32 = 50;
/// The longest time until a key expires, in seconds: a hundred years.
const LONGEST: u64 = 100 * 365 * 24 * 3600;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AddKey {
    /// One line, as it stands in a `.pub` file: Ed25519, ECDSA, RSA from 3072 bits on, or of a security key.
    #[schema(min_length = 1, max_length = 16384)]
    public_key: String,
    /// For people; what stands behind the key unless given.
    #[schema(min_length = 1, max_length = 128)]
    name: Option<String>,
    /// How long it lets its user in. Without it: until it is removed. A key that is added with an API token ends with that at
    /// the latest.
    ttl_seconds: Option<u64>,
}

/// A user's public key.
#[derive(Serialize, ToSchema)]
#[schema(as = UserKey)]
struct KeyView {
    id: KeyId,
    name: String,
    user_id: UserId,
    /// As OpenSSH prints it: `SHA256:…`.
    fingerprint: String,
    /// One line, without a comment.
    public_key: String,
    expires_at: Option<DateTime<Utc>>,
    /// When a session was last opened with it, to the minute.
    last_used_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<UserKey> for KeyView {
    fn from(key: UserKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            user_id: key.user,
            fingerprint: key.fingerprint,
            public_key: key.public_key,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            created_at: key.created_at,
        }
    }
}

async fn list(State(api): State<Api>, caller: Caller, paging: Paging) -> Result<Json<Page<KeyView>>, Problem> {
    list_of(&api, &caller, caller.scope(), &paging).await
}

async fn list_of_user(
    State(api): State<Api>,
    caller: Caller,
    Named(name): Named,
    paging: Paging,
) -> Result<Json<Page<KeyView>>, Problem> {
    let user = find(&api, &caller, &name).await?;
    list_of(&api, &caller, Some(user.id), &paging).await
}

async fn list_of(
    api: &Api,
    caller: &Caller,
    of: Option<UserId>,
    paging: &Paging,
) -> Result<Json<Page<KeyView>>, Problem> {
    let found = api.store.user_keys().list(caller.user.org, of, paging.after()?, paging.limit()).await?;
    Ok(paging.page(found, |key| key.id.to_string(), KeyView::from))
}

/// What is added with an API token ends with it, as a credential does.
async fn create(State(api): State<Api>, caller: Caller, Body(add): Body<AddKey>) -> Result<Created<KeyView>, Problem> {
    let token = Some(&caller.token).filter(|token| token.grant.is_some());
    added(&api, &caller.user, token, add).await
}

async fn create_for_user(
    State(api): State<Api>,
    caller: Caller,
    Named(name): Named,
    Body(add): Body<AddKey>,
) -> Result<Created<KeyView>, Problem> {
    let user = find(&api, &caller, &name).await?;
    added(&api, &user, None, add).await
}

async fn added(api: &Api, user: &User, token: Option<&Token>, add: AddKey) -> Result<Created<KeyView>, Problem> {
    let accepted =
        AcceptedKey::read(&add.public_key).map_err(|error| Problem::field("/public_key", error.to_string()))?;
    let now = api.clock.now().trunc_subsecs(6);
    let expires_at = ttl(add.ttl_seconds)?.map(|ttl| now + ttl);
    let key = UserKey {
        org: user.org,
        id: KeyId::new(&*api.clock),
        user: user.id,
        name: name(add.name, &accepted)?,
        fingerprint: accepted.fingerprint,
        public_key: accepted.line,
        token: token.map(|token| token.id),
        expires_at: token.map(|token| token.expires_at).into_iter().chain(expires_at).min(),
        last_used_at: None,
        created_at: now,
    };
    if !api.store.user_keys().create(&key, MOST).await? {
        let reason = format!("{} has {MOST} keys already", user.name);
        return Err(Problem::new(Code::Conflict, reason).hint("remove one that is not used any more"));
    }
    api.changes.tell(key.org, Subject::Key, key.id, Some(key.user), "created");
    Ok(Created { at: format!("/api/v1/keys/{}", key.id), view: key.into() })
}

fn ttl(seconds: Option<u64>) -> Result<Option<TimeDelta>, Problem> {
    match seconds {
        None => Ok(None),
        Some(seconds @ 1..=LONGEST) => Ok(TimeDelta::from_std(Duration::from_secs(seconds)).ok()),
        Some(_) => Err(Problem::field("/ttl_seconds", format!("must be from 1 to {LONGEST}"))),
    }
}

/// What its owner calls it, or else what stands behind it in its file.
fn name(given: Option<String>, key: &AcceptedKey) -> Result<String, Problem> {
    if let Some(name) = given {
        check_name("/name", &name)?;
        return Ok(name);
    }
    let comment: String = key.comment.chars().filter(|c| !c.is_control()).take(128).collect();
    let comment = comment.trim();
    Ok(if comment.is_empty() { key.fingerprint.clone() } else { comment.to_owned() })
}

async fn show(State(api): State<Api>, caller: Caller, Named(id): Named) -> Result<Json<KeyView>, Problem> {
    let found = match id.parse() {
        Ok(id) => api.store.user_keys().get(caller.user.org, id).await?,
        Err(_) => None,
    };
    let visible = found.filter(|key| caller.scope().is_none_or(|user| user == key.user));
    visible.map(|key| Json(key.into())).ok_or_else(|| missing(&id))
}

/// Sessions that came by it end within seconds, in every gateway.
async fn delete(State(api): State<Api>, caller: Caller, Named(id): Named) -> Result<Done, Problem> {
    removed(&api, &caller, &id, caller.change_scope()).await
}

async fn delete_of_user(
    State(api): State<Api>,
    caller: Caller,
    NamedPart(name, id): NamedPart,
) -> Result<Done, Problem> {
    let user = find(&api, &caller, &name).await?;
    removed(&api, &caller, &id, Some(user.id)).await
}

async fn removed(api: &Api, caller: &Caller, id: &str, of: Option<UserId>) -> Result<Done, Problem> {
    let (key, org): (KeyId, _) = (id.parse().map_err(|_| missing(id))?, caller.user.org);
    let found = api.store.user_keys().get(org, key).await?.ok_or_else(|| missing(id))?;
    if !api.store.user_keys().delete(org, key, of).await? {
        return Err(missing(id));
    }
    api.access.note_change();
    api.changes.tell(org, Subject::Key, key, Some(found.user), "deleted");
    Ok(Done)
}

/// Whoever knew the old password may have added some.
pub(super) async fn remove_all(api: &Api, user: &User) -> Result<(), Problem> {
    for key in api.store.user_keys().delete_all(user.org, user.id).await? {
        api.changes.tell(user.org, Subject::Key, key, Some(user.id), "deleted");
    }
    api.access.note_change();
    Ok(())
}

/// A person or a program.
async fn find(api: &Api, caller: &Caller, name: &str) -> Result<User, Problem> {
    let user = api.store.users().by_name(caller.user.org, name).await?;
    user.ok_or_else(|| Problem::not_found(format_args!("user {name}")))
}

fn missing(id: &str) -> Problem {
    Problem::not_found(format_args!("key {id}"))
}
