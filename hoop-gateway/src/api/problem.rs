//! Refusals, as the API tells them: RFC 9457 problems. This is the one place that renders them.

use std::time::Duration;

use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use hoop_core::id::RequestId;
use hoop_core::{Code, Denial, Fault};
use serde::Serialize;
use serde_json::{Value, json};

use crate::auth::Throttled;
use crate::auth::token::unavailable;
use crate::store::StoreError;

/// A refusal on its way out.
#[derive(Debug, Clone)]
pub(super) struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    denial: Denial,
    /// What is wrong with which field of the request.
    fields: Vec<Field>,
    retry_after: Option<u64>,
    location: Option<String>,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Serialize)]
struct Field {
    /// JSON pointer, or the name of a query parameter.
    pointer: String,
    detail: String,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: String,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    request_id: RequestId,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Field],
}

impl Problem {
    pub(super) fn new(code: Code, reason: impl Into<String>) -> Self {
        Denial::new("gateway", code, reason).into()
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.denial.hint = Some(hint.into());
        self
    }

    pub(super) fn code(&self) -> Code {
        self.0.denial.code
    }

    /// The request has this wrong.
    pub(super) fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (short(pointer.into()), short(detail.into()));
        let name = pointer.trim_start_matches('/').replace('/', ".");
        let reason = if name.is_empty() { detail.clone() } else { format!("{name}: {detail}") };
        let mut problem = Self::new(Code::InvalidRequest, reason);
        problem.0.fields.push(Field { pointer, detail });
        problem
    }

    /// Too much of something: it may be tried again after that time.
    pub(super) fn throttled(reason: &str, wait: Duration) -> Self {
        let seconds = wait.as_secs() + 1;
        let mut problem = Self::new(Code::Throttled, reason).hint(format!("try again in {seconds} s"));
        problem.0.retry_after = Some(seconds);
        problem
    }

    /// What the refusal is about is found there.
    pub(super) fn location(mut self, at: Option<String>) -> Self {
        self.0.location = at;
        self
    }

    /// There is none, or none that the caller may see: the two look the same.
    pub(super) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {what}"))
    }

    /// What happened and why, for people.
    pub(super) fn reason(&self) -> &str {
        &self.0.denial.reason
    }

    /// What to do next.
    pub(super) fn next(&self) -> Option<&str> {
        self.0.denial.hint.as_deref()
    }

    /// Seconds after which it may be tried again.
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.0.retry_after
    }

    pub(super) fn status(&self) -> StatusCode {
        status_of(self.code())
    }
}

/// The HTTP status of a code.
pub(crate) fn status_of(code: Code) -> StatusCode {
    match code {
        Code::LoginFailed | Code::Unauthenticated | Code::CredentialExpired | Code::CredentialRevoked => {
            StatusCode::UNAUTHORIZED
        }
        Code::RoleNotFound | Code::NotFound => StatusCode::NOT_FOUND,
        Code::Conflict => StatusCode::CONFLICT,
        Code::LimitExceeded => StatusCode::PAYLOAD_TOO_LARGE,
        Code::Throttled => StatusCode::TOO_MANY_REQUESTS,
        Code::ClientTimeout => StatusCode::REQUEST_TIMEOUT,
        // Whoever asks again later may get another answer; HTTP clients know this status as such.
        Code::StoreUnavailable
        | Code::GatewayDraining
        | Code::GatewayBusy
        | Code::RecordingFailed
        | Code::AgentUnavailable
        | Code::AgentBusy
        | Code::TargetUnhealthy
        | Code::ReviewRequired => StatusCode::SERVICE_UNAVAILABLE,
        Code::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        Code::Timeout | Code::TargetTimeout => StatusCode::GATEWAY_TIMEOUT,
        Code::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Code::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
        Code::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        other => match other.fault() {
            Fault::Client => StatusCode::BAD_REQUEST,
            Fault::Policy => StatusCode::FORBIDDEN,
            Fault::Target => StatusCode::BAD_GATEWAY,
            Fault::Gateway => StatusCode::INTERNAL_SERVER_ERROR,
        },
    }
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Self {
        Self(Box::new(Inner { denial, fields: Vec::new(), retry_after: None, location: None }))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Exists { .. } | StoreError::LastAdmin => Self::new(Code::Conflict, error.to_string()),
            StoreError::Nul => Self::new(Code::InvalidRequest, error.to_string()),
            _ => unavailable(error).into(),
        }
    }
}

