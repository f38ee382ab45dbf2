//! What stands before every handler: who calls, whether they may, how often they ask, and what is remembered of it.

use std::panic::AssertUnwindSafe;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt as _;
use hoop_core::Code;
use hoop_core::id::{EventId, OrgId, RequestId};
use http_body_util::LengthLimitError;
use tracing::Instrument as _;

use super::MAX_BODY;
use super::parts::Api;
use super::problem::Problem;
use super::rate::Left;
use super::route::{Caller, Permission, Proof, Source, Trail};
use super::{cookie, etag, idempotency};
use crate::auth::{Bearer, scope, settled, token};
use crate::store::{Event, Token, User};

/// The name that a caller gave who is not signed in yet; for the audit trail.
#[derive(Debug, Clone)]
pub(super) struct GivenName(String);

impl GivenName {
    /// The trail is kept whatever the name is: of a NUL, not every database could.
    pub(super) fn of(name: &str) -> Self {
        Self(name.chars().take(MAX_NAME).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect())
    }
}

/// The longest name that is looked up.
pub(super) const MAX_NAME: usize = 256;

/// What is known of a request beside its answer.
#[derive(Default)]
struct Visit {
    /// What the caller has left of the rate that the request counts for.
    left: Option<Left>,
    event: Option<Event>,
}

pub(super) async fn guard(
    State((api, needs, trail)): State<(Api, Permission, Trail)>,
    request: Request,
    next: Next,
) -> Response {
    if trail == Trail::Silent {
        return answer(api, needs, trail, request, next).await;
    }
    // It goes on when its caller goes away: no change is half made, and none is without its event.
    let tasks = api.tasks.clone();
    let done = tasks.spawn(answer(api, needs, trail, request, next).in_current_span()).await;
    done.unwrap_or_else(|_| broke_off().into_response())
}

/// A handler has panicked; the log has where.
fn broke_off() -> Problem {
    let hint = "the gateway's log says more, under this request's id; read what is there before you send it again";
    Problem::new(Code::Internal, "the request broke off within the gateway").hint(hint)
}

async fn answer(api: Api, needs: Permission, trail: Trail, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let mut visit = Visit { event: (trail == Trail::Event).then(|| event(&api, &parts)), left: None };
    let (method, known) = (parts.method.clone(), parts.headers.get(IF_NONE_MATCH).cloned());
    let response = match enter(&api, needs, &parts, &mut visit).await {
        // What was begun is in the trail, however it ended.
        Ok(caller) => match AssertUnwindSafe(run(&api, caller, parts, body, next)).catch_unwind().await {
            Ok(done) => done.unwrap_or_else(Problem::into_response),
            Err(_) => broke_off().into_response(),
        },
        Err(problem) => problem.into_response(),
    };
    let mut response = etag::unless_known(&method, known.as_ref(), response);
    if let Some(left) = &visit.left {
        left.tell(response.headers_mut());
    }
    // What an administrator changes may be what lets a running session in.
    if trail == Trail::Event && needs == Permission::Admin && response.status().is_success() {
        api.access.note_change();
    }
    if let Some(event) = visit.event.and_then(|event| answered(event, &response)) {
        remember(&api, event).await;
    }
    response
}

async fn run(api: &Api, caller: Option<Caller>, mut parts: Parts, body: Body, next: Next) -> Result<Response, Problem> {
    let body = whole(api, body).await?;
    let Some(caller) = caller else { return Ok(next.run(Request::from_parts(parts, body.into())).await) };
    parts.extensions.insert(caller.clone());
    match idempotency::key(&parts)? {
        None => Ok(next.run(Request::from_parts(parts, body.into())).await),
        Some(key) => idempotency::once(api, &caller, key, parts, body, next).await,
    }
}

/// The body is read before anything is done: whoever sends it bit by bit holds no change up.
async fn whole(api: &Api, body: Body) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(api.settings.request_timeout, to_bytes(body, MAX_BODY)).await;
    let read = read.map_err(|_| Problem::new(Code::Timeout, "the request took too long"))?;
    read.map_err(|error| match error.into_inner().is::<LengthLimitError>() {
        true => Problem::new(Code::LimitExceeded, "the body is longer than 1 MiB"),
        false => Problem::new(Code::InvalidRequest, "the body could not be read"),
    })
}

