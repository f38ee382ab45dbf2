//! Recordings as they are sent: as stored, or a terminal of it as asciicast, also while it is still written.

use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use hoop_core::id::SessionId;
use hoop_core::{Code, Denial};
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::body::Parameters;
use super::describe::{Answer, Input};
use super::document::Operation;
use super::guard;
use super::parts::Api;
use super::problem::Problem;
use super::route::Caller;
use crate::changes::Seat;
use crate::record::asciicast::Asciicast;
use crate::record::replay::Replay;
use crate::record::{Reader, read_from};
use crate::store::Session;

/// How much is sent at once, in bytes.
const PIECE: usize = 64 << 10;
/// How often a recording that is still written is looked at.
const EVERY: Duration = Duration::from_millis(200);
/// Recordings that one user may follow at once.
const MOST_OF_A_USER: usize = 16;

/// How a recording is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    #[serde(default)]
    format: Form,
    channel: Option<u32>,
    #[serde(default)]
    input: bool,
    #[serde(default)]
    follow: bool,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
enum Form {
    /// As it is stored.
    #[default]
    Hooplog,
    /// A terminal of it.
    Asciicast,
}

impl<S: Send + Sync> FromRequestParts<S> for Wish {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Parameters(wish) = Parameters::<Self>::from_request_parts(parts, state).await?;
        let of_a_terminal = wish.channel.is_some() || wish.input || wish.follow;
        if wish.format == Form::Hooplog && of_a_terminal {
            return Err(Problem::field("format", "channel, input and follow are for asciicast"));
        }
        Ok(wish)
    }
}

impl Input for Wish {
    fn describe(operation: &mut Operation) {
        let format = json!({ "type": "string", "enum": ["hooplog", "asciicast"], "default": "hooplog" });
        operation.parameter("format", "query", false, "As it is stored, or a terminal of it as asciicast v3.", format);
        let about = "For asciicast: the channel; the first that has a terminal unless given.";
        operation.parameter("channel", "query", false, about, json!({ "type": "integer", "minimum": 1 }));
        let about = "For asciicast: whether what was typed is in it, too. What could be a secret was never recorded.";
        operation.parameter("input", "query", false, about, json!({ "type": "boolean", "default": false }));
        let about =
            "For asciicast: goes on while the session runs, with a comment line now and then where nothing happens.";
        operation.parameter("follow", "query", false, about, json!({ "type": "boolean", "default": false }));
        operation.refuses(&[StatusCode::BAD_REQUEST]);
    }
}

/// A recording on its way.
pub(super) struct LogFile(Response);

impl IntoResponse for LogFile {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Answer for LogFile {
    fn describe(operation: &mut Operation) {
        let content = json!({
            "application/octet-stream": { "schema": { "type": "string", "format": "binary" } },
            "application/x-asciicast": { "schema": { "type": "string" } },
        });
        let about = "The recording, as it is stored, or a terminal of it.";
        operation.answer(StatusCode::OK, json!({ "description": about, "content": content }));
    }
}

/// The recording of a session that the caller may see.
pub(super) async fn send(api: Api, caller: Caller, session: Session, wish: Wish) -> Result<LogFile, Problem> {
    match wish.format {
        Form::Hooplog => stored(&api, &session).await,
        Form::Asciicast => asciicast(api, caller, session, &wish).await,
    }
}

async fn stored(api: &Api, session: &Session) -> Result<LogFile, Problem> {
    let recording = api.recordings.open(session.id).await.map_err(|error| unreadable(session.id, error))?;
    let recording = recording.ok_or_else(|| missing(session.id))?;
    let mut answer = answer(Body::from_stream(recording.bytes), session.id, "application/octet-stream", "hooplog");
    if let Some(len) = recording.len {
        answer.0.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(len));
    }
    Ok(answer)
}

fn answer(body: Body, session: SessionId, kind: &'static str, ending: &str) -> LogFile {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{session}.{ending}\"")) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    LogFile(response)
}

pub(super) fn missing(session: SessionId) -> Problem {
    Problem::not_found(format_args!("recording of session {session}"))
}

pub(super) fn unreadable(session: SessionId, error: io::Error) -> Problem {
    let reason = format!("the recording of session {session} cannot be read");
    Denial::new("gateway", Code::Internal, reason).caused_by(error).into()
}

