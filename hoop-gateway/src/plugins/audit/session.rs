//! Audit of one session.

mod contents;
mod http;
mod programs;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use hoop_core::request::FunctionCall;
use hoop_core::{
    Clock, Column, Completion, CompletionKind, Denial, Format, Hold, Interest, Notification, Outcome, Parameters,
    Phase, Request, Response, ResultColumns, ReviewStep, RowBatch, RowPart, SessionPlugin, Statement, Step,
    TargetError, Verdict,
};

use super::channels::{self, Channels};
use super::exchanges::Exchanges;
use super::fields::Before;
use super::redact::{Memory, Redactor};
use super::statement::Running;
use super::{Closed, KeepFiles, OnClose, refused};
use crate::record::event::{
    self, Cancel, Columns, Complete, End, Failed, MAX_COLUMNS, MAX_MESSAGE_BYTES, MAX_NAME_BYTES, MAX_PARAMETER_BYTES,
    MAX_PARAMETERS, MAX_STATEMENT_BYTES, Parameter, RowFormat, RowsHead, Shown, Text, Totals,
};
use crate::record::{Appended, Kind, MAX_PAYLOAD, RecordError, SessionLog};
use contents::Contents;

/// Longest piece of rows in one record.
const PIECE: usize = MAX_PAYLOAD - RowsHead::LENGTH;
/// Largest space for encoding that an idle session keeps.
const MAX_SCRATCH: usize = 8 << 10;

/// How much is kept, in bytes.
pub(super) struct Limits {
    /// Of the rows of a statement, each way.
    pub(super) rows: u64,
    /// Of the streams of a program without a terminal, each way.
    pub(super) stream: u64,
    /// Of files.
    pub(super) files: Option<KeepFiles>,
}

pub(super) struct SessionAudit {
    recording: Recording,
    clock: Arc<dyn Clock>,
    limits: Limits,
    redactor: Arc<Redactor>,
    memory: Memory,
    running: Running,
    channels: Channels,
    contents: Contents,
    exchanges: Exchanges,
    /// The heads of requests and of responses that were before.
    heads: (Before, Before),
    totals: Totals,
    columns: Option<(Arc<[Column]>, Vec<u8>)>,
    scratch: Vec<u8>,
    on_close: Option<OnClose>,
}

/// The log, and the records for which its buffer has no room yet.
struct Recording {
    log: Option<SessionLog>,
    waiting: Option<Waiting>,
}

struct Waiting {
    room: crate::record::Room,
    records: Vec<(Kind, Vec<u8>)>,
}

impl Recording {
    fn log(&self) -> Result<&SessionLog, Denial> {
        self.log.as_ref().ok_or_else(|| refused(RecordError::ShutDown))
    }

    fn add(&mut self, kind: Kind, parts: &[&[u8]]) -> Result<(), Denial> {
        if let Some(waiting) = &mut self.waiting {
            waiting.records.push((kind, parts.concat()));
            return Ok(());
        }
        match self.log()?.append(kind, parts).map_err(refused)? {
            Appended::Done => {}
            Appended::Full(room) => self.waiting = Some(Waiting { room, records: vec![(kind, parts.concat())] }),
        }
        Ok(())
    }

    /// Lets `value` go on: at once, when there is room again, or, in a strict session, when all is on disk.
    fn verdict<T: Send + 'static>(&mut self, value: T, on_disk_first: bool) -> Verdict<T> {
        if let Some(Waiting { room, records }) = self.waiting.take() {
            return Verdict::Hold(Hold::quietly(
                async move { room.append(records).await.map(|()| value).map_err(refused) },
            ));
        }
        match self.log() {
            Ok(log) if on_disk_first && log.is_strict() => {
                let durable = log.durable();
                Verdict::Hold(Hold::quietly(async move { durable.await.map(|()| value).map_err(refused) }))
            }
            Ok(_) => Verdict::Pass(value),
            Err(denial) => Verdict::Deny(denial),
        }
    }
}

