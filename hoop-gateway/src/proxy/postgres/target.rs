//! The target's direction: backend messages become responses.

use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use hoop_core::{
    Code, Column, Completion, CompletionKind, Denial, Flow, Format, Interest, Notification, Response, ResultColumns,
    RowBatch, RowEncoding, RowPart, StatementId, TargetError,
};
use hoop_proto::postgres::backend::{self, CopyResponse, NotificationResponse, ParameterStatus, TransactionStatus};
use hoop_proto::postgres::rows::{DataRows, FunctionResult};
use hoop_proto::postgres::{Frame, Header};

use super::columns::written;
use super::cut::Cut;
use super::pending::Expected;
use super::{FromTarget, HeldResponse, Passing, PostgresRelay, copy, error, target_error, violation};
use crate::proxy::Stop;

/// Rows that go through the chain together, in bytes; one row may be longer.
pub(super) const BATCH: usize = 64 * 1024;

static DATA_ROWS: LazyLock<Arc<DataRows>> = LazyLock::new(|| Arc::new(DataRows));

/// What becomes of a response once the chain lets it go on.
pub(super) enum Then {
    /// It leaves; as these bytes, if nobody changed it.
    Emit(Bytes),
    /// It leaves; as these bytes, if its fields are still these.
    Fields(Bytes, Vec<(u8, Bytes)>),
    /// It was for the chain alone.
    Nothing,
}

/// A result that is not shown: what the server still sends of it is dropped.
pub(super) struct Withheld {
    denial: Denial,
    /// Statements that have ended since.
    completed: usize,
    /// Whether the server gave an error, as it does when the cancel request arrives in time.
    failed: bool,
}

/// Whether a refusal ends the session instead of the statement.
pub(super) const fn ends_session(denial: &Denial) -> bool {
    matches!(denial.code, Code::RecordingFailed)
}

impl FromTarget {
    /// Whether the server's own last error has told the client that the connection ends.
    pub(super) const fn closed_by_target(&self) -> bool {
        self.fatal
    }
}

impl PostgresRelay {
    pub(super) fn read_target(&mut self, bytes: Bytes) -> Result<(), Stop> {
        self.target.next = bytes;
        self.read_on()
    }

    /// Reads what is there of the target, until the end or until the chain holds.
    pub(super) fn read_on(&mut self) -> Result<(), Stop> {
        while self.target.held.is_none() {
            if !self.target.cut.is_read() {
                self.step()?;
            } else if !self.target.next.is_empty() {
                self.target.cut.flush(&mut self.to_client);
                self.feed()?;
            } else {
                break;
            }
        }
        self.target.cut.flush(&mut self.to_client);
        Ok(())
    }

    /// Takes bytes that have just come.
    fn feed(&mut self) -> Result<(), Stop> {
        if self.target.passing.is_some() {
            let next = std::mem::take(&mut self.target.next);
            return self.pass(next);
        }
        if self.target.partial.is_empty() {
            self.target.cut = Cut::new(std::mem::take(&mut self.target.next));
            return Ok(());
        }
        // The rest of a message is put to its beginning; what comes after it is not copied.
        let header = Header::peek(&self.target.partial).map_err(|error| target_error(&error))?;
        let wanted = header.map_or(hoop_proto::postgres::HEADER, |header| header.len) - self.target.partial.len();
        let some = self.target.next.split_to(wanted.min(self.target.next.len()));
        self.target.partial.extend_from_slice(&some);
        if header.is_none() || some.len() == wanted {
            self.target.cut = Cut::new(self.target.partial.split().freeze());
        }
        Ok(())
    }

    /// Reads one message, or one run of rows.
    fn step(&mut self) -> Result<(), Stop> {
        let header = self.target.cut.peek().map_err(|error| target_error(&error))?;
        let rest = self.target.cut.rest();
        match header {
            Some(header) if header.len <= rest.len() => self.target_frame(header),
            Some(header) if self.goes_on_in_pieces(header) => self.begin_pieces(header, rest),
            Some(header) if header.len > self.max_message_bytes => self.too_long(header, rest),
            _ => {
                self.target.cut.remove_rest(&mut self.to_client);
                self.target.partial = BytesMut::from(&rest[..]);
                Ok(())
            }
        }
    }

