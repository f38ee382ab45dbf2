//! *audit*: writes down who did what, and what they were shown.
//!
//! It stands first in the chain: it sees a statement as the client sent it, and a response after all others have
//! changed it, so that the recording holds what was shown and nothing else.
//!
//! | what | is recorded as |
//! | --- | --- |
//! | the session | [`Header`]: principal, groups, role, agent, database, application, source, reason |
//! | a statement, a function call | its text and parameters, in which what the detectors find is replaced |
//! | a result | its columns once, and its rows as shown, up to [`AuditOptions::rows_bytes_per_statement`]; of the rest the digest |
//! | COPY from the client | its rows, in which what the detectors find is overwritten |
//! | the end of a statement | tag or error, refusal, duration, sums of rows and bytes |
//! | a program | its command, variables and terminal; what it reads and writes, without a terminal up to [`AuditOptions::stream_bytes_per_channel`] |
//! | what is typed on a terminal | as it is, in which what the detectors find is overwritten; hidden where it could be a secret, which is told by the question before it or by its not appearing; and the lines that were entered, as the screen showed them |
//! | files, forwarded connections | path, size and digest; address and bytes |
//! | the contents of files | as they are, where the role says so: see [`KeepFiles`] |
//! | an HTTP request | method, path, query and fields, in which what the detectors find is replaced; never the values of what signs somebody in: `Authorization`, cookies, and fields and parameters whose names say so, as `X-Api-Key` and `access_token` |
//! | its response | status and fields, as above |
//! | bodies | where the role says so ([`BodyRules`]), a request's with what the detectors find overwritten, a response's as shown; of what any plugin reads the length and the digest |
//! | messages of WebSockets and gRPC | where the role says so: `{"audit": {"messages": 4096}}` bytes of each, as above |
//! | the end of an exchange | status or refusal, durations, bytes |
//! | what waits for somebody's agreement | the review, who has agreed or why nobody has; the end of one that is given up is in the review |
//! | notices, notifications, cancel requests | as they are |
//! | the end of the session | outcome, reason, sums |
//!
//! What is typed is held until it appears, until the next line is typed, or until the channel ends: up to 1 KiB of it is in no
//! log when a gateway dies. What was shown of it is.
//!
//! In a strict session a statement, a command or the head of a request goes on, and its end or the head of its answer is shown,
//! only when they are on disk. Otherwise audit never waits, unless its buffer is full: then it waits for room, and loses nothing. A
//! recorder that fails ends the session
//! with [`Code::RecordingFailed`].

mod bodies;
mod channels;
mod exchanges;
mod fields;
mod redact;
mod session;
mod shown;
mod statement;
mod terminal;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use hoop_core::principal::PrincipalKind;
use hoop_core::{Code, Denial, Detector, Plugin, RecordingMode, ResourceRole, SessionContext, SessionPlugin};
use serde::Deserialize;

use crate::record::event::{Header, MAX_MESSAGE_BYTES, MAX_NAME_BYTES, Text, Totals};
use crate::record::{RecordError, Recorder, SealedLog};
pub use bodies::BodyRules;
use bodies::Keep;
use exchanges::Exchanges;
use redact::Redactor;
use session::{Limits, SessionAudit};
pub(crate) use shown::{MOST_SHOWN, Shower, TooLong, hash};

/// The name of the plugin.
const NAME: &str = "audit";

/// What audit keeps.
#[derive(Clone)]
pub struct AuditOptions {
    /// How many bytes of shown rows are kept for each statement, and as many of rows that the client sends: 1 MiB unless
    /// given, 0 for none, `u64::MAX` for all. A role may say otherwise: `{"audit": {"rows_bytes_per_statement": 0}}`.
    pub rows_bytes_per_statement: u64,
    /// How many bytes are kept of what a program reads and of what it writes, where it has no terminal: 16 MiB of each unless
    /// given. What is read and written on a terminal is kept to the end. A role may say otherwise, as above.
    pub stream_bytes_per_channel: u64,
    /// What is not to be recorded of statements, parameters and rows that the client sends.
    pub detectors: Vec<Arc<dyn Detector>>,
    /// Whether every session is strict, whatever its role says.
    pub strict: bool,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self {
            rows_bytes_per_statement: 1 << 20,
            stream_bytes_per_channel: 16 << 20,
            detectors: Vec::new(),
            strict: false,
        }
    }
}

impl std::fmt::Debug for AuditOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let detectors: Vec<_> = self.detectors.iter().map(|detector| detector.name().to_owned()).collect();
        f.debug_struct("AuditOptions")
            .field("rows_bytes_per_statement", &self.rows_bytes_per_statement)
            .field("stream_bytes_per_channel", &self.stream_bytes_per_channel)
            .field("detectors", &detectors)
            .field("strict", &self.strict)
            .finish()
    }
}

/// A session that has ended, as [`Audit::on_close`] is told.
#[derive(Debug, Clone)]
pub struct Closed {
    /// The session.
    pub session: hoop_core::id::SessionId,
    /// Sums over the session.
    pub totals: Totals,
    /// Its log; `None` when it could not be sealed, and recovery will.
    pub log: Option<SealedLog>,
}

type OnClose = Arc<dyn Fn(Closed) + Send + Sync>;

/// The plugin: one for a gateway, first in the chain.
#[derive(Clone)]
pub struct Audit {
    recorder: Recorder,
    options: AuditOptions,
    redactor: Arc<Redactor>,
    on_close: Option<OnClose>,
}