impl SessionAudit {
    pub(super) fn new(
        log: SessionLog,
        clock: Arc<dyn Clock>,
        limits: Limits,
        redactor: Arc<Redactor>,
        exchanges: Exchanges,
        on_close: Option<OnClose>,
    ) -> Self {
        Self {
            recording: Recording { log: Some(log), waiting: None },
            clock,
            limits,
            redactor,
            memory: Memory::default(),
            running: Running::default(),
            channels: Channels::default(),
            contents: Contents::default(),
            exchanges,
            heads: Default::default(),
            totals: Totals::default(),
            columns: None,
            scratch: Vec::new(),
            on_close,
        }
    }

    fn add(&mut self, kind: Kind, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), Denial> {
        self.scratch.clear();
        encode(&mut self.scratch);
        let added = self.recording.add(kind, &[&self.scratch]);
        if self.scratch.capacity() > MAX_SCRATCH {
            self.scratch = Vec::new();
        }
        added
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), Denial> {
        self.running.begin(statement.id, self.clock.monotonic());
        self.totals.statements += u64::from(statement.phase != Phase::Prepare);
        // A text that is sent to be run once does not come again, and would keep the buffer alive that it was read into.
        let text = match statement.phase {
            Phase::Query => self.redactor.text(&statement.text, &mut self.memory.hits),
            Phase::Prepare | Phase::Execute => self.memory.text(&self.redactor, &statement.text),
        };
        let (parameters, parameter_count) = self.parameters(statement.parameters.as_ref());
        let event = event::Statement {
            statement: statement.id.0,
            phase: Text::fixed(statement.phase.as_str()),
            text: Text::capped(&text, MAX_STATEMENT_BYTES),
            parameters,
            parameter_count,
        };
        self.add(Kind::Statement, |out| event.encode(out))
    }

    fn function(&mut self, call: &FunctionCall) -> Result<(), Denial> {
        self.running.begin(call.id, self.clock.monotonic());
        self.totals.statements += 1;
        let (arguments, _) = self.parameters(Some(&call.arguments));
        let event = event::Function { statement: call.id.0, oid: call.function.into(), arguments };
        self.add(Kind::Function, |out| event.encode(out))
    }

    fn parameters(&mut self, parameters: Option<&Parameters>) -> (Vec<Parameter>, Option<u64>) {
        let Some(parameters) = parameters else { return (Vec::new(), None) };
        let kept = parameters.values.iter().take(MAX_PARAMETERS).enumerate().map(|(index, value)| {
            let binary = parameters.format(index) == Format::Binary;
            let Some(value) = value else { return Parameter { null: true, binary, ..Parameter::default() } };
            let value = self.redactor.text(value, &mut self.memory.hits);
            Parameter { value: Text::capped(&value, MAX_PARAMETER_BYTES), null: false, binary }
        });
        let count = parameters.values.len();
        (kept.collect(), (count > MAX_PARAMETERS).then_some(count as u64))
    }

    fn cancel(&mut self) -> Result<(), Denial> {
        let event = Cancel { statement: self.running.oldest().map(|id| id.0) };
        self.add(Kind::Cancel, |out| event.encode(out))
    }

    fn copy_in(&mut self, batch: &RowBatch) -> Result<(), Denial> {
        let id = batch.statement();
        let (rows, bytes) = (batch.rows() as u64, batch.received());
        self.totals.rows_in += rows;
        self.totals.bytes_in += bytes.len() as u64;
        let sent = &mut self.running.sending(id, self.clock.monotonic()).sent;
        let keep = sent.add(rows, bytes, self.limits.rows);
        if keep == 0 {
            return Ok(());
        }
        // Redacted before it is cut: half a value would not be found.
        let bytes = self.redactor.framed(bytes, &mut self.memory.hits);
        pieces(
            &mut self.recording,
            Kind::CopyIn,
            id.0,
            rows,
            bytes.get(..keep).unwrap_or_default(),
            keep == bytes.len(),
        )
    }

