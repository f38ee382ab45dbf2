//! `/api/v1/sessions/{id}/files`: what was moved in a session, and the contents of what its role keeps.

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::PathBuf;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hoop_core::id::SessionId;
use hoop_core::{Code, Denial};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::io::ReaderStream;
use utoipa::ToSchema;

use super::body::{Named, NamedPart, Parameters};
use super::describe::{Answer, Input};
use super::document::Operation;
use super::page::{Page, Paging};
use super::parts::Api;
use super::problem::Problem;
use super::recording::{Blocking, missing, unreadable};
use super::route::{Caller, Permission, Routes};
use super::sessions::find;
use crate::record::files::{self, Moved};
use crate::record::{Reader, read_from};
use crate::store;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get(
            "/api/v1/sessions/{id}/files",
            Permission::Member,
            "Files that were moved in a session, in their order.",
            list,
        )
        .audited_get(
            "/api/v1/sessions/{id}/files/{number}",
            Permission::Member,
            "What is kept of the contents of a file that was moved in a session.",
            contents,
        )
}

#[derive(Serialize, ToSchema)]
#[schema(as = MovedFile)]
struct MovedView {
    /// Its number in the session, from 1 on.
    number: u64,
    channel: u64,
    /// As the client opened it: `read`, `write` or `read-write`.
    operation: String,
    /// The path, as the client gives it.
    path: String,
    /// With `scp`: the path, if the other one is a folder. Which of both it is, the target alone knows.
    to: Option<String>,
    /// Whether it was closed, or refused; what follows is known then.
    done: bool,
    bytes_read: u64,
    bytes_written: u64,
    /// SHA-256 of the bytes in hex, where they were moved in order and without a gap.
    sha256: Option<String>,
    /// Why it did not work, or was refused.
    error: Option<String>,
    /// How many of the bytes read are kept; null where the role keeps nothing of it.
    kept_read: Option<u64>,
    /// How many of the bytes written are kept.
    kept_written: Option<u64>,
}

impl From<Moved> for MovedView {
    fn from(file: Moved) -> Self {
        let some = |text: String| (!text.is_empty()).then_some(text);
        Self {
            number: file.number,
            channel: file.channel,
            operation: file.operation.to_string(),
            path: file.path.to_string(),
            to: some(file.to.to_string()),
            done: file.done,
            bytes_read: file.bytes_read,
            bytes_written: file.bytes_written,
            sha256: some(file.sha256),
            error: some(file.error.to_string()),
            kept_read: file.kept_read,
            kept_written: file.kept_written,
        }
    }
}

async fn list(
    State(api): State<Api>,
    caller: Caller,
    Named(id): Named,
    paging: Paging,
) -> Result<Json<Page<MovedView>>, Problem> {
    let session = find(&api, &caller, caller.scope(), &id).await?.id;
    let (after, limit) = (paging.after()?.unwrap_or(0), usize::try_from(paging.limit()).unwrap_or(usize::MAX));
    let (items, more) = with(&api, session, move |log| files::list(log, after, limit)).await?;
    Ok(paging.page(store::Page { items, more }, |file| file.number.to_string(), MovedView::from))
}

/// Which bytes of a file are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default)]
    direction: Direction,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
enum Direction {
    Read,
    #[default]
    Written,
}

impl<S: Send + Sync> FromRequestParts<S> for Wish {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Parameters::<Self>::from_request_parts(parts, state).await.map(|Parameters(wish)| wish)
    }
}

impl Input for Wish {
    fn describe(operation: &mut Operation) {
        let schema = json!({ "type": "string", "enum": ["read", "written"], "default": "written" });
        operation.parameter(
            "direction",
            "query",
            false,
            "The bytes that were read, or those that were written.",
            schema,
        );
        operation.refuses(&[StatusCode::BAD_REQUEST]);
    }
}

/// The contents of a file.
struct Contents(Response);

impl IntoResponse for Contents {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Answer for Contents {
    fn describe(operation: &mut Operation) {
        let content = json!({ "application/octet-stream": { "schema": { "type": "string", "format": "binary" } } });
        let about = "What is kept, from the beginning of the file on; zeros stand for what is not kept in between.";
        operation.answer(StatusCode::OK, json!({ "description": about, "content": content }));
    }
}

async fn contents(
    State(api): State<Api>,
    caller: Caller,
    NamedPart(id, number): NamedPart,
    wish: Wish,
) -> Result<Contents, Problem> {
    let session = find(&api, &caller, caller.scope(), &id).await?.id;
    let nothing =
        || Problem::not_found(format_args!("file {number} in the recording of session {id}, or nothing of it is kept"));
    let wanted: u64 = number.parse().map_err(|_| nothing())?;
    let written = wish.direction == Direction::Written;
    let found = with(&api, session, move |log| {
        let mut file = tempfile::tempfile()?;
        let found = files::contents(log, wanted, written, &file)?.is_some();
        file.rewind()?;
        Ok::<_, files::ContentsError>(found.then_some(file))
    });
    let file = found.await?.ok_or_else(nothing)?;
    answer(session, wanted, file).map_err(|error| unreadable(session, error))
}

/// Reads the log of a session on a thread that may block.
async fn with<T, E>(
    api: &Api,
    session: SessionId,
    read: impl FnOnce(Reader) -> Result<T, E> + Send + 'static,
) -> Result<T, Problem>
where
    T: Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let recording = api.recordings.open(session).await.map_err(|error| unreadable(session, error))?;
    let recording = recording.ok_or_else(|| missing(session))?;
    let log = read_from(Box::new(Blocking::new(recording.bytes)), PathBuf::from(session.to_string()));
    let done = tokio::task::spawn_blocking(move || read(log)).await;
    let done = done.map_err(|error| unreadable(session, io::Error::other(error)))?;
    done.map_err(|error| {
        let reason = format!("the recording of session {session} cannot be read");
        Denial::new("gateway", Code::Internal, reason).caused_by(error).into()
    })
}

fn answer(session: SessionId, number: u64, file: File) -> io::Result<Contents> {
    let length = file.metadata()?.len();
    let mut response = Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(file))).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{session}-{number}\"")) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    Ok(Contents(response))
}
