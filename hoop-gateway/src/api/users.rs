//! `/api/v1/users`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use hoop_core::id::{OrgId, UserId};
use hoop_core::{Code, Denial, PrincipalKind, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, Named};
use super::describe::{Created, Done};
use super::etag::{IfMatch, Tagged, etag, stale};
use super::keys;
use super::page::{Page, Paging};
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Routes};
use crate::access::RuleDefinition;
use crate::auth::PasswordError;
use crate::changes::Subject;
use crate::store::{User, UserKind};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/api/v1/users", Permission::Auditor, "Users, by name.", list)
        .post("/api/v1/users", Permission::Admin, "Adds a user.", create)
        .get("/api/v1/users/{name}", Permission::Auditor, "A user.", show)
        .patch("/api/v1/users/{name}", Permission::Admin, "Changes what is named of a user.", update)
        .may_refuse(&[StatusCode::CONFLICT])
        .delete("/api/v1/users/{name}", Permission::Admin, "Removes a user whom no access rule names.", delete)
        .may_refuse(&[StatusCode::CONFLICT])
}

/// A user, as the API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct UserView {
    id: UserId,
    name: String,
    kind: UserKind,
    groups: Vec<String>,
    disabled: bool,
    must_change_password: bool,
    /// Whether it is a program's; only `GET /api/v1/me` shows one here.
    service_account: bool,
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
            service_account: user.service.is_some(),
            created_at: user.created_at,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateUser {
    #[schema(min_length = 1, max_length = 128)]
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

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateUser {
    kind: Option<UserKind>,
    groups: Option<Vec<String>>,
    disabled: Option<bool>,
    password: Option<String>,
    must_change_password: Option<bool>,
}

async fn list(State(api): State<Api>, caller: Caller, paging: Paging) -> Result<Json<Page<UserView>>, Problem> {
    let after: Option<String> = paging.after()?;
    let of = Some(PrincipalKind::User);
    let users = api.store.users().list(caller.user.org, of, after.as_deref(), paging.limit()).await?;
    Ok(paging.page(users, |user| user.name.clone(), UserView::from))
}

async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(create): Body<CreateUser>,
) -> Result<Created<UserView>, Problem> {
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
        service: None,
        created_at: api.clock.now(),
    };
    api.store.users().create(&user).await?;
    api.changes.tell(user.org, Subject::User, user.id, Some(user.id), "created");
    Ok(Created { at: format!("/api/v1/users/{}", percent_encode(&user.name)), view: user.into() })
}

async fn show(State(api): State<Api>, caller: Caller, Named(name): Named) -> Result<Tagged<UserView>, Problem> {
    let (version, user) = find(&api, caller.user.org, &name).await?;
    Ok(Tagged { version, view: user.into() })
}

async fn update(
    State(api): State<Api>,
    caller: Caller,
    Named(name): Named,
    if_match: IfMatch,
    Body(update): Body<UpdateUser>,
) -> Result<Tagged<UserView>, Problem> {
    let (version, before) = find(&api, caller.user.org, &name).await?;
    if_match.check(&etag(version, &UserView::from(before.clone())))?;
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
    if !api.store.versions().update_user(&user, version).await? {
        return Err(stale());
    }
    // At once, so that they hear why: sessions that run are asked about again, too, and nobody new gets in.
    if user.disabled {
        end_sessions(&api, &user, "was disabled").await?;
    }
    if user.disabled || user.kind != before.kind || user.password_hash != before.password_hash {
        api.store.tokens().revoke_all(user.org, user.id, None, api.clock.now()).await?;
    }
    if user.password_hash != before.password_hash {
        revoke_credentials(&api, &user).await?;
        keys::remove_all(&api, &user).await?;
        end_sessions(&api, &user, "was given another password").await?;
    }
    api.changes.tell(user.org, Subject::User, user.id, Some(user.id), "updated");
    Ok(Tagged { version: version + 1, view: user.into() })
}

