//! `/api/v1/sessions`. Members see their own, auditors and administrators everyone's.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use hoop_core::id::{RequestId, ReviewId, RoleId, SessionId, UserId};
use hoop_core::{Code, Denial};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::body::Named;
use super::describe::{Accepted, Input};
use super::document::Operation;
use super::page::{Filtered, Page};
use super::parts::Api;
use super::problem::Problem;
use super::recording;
use super::route::{Caller, Permission, Routes};
use crate::store::{Session, SessionFilter, SessionState};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/api/v1/sessions", Permission::Member, "Sessions, the latest first; members see their own.", list)
        .get("/api/v1/sessions/{id}", Permission::Member, "A session.", show)
        .post("/api/v1/sessions/{id}/kill", Permission::Member, "Asks a session to end.", kill)
        .audited_get(
            "/api/v1/sessions/{id}/recording",
            Permission::Member,
            "The recording of a session, for `hoop audit` and for players of terminals.",
            recording,
        )
}

#[derive(Serialize, ToSchema)]
struct SessionView {
    id: SessionId,
    request_id: RequestId,
    user_id: UserId,
    user: String,
    role_id: RoleId,
    role: String,
    agent: String,
    mode: String,
    source: Option<String>,
    application: Option<String>,
    database: Option<String>,
    /// The review by which it was let in.
    review_id: Option<ReviewId>,
    state: String,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    outcome: Option<String>,
    code: Option<String>,
    reason: Option<String>,
    totals: Option<serde_json::Value>,
    log_head: Option<String>,
    log_records: Option<u64>,
}

impl From<Session> for SessionView {
    fn from(session: Session) -> Self {
        let ended = session.ended.as_ref();
        Self {
            ended_at: ended.map(|ended| ended.at),
            outcome: ended.map(|ended| ended.outcome.clone()),
            code: ended.and_then(|ended| ended.code.clone()),
            reason: ended.and_then(|ended| ended.reason.clone()),
            totals: ended.and_then(|ended| ended.totals.clone()),
            log_head: ended.and_then(|ended| ended.log_head.clone()),
            log_records: ended.and_then(|ended| ended.log_records),
            id: session.id,
            request_id: session.request_id,
            user_id: session.user,
            user: session.user_name,
            role_id: session.role,
            role: session.role_name,
            agent: session.agent,
            mode: session.mode,
            source: session.source,
            application: session.application,
            database: session.database,
            review_id: session.review,
            state: session.state,
            started_at: session.started_at,
        }
    }
}

/// Which sessions are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    state: Option<SessionState>,
    role: Option<String>,
    user: Option<String>,
    database: Option<String>,
    outcome: Option<String>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

impl Input for Wanted {
    fn describe(operation: &mut Operation) {
        let mut parameter = |name, about, form| operation.parameter(name, "query", false, about, form);
        let states = SessionState::ALL.map(SessionState::as_str);
        parameter(
            "state",
            "How far they are; `open` is either of the others.",
            json!({ "type": "string", "enum": states }),
        );
        for (name, about) in [
            ("role", "Of roles that had this name."),
            ("user", "Of users who had this name."),
            ("database", "On this database."),
            ("outcome", "With this outcome, such as `completed` or `agent_lost`."),
        ] {
            parameter(name, about, json!({ "type": "string" }));
        }
        let time = json!({ "type": "string", "format": "date-time" });
        parameter("since", "Opened at this time or later.", time.clone());
        parameter("until", "Opened before this time.", time);
    }
}

async fn list(
    State(api): State<Api>,
    caller: Caller,
    Filtered { paging, filter }: Filtered<Wanted>,
) -> Result<Json<Page<SessionView>>, Problem> {
    let Wanted { state, role, user, database, outcome, since, until } = filter;
    let filter = SessionFilter { of: caller.scope(), user, role, database, state, outcome, since, until };
    let found = api.store.sessions().list(caller.user.org, &filter, paging.after()?, paging.limit()).await?;
    Ok(paging.page(found, |session| session.id.to_string(), SessionView::from))
}

async fn show(State(api): State<Api>, caller: Caller, Named(id): Named) -> Result<Json<SessionView>, Problem> {
    find(&api, &caller, caller.scope(), &id).await.map(|session| Json(session.into()))
}

/// Asks a session to end: its own user may, and administrators. It ends a moment later; its row tells when it has.
async fn kill(State(api): State<Api>, caller: Caller, Named(id): Named) -> Result<Accepted<SessionView>, Problem> {
    let session = find(&api, &caller, caller.change_scope(), &id).await?;
    let why = Denial::new("gateway", Code::SessionKilled, format!("{} ended this session", caller.user.name));
    if session.ended.is_some() {
        return Err(Problem::new(Code::Conflict, format!("session {id} has ended already")));
    }
    if !api.sessions.end(session.org, session.id, why) {
        return Err(Problem::new(Code::Conflict, format!("session {id} does not run in this gateway")));
    }
    Ok(Accepted { at: format!("/api/v1/sessions/{}", session.id), view: session.into() })
}

/// The recording as it is stored, for `hoop audit`, or a terminal of it.
async fn recording(
    State(api): State<Api>,
    caller: Caller,
    Named(id): Named,
    wish: recording::Wish,
) -> Result<recording::LogFile, Problem> {
    let session = find(&api, &caller, caller.scope(), &id).await?;
    recording::send(api, caller, session, wish).await
}

/// The session with this id, of this user.
pub(super) async fn find(api: &Api, caller: &Caller, scope: Option<UserId>, id: &str) -> Result<Session, Problem> {
    let missing = || Problem::not_found(format_args!("session {id}"));
    let id: SessionId = id.parse().map_err(|_| missing())?;
    let session = api.store.sessions().get(caller.user.org, id).await?;
    session.filter(|session| scope.is_none_or(|user| user == session.user)).ok_or_else(missing)
}