async fn asciicast(api: Api, caller: Caller, session: Session, wish: &Wish) -> Result<LogFile, Problem> {
    let id = session.id;
    let seat = match wish.follow {
        true => {
            let seat = api.changes.seat(caller.user.id, MOST_OF_A_USER);
            Some(seat.ok_or_else(|| Problem::throttled("you follow too many things", api.settings.heartbeat))?)
        }
        false => None,
    };
    let mut sender = Sender {
        work: Some(Work {
            reader: read_from(Box::new(io::empty()), PathBuf::from(id.to_string())),
            replay: Replay::new(wish.channel.map(u64::from)),
            cast: Asciicast::new(wish.input),
        }),
        beat: Instant::now() + api.settings.heartbeat,
        seat,
        session,
        caller,
        api,
    };
    if !sender.reopen().await.map_err(|error| unreadable(id, error))? {
        return Err(missing(id));
    }
    let first = sender.read().await.map_err(|error| unreadable(id, error))?;
    if first.is_empty() && (sender.seat.is_none() || sender.is_over()) {
        let which = wish.channel.map(|channel| format!(" on channel {channel}")).unwrap_or_default();
        return Err(Problem::not_found(format_args!("terminal{which} in the recording of session {id}")));
    }
    let rest = stream::unfold(sender, |mut sender| async move {
        let piece = sender.next().await.transpose()?;
        Some((piece, sender))
    });
    let body = Body::from_stream(stream::iter([Ok(Bytes::from(first))]).chain(rest));
    Ok(answer(body, id, "application/x-asciicast", "cast"))
}

/// What reads a log, and keeps its place in it.
struct Work {
    reader: Reader,
    replay: Replay,
    cast: Asciicast,
}

impl Work {
    /// What there is of the log, up to a piece. It blocks.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        while out.len() < PIECE {
            match self.replay.next(&mut self.reader) {
                Some(Ok(moment)) => self.cast.write(moment, &mut out),
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => break,
            }
        }
        Ok(out)
    }
}

/// Sends a terminal, piece by piece.
struct Sender {
    api: Api,
    caller: Caller,
    session: Session,
    /// It is with a thread that may block while it is read.
    work: Option<Work>,
    /// When the next sign of life is due.
    beat: Instant,
    /// Held by who follows.
    seat: Option<Seat>,
}

impl Sender {
    fn is_over(&self) -> bool {
        self.work.as_ref().is_none_or(|work| work.replay.is_over())
    }

    /// The next piece; none when all was sent.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let piece = self.read().await?;
            if !piece.is_empty() {
                return Ok(Some(piece.into()));
            }
            if self.seat.is_none() || self.is_over() {
                return Ok(None);
            }
            tokio::select! {
                () = self.api.changes.closed() => return Ok(None),
                () = tokio::time::sleep(EVERY) => {}
            }
            if Instant::now() >= self.beat {
                self.beat = Instant::now() + self.api.settings.heartbeat;
                return Ok(self.is_welcome().await.then(|| Bytes::from_static(b"# waiting\n")));
            }
            if !self.reopen().await? {
                return Ok(None);
            }
        }
    }

    async fn read(&mut self) -> io::Result<Vec<u8>> {
        let Some(mut work) = self.work.take() else { return Ok(Vec::new()) };
        let (work, read) = tokio::task::spawn_blocking(move || {
            let read = work.read();
            (work, read)
        })
        .await
        .map_err(io::Error::other)?;
        self.work = Some(work);
        read
    }

    /// Opens the log where it was read to; whether there is one.
    async fn reopen(&mut self) -> io::Result<bool> {
        let Some(work) = &mut self.work else { return Ok(false) };
        let Some(recording) = self.api.recordings.open_from(self.session.id, work.reader.offset()).await? else {
            return Ok(false);
        };
        work.reader.resume(Box::new(Blocking::new(recording.bytes)));
        Ok(true)
    }

    /// Whether the caller may still see the session.
    async fn is_welcome(&mut self) -> bool {
        match guard::known(&self.api, self.caller.token.hash, self.caller.proof).await {
            Ok(caller) if !caller.user.must_change_password => {
                self.caller = caller;
                self.caller.scope().is_none_or(|user| user == self.session.user)
            }
            _ => false,
        }
    }
}

/// A stream, for a thread that may block.
pub(super) struct Blocking {
    from: BoxStream<'static, io::Result<Bytes>>,
    piece: Bytes,
}

impl Blocking {
    pub(super) const fn new(from: BoxStream<'static, io::Result<Bytes>>) -> Self {
        Self { from, piece: Bytes::new() }
    }
}

impl Read for Blocking {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match Handle::current().block_on(self.from.next()) {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let length = self.piece.len().min(to.len());
        self.piece.copy_to_slice(to.get_mut(..length).unwrap_or_default());
        Ok(length)
    }
}