    fn result_columns(&mut self, result: &ResultColumns) -> Result<(), Denial> {
        let known = self.columns.as_ref().is_some_and(|(seen, _)| Arc::ptr_eq(seen, &result.columns));
        if !known {
            self.columns = Some((result.columns.clone(), columns(&result.columns)));
        }
        let Some((_, encoded)) = &self.columns else { return Ok(()) };
        self.scratch.clear();
        Columns { statement: result.statement.0, ..Columns::default() }.encode(&mut self.scratch);
        self.recording.add(Kind::Columns, &[&self.scratch, encoded])
    }

    fn rows(&mut self, batch: &mut RowBatch) -> Result<(), Denial> {
        let (id, rows) = (batch.statement(), batch.rows() as u64);
        let bytes = batch.apply().map_err(|error| Denial::failed(super::NAME, error))?;
        self.shown(id, rows, bytes, RowFormat::Messages)
    }

    fn part(&mut self, part: &RowPart) -> Result<(), Denial> {
        self.shown(part.statement, u64::from(part.last), &part.bytes, RowFormat::Part)
    }

    fn shown(&mut self, id: hoop_core::StatementId, rows: u64, bytes: &Bytes, format: RowFormat) -> Result<(), Denial> {
        self.totals.rows += rows;
        self.totals.bytes += bytes.len() as u64;
        let shown = &mut self.running.answered(id, self.clock.monotonic()).shown;
        let keep = shown.add(rows, bytes, self.limits.rows);
        let whole = format == RowFormat::Messages && keep == bytes.len();
        pieces(&mut self.recording, Kind::Rows, id.0, rows, bytes.get(..keep).unwrap_or_default(), whole)
    }

    fn complete(&mut self, completion: &Completion) -> Result<(), Denial> {
        let (duration_us, shown, sent) = self.ended(completion.statement);
        let tag = match completion.kind {
            CompletionKind::Prepared => Text::fixed("PREPARED"),
            CompletionKind::Empty => Text::fixed("EMPTY"),
            CompletionKind::Done | CompletionKind::Suspended => Text::capped(&completion.tag, MAX_NAME_BYTES),
        };
        let suspended = completion.kind == CompletionKind::Suspended;
        let event = Complete { statement: completion.statement.0, tag, duration_us, shown, sent, suspended };
        self.add(Kind::Complete, |out| event.encode(out))
    }

    fn failed(&mut self, error: &TargetError) -> Result<(), Denial> {
        let (duration_us, shown, sent) = error.statement.map(|id| self.ended(id)).unwrap_or_default();
        match error.denial {
            Some(_) => self.totals.denied += 1,
            None => self.totals.failed += 1,
        }
        let event = Failed {
            statement: error.statement.map(|id| id.0),
            severity: field(error, b'S'),
            code: field(error, b'C'),
            message: field(error, b'M'),
            denied_by: error.denial.as_ref().map(|denial| Text::copied(&denial.by, MAX_NAME_BYTES)).unwrap_or_default(),
            denial: error.denial.as_ref().map(|denial| denial.code.as_str().to_owned()).unwrap_or_default(),
            duration_us,
            shown,
            sent,
        };
        self.add(Kind::Failed, |out| event.encode(out))
    }

    fn ended(&mut self, id: hoop_core::StatementId) -> (u64, Option<Shown>, Option<Shown>) {
        let now = self.clock.monotonic();
        let statement = self.running.answered(id, now);
        let since = std::mem::replace(&mut statement.since, now);
        (microseconds(since, now), statement.shown.take(), statement.sent.take())
    }

    fn notice(&mut self, notice: &TargetError) -> Result<(), Denial> {
        let (severity, code, message) = (field(notice, b'S'), field(notice, b'C'), field(notice, b'M'));
        self.add(Kind::Notice, |out| event::Notice { severity, code, message }.encode(out))
    }