impl From<Throttled> for Problem {
    fn from(throttled: Throttled) -> Self {
        let mut problem = Self::from(Denial::from(throttled));
        problem.0.retry_after = Some(throttled.retry_after.as_secs() + 1);
        problem
    }
}

impl IntoResponse for Problem {
    /// The status alone; [`render`] adds the body, since it knows the request.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Marks a refusal that a page tells of, in its own words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told;

/// Gives a response that is a refusal its body. Others go through as they are.
pub(super) fn render(mut response: Response, request_id: RequestId, path: &str) -> Response {
    let Some(problem) = response.extensions().get::<Problem>().cloned() else { return response };
    let (denial, status) = (&problem.0.denial, problem.status());
    // That a gateway drains is said once, and not to everyone who asks.
    if status.is_server_error() && denial.code != Code::GatewayDraining {
        let source = denial.source.as_deref().map(|source| source as &dyn std::error::Error);
        tracing::error!(code = %denial.code, reason = denial.reason, error = source, "request failed");
    }
    if response.extensions().get::<Told>().is_some() {
        return response;
    }
    let body = Body {
        r#type: format!("urn:hoop:problem:{}", denial.code),
        title: denial.code.as_str().replace('_', " "),
        status: status.as_u16(),
        detail: &denial.reason,
        instance: path,
        code: denial.code.as_str(),
        hint: denial.hint.as_deref(),
        request_id,
        errors: &problem.0.fields,
    };
    let text = serde_json::to_string(&body).unwrap_or_default();
    let mut rendered = (status, [(CONTENT_TYPE, "application/problem+json")], text).into_response();
    if status == StatusCode::UNAUTHORIZED {
        rendered.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"hoop\""));
    }
    if let Some(seconds) = problem.0.retry_after {
        rendered.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(at) = problem.0.location.as_ref().and_then(|at| HeaderValue::from_str(at).ok()) {
        rendered.headers_mut().insert(LOCATION, at);
    }
    // What others have put into the head stays: cookies, rates, methods that are allowed.
    for (name, value) in response.headers() {
        if !rendered.headers().contains_key(name) && name != CONTENT_LENGTH {
            rendered.headers_mut().append(name, value.clone());
        }
    }
    *response.body_mut() = axum::body::Body::empty();
    rendered.extensions_mut().extend(std::mem::take(response.extensions_mut()));
    rendered.extensions_mut().insert(problem);
    rendered
}

/// A text of the request as far as a caller needs it: what is sent is not sent back whole.
fn short(text: String) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((at, _)) => format!("{}…", text.split_at(at).0),
        None => text,
    }
}

/// The most characters of a pointer or a detail.
const MAX_TEXT: usize = 512;

/// The form of the body, for the document.
pub(super) fn schema() -> Value {
    let text = |about: &str| json!({ "type": "string", "description": about });
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "type": "object",
        "description": "A refusal (RFC 9457).",
        "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
        "properties": {
            "type": text("Names the kind of refusal; as stable as the code."),
            "title": text("The code, for people."),
            "status": { "type": "integer", "description": "The HTTP status." },
            "detail": text("What happened and why."),
            "instance": text("The path that was asked for."),
            "code": { "type": "string", "enum": codes, "description": "Stable: programs may compare it." },
            "hint": text("What to do next."),
            "request_id": text("Stands in the gateway's log, too."),
            "errors": {
                "type": "array",
                "description": "What is wrong with which field of the request.",
                "items": {
                    "type": "object",
                    "required": ["pointer", "detail"],
                    "properties": {
                        "pointer": text("JSON pointer into the body, or the name of a parameter."),
                        "detail": text("What is wrong."),
                    },
                },
            },
        },
    })
}

pub(super) async fn no_such_route(uri: Uri) -> Problem {
    Problem::not_found(format_args!("route {}", uri.path()))
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> Problem {
    Problem::new(Code::Unsupported, format!("{} does not take {method}", uri.path()))
}