    /// Whether nobody wants to read such a message as a whole.
    fn goes_on_in_pieces(&self, header: Header) -> bool {
        if header.len <= BATCH {
            return false;
        }
        match header.tag {
            backend::DATA_ROW | backend::COPY_DATA => {
                self.target.copies_both || self.target.withheld.is_some() || !self.wants(Interest::ROWS)
            }
            tag => !is_read(tag),
        }
    }

    fn begin_pieces(&mut self, header: Header, first: Bytes) -> Result<(), Stop> {
        let mut row_of = None;
        if matches!(header.tag, backend::DATA_ROW | backend::COPY_DATA) && !self.target.copies_both {
            if self.target.withheld.is_none() {
                self.begin_result()?;
                if self.target.held.is_some() || self.target.withheld.is_some() {
                    return Ok(());
                }
            }
            row_of = Some(self.row_statement()?);
        }
        self.target.cut.remove_rest(&mut self.to_client);
        self.target.passing = Some(Passing { left: header.len, row_of, dropped: self.target.withheld.is_some() });
        self.pass(first)
    }

    /// A row that must be read as a whole, and is longer than what may be held of it.
    fn too_long(&mut self, header: Header, first: Bytes) -> Result<(), Stop> {
        let what = format!(
            "a message of {} bytes is longer than the {} that can be read as a whole",
            header.len, self.max_message_bytes
        );
        if header.tag != backend::DATA_ROW && header.tag != backend::COPY_DATA {
            return Err(violation(&what).into());
        }
        let denial = Denial::new("gateway", Code::LimitExceeded, what);
        self.withhold(denial.hint("select less at once, or ask an administrator to raise limits.message_bytes"))?;
        self.target.cut.remove_rest(&mut self.to_client);
        self.target.passing = Some(Passing { left: header.len, row_of: None, dropped: true });
        self.pass(first)
    }

    /// A piece of a message that goes on in pieces.
    fn pass(&mut self, mut bytes: Bytes) -> Result<(), Stop> {
        let Some(passing) = &mut self.target.passing else { return Ok(()) };
        let piece = bytes.split_to(passing.left.min(bytes.len()));
        passing.left -= piece.len();
        let (last, row_of, dropped) = (passing.left == 0, passing.row_of, passing.dropped);
        if !bytes.is_empty() {
            self.target.next = bytes;
        }
        if last {
            self.target.passing = None;
        }
        match row_of {
            _ if dropped => Ok(()),
            Some(statement) if self.wants(Interest::SHOWN) => {
                let part = Response::RowPart(RowPart { statement, bytes: piece.clone(), last });
                let flow = self.chain.response(part);
                self.answered(flow, Then::Emit(piece))
            }
            _ => {
                self.to_client.push(piece);
                Ok(())
            }
        }
    }

    fn target_frame(&mut self, header: Header) -> Result<(), Stop> {
        self.pending.drop_copy_ends();
        if self.target.withheld.is_some() && self.withheld_frame(header)? {
            return Ok(());
        }
        if self.probe_frame(header)? {
            return Ok(());
        }
        match header.tag {
            backend::DATA_ROW => return self.rows(backend::DATA_ROW),
            backend::COPY_DATA => return self.rows(backend::COPY_DATA),
            _ => {}
        }
        let Some(frame) = self.target.cut.frame().map_err(|error| target_error(&error))? else { return Ok(()) };
        match header.tag {
            backend::ROW_DESCRIPTION => self.row_description(&frame),
            backend::COMMAND_COMPLETE => self.command_complete(&frame),
            backend::EMPTY_QUERY_RESPONSE => self.ended(&frame, CompletionKind::Empty, Bytes::new()),
            backend::PORTAL_SUSPENDED => self.ended(&frame, CompletionKind::Suspended, Bytes::new()),
            backend::READY_FOR_QUERY => self.ready_for_query(&frame),
            backend::ERROR_RESPONSE => self.error_response(&frame),
            backend::NOTICE_RESPONSE => self.notice(&frame),
            backend::NOTIFICATION_RESPONSE => self.notification(&frame),
            backend::PARSE_COMPLETE => self.parse_complete(&frame),
            backend::BIND_COMPLETE => self.answers(&frame, |expected| matches!(expected, Expected::Bind { .. })),
            backend::CLOSE_COMPLETE => self.answers(&frame, |expected| matches!(expected, Expected::Close { .. })),
            backend::PARAMETER_DESCRIPTION => self.parameter_description(&frame),
            backend::NO_DATA => self.no_data(&frame),
            backend::COPY_IN_RESPONSE => self.copy_in_response(&frame),
            backend::COPY_OUT_RESPONSE => self.copy_out_response(&frame),
            backend::COPY_BOTH_RESPONSE => {
                self.target.copies_both = true;
                self.keep_answer(&frame)
            }
            backend::FUNCTION_CALL_RESPONSE => self.function_result(&frame),
            backend::PARAMETER_STATUS => self.parameter_status(&frame),
            // The client has the gateway's own key.
            backend::BACKEND_KEY_DATA => {
                self.target.cut.remove(frame.bytes().len(), &mut self.to_client);
                Ok(())
            }
            // The login is over: whoever asks for a password now is no server.
            backend::AUTHENTICATION => Err(violation("it asks for a login within the session").into()),
            _ => self.keep_answer(&frame),
        }
    }