/// Lets a request in. Who is not signed in counts for the address: there, tokens are guessed.
async fn enter(api: &Api, needs: Permission, parts: &Parts, visit: &mut Visit) -> Result<Option<Caller>, Problem> {
    let address = Source::of(parts).0.map(|source| source.ip());
    if needs == Permission::Public {
        visit.left = api.rates().stranger(address);
        return Left::check(visit.left.as_ref()).map(|()| None);
    }
    let caller = match authenticate(api, &parts.headers).await {
        Ok(caller) => caller,
        Err(problem) if problem.code() == Code::Unauthenticated => {
            visit.left = api.rates().stranger(address);
            Left::check(visit.left.as_ref())?;
            return Err(problem);
        }
        Err(problem) => return Err(problem),
    };
    if let Some(event) = &mut visit.event {
        event.user = Some(caller.user.id);
        event.user_name = Some(caller.user.name.clone());
        event.token = Some(caller.token.id);
        event.token_name = caller.token.grant.as_ref().map(|grant| grant.name.clone());
    }
    visit.left = api.rates().user(caller.user.id, &parts.method);
    Left::check(visit.left.as_ref())?;
    if caller.proof == Proof::Cookie && !matches!(parts.method, Method::GET | Method::HEAD) {
        cookie::same_origin(&parts.uri, &parts.headers)?;
    }
    permit(needs, &parts.method, &caller)?;
    Ok(Some(caller))
}

fn permit(needs: Permission, method: &Method, caller: &Caller) -> Result<(), Problem> {
    if needs != Permission::OwnAccount {
        settled(&caller.user)?;
    }
    if let Some(grant) = &caller.token.grant {
        scope::is_for(grant, needs.scopes(method))?;
    }
    if !needs.allows(caller.may) {
        let reason = format!("{} is {}, and this is for others", caller.user.name, caller.may.as_str());
        return Err(Problem::new(Code::AccessDenied, reason).hint("ask an administrator"));
    }
    Ok(())
}

async fn authenticate(api: &Api, headers: &HeaderMap) -> Result<Caller, Problem> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|value| value.strip_prefix("Bearer ")).map(|token| (token, Proof::Bearer));
    // A token that is sent on purpose goes before one that a browser adds by itself.
    let shown =
        bearer.or_else(|| cookie::token(headers).map(|token| (token, Proof::Cookie)).filter(|_| header.is_none()));
    let (token, proof) = shown.ok_or_else(|| unauthenticated("no bearer token"))?;
    known(api, token::hash(token), proof).await
}

/// Who has the token with this hash, while it is good.
pub(super) async fn known(api: &Api, token_hash: [u8; 32], proof: Proof) -> Result<Caller, Problem> {
    let Bearer { user, token } = Bearer::by_hash(token_hash, &*api.store, &*api.clock).await?;
    note_use(api, &token, api.clock.now()).await;
    Ok(caller(user, token, proof))
}

fn caller(user: User, token: Token, proof: Proof) -> Caller {
    let may = token.grant.as_ref().map_or(user.kind, |grant| scope::within(user.kind, &grant.scopes));
    Caller { user, may, token, proof }
}

/// The last use of an API token is known to the minute: who asks more often costs no more.
async fn note_use(api: &Api, token: &Token, now: DateTime<Utc>) {
    let is_known = token.last_used_at.is_some_and(|at| now - at < TimeDelta::minutes(1));
    if token.grant.is_none() || is_known {
        return;
    }
    if let Err(error) = api.store.tokens().used(token.org, token.id, now).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, token = %token.id, "use of a token could not be noted");
    }
}

fn unauthenticated(reason: &str) -> Problem {
    Problem::new(Code::Unauthenticated, reason).hint("sign in: POST /api/v1/login")
}

fn event(api: &Api, parts: &Parts) -> Event {
    let route = parts.extensions.get::<MatchedPath>().map_or("", |path| path.as_str());
    // With the query: a change that was only looked at is none.
    let subject = parts.uri.path_and_query().map_or("", |subject| subject.as_str());
    Event {
        org: OrgId::DEFAULT,
        id: EventId::new(&*api.clock),
        request_id: parts.extensions.get().copied().unwrap_or_else(|| RequestId::new(&*api.clock)),
        user: None,
        user_name: None,
        token: None,
        token_name: None,
        action: format!("{} {route}", parts.method),
        subject: subject.chars().take(512).collect(),
        source: Source::of(parts).0.map(|source| source.to_string()),
        status: 0,
        code: None,
        at: api.clock.now(),
    }
}

/// The event with its answer; `None` when nobody is behind it, so that strangers do not fill the disk. Logins that fail are
/// in the trail, since somebody was named; those that the throttle turned away are not.
fn answered(mut event: Event, response: &Response) -> Option<Event> {
    event.status = response.status().as_u16();
    event.code = response.extensions().get::<Problem>().map(|problem| problem.code().to_string());
    if event.user_name.is_none() {
        event.user_name = response.extensions().get::<GivenName>().map(|name| name.0.clone());
    }
    let throttled = event.code.as_deref() == Some(Code::Throttled.as_str());
    (event.user_name.is_some() && !throttled).then_some(event)
}

async fn remember(api: &Api, event: Event) {
    if let Err(error) = api.store.events().add(&event).await {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, action = event.action, subject = event.subject, "event could not be stored");
    }
}
