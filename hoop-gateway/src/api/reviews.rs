//! `/api/v1/reviews`: what somebody must agree to. Whoever asked sees theirs, members of a group what they decide on,
//! auditors and administrators everything. People decide, who are signed in themselves: no API token does.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use hoop_core::id::{RequestId, ReviewId, RoleId, SessionId, UserId};
use hoop_core::{AccessMode, AccessRequest, Code, Decision, Denial, Target};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::body::{Body, Named};
use super::describe::{Accepted, Done, Found, Input};
use super::document::Operation;
use super::page::{Filtered, Page};
use super::parts::Api;
use super::problem::Problem;
use super::roles::{no_role, reachable};
use super::route::{Caller, Permission, Routes, Source};
use crate::access::unmet;
use crate::review::{Asking, may_decide};
use crate::store::{Review, ReviewDecision, ReviewFilter, ReviewKind, ReviewState};

pub(super) fn routes(routes: Routes) -> Routes {
    let review = "/api/v1/reviews/{id}";
    routes
        .get(
            "/api/v1/reviews",
            Permission::Member,
            "Reviews, the latest first: own ones, and those to decide on.",
            list,
        )
        .post("/api/v1/reviews", Permission::Member, "Asks for a review before a session is opened.", ask)
        .may_refuse(&[StatusCode::NOT_FOUND, StatusCode::CONFLICT])
        .get(review, Permission::Member, "A review.", show)
        .post(&format!("{review}/approve"), Permission::SignIn, "Agrees to what a review is about.", approve)
        .may_refuse(&[StatusCode::CONFLICT])
        .post(&format!("{review}/deny"), Permission::SignIn, "Does not agree to what a review is about.", deny)
        .may_refuse(&[StatusCode::CONFLICT])
        .post(&format!("{review}/withdraw"), Permission::Member, "Takes one's own review back.", withdraw)
        .may_refuse(&[StatusCode::CONFLICT])
}

/// The longest comment, in characters.
const COMMENT: usize = 1000;
/// The longest time that an approval is good for, in seconds.
const LONGEST: u32 = 24 * 3600;

#[derive(Serialize, ToSchema)]
#[schema(as = Review)]
struct ReviewView {
    id: ReviewId,
    state: ReviewState,
    /// What it is about: the use of the role, or what is to be done in a session of it.
    kind: ReviewKind,
    /// What runs when somebody agrees: the statement with its parameters, the command, or the request with its body; without its
    /// secrets. Null where it is about the use of the role.
    subject: Option<String>,
    /// Whether the caller may decide on it now.
    may_decide: bool,
    user_id: UserId,
    user: String,
    role_id: RoleId,
    role: String,
    mode: String,
    database: Option<String>,
    source: Option<String>,
    /// What for, in the words of whoever asks.
    reason: Option<String>,
    /// The group of which somebody decides.
    group: String,
    /// The rule that asks for it: of access, or of guardrail for what is done in a session.
    rule: Option<String>,
    /// The session that waits, or in which it was asked for; null where it was asked for before there is one.
    session_id: Option<SessionId>,
    request_id: RequestId,
    decided_by_id: Option<UserId>,
    decided_by: Option<String>,
    decided_at: Option<DateTime<Utc>>,
    comment: Option<String>,
    /// Until when an approval is good.
    good_until: Option<DateTime<Utc>>,
    /// Whether an approval is good for one session, or for what it is about, once.
    good_once: bool,
    /// The session that used it last.
    used_by: Option<SessionId>,
    used_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    /// Until when it can be decided on.
    expires_at: DateTime<Utc>,
}

fn view(review: Review, caller: &Caller) -> ReviewView {
    ReviewView {
        may_decide: review.state == ReviewState::Pending && may_decide(&review, &caller.user).is_ok(),
        id: review.id,
        state: review.state,
        kind: review.kind,
        subject: review.subject,
        user_id: review.user,
        user: review.user_name,
        role_id: review.role,
        role: review.role_name,
        mode: review.mode,
        database: review.database,
        source: review.source,
        reason: review.reason,
        group: review.group,
        rule: review.rule,
        session_id: review.session,
        request_id: review.request_id,
        decided_by_id: review.decided_by,
        decided_by: review.decided_name,
        decided_at: review.decided_at,
        comment: review.comment,
        good_until: review.good_until,
        good_once: review.good_once,
        used_by: review.used_by,
        used_at: review.used_at,
        created_at: review.created_at,
        expires_at: review.expires_at,
    }
}