    fn keep_answer(&mut self, frame: &Frame) -> Result<(), Stop> {
        self.target.cut.keep(frame.bytes().len());
        Ok(())
    }

    // Rows

    fn rows(&mut self, tag: u8) -> Result<(), Stop> {
        let (count, len) = self.target.cut.run(tag, BATCH).map_err(|error| target_error(&error))?;
        if self.target.copies_both {
            self.target.cut.keep(len);
            return Ok(());
        }
        self.begin_result()?;
        if self.target.held.is_some() || self.target.withheld.is_some() {
            return Ok(());
        }
        let statement = self.row_statement()?;
        if !self.wants(Interest::ROWS | Interest::SHOWN) {
            self.target.cut.keep(len);
            return Ok(());
        }
        let encoding: Arc<dyn RowEncoding> = match (tag, &self.target.copy_out) {
            (backend::DATA_ROW, None) => DATA_ROWS.clone(),
            (backend::COPY_DATA, Some(encoding)) => Arc::clone(encoding),
            _ => return Err(violation("rows of another kind than it announced").into()),
        };
        let columns = self.target.columns.clone().unwrap_or_else(|| Arc::from([]));
        let bytes = self.target.cut.slice(len);
        self.through(
            Response::Rows(RowBatch::new(statement, columns, encoding, bytes.clone(), count)),
            Then::Emit(bytes),
        )
    }

    /// The statement that may give rows now.
    fn row_statement(&self) -> Result<StatementId, Denial> {
        match self.pending.front() {
            Some(Expected::Query { id, denied: None, .. } | Expected::Execute { id, denied: None, .. }) => Ok(*id),
            _ => Err(violation("rows that nothing asks for")),
        }
    }

    /// Tells the chain the columns of what Execute gives, before the first row. No row passes that was not described: a
    /// plugin has narrowed its interest to the result before.
    fn begin_result(&mut self) -> Result<(), Stop> {
        if let Some(Expected::Execute { id, columns, begun: begun @ false, .. }) = self.pending.front_mut() {
            *begun = true;
            let (statement, columns) = (*id, columns.as_ref().and_then(|columns| columns.get().cloned()));
            if let Some(columns) = columns {
                return self.resolve(statement, columns, None);
            }
        }
        if self.target.columns.is_none() && self.wants(Interest::COLUMNS) {
            return Err(violation("rows that it has not described").into());
        }
        Ok(())
    }

    /// Looks up where columns come from, where somebody wants that, and tells the chain.
    fn resolve(&mut self, statement: StatementId, columns: Arc<[Column]>, format: Option<Format>) -> Result<(), Stop> {
        let mut tables: Vec<u32> = columns.iter().filter_map(|column| Some(column.table.as_ref()?.table_oid)).collect();
        if tables.is_empty() || !self.wants(Interest::ORIGINS) {
            return self.announce(statement, written(columns, format));
        }
        if let Some(named) = self.target.memory.named(&columns, self.clock.monotonic()) {
            return self.announce(statement, written(named, format));
        }
        tables.sort_unstable();
        tables.dedup();
        let names = self.catalog.look_up(tables);
        self.target.held = Some(HeldResponse::Catalog { columns, statement, format, names });
        Ok(())
    }