    fn review(&mut self, step: &ReviewStep) -> Result<(), Denial> {
        let (what, by, said) = match &step.what {
            Step::Asked => ("asked", "", ""),
            Step::Agreed(agreed) => ("agreed", agreed.by.as_str(), agreed.comment.as_deref().unwrap_or_default()),
            Step::Refused(denial) => (denial.code.as_str(), "", denial.reason.as_str()),
        };
        let event = event::Review {
            review: step.review.map(|review| review.to_string()).unwrap_or_default(),
            statement: step.statement.map(|statement| statement.0),
            channel: step.channel.map(|channel| channel.0.into()),
            rule: Text::copied(&step.rule, MAX_NAME_BYTES),
            group: Text::copied(&step.group, MAX_NAME_BYTES),
            what: what.to_owned(),
            by: Text::copied(by, MAX_NAME_BYTES),
            said: Text::copied(said, MAX_MESSAGE_BYTES),
        };
        self.add(Kind::Review, |out| event.encode(out))
    }

    fn notification(&mut self, notification: &Notification) -> Result<(), Denial> {
        let event = event::Notification {
            channel: Text::capped(&notification.channel, MAX_NAME_BYTES),
            payload: Text::capped(&notification.payload, MAX_MESSAGE_BYTES),
            process: notification.process.unsigned_abs().into(),
        };
        self.add(Kind::Notification, |out| event.encode(out))
    }
}

#[async_trait]
impl SessionPlugin for SessionAudit {
    fn interest(&self) -> Interest {
        Interest::STATEMENTS
            | Interest::COPY_IN
            | Interest::COLUMNS
            | Interest::SHOWN
            | Interest::COMPLETIONS
            | Interest::ERRORS
            | Interest::NOTICES
            | Interest::COMMANDS
            | Interest::INPUT
            | Interest::OUTPUT
            | Interest::FILES
            | if self.limits.files.is_some() { Interest::FILE_BYTES } else { Interest::NONE }
            | Interest::HTTP
            | Interest::BODIES
            | Interest::MESSAGES
            | Interest::REVIEWS
    }

    fn on_request(&mut self, mut request: Request) -> Verdict<Request> {
        let (added, on_disk_first) = match &mut request {
            Request::Statement(statement) => (self.statement(statement), true),
            Request::Function(call) => (self.function(call), true),
            Request::CopyIn(batch) => (self.copy_in(batch), false),
            Request::Cancel => (self.cancel(), false),
            Request::Command(command) => (self.command(command), true),
            Request::Input(input) => (self.input(input), false),
            Request::WindowChange(change) => (self.window_change(change), false),
            Request::Signal(signal) => {
                let event = channels::signal(signal);
                (self.add(Kind::Signal, |out| event.encode(out)), false)
            }
            Request::Forward(forward) => (self.forward(forward), true),
            Request::File(file) => (self.file(file), true),
            Request::FileBytes(piece) => (self.file_bytes(piece, true), false),
            Request::Http(head) => (self.http_request(head), true),
            Request::Body(part) => (self.request_body(part), false),
            Request::Message(message) => (self.request_message(message), false),
            _ => (Err(unknown()), false),
        };
        match added {
            Ok(()) => self.recording.verdict(request, on_disk_first),
            Err(denial) => Verdict::Deny(denial),
        }
    }

    fn on_response(&mut self, mut response: Response) -> Verdict<Response> {
        let (added, on_disk_first) = match &mut response {
            Response::Columns(columns) => (self.result_columns(columns), false),
            Response::Rows(batch) => (self.rows(batch), false),
            Response::RowPart(part) => (self.part(part), false),
            // What was prepared has done nothing yet; its run waits.
            Response::Complete(done) => (self.complete(done), done.kind != CompletionKind::Prepared),
            Response::Error(error) => (self.failed(error), error.statement.is_some()),
            Response::Notice(notice) => (self.notice(notice), false),
            Response::Notification(notification) => (self.notification(notification), false),
            // What sets it is recorded.
            Response::Setting(_) => (Ok(()), false),
            Response::Output(output) => (self.output(output), false),
            Response::ChannelClosed(closed) if self.exchanges.has(closed) => (self.http_done(closed), true),
            Response::ChannelClosed(closed) => (self.channel_closed(closed), true),
            Response::FileDone(done) => (self.file_done(done), true),
            Response::FileBytes(piece) => (self.file_bytes(piece, false), false),
            Response::Http(head) => (self.http_response(head), true),
            Response::Body(part) => (self.response_body(part), false),
            Response::Message(message) => (self.response_message(message), false),
            Response::Review(step) => (self.review(step), true),
            _ => (Err(unknown()), false),
        };
        match added {
            Ok(()) => self.recording.verdict(response, on_disk_first),
            Err(denial) => Verdict::Deny(denial),
        }
    }

