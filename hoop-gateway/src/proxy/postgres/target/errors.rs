//! Errors, notices, and what the server says of its own accord.

use bytes::Bytes;
use hoop_core::{Denial, Interest, Notification, Response, Setting, StatementId, TargetError};
use hoop_proto::postgres::Frame;
use hoop_proto::postgres::backend::{self, NotificationResponse, ParameterStatus};

use super::super::pending::Expected;
use super::super::{PostgresRelay, error, target_error};
use super::Then;
use crate::proxy::Stop;

impl PostgresRelay {
    pub(super) fn error_response(&mut self, frame: &Frame) -> Result<(), Stop> {
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
    pub(super) fn fails(&mut self) -> (Option<StatementId>, Option<Denial>) {
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
    pub(super) fn refused(&mut self, statement: Option<StatementId>, denial: Denial) -> Result<(), Stop> {
        let fields = error::fields(error::Severity::Error, &denial);
        let response = Response::Error(TargetError { statement, fields, denial: Some(denial) });
        let flow = self.chain.response(response);
        self.answered(flow, Then::Fields(Bytes::new(), Vec::new()))
    }

    pub(super) fn notice(&mut self, frame: &Frame) -> Result<(), Stop> {
        if !self.wants(Interest::NOTICES) {
            return self.keep_answer(frame);
        }
        let fields = backend::error_fields(frame).map_err(|error| target_error(&error))?;
        let notice = TargetError { statement: None, fields: fields.clone(), denial: None };
        self.through(Response::Notice(notice), Then::Fields(frame.bytes().clone(), fields))
    }

    pub(super) fn notification(&mut self, frame: &Frame) -> Result<(), Stop> {
        if !self.wants(Interest::NOTICES) {
            return self.keep_answer(frame);
        }
        let read = NotificationResponse::parse(frame).map_err(|error| target_error(&error))?;
        let notification = Notification { process: read.process, channel: read.channel, payload: read.payload };
        self.through(Response::Notification(notification), Then::Emit(frame.bytes().clone()))
    }

    pub(super) fn parameter_status(&mut self, frame: &Frame) -> Result<(), Stop> {
        let status = ParameterStatus::parse(frame).map_err(|error| target_error(&error))?;
        self.setting(&status.name, &status.value);
        if !self.wants(Interest::NOTICES) {
            return self.keep_answer(frame);
        }
        let setting = Setting { name: status.name, value: status.value };
        self.through(Response::Setting(setting), Then::Emit(frame.bytes().clone()))
    }
}

/// Whether the server ends the connection with this error. The letter `V` is there since 9.6, and is not translated.
pub(super) fn is_fatal(fields: &[(u8, Bytes)]) -> bool {
    let severity =
        fields.iter().find(|(letter, _)| *letter == b'V').or_else(|| fields.iter().find(|(letter, _)| *letter == b'S'));
    severity.is_some_and(|(_, value)| matches!(&value[..], b"FATAL" | b"PANIC"))
}