    /// Tells the chain the columns of the result that begins.
    pub(super) fn announce(&mut self, statement: StatementId, columns: Arc<[Column]>) -> Result<(), Stop> {
        self.target.columns = Some(Arc::clone(&columns));
        let flow = self.chain.response(Response::Columns(ResultColumns { statement, columns }));
        self.answered(flow, Then::Nothing)
    }

    fn row_description(&mut self, frame: &Frame) -> Result<(), Stop> {
        let wants = self.wants(Interest::COLUMNS);
        let columns =
            wants.then(|| self.target.memory.columns(frame)).transpose().map_err(|error| target_error(&error))?;
        match self.pending.front_mut() {
            Some(Expected::Query { id, denied: None, .. }) => {
                let statement = *id;
                self.keep_answer(frame)?;
                self.target.columns = None;
                columns.map_or(Ok(()), |columns| self.resolve(statement, columns, None))
            }
            Some(Expected::Describe { columns: slot, is_ours }) => {
                let is_ours = *is_ours;
                if let (Some(slot), Some(columns)) = (slot, columns) {
                    // A portal is described once.
                    let _ = slot.set(columns);
                }
                self.pending.pop();
                self.keep_unless(is_ours, frame)
            }
            _ => Err(violation("a description that nothing asks for").into()),
        }
    }

    fn no_data(&mut self, frame: &Frame) -> Result<(), Stop> {
        let Some(Expected::Describe { is_ours, .. }) = self.pending.pop() else {
            return Err(violation("a description that nothing asks for").into());
        };
        self.keep_unless(is_ours, frame)
    }

    fn parameter_description(&mut self, frame: &Frame) -> Result<(), Stop> {
        let Some(Expected::Describe { is_ours, .. }) = self.pending.front() else {
            return Err(violation("a description that nothing asks for").into());
        };
        self.keep_unless(*is_ours, frame)
    }

    /// What the client did not ask for does not reach it.
    fn keep_unless(&mut self, is_ours: bool, frame: &Frame) -> Result<(), Stop> {
        if is_ours {
            self.target.cut.remove(frame.bytes().len(), &mut self.to_client);
            return Ok(());
        }
        self.keep_answer(frame)
    }

    fn function_result(&mut self, frame: &Frame) -> Result<(), Stop> {
        let Some(Expected::Function { id, denied: None }) = self.pending.front() else {
            return Err(violation("a function's result that nothing asks for").into());
        };
        let statement = *id;
        if self.target.columns.is_none() && self.wants(Interest::COLUMNS) {
            let column =
                Column { name: Bytes::from_static(b"function"), table: None, type_oid: 0, format: Format::Text };
            self.announce(statement, Arc::from([column]))?;
            if self.target.held.is_some() || self.target.withheld.is_some() {
                // The message itself is read again.
                return Ok(());
            }
        }
        let bytes = frame.bytes().clone();
        if self.wants(Interest::ROWS | Interest::SHOWN) {
            let columns = self.target.columns.clone().unwrap_or_else(|| Arc::from([]));
            let batch = RowBatch::new(statement, columns, Arc::new(FunctionResult), bytes.clone(), 1);
            self.through(Response::Rows(batch), Then::Emit(bytes))?;
        } else {
            self.keep_answer(frame)?;
        }
        // A hold here is rare, and what comes after it is the end of the statement for the chain's eyes alone.
        if self.target.held.is_none() && self.target.withheld.is_none() && self.wants(Interest::COMPLETIONS) {
            let done = Completion { statement, kind: CompletionKind::Done, tag: Bytes::new(), rows: None };
            let flow = self.chain.response(Response::Complete(done));
            return self.answered(flow, Then::Nothing);
        }
        Ok(())
    }

    // COPY

    fn copy_in_response(&mut self, frame: &Frame) -> Result<(), Stop> {
        let statement = self.row_statement()?;
        let has_ended = self.pending.copy_in_begins();
        self.client.copy_in = (!has_ended).then_some(statement);
        self.keep_answer(frame)
    }