/// Which reviews are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    state: Option<ReviewState>,
    role: Option<String>,
}

impl Input for Wanted {
    fn describe(operation: &mut Operation) {
        let states = ReviewState::ALL.map(ReviewState::as_str);
        let form = json!({ "type": "string", "enum": states });
        operation.parameter("state", "query", false, "How far they are.", form);
        operation.parameter("role", "query", false, "For roles that had this name.", json!({ "type": "string" }));
    }
}

/// What a session is wanted for that needs a review.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AskForReview)]
struct Ask {
    role: String,
    #[serde(default = "native")]
    mode: AccessMode,
    /// That of the role, unless given.
    database: Option<String>,
    /// What for: whoever decides reads it.
    reason: Option<String>,
}

const fn native() -> AccessMode {
    AccessMode::Native
}

/// An agreement.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Approve {
    /// For whoever asked.
    comment: Option<String>,
    /// How long whoever asked may open sessions like this one, which end with that time. Unless given, the approval is good for
    /// one session. What is done in a session is agreed to once.
    #[schema(minimum = 1, maximum = 86400)]
    for_seconds: Option<u32>,
}

/// No agreement.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Deny {
    /// For whoever asked.
    comment: Option<String>,
}

async fn list(
    State(api): State<Api>,
    caller: Caller,
    Filtered { paging, filter }: Filtered<Wanted>,
) -> Result<Json<Page<ReviewView>>, Problem> {
    let filter = ReviewFilter { of: caller.scope(), state: filter.state, role: filter.role };
    let found = api.store.reviews().list(caller.user.org, &filter, paging.after()?, paging.limit()).await?;
    Ok(paging.page(found, |review| review.id.to_string(), |review| view(review, &caller)))
}

async fn show(State(api): State<Api>, caller: Caller, Named(id): Named) -> Result<Json<ReviewView>, Problem> {
    find(&api, &caller, &id).await.map(|review| Json(view(review, &caller)))
}

/// Asks before there is a session: one that is opened then, with whichever client, waits for this review, or is let in by it.
/// Where one of the caller's is there already for the same, it is that one.
async fn ask(
    State(api): State<Api>,
    source: Source,
    caller: Caller,
    Extension(request_id): Extension<RequestId>,
    Body(ask): Body<Ask>,
) -> Result<Accepted<ReviewView>, Problem> {
    let role = reachable(&api, &caller, source, &ask.role).await?.role;
    let (principal, reason) = (caller.principal(), ask.reason.as_deref());
    let question = AccessRequest {
        principal: &principal,
        role: &role,
        mode: ask.mode,
        source: source.0.map(|source| source.ip()),
        at: api.clock.now(),
        reason,
        since: None,
    };
    let obligations = match api.policy.decide(&question).await {
        Ok(Decision::Allow(obligations)) => obligations,
        Ok(Decision::Deny(_)) if caller.scope().is_some() => return Err(no_role(&ask.role)),
        Ok(Decision::Deny(denial)) => return Err(denial.into()),
        Err(error) => return Err(Denial::failed("access policy", error).with_code(Code::StoreUnavailable).into()),
    };
    unmet(&question, &obligations)?;
    let Some(group) = obligations.review.as_deref() else {
        let reason = format!("you may use role {} without a review", ask.role);
        return Err(Problem::new(Code::Conflict, reason).hint(format!("hoop connect {}", ask.role)));
    };
    let own = match &role.target {
        Target::Postgres(target) => Some(target.database.as_str()),
        _ => None,
    };
    let asking = Asking {
        request_id,
        session: None,
        principal: &principal,
        role: &role,
        mode: ask.mode,
        database: own.map(|own| ask.database.as_deref().unwrap_or(own)),
        source: source.0,
        reason,
        group,
        rule: obligations.rule.as_deref(),
        about: None,
    };
    let review = match api.reviews.standing(&asking).await? {
        Some(review) => review,
        None => api.reviews.ask(ReviewId::new(&*api.clock), &asking).await?,
    };
    Ok(Accepted { at: format!("/api/v1/reviews/{}", review.id), view: view(review, &caller) })
}

