//! Representations have a strong ETag. A change names the one that it is meant for (`If-Match`), and is refused when there
//! is another by now; the store decides, in the transaction of the change.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use hoop_core::Code;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::describe::{Answer, Input};
use super::document::Operation;
use super::problem::Problem;

/// The ETag of a representation. Two callers may be shown two representations of one version.
pub(super) fn etag(version: i64, view: &impl Serialize) -> String {
    let hash = blake3::hash(&serde_json::to_vec(view).unwrap_or_default()).to_hex();
    let (short, _) = hash.split_at(24);
    format!("\"{version}-{short}\"")
}

/// A representation with its ETag.
pub(super) struct Tagged<T> {
    pub(super) version: i64,
    pub(super) view: T,
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let etag = etag(self.version, &self.view);
        let mut response = Json(self.view).into_response();
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            response.headers_mut().insert(ETAG, etag);
        }
        response
    }
}

impl<T: ToSchema> Answer for Tagged<T> {
    fn describe(operation: &mut Operation) {
        operation.json::<T>(StatusCode::OK, "What was asked for.");
        operation.header(StatusCode::OK, "ETag", "Names this representation, for `If-Match` and `If-None-Match`.");
        if operation.method == Method::GET {
            operation.parameter(
                "If-None-Match",
                "header",
                false,
                "The ETag of what is known.",
                json!({ "type": "string" }),
            );
            operation.answer(StatusCode::NOT_MODIFIED, json!({ "description": "It is as it is known." }));
        }
    }
}

/// A caller that knows the representation is told that it is still the one.
pub(super) fn unless_known(method: &Method, known: Option<&HeaderValue>, response: Response) -> Response {
    let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
    let (Some(etag), Some(known)) = (etag, known.and_then(|known| known.to_str().ok())) else { return response };
    let is_known = tags(known).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag);
    if *method != Method::GET || response.status() != StatusCode::OK || !is_known {
        return response;
    }
    let etag = HeaderValue::from_str(etag).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
    (StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response()
}

/// The representation that a change is meant for: one of these, or whichever there is.
pub(super) struct IfMatch(String);

impl IfMatch {
    /// Whether it is this one.
    pub(super) fn check(&self, etag: &str) -> Result<(), Problem> {
        if tags(&self.0).any(|tag| tag == "*" || tag == etag) { Ok(()) } else { Err(stale()) }
    }

    /// Whether it is one of this version. A representation may have more in it than what is stored.
    pub(super) fn check_version(&self, version: i64) -> Result<(), Problem> {
        let of_it = format!("\"{version}-");
        if tags(&self.0).any(|tag| tag == "*" || tag.starts_with(&of_it)) { Ok(()) } else { Err(stale()) }
    }
}

/// It is another one by now.
pub(super) fn stale() -> Problem {
    Problem::new(Code::PreconditionFailed, "it was changed since it was read").hint("read it again, and change that")
}

fn tags(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let given = parts.headers.get(IF_MATCH).and_then(|value| value.to_str().ok());
        given.map(|given| Self(given.to_owned())).ok_or_else(|| {
            Problem::new(Code::PreconditionRequired, "the change does not say what it is meant for")
                .hint("send the ETag of what you read as If-Match, or * for whatever is there")
        })
    }
}

impl Input for IfMatch {
    fn describe(operation: &mut Operation) {
        let about = "The ETag that the change is meant for, or `*`.";
        operation.parameter("If-Match", "header", true, about, json!({ "type": "string" }));
        operation.refuses(&[StatusCode::PRECONDITION_FAILED, StatusCode::PRECONDITION_REQUIRED]);
    }
}