    fn copy_out_response(&mut self, frame: &Frame) -> Result<(), Stop> {
        let response = CopyResponse::parse(frame).map_err(|error| target_error(&error))?;
        let statement = self.row_statement()?;
        let (text, number, probe) = match self.pending.front_mut() {
            Some(Expected::Query { text, results, probe, .. }) => (text.clone(), *results, probe.take()),
            Some(Expected::Execute { text, begun, probe, .. }) => {
                *begun = true;
                (text.clone(), 0, probe.take())
            }
            _ => return Err(violation("a COPY that nothing asks for").into()),
        };
        if self.wants(Interest::ROWS | Interest::SHOWN) {
            self.target.copy_out = Some(copy::encoding(&text, number, &response));
        }
        self.keep_answer(frame)?;
        self.target.columns = None;
        if self.wants(Interest::COLUMNS) {
            // The protocol does not describe the columns of a COPY; what was asked before it does, if it gives as many.
            let columns = probe.and_then(|probe| probe.columns.get().cloned());
            return match columns.filter(|columns| columns.len() == response.columns.len()) {
                Some(columns) => self.resolve(statement, columns, Some(response.format)),
                None => self.announce(statement, undescribed(&response)),
            };
        }
        Ok(())
    }

    /// Whether the message answers what the gateway asked about a COPY, and has been dealt with.
    fn probe_frame(&mut self, header: Header) -> Result<bool, Stop> {
        let Some(Expected::Probe { probe, has_sync }) = self.pending.front() else { return Ok(false) };
        let (probe, has_sync) = (probe.clone(), *has_sync);
        let ends = match header.tag {
            backend::PARSE_COMPLETE | backend::PARAMETER_DESCRIPTION | backend::NO_DATA => false,
            backend::CLOSE_COMPLETE => !has_sync,
            backend::READY_FOR_QUERY => has_sync,
            backend::ROW_DESCRIPTION => {
                if let Some(frame) = self.target.cut.frame().map_err(|error| target_error(&error))? {
                    let columns = self.target.memory.columns(&frame).map_err(|error| target_error(&error))?;
                    let _ = probe.columns.set(columns);
                }
                false
            }
            // Within the client's own batch its error is the batch's.
            backend::ERROR_RESPONSE if has_sync => {
                let Some(frame) = self.target.cut.frame().map_err(|error| target_error(&error))? else {
                    return Ok(false);
                };
                let fields = backend::error_fields(&frame).map_err(|error| target_error(&error))?;
                if is_fatal(&fields) {
                    return Ok(false);
                }
                let _ = probe.failed.set(fields);
                false
            }
            _ => return Ok(false),
        };
        self.target.cut.remove(header.len, &mut self.to_client);
        if ends {
            self.pending.pop();
        }
        Ok(true)
    }

    // Ends

    fn command_complete(&mut self, frame: &Frame) -> Result<(), Stop> {
        let tag = backend::command_tag(frame).map_err(|error| target_error(&error))?;
        self.ended(frame, CompletionKind::Done, tag)
    }

    fn ended(&mut self, frame: &Frame, kind: CompletionKind, tag: Bytes) -> Result<(), Stop> {
        let statement = self.row_statement()?;
        match self.pending.front_mut() {
            Some(Expected::Query { results, .. }) => *results += 1,
            _ => drop(self.pending.pop()),
        }
        self.result_ends();
        let rows = backend::rows_of_tag(&tag);
        self.complete(frame, Completion { statement, kind, tag, rows })
    }

    fn result_ends(&mut self) {
        self.target.columns = None;
        self.target.copy_out = None;
        self.target.copies_both = false;
        self.client.copy_in = None;
        self.client.drops_rows = false;
    }

    fn parse_complete(&mut self, frame: &Frame) -> Result<(), Stop> {
        let Some(Expected::Parse { id, denied: None, .. }) = self.pending.pop() else {
            return Err(violation("a statement was prepared that nothing asks for").into());
        };
        let prepared = Completion { statement: id, kind: CompletionKind::Prepared, tag: Bytes::new(), rows: None };
        self.complete(frame, prepared)
    }

    fn complete(&mut self, frame: &Frame, completion: Completion) -> Result<(), Stop> {
        if !self.wants(Interest::COMPLETIONS) {
            return self.keep_answer(frame);
        }
        self.through(Response::Complete(completion), Then::Emit(frame.bytes().clone()))
    }

    fn answers(&mut self, frame: &Frame, is_right: impl FnOnce(&Expected) -> bool) -> Result<(), Stop> {
        match self.pending.pop() {
            Some(expected) if is_right(&expected) => self.keep_answer(frame),
            _ => Err(violation("an answer to another question").into()),
        }
    }

