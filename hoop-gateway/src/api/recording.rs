//! Recordings as they are sent: as stored, a terminal of it as asciicast or its HTTP exchanges, both also while it is still written,
//! or as an HTTP archive.

use std::io::{self, Read, Write as _};
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
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::body::Parameters;
use super::describe::{Answer, Input};
use super::document::Operation;
use super::guard;
use super::parts::Api;
use super::problem::Problem;
use super::route::Caller;
use crate::changes::Seat;
use crate::record::asciicast::Asciicast;
use crate::record::exchanges::{Exchanges, Told, is_http};
use crate::record::replay::Replay;
use crate::record::{Reader, har, read_from};
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
    /// Its HTTP exchanges, a line of JSON each.
    Exchanges,
    /// Its HTTP exchanges as an archive.
    Har,
}

impl<S: Send + Sync> FromRequestParts<S> for Wish {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Parameters(wish) = Parameters::<Self>::from_request_parts(parts, state).await?;
        if wish.format != Form::Asciicast && (wish.channel.is_some() || wish.input) {
            return Err(Problem::field("format", "channel and input are for asciicast"));
        }
        if wish.follow && !matches!(wish.format, Form::Asciicast | Form::Exchanges) {
            return Err(Problem::field("format", "follow is for asciicast and exchanges"));
        }
        Ok(wish)
    }
}

impl Input for Wish {
    fn describe(operation: &mut Operation) {
        let forms = ["hooplog", "asciicast", "exchanges", "har"];
        let format = json!({ "type": "string", "enum": forms, "default": "hooplog" });
        let about = "As it is stored; a terminal of it as asciicast v3; its HTTP exchanges as they ended, a line of JSON each; \
                     or these as an HTTP archive, HAR 1.2.";
        operation.parameter("format", "query", false, about, format);
        let about = "For asciicast: the channel; the first that has a terminal unless given.";
        operation.parameter("channel", "query", false, about, json!({ "type": "integer", "minimum": 1 }));
        let about = "For asciicast: whether what was typed is in it, too. What could be a secret was never recorded.";
        operation.parameter("input", "query", false, about, json!({ "type": "boolean", "default": false }));
        let about = "For asciicast and exchanges: goes on while the session runs, with a comment line in the one and an empty \
                     line in the other now and then where nothing happens.";
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
            "application/x-ndjson": { "schema": { "type": "string" } },
            "application/json": { "schema": { "type": "object" } },
        });
        let about = "The recording, as it is stored, or what of it was asked for.";
        operation.answer(StatusCode::OK, json!({ "description": about, "content": content }));
    }
}

/// The recording of a session that the caller may see.
pub(super) async fn send(api: Api, caller: Caller, session: Session, wish: Wish) -> Result<LogFile, Problem> {
    match wish.format {
        Form::Hooplog => stored(&api, &session).await,
        Form::Asciicast => {
            let show = Show::Terminal(Replay::new(wish.channel.map(u64::from)), Asciicast::new(wish.input));
            shown(api, caller, session, &wish, show).await
        }
        Form::Exchanges => {
            check_http(&api, &session).await?;
            shown(api, caller, session, &wish, Show::Exchanges(Exchanges::default())).await
        }
        Form::Har => archive(api, session).await,
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

/// Refuses recordings of other sessions than of HTTP.
async fn check_http(api: &Api, session: &Session) -> Result<(), Problem> {
    let id = session.id;
    let recording = api.recordings.open(id).await.map_err(|error| unreadable(id, error))?;
    let from = Box::new(Blocking::new(recording.ok_or_else(|| missing(id))?.bytes));
    let first = tokio::task::spawn_blocking(move || is_http(&mut read_from(from, PathBuf::from(id.to_string()))));
    match first.await.map_err(io::Error::other).and_then(|first| first.map_err(io::Error::other)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Problem::not_found(format_args!("HTTP exchange in the recording of session {id}"))),
        Err(error) => Err(unreadable(id, error)),
    }
}

/// The exchanges as an archive, written by a thread of its own, as far as it is read.
async fn archive(api: Api, session: Session) -> Result<LogFile, Problem> {
    check_http(&api, &session).await?;
    let id = session.id;
    let (pieces, sent) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        let mut open = |offset| {
            let recording = Handle::current().block_on(api.recordings.open_from(id, offset))?;
            let recording = recording.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            Ok(Box::new(Blocking::new(recording.bytes)) as Box<dyn Read + Send>)
        };
        let mut out = io::BufWriter::with_capacity(PIECE, Pieces(pieces.clone()));
        let written = har::write(&mut open, PathBuf::from(id.to_string()), &mut out).map_err(io::Error::other);
        if let Err(error) = written.and_then(|()| out.flush()) {
            // Who asked may be gone.
            let _ = pieces.blocking_send(Err(error));
        }
    });
    Ok(answer(Body::from_stream(ReceiverStream::new(sent)), id, "application/json", "har"))
}