async fn approve(
    State(api): State<Api>,
    caller: Caller,
    Named(id): Named,
    Body(Approve { comment, for_seconds }): Body<Approve>,
) -> Result<Found<ReviewView>, Problem> {
    if for_seconds.is_some_and(|seconds| !(1..=LONGEST).contains(&seconds)) {
        return Err(Problem::field("/for_seconds", format!("from 1 to {LONGEST} seconds")));
    }
    let lasts = for_seconds.map(|seconds| Duration::from_secs(seconds.into()));
    decide(&api, &caller, &id, true, comment, lasts).await
}

async fn deny(
    State(api): State<Api>,
    caller: Caller,
    Named(id): Named,
    Body(Deny { comment }): Body<Deny>,
) -> Result<Found<ReviewView>, Problem> {
    decide(&api, &caller, &id, false, comment, None).await
}

async fn decide(
    api: &Api,
    caller: &Caller,
    id: &str,
    approve: bool,
    comment: Option<String>,
    lasts: Option<Duration>,
) -> Result<Found<ReviewView>, Problem> {
    let review = find(api, caller, id).await?;
    if lasts.is_some() && review.kind != ReviewKind::Session {
        let what = format!("a {} is agreed to once, and not for a time", review.kind.as_str());
        return Err(Problem::field("/for_seconds", what));
    }
    let decision = ReviewDecision {
        approve,
        user: caller.user.id,
        user_name: caller.user.name.clone(),
        at: api.clock.now(),
        comment: said(comment)?,
        good_until: api.reviews.good_until(lasts),
        good_once: lasts.is_none(),
    };
    let review = api.reviews.decide(&review, &caller.user, &decision).await?;
    Ok(Found(view(review, caller)))
}

async fn withdraw(State(api): State<Api>, caller: Caller, Named(id): Named) -> Result<Done, Problem> {
    let review = find(&api, &caller, &id).await?;
    if review.user != caller.user.id {
        return Err(Problem::new(Code::AccessDenied, "a review is taken back by whoever asked for it")
            .hint(format!("hoop reviews deny {id}")));
    }
    match api.reviews.withdraw(review.org, review.id, caller.user.id).await? {
        true => Ok(Done),
        false => Err(Problem::new(Code::Conflict, format!("review {id} is not pending any more"))),
    }
}

/// A comment as it is shown to whoever asked, in whichever protocol.
fn said(comment: Option<String>) -> Result<Option<String>, Problem> {
    let comment = comment.map(|comment| comment.trim().to_owned()).filter(|comment| !comment.is_empty());
    let is_long = |comment: &String| comment.chars().count() > COMMENT;
    if comment.as_ref().is_some_and(is_long) {
        return Err(Problem::field("/comment", format!("it has more than {COMMENT} characters")));
    }
    if comment.as_ref().is_some_and(|comment| comment.chars().any(char::is_control)) {
        return Err(Problem::field("/comment", "it is one line, without control characters"));
    }
    Ok(comment)
}

/// The review with this id, where the caller may see it.
async fn find(api: &Api, caller: &Caller, id: &str) -> Result<Review, Problem> {
    let missing = || Problem::not_found(format_args!("review {id}"));
    let id: ReviewId = id.parse().map_err(|_| missing())?;
    let review = api.store.reviews().get(caller.user.org, id).await?.ok_or_else(missing)?;
    let is_own = review.user == caller.user.id || caller.user.groups.contains(&review.group);
    if caller.scope().is_none() || is_own { Ok(review) } else { Err(missing()) }
}