    fn ready_for_query(&mut self, frame: &Frame) -> Result<(), Stop> {
        let status = TransactionStatus::parse(frame).map_err(|error| target_error(&error))?;
        match self.pending.pop() {
            Some(expected @ (Expected::Query { .. } | Expected::Function { .. } | Expected::Sync))
                if !expected.is_denied() => {}
            _ => return Err(violation("it is ready for a query before it has answered the last one").into()),
        }
        if status == TransactionStatus::Idle && self.pending.is_empty() {
            self.names.forget_portals();
        }
        self.result_ends();
        self.keep_answer(frame)
    }

    // Errors and notices

    fn error_response(&mut self, frame: &Frame) -> Result<(), Stop> {
        let mut fields = backend::error_fields(frame).map_err(|error| target_error(&error))?;
        self.target.fatal |= is_fatal(&fields);
        let probed = self.probed(&fields);
        let (statement, denied) = self.fails();
        if let Some(denial) = denied {
            self.target.cut.remove(frame.bytes().len(), &mut self.to_client);
            return self.refused(statement, denial);
        }
        if let Some(probed) = probed {
            fields = probed;
        } else if !self.wants(Interest::ERRORS) {
            return self.keep_answer(frame);
        }
        let error = TargetError { statement, fields, denial: None };
        let original = backend::error_fields(frame).map_err(|error| target_error(&error))?;
        self.through(Response::Error(error), Then::Fields(frame.bytes().clone(), original))
    }

    /// The fields in the place of these, where it is the gateway's own question that failed: the error is the COPY's, and
    /// the place in its text is not.
    fn probed(&self, fields: &[(u8, Bytes)]) -> Option<Vec<(u8, Bytes)>> {
        let is_aborted = || fields.iter().any(|(letter, value)| *letter == b'C' && value == "25P02");
        let failed = match self.pending.front()? {
            Expected::Probe { .. } => fields.to_vec(),
            Expected::Query { probe: Some(probe), .. } if is_aborted() => probe.failed.get()?.clone(),
            _ => return None,
        };
        Some(failed.into_iter().filter(|(letter, _)| *letter != b'P').collect())
    }

    /// What is answered now has failed. Gives its statement, and the refusal when the gateway made it fail.
    fn fails(&mut self) -> (Option<StatementId>, Option<Denial>) {
        self.result_ends();
        let Some(front) = self.pending.front_mut() else { return (None, None) };
        let (statement, denied) = (front.statement(), front.take_denied());
        match front {
            // ReadyForQuery is still to come.
            Expected::Query { .. } | Expected::Function { .. } | Expected::Sync => {}
            _ => self.pending.fail_up_to_sync(&mut self.names),
        }
        (statement, denied)
    }

    /// Tells client and chain of a refusal, in the place of the server's error.
    fn refused(&mut self, statement: Option<StatementId>, denial: Denial) -> Result<(), Stop> {
        let fields = error::fields(error::Severity::Error, &denial);
        let response = Response::Error(TargetError { statement, fields, denial: Some(denial) });
        let flow = self.chain.response(response);
        self.answered(flow, Then::Fields(Bytes::new(), Vec::new()))
    }

    fn notice(&mut self, frame: &Frame) -> Result<(), Stop> {
        if !self.wants(Interest::NOTICES) {
            return self.keep_answer(frame);
        }
        let fields = backend::error_fields(frame).map_err(|error| target_error(&error))?;
        let notice = TargetError { statement: None, fields: fields.clone(), denial: None };
        self.through(Response::Notice(notice), Then::Fields(frame.bytes().clone(), fields))
    }

    fn notification(&mut self, frame: &Frame) -> Result<(), Stop> {
        if !self.wants(Interest::NOTICES) {
            return self.keep_answer(frame);
        }
        let read = NotificationResponse::parse(frame).map_err(|error| target_error(&error))?;
        let notification = Notification { process: read.process, channel: read.channel, payload: read.payload };
        self.through(Response::Notification(notification), Then::Emit(frame.bytes().clone()))
    }

    fn parameter_status(&mut self, frame: &Frame) -> Result<(), Stop> {
        let status = ParameterStatus::parse(frame).map_err(|error| target_error(&error))?;
        self.setting(&status.name, &status.value);
        self.keep_answer(frame)
    }