/// Where a thread writes what is sent.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn shown(api: Api, caller: Caller, session: Session, wish: &Wish, show: Show) -> Result<LogFile, Problem> {
    let id = session.id;
    let seat = match wish.follow {
        true => {
            let seat = api.changes.seat(caller.user.id, MOST_OF_A_USER);
            Some(seat.ok_or_else(|| Problem::throttled("you follow too many things", api.settings.heartbeat))?)
        }
        false => None,
    };
    let (kind, ending) = show.kind();
    let needs_some = matches!(show, Show::Terminal(..));
    let mut sender = Sender {
        work: Some(Work { reader: read_from(Box::new(io::empty()), PathBuf::from(id.to_string())), show }),
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
    if needs_some && first.is_empty() && (sender.seat.is_none() || sender.is_over()) {
        let which = wish.channel.map(|channel| format!(" on channel {channel}")).unwrap_or_default();
        return Err(Problem::not_found(format_args!("terminal{which} in the recording of session {id}")));
    }
    let rest = stream::unfold(sender, |mut sender| async move {
        let piece = sender.next().await.transpose()?;
        Some((piece, sender))
    });
    let body = Body::from_stream(stream::iter([Ok(Bytes::from(first))]).chain(rest));
    Ok(answer(body, id, kind, ending))
}

/// What reads a log, and keeps its place in it.
struct Work {
    reader: Reader,
    show: Show,
}

/// What is shown of a log.
enum Show {
    Terminal(Replay, Asciicast),
    Exchanges(Exchanges),
}

impl Show {
    const fn kind(&self) -> (&'static str, &'static str) {
        match self {
            Self::Terminal(..) => ("application/x-asciicast", "cast"),
            Self::Exchanges(_) => ("application/x-ndjson", "ndjson"),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Terminal(replay, _) => replay.is_over(),
            Self::Exchanges(exchanges) => exchanges.is_over(),
        }
    }

    /// A sign of life, where nothing happens.
    const fn beat(&self) -> &'static [u8] {
        match self {
            Self::Terminal(..) => b"# waiting\n",
            Self::Exchanges(_) => b"\n",
        }
    }

    /// Appends what comes next in the log; whether there was anything.
    fn next(&mut self, log: &mut Reader, out: &mut Vec<u8>) -> io::Result<bool> {
        match self {
            Self::Terminal(replay, cast) => match replay.next(log).transpose().map_err(io::Error::other)? {
                Some(moment) => cast.write(moment, out),
                None => return Ok(false),
            },
            Self::Exchanges(exchanges) => match exchanges.next(log).transpose().map_err(io::Error::other)? {
                Some(Told::Exchange(exchange)) => {
                    serde_json::to_writer(&mut *out, &exchange)?;
                    out.push(b'\n');
                }
                Some(_) => {}
                None => return Ok(false),
            },
        }
        Ok(true)
    }
}

impl Work {
    /// What there is of the log, up to a piece. It blocks.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        while out.len() < PIECE && self.show.next(&mut self.reader, &mut out)? {}
        Ok(out)
    }
}

/// Sends what is shown, piece by piece.
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
        self.work.as_ref().is_none_or(|work| work.show.is_over())
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
                let beat = self.work.as_ref().map_or(&b""[..], |work| work.show.beat());
                return Ok(self.is_welcome().await.then_some(Bytes::from_static(beat)));
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
