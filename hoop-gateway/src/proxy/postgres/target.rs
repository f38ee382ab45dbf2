//! The target's direction: backend messages become responses.
//!
//! Here is how messages are taken from what came, and how they leave; what each of them means is in the modules below.

mod copy;
mod ends;
mod errors;
mod pieces;
mod rows;
mod withheld;

use bytes::{Bytes, BytesMut};
use hoop_core::{CompletionKind, Denial, Flow, Notification, Response};
use hoop_proto::postgres::backend::{self, NotificationResponse, ParameterStatus};
use hoop_proto::postgres::{Frame, HEADER, Header};

use super::cut::Cut;
use super::pending::Expected;
use super::{FromTarget, HeldResponse, PostgresRelay, error, target_error, violation};
use crate::proxy::Stop;

pub(super) use withheld::{Withheld, ends_session};

/// Rows that go through the chain together, in bytes; one row may be longer.
pub(super) const BATCH: usize = 64 * 1024;

/// What must be there of a row before it is decided on: its header, and how many columns it has.
const ROW_HEADER: usize = HEADER + 2;

/// What becomes of a response once the chain lets it go on.
pub(super) enum Then {
    /// It leaves; as these bytes, if nobody changed it.
    Emit(Bytes),
    /// It leaves; as these bytes, if its fields are still these.
    Fields(Bytes, Vec<(u8, Bytes)>),
    /// It was for the chain alone.
    Nothing,
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
        let has_begun = header.is_some_and(|header| self.target.partial.len() >= beginning(header));
        let until = header.map_or(HEADER, |header| if has_begun { header.len } else { beginning(header) });
        let wanted = until - self.target.partial.len();
        let some = self.target.next.split_to(wanted.min(self.target.next.len()));
        self.target.partial.extend_from_slice(&some);
        if !has_begun || some.len() == wanted {
            self.target.cut = Cut::new(self.target.partial.split().freeze());
        }
        Ok(())
    }

    /// Reads one message, or one run of rows.
    fn step(&mut self) -> Result<(), Stop> {
        let header = self.target.cut.peek().map_err(|error| target_error(&error))?;
        let rest = self.target.cut.rest();
        match header {
            // Also one that is all there: whether it passes must not depend on how it was cut on its way.
            Some(header) if self.is_too_long(header) => self.too_long(header, &rest),
            Some(header) if header.len <= rest.len() => self.target_frame(header),
            Some(header) if rest.len() < beginning(header) => self.wait(rest),
            Some(header) if self.goes_on_in_pieces(header) => self.begin_pieces(header, rest),
            _ => self.wait(rest),
        }
    }

    /// The rest of the message has not come yet.
    fn wait(&mut self, rest: Bytes) -> Result<(), Stop> {
        self.target.cut.remove_rest(&mut self.to_client);
        self.target.partial = BytesMut::from(&rest[..]);
        Ok(())
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
        if is_bare(header.tag) && header.len != HEADER {
            return Err(violation("a message with more than its type").into());
        }
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
            backend::COPY_BOTH_RESPONSE => self.copy_both_response(&frame),
            backend::FUNCTION_CALL_RESPONSE => self.function_result(&frame),
            backend::PARAMETER_STATUS => self.parameter_status(&frame),
            // The client has the gateway's own key.
            backend::BACKEND_KEY_DATA => {
                self.target.cut.remove(frame.bytes().len(), &mut self.to_client);
                Ok(())
            }
            // The login is over: whoever asks for a password now is no server.
            backend::AUTHENTICATION => Err(violation("it asks for a login within the session").into()),
            backend::COPY_DONE => self.keep_answer(&frame),
            _ => Err(violation("a message of a kind that no server sends").into()),
        }
    }

    fn keep_answer(&mut self, frame: &Frame) -> Result<(), Stop> {
        self.target.cut.keep(frame.bytes().len());
        Ok(())
    }

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
                    self.to_client.push(error::notice(text, None));
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
            (Response::Setting(setting), Then::Emit(original)) => {
                let mut bytes = BytesMut::with_capacity(original.len());
                ParameterStatus::write(&setting.name, &setting.value, &mut bytes);
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
}

/// How much of a message must be there before it is decided on.
fn beginning(header: Header) -> usize {
    if header.tag == backend::DATA_ROW { ROW_HEADER.min(header.len) } else { HEADER }
}

/// Whether the message is its type and nothing else.
const fn is_bare(tag: u8) -> bool {
    matches!(
        tag,
        backend::PARSE_COMPLETE
            | backend::BIND_COMPLETE
            | backend::CLOSE_COMPLETE
            | backend::NO_DATA
            | backend::PORTAL_SUSPENDED
            | backend::EMPTY_QUERY_RESPONSE
            | backend::COPY_DONE
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