    // The chain

    /// Runs a response through the chain; as long as nobody changes it, its bytes stay between their neighbours.
    fn through(&mut self, response: Response, then: Then) -> Result<(), Stop> {
        let (Then::Emit(original) | Then::Fields(original, _)) = &then else { return Ok(()) };
        let len = original.len();
        match self.chain.response(response) {
            Flow::Pass(response) if is_unchanged(&response, &then) => {
                self.target.cut.keep(len);
                Ok(())
            }
            flow => {
                self.target.cut.remove(len, &mut self.to_client);
                self.answered(flow, then)
            }
        }
    }

    /// Goes on with a response that has left the target's bytes.
    pub(super) fn answered(&mut self, flow: Flow<Response>, then: Then) -> Result<(), Stop> {
        match flow {
            Flow::Pass(response) => self.emit(&response, then),
            Flow::Held(held) => {
                if let Some(text) = &held.notice
                    && self.target.passing.is_none()
                {
                    self.target.cut.flush(&mut self.to_client);
                    self.to_client.push(error::notice(text));
                }
                self.target.held = Some(HeldResponse::Chain { held, then });
                Ok(())
            }
            Flow::Denied(denial) => self.withhold(denial),
        }
    }

    fn emit(&mut self, response: &Response, then: Then) -> Result<(), Stop> {
        self.target.cut.flush(&mut self.to_client);
        let out = &mut self.to_client;
        match (response, then) {
            (_, Then::Nothing) => {}
            (Response::Rows(batch), Then::Emit(_)) => {
                // A row that cannot be written is not half shown: nothing leaves until all is encoded.
                let mut pieces = Vec::new();
                batch.encode(|piece| pieces.push(piece)).map_err(|error| Denial::failed("gateway", error))?;
                pieces.into_iter().for_each(|piece| out.push(piece));
            }
            (Response::RowPart(part), Then::Emit(_)) => out.push(part.bytes.clone()),
            (Response::Notification(notification), Then::Emit(original)) => {
                let Notification { process, channel, payload } = notification.clone();
                let mut bytes = BytesMut::with_capacity(original.len());
                NotificationResponse { process, channel, payload }.write(&mut bytes);
                out.push(bytes.freeze());
            }
            (Response::Error(error) | Response::Notice(error), Then::Fields(original, fields)) => {
                let tag = if matches!(response, Response::Notice(_)) {
                    backend::NOTICE_RESPONSE
                } else {
                    backend::ERROR_RESPONSE
                };
                let is_same = !original.is_empty() && error.fields == fields;
                out.push(if is_same { original } else { error::encode(tag, &error.fields) });
            }
            (_, Then::Emit(original) | Then::Fields(original, _)) => out.push(original),
        }
        Ok(())
    }

    // What is not shown

    /// A result may not be shown. What the server still sends of it is dropped, and the server is asked to cancel it; when
    /// it has ended, the client gets the refusal in the place of the server's word. Where that could tell the client
    /// something wrong of other statements, the session ends instead.
    pub(super) fn withhold(&mut self, denial: Denial) -> Result<(), Stop> {
        if ends_session(&denial) {
            return Err(denial.into());
        }
        match self.pending.front() {
            Some(Expected::Query { results: 0, .. } | Expected::Execute { .. } | Expected::Function { .. }) => {
                self.cancels = true;
                self.target.withheld = Some(Withheld { denial, completed: 0, failed: false });
                Ok(())
            }
            _ => Err(denial.into()),
        }
    }