impl Audit {
    /// Audit that records with this recorder.
    pub fn new(recorder: Recorder, options: AuditOptions) -> Self {
        let redactor = Arc::new(Redactor::new(options.detectors.clone()));
        Self { recorder, options, redactor, on_close: None }
    }

    /// Calls `told` when a session's log is closed, before the session's close returns. It must not block.
    #[must_use]
    pub fn on_close(mut self, told: impl Fn(Closed) + Send + Sync + 'static) -> Self {
        self.on_close = Some(Arc::new(told));
        self
    }

    /// What for: an input as any other, so what the detectors find in it is not recorded.
    fn reason(&self, session: &SessionContext) -> Text {
        let Some(reason) = &session.reason else { return Text::default() };
        let redacted = self.redactor.text(&bytes::Bytes::copy_from_slice(reason.as_bytes()), &mut Vec::new());
        Text::capped(&redacted, MAX_MESSAGE_BYTES)
    }
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Of which files that are moved over SFTP and `scp` the contents are kept: `{"audit": {"keep_files": {"paths": ["/srv/*"]}}}`.
/// They are kept as they are, also what detectors would find in them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepFiles {
    /// How much of each file, in bytes from its beginning: 16 MiB unless given. What is written more than once counts each time.
    #[serde(default = "up_to")]
    pub up_to_bytes: u64,
    /// Of files with these paths; `*` stands for any run of characters. All unless given. `//`, `.` and `..` are taken out of what
    /// the client gives, and of a path that it does not give in full the contents are kept when it could be one of these.
    #[serde(default = "all")]
    pub paths: Vec<String>,
}

const fn up_to() -> u64 {
    16 << 20
}

fn all() -> Vec<String> {
    vec!["*".to_owned()]
}

/// A role's settings for audit.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RoleSettings {
    rows_bytes_per_statement: Option<u64>,
    stream_bytes_per_channel: Option<u64>,
    keep_files: Option<KeepFiles>,
    #[serde(default)]
    bodies: BodyRules,
    /// Bytes of each WebSocket or gRPC message.
    #[serde(default)]
    messages: u64,
}

impl RoleSettings {
    fn of(role: &ResourceRole) -> Result<Self, Denial> {
        let settings = role.settings::<Self>(NAME)?.unwrap_or_default();
        settings.bodies.check(settings.messages)?;
        Ok(settings)
    }
}

#[async_trait]
impl Plugin for Audit {
    fn name(&self) -> &str {
        NAME
    }

    async fn open(&self, session: &SessionContext) -> Result<Option<Box<dyn SessionPlugin>>, Denial> {
        let settings = RoleSettings::of(&session.role)?;
        let limits = Limits {
            rows: settings.rows_bytes_per_statement.unwrap_or(self.options.rows_bytes_per_statement),
            stream: settings.stream_bytes_per_channel.unwrap_or(self.options.stream_bytes_per_channel),
            files: settings.keep_files,
        };
        let header = Header { reason: self.reason(session), ..header(session, self.options.strict) };
        let (recorder, id) = (self.recorder.clone(), session.id);
        // It makes a file, which a slow disk must not turn into a stop of everything else.
        let log = tokio::task::spawn_blocking(move || recorder.session(id, &header)).await;
        let log =
            log.map_err(|error| Denial::failed(NAME, error).with_code(Code::RecordingFailed))?.map_err(refused)?;
        let clock = self.recorder.clock().clone();
        let keep = Keep { bodies: Arc::new(settings.bodies), messages: settings.messages };
        let (exchanges, redactor) = (Exchanges::new(keep, &session.role), self.redactor.clone());
        Ok(Some(Box::new(SessionAudit::new(log, clock, limits, redactor, exchanges, self.on_close.clone()))))
    }

    fn check_role(&self, role: &ResourceRole) -> Result<(), Denial> {
        RoleSettings::of(role).map(drop)
    }
}

fn header(session: &SessionContext, strict: bool) -> Header {
    let name = |text: &str| Text::copied(text, MAX_NAME_BYTES);
    Header {
        org: session.org.to_string(),
        request: session.request_id.to_string(),
        user: session.principal.user.to_string(),
        name: name(&session.principal.name),
        principal: match session.principal.kind {
            PrincipalKind::User => "user".into(),
            PrincipalKind::ServiceAccount => "service_account".into(),
        },
        groups: session.principal.groups.iter().take(64).map(|group| name(group)).collect(),
        role: session.role.id.to_string(),
        role_name: name(&session.role.name),
        resource: session.role.kind().as_str().into(),
        agent: name(&session.role.agent),
        database: session.database.as_deref().map(name).unwrap_or_default(),
        application: session.application.as_deref().map(name).unwrap_or_default(),
        source: session.source.map(|source| source.to_string()).unwrap_or_default(),
        mode: session.mode.as_str().into(),
        strict: strict || session.role.recording == RecordingMode::Strict,
        ..Header::default()
    }
}

/// What a session is told when it cannot be recorded.
fn refused(error: RecordError) -> Denial {
    let (reason, hint) = match error {
        RecordError::NoSpace => ("the disk of the recordings is full", "tell an administrator to make room"),
        RecordError::LittleSpace => (
            "the disk of the recordings has too little room for sessions that are recorded strictly, as those of this role are",
            "tell an administrator to make room",
        ),
        RecordError::ShutDown => ("the gateway is shutting down", "connect again"),
        _ => ("the session cannot be recorded", "tell an administrator: the gateway's log says why"),
    };
    Denial::new(NAME, Code::RecordingFailed, reason).hint(hint).caused_by(error)
}
