//! COPY, and what the gateway asked about it.

use std::sync::Arc;

use bytes::Bytes;
use hoop_core::{Column, Format, Interest};
use hoop_proto::postgres::backend::{self, CopyResponse};
use hoop_proto::postgres::{Frame, Header};

use super::super::pending::Expected;
use super::super::{PostgresRelay, copy, target_error, violation};
use super::errors::is_fatal;
use crate::proxy::Stop;

impl PostgresRelay {
    pub(super) fn copy_in_response(&mut self, frame: &Frame) -> Result<(), Stop> {
        CopyResponse::parse(frame).map_err(|error| target_error(&error))?;
        let statement = self.row_statement()?;
        let has_ended = self.pending.copy_in_begins();
        self.client.copy_in = (!has_ended).then_some(statement);
        self.keep_answer(frame)
    }

    pub(super) fn copy_out_response(&mut self, frame: &Frame) -> Result<(), Stop> {
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
        let mut has_cells = true;
        if self.wants(Interest::ROWS | Interest::SHOWN | Interest::COLUMNS) {
            let encoding = copy::encoding(&text, number, &response, self.settings.encoding);
            has_cells = encoding.is_some();
            self.target.copy_out = Some(encoding.unwrap_or_else(copy::lines));
        }
        self.keep_answer(frame)?;
        self.target.columns = None;
        if self.wants(Interest::COLUMNS) {
            // The protocol does not describe the columns of a COPY; what was asked before it does, if it gives as many.
            let columns = probe.and_then(|probe| probe.columns.get().cloned());
            return match columns.filter(|columns| has_cells && columns.len() == response.columns.len()) {
                Some(columns) => self.resolve(statement, columns, Some(response.format)),
                None => self.announce(statement, undescribed(&response, has_cells)),
            };
        }
        Ok(())
    }

    /// What is copied both ways is not read, so nobody may begin it who was not allowed to.
    pub(super) fn copy_both_response(&mut self, frame: &Frame) -> Result<(), Stop> {
        CopyResponse::parse(frame).map_err(|error| target_error(&error))?;
        if !self.target.may_copy_both {
            return Err(violation("replication, which the role does not allow").into());
        }
        self.row_statement()?;
        self.target.copies_both = true;
        self.keep_answer(frame)
    }

    /// Whether the message answers what the gateway asked about a COPY, and has been dealt with.
    pub(super) fn probe_frame(&mut self, header: Header) -> Result<bool, Stop> {
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
}

/// The columns of a COPY of which nothing is known but their number; its lines where not even that can be seen in them.
fn undescribed(response: &CopyResponse, has_cells: bool) -> Arc<[Column]> {
    let column = |format: &Format| Column { name: Bytes::new(), table: None, type_oid: 0, format: *format };
    if has_cells { response.columns.iter().map(column).collect() } else { Arc::from([column(&response.format)]) }
}