/// Their credentials, keys, tokens and memberships go, and their running sessions end. Their sessions, the recordings of these
/// and the audit trail stay as they are. Somebody who gets the name later is somebody else.
async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Named(name): Named,
    if_match: IfMatch,
) -> Result<Done, Problem> {
    let (version, user) = find(&api, caller.user.org, &name).await?;
    if_match.check(&etag(version, &UserView::from(user.clone())))?;
    if user.id == caller.user.id {
        return Err(Problem::new(Code::Conflict, "administrators cannot delete themselves").hint("ask another one"));
    }
    named_in_no_rule(&api, &user).await?;
    if !api.store.versions().delete_user(user.org, user.id, version).await? {
        return Err(stale());
    }
    end_sessions(&api, &user, "was deleted").await?;
    api.changes.tell(user.org, Subject::User, user.id, Some(user.id), "deleted");
    Ok(Done)
}

/// Whom an access rule names cannot be deleted: the rule would be for whoever gets the name next.
pub(super) async fn named_in_no_rule(api: &Api, user: &User) -> Result<(), Problem> {
    let names = |rule: &RuleDefinition| {
        let subjects = &rule.subjects;
        let of_their_kind = if user.service.is_some() { &subjects.service_accounts } else { &subjects.users };
        of_their_kind.contains(&user.name)
    };
    no_rule_names(api, user.org, &format!("{} {}", kind(user), user.name), names).await
}

/// Refuses while access rules name something, whether they are enabled or not.
pub(super) async fn no_rule_names(
    api: &Api,
    org: OrgId,
    what: &str,
    names: impl Fn(&RuleDefinition) -> bool,
) -> Result<(), Problem> {
    let rules = api.store.access_rules().all().await?.into_iter().filter(|rule| rule.org == org);
    let naming: Vec<_> = rules.map(|rule| rule.definition).filter(names).map(|rule| rule.name).collect();
    let Some(first) = naming.first() else { return Ok(()) };
    let reason = format!("access rules name {what}: {}", naming.join(", "));
    Err(Problem::new(Code::Conflict, reason).hint(format!(
        "take the name out of each with hoop admin access-rules update {first} -f FILE, \
         or delete the rule with hoop admin access-rules delete {first}"
    )))
}

/// Whoever knew the old password may have made credentials with it.
pub(super) async fn revoke_credentials(api: &Api, user: &User) -> Result<(), Problem> {
    for credential in api.store.credentials().revoke_all(user.org, user.id, api.clock.now()).await? {
        api.changes.tell(user.org, Subject::Credential, credential, Some(user.id), "deleted");
    }
    api.access.note_change();
    Ok(())
}

/// Who is shut out is out of running sessions, too.
pub(super) async fn end_sessions(api: &Api, user: &User, what: &str) -> Result<(), Problem> {
    for session in api.store.sessions().open_of(user.org, user.id).await? {
        let why = Denial::new("gateway", Code::SessionKilled, format!("{} {} {what}", kind(user), user.name));
        api.sessions.end(user.org, session, why.hint("ask an administrator"));
    }
    Ok(())
}

const fn kind(user: &User) -> &'static str {
    if user.service.is_some() { "service account" } else { "user" }
}

/// A user, and a version that it is at least of.
pub(super) async fn find(api: &Api, org: OrgId, name: &str) -> Result<(i64, User), Problem> {
    let version = api.store.versions().user(org, name).await?;
    let user = api.store.users().by_name(org, name).await?;
    let user = user.filter(|user| user.service.is_none());
    version.zip(user).ok_or_else(|| Problem::not_found(format_args!("user {name}")))
}

pub(super) async fn hash(api: &Api, pointer: &str, password: Secret<String>) -> Result<String, Problem> {
    api.passwords.hash(password).await.map_err(|error| match error {
        PasswordError::Short { .. } | PasswordError::Long { .. } => Problem::field(pointer, error.to_string()),
        PasswordError::Hash => Problem::new(Code::Internal, error.to_string()),
    })
}

/// RFC 3986, all but the unreserved characters.
pub(super) fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
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

pub(super) fn groups(mut names: Vec<String>) -> Result<Vec<String>, Problem> {
    for (at, name) in names.iter().enumerate() {
        check_name(&format!("/groups/{at}"), name)?;
    }
    names.sort();
    names.dedup();
    if names.len() > 256 { Err(Problem::field("/groups", "a user is in at most 256 groups")) } else { Ok(names) }
}
