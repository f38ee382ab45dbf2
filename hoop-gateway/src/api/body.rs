//! Bodies, query parameters and the names in paths. What is wrong with one is told by the field's name.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, Path as PathOf, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use hoop_core::Code;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use utoipa::ToSchema;

use super::describe::Input;
use super::document::Operation;
use super::problem::Problem;

/// A JSON body. An empty one stands for `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // A form of a foreign page cannot have this type, and is not taken for a request of ours.
        let kind =
            request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let method = request.method().clone();
        let bytes =
            Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status().as_u16() {
                413 => Problem::new(Code::LimitExceeded, "the body is longer than 1 MiB"),
                _ => Problem::new(Code::InvalidRequest, "the body could not be read"),
            })?;
        if bytes.is_empty() {
            return parse(b"{}").map(Self);
        }
        if !kinds(&method).iter().any(|taken| essence(&kind).eq_ignore_ascii_case(taken)) {
            let hint = format!("set content-type: {}", kinds(&method).join(" or "));
            return Err(Problem::new(Code::UnsupportedMediaType, "the body does not say that it is JSON").hint(hint));
        }
        parse(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned + ToSchema> Input for Body<T> {
    fn describe(operation: &mut Operation) {
        let needed = serde_json::from_str::<T>("{}").is_err();
        operation.body::<T>(needed, kinds(&operation.method.clone()));
    }
}

/// The media types of a body. A change is a merge patch (RFC 7396), by whichever of its names.
fn kinds(method: &Method) -> &'static [&'static str] {
    if *method == Method::PATCH { &["application/json", "application/merge-patch+json"] } else { &["application/json"] }
}

/// A media type without its parameters.
fn essence(kind: &str) -> &str {
    kind.split(';').next().unwrap_or_default().trim()
}

/// Reads JSON.
pub(super) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    let mut from = serde_json::Deserializer::from_slice(json);
    let parsed = serde_path_to_error::deserialize(&mut from).map_err(|error| {
        let pointer = pointer(error.path());
        wrong(pointer, &error.into_inner().to_string())
    })?;
    from.end().map_err(|error| Problem::field("", error.to_string()))?;
    Ok(parsed)
}

/// Takes a value that was read before.
pub(super) fn convert<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let pointer = pointer(error.path());
        wrong(pointer, &error.into_inner().to_string())
    })
}

/// Serde names a missing, unknown or repeated field in its text alone.
fn wrong(mut pointer: String, text: &str) -> Problem {
    let named = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|start| text.strip_prefix(start)?.split('`').next());
    if let Some(name) = named
        && !pointer.ends_with(&format!("/{name}"))
    {
        pointer.push('/');
        pointer.push_str(name);
    }
    let detail = text.rsplit_once(" at line ").map_or(text, |(detail, _)| detail);
    Problem::field(pointer, detail)
}

fn pointer(path: &Path) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// Query parameters.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Query::from_request_parts(parts, state).await.map(|Query(given)| Self(given)).map_err(no_parameters)
    }
}

impl<T: DeserializeOwned> Parameters<T> {
    /// From some of a query's parameters alone.
    pub(super) fn of(given: &[(Cow<'_, str>, Cow<'_, str>)]) -> Result<Self, Problem> {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
        let uri: Uri =
            format!("/?{query}").parse().map_err(|_| Problem::new(Code::InvalidRequest, "query parameters"))?;
        Query::try_from_uri(&uri).map(|Query(given)| Self(given)).map_err(no_parameters)
    }
}

fn no_parameters(rejection: QueryRejection) -> Problem {
    let text = rejection.body_text();
    let text = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, detail)| detail);
    Problem::new(Code::InvalidRequest, format!("query parameters: {text}"))
}

/// The name or id in a path.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name = PathOf::<String>::from_request_parts(parts, state).await;
        // A path that is no text names nothing that there is.
        name.map(|PathOf(name)| Self(name)).map_err(|_| Problem::not_found("such thing"))
    }
}

/// The name in a path, and that of a part of what it names.
pub(super) struct NamedPart(pub(super) String, pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for NamedPart {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let names = PathOf::<(String, String)>::from_request_parts(parts, state).await;
        names.map(|PathOf((name, part))| Self(name, part)).map_err(|_| Problem::not_found("such thing"))
    }
}

impl Input for NamedPart {
    fn describe(operation: &mut Operation) {
        operation.refuses(&[StatusCode::NOT_FOUND]);
    }
}

impl Input for Named {
    fn describe(operation: &mut Operation) {
        operation.refuses(&[StatusCode::NOT_FOUND]);
    }
}