    async fn close(&mut self, outcome: &Outcome) {
        for channel in self.channels.ids() {
            // What cannot be recorded any more is told below.
            let _ = self.typed_to_the_end(channel);
        }
        for channel in self.exchanges.ids() {
            let _ = self.body_to_the_end(channel);
        }
        let Some(log) = self.recording.log.take() else { return };
        let session = log.id();
        if let Some(Waiting { room, records }) = self.recording.waiting.take()
            && let Err(error) = room.append(records).await
        {
            tracing::error!(%session, error = &error as &dyn std::error::Error, "last records are lost");
        }
        let denial = outcome.denial();
        let end = End {
            outcome: outcome.as_str().into(),
            code: denial.map(|denial| denial.code.as_str().to_owned()).unwrap_or_default(),
            reason: denial.map(|denial| Text::copied(&denial.reason, MAX_MESSAGE_BYTES)).unwrap_or_default(),
            totals: Some(self.totals.clone()),
            torn_bytes: 0,
        };
        let sealed = log.close(&end).await;
        if let Err(error) = &sealed {
            tracing::error!(%session, error = error as &dyn std::error::Error, "log is not sealed");
        }
        if let Some(told) = &self.on_close {
            told(Closed { session, totals: self.totals.clone(), log: sealed.ok() });
        }
    }
}

/// Appends rows in records of a bounded length.
fn pieces(log: &mut Recording, kind: Kind, statement: u64, rows: u64, bytes: &[u8], whole: bool) -> Result<(), Denial> {
    let whole = whole && bytes.len() <= PIECE;
    let format = if whole { RowFormat::Messages } else { RowFormat::Part };
    let count = bytes.len().div_ceil(PIECE);
    for (number, piece) in bytes.chunks(PIECE).enumerate() {
        let rows = if number + 1 == count { u32::try_from(rows).unwrap_or(u32::MAX) } else { 0 };
        log.add(kind, &[&RowsHead { statement, rows, format }.encode(), piece])?;
    }
    Ok(())
}

fn columns(columns: &[Column]) -> Vec<u8> {
    let kept = columns.iter().take(MAX_COLUMNS).map(|column| event::Column {
        name: Text::capped(&column.name, MAX_NAME_BYTES),
        type_oid: column.type_oid.into(),
        binary: column.format == Format::Binary,
        table_oid: column.table.as_ref().map(|table| table.table_oid.into()).unwrap_or_default(),
        table_column: column.table.as_ref().map(|table| table.attribute.unsigned_abs().into()).unwrap_or_default(),
    });
    let column_count = (columns.len() > MAX_COLUMNS).then_some(columns.len() as u64);
    let mut out = Vec::new();
    Columns { statement: 0, columns: kept.collect(), column_count }.encode(&mut out);
    out
}

fn field(error: &TargetError, letter: u8) -> Text {
    let value = error.fields.iter().find(|(field, _)| *field == letter);
    value.map(|(_, value)| Text::capped(value, MAX_MESSAGE_BYTES)).unwrap_or_default()
}

pub(super) fn microseconds(since: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(since).as_micros()).unwrap_or(u64::MAX)
}

/// What audit does not know it cannot record, and what is not recorded does not go on.
fn unknown() -> Denial {
    Denial::new(super::NAME, hoop_core::Code::Unsupported, "audit cannot record this kind of message")
}
