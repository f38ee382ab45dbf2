//! `Idempotency-Key`: a request that acts does so once, however often it is sent. The same key with the same request gives
//! the answer of the first one for 24 hours; what was refused did nothing, and may be tried again.
//!
//! The request goes on when its caller goes away, as every one that acts, so that who asks again finds what came of it.
//! Answers with a secret are not kept: who asks again is told that it was done, and where.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chrono::{TimeDelta, Utc};
use hoop_core::Code;
use hoop_core::id::{OrgId, UserId};

use super::MAX_BODY;
use super::describe::HoldsSecret;
use super::parts::Api;
use super::problem::Problem;
use super::route::Caller;
use crate::store::{Claim, Earlier, KeptAnswer};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Tells that an answer is that of an earlier request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How long a key stands for its request.
const KEPT: TimeDelta = TimeDelta::hours(24);
const MAX_KEY: usize = 255;
/// What is kept of an answer's headers.
const HEADERS: [HeaderName; 2] = [CONTENT_TYPE, LOCATION];

/// The request's key, when it has one and acts.
pub(super) fn key(parts: &Parts) -> Result<Option<String>, Problem> {
    let Some(value) = parts.headers.get(HEADER).filter(|_| parts.method == Method::POST) else { return Ok(None) };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()));
    let wrong = || Problem::field("Idempotency-Key", format!("1 to {MAX_KEY} visible ASCII characters"));
    key.map(|key| Some(key.to_owned())).ok_or_else(wrong)
}

/// Whose key it is.
struct Holder {
    org: OrgId,
    user: UserId,
    key: String,
}

/// Runs the request, unless an earlier one had its key.
pub(super) async fn once(
    api: &Api,
    caller: &Caller,
    key: String,
    parts: Parts,
    body: Bytes,
    next: Next,
) -> Result<Response, Problem> {
    let (at, request) = (api.clock.now(), hash(api, &parts, &body));
    let holder = Holder { org: caller.user.org, user: caller.user.id, key };
    let claim =
        Claim { org: holder.org, user: holder.user, key: holder.key.clone(), request, at, expires_at: at + KEPT };
    match api.store.idempotency().claim(&claim).await? {
        Some(earlier) if earlier.request != request => {
            Err(Problem::new(Code::KeyReused, "the idempotency key was used for another request")
                .hint("make a new key for each thing that you want done"))
        }
        Some(earlier) => Ok(replay(api, earlier)),
        None => {
            let response = next.run(Request::from_parts(parts, body.into())).await;
            Ok(keep(api, &holder, response).await)
        }
    }
}

/// The key makes the hash useless to who has a copy of the store: a body may hold a password.
fn hash(api: &Api, parts: &Parts, body: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(api.request_key.expose());
    for part in [parts.method.as_str().as_bytes(), parts.uri.to_string().as_bytes(), body] {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes()).update(part);
    }
    hasher.finalize().into()
}

/// Keeps what came of a request that did something, and gives the key back of one that did nothing.
async fn keep(api: &Api, holder: &Holder, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let Holder { org, user, key } = holder;
    let (kept, body) = if parts.status.is_success() {
        let Ok(body) = to_bytes(body, MAX_BODY).await else {
            return Problem::new(Code::Internal, "the answer could not be kept").into_response();
        };
        let secret = parts.extensions.get::<HoldsSecret>().is_some();
        let value = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let headers = HEADERS.iter().filter_map(|name| Some((name.to_string(), value(name)?.to_owned()))).collect();
        let answer = KeptAnswer { status: parts.status.as_u16(), headers, body: (!secret).then(|| body.to_vec()) };
        (api.store.idempotency().answer(*org, *user, key, &answer).await, Body::from(body))
    } else {
        (api.store.idempotency().release(*org, *user, key).await, body)
    };
    if let Err(error) = kept {
        tracing::error!(error = &error as &dyn std::error::Error, "answer could not be kept for its idempotency key");
    }
    Response::from_parts(parts, body)
}

fn replay(api: &Api, earlier: Earlier) -> Response {
    let Some(KeptAnswer { status, headers, body }) = earlier.answer else {
        return unanswered(api, earlier.at).into_response();
    };
    let location = headers.iter().find(|(name, _)| *name == LOCATION.as_str()).map(|(_, value)| value.clone());
    let Some(body) = body else {
        let problem = Problem::new(Code::Conflict, "this was done already, and its secret was shown then")
            .hint("the secret was not kept; take what is at Location away, and make another with a new key");
        return problem.location(location).into_response();
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// The first request runs still, or the gateway died before it was answered.
fn unanswered(api: &Api, at: chrono::DateTime<Utc>) -> Problem {
    let passed = (api.clock.now() - at).to_std().unwrap_or_default();
    if passed <= api.settings.request_timeout {
        return Problem::new(Code::Conflict, "a request with this idempotency key is being worked on")
            .hint("ask again in a moment");
    }
    Problem::new(Code::Conflict, "whether the first request with this idempotency key was done is not known")
        .hint("look whether it was, and use a new key")
}