    /// Whether the message belonged to what is withheld, and has been dealt with.
    fn withheld_frame(&mut self, header: Header) -> Result<bool, Stop> {
        let Some(withheld) = &mut self.target.withheld else { return Ok(false) };
        let is_execute = matches!(self.pending.front(), Some(Expected::Execute { .. }));
        match header.tag {
            backend::NOTICE_RESPONSE | backend::NOTIFICATION_RESPONSE | backend::PARAMETER_STATUS => return Ok(false),
            backend::ERROR_RESPONSE => {
                let frame = self.target.cut.frame().map_err(|error| target_error(&error))?;
                let fields = frame
                    .map(|frame| backend::error_fields(&frame))
                    .transpose()
                    .map_err(|error| target_error(&error))?;
                if fields.is_some_and(|fields| is_fatal(&fields)) {
                    // The server's own end of the session.
                    return Ok(false);
                }
                withheld.failed = true;
                self.target.cut.remove(header.len, &mut self.to_client);
                if is_execute {
                    let (statement, _) = self.fails();
                    self.withheld_ends(statement)?;
                }
                return Ok(true);
            }
            backend::COMMAND_COMPLETE
            | backend::EMPTY_QUERY_RESPONSE
            | backend::PORTAL_SUSPENDED
            | backend::FUNCTION_CALL_RESPONSE => {
                withheld.completed += 1;
                if is_execute {
                    if !matches!(self.pending.second(), Some(Expected::Sync)) {
                        return Err(withheld.denial.clone().into());
                    }
                    self.target.cut.remove(header.len, &mut self.to_client);
                    let statement = self.pending.pop().and_then(|expected| expected.statement());
                    self.result_ends();
                    self.withheld_ends(statement)?;
                    return Ok(true);
                }
            }
            backend::COPY_IN_RESPONSE | backend::COPY_BOTH_RESPONSE => return Err(withheld.denial.clone().into()),
            backend::READY_FOR_QUERY => {
                if withheld.completed > 1 && !withheld.failed {
                    return Err(withheld.denial.clone().into());
                }
                let statement = self.pending.front().and_then(Expected::statement);
                self.target.cut.flush(&mut self.to_client);
                self.withheld_ends(statement)?;
                // The ReadyForQuery itself comes next.
                return Ok(self.target.held.is_some());
            }
            _ => {}
        }
        self.target.cut.remove(header.len, &mut self.to_client);
        Ok(true)
    }

    fn withheld_ends(&mut self, statement: Option<StatementId>) -> Result<(), Stop> {
        let Some(Withheld { mut denial, failed, .. }) = self.target.withheld.take() else { return Ok(()) };
        if !failed {
            denial.reason.push_str("; the statement has run to its end");
        }
        self.refused(statement, denial)
    }
}

/// The columns of a COPY of which nothing is known but their number.
fn undescribed(response: &CopyResponse) -> Arc<[Column]> {
    let column = |format: &Format| Column { name: Bytes::new(), table: None, type_oid: 0, format: *format };
    response.columns.iter().map(column).collect()
}

/// Whether the message is one that is read as a whole.
const fn is_read(tag: u8) -> bool {
    matches!(
        tag,
        backend::AUTHENTICATION
            | backend::PARAMETER_STATUS
            | backend::BACKEND_KEY_DATA
            | backend::READY_FOR_QUERY
            | backend::ROW_DESCRIPTION
            | backend::PARAMETER_DESCRIPTION
            | backend::COMMAND_COMPLETE
            | backend::ERROR_RESPONSE
            | backend::NOTICE_RESPONSE
            | backend::NOTIFICATION_RESPONSE
            | backend::COPY_IN_RESPONSE
            | backend::COPY_OUT_RESPONSE
            | backend::COPY_BOTH_RESPONSE
            | backend::PARSE_COMPLETE
            | backend::BIND_COMPLETE
            | backend::CLOSE_COMPLETE
            | backend::NO_DATA
            | backend::PORTAL_SUSPENDED
            | backend::EMPTY_QUERY_RESPONSE
            | backend::FUNCTION_CALL_RESPONSE
    )
}

/// Whether the response is what was received.
fn is_unchanged(response: &Response, then: &Then) -> bool {
    match (response, then) {
        (Response::Rows(batch), Then::Emit(original)) => {
            let received = batch.received();
            !batch.is_edited() && received.as_ptr() == original.as_ptr() && received.len() == original.len()
        }
        (Response::Complete(_), Then::Emit(_)) => true,
        (Response::Error(error) | Response::Notice(error), Then::Fields(_, fields)) => error.fields == *fields,
        _ => false,
    }
}

/// Whether the server ends the connection with this error. The letter `V` is there since 9.6, and is not translated.
fn is_fatal(fields: &[(u8, Bytes)]) -> bool {
    let severity =
        fields.iter().find(|(letter, _)| *letter == b'V').or_else(|| fields.iter().find(|(letter, _)| *letter == b'S'));
    severity.is_some_and(|(_, value)| matches!(&value[..], b"FATAL" | b"PANIC"))
}
