//! Results that are not shown.

use hoop_core::{Code, Denial, StatementId};
use hoop_proto::postgres::{Header, backend};

use super::super::pending::Expected;
use super::super::{PostgresRelay, target_error};
use super::errors::is_fatal;
use crate::proxy::Stop;

/// A result that is not shown: what the server still sends of it is dropped.
pub(in crate::proxy::postgres) struct Withheld {
    denial: Denial,
    /// Statements that have ended since.
    completed: usize,
    /// Whether the server gave an error, as it does when the cancel request arrives in time.
    failed: bool,
}

/// Whether a refusal ends the session instead of the statement.
pub(in crate::proxy::postgres) const fn ends_session(denial: &Denial) -> bool {
    matches!(denial.code, Code::RecordingFailed)
}

impl PostgresRelay {
    /// A result may not be shown. What the server still sends of it is dropped, and the server is asked to cancel it; when
    /// it has ended, the client gets the refusal in the place of the server's word. Where that could tell the client
    /// something wrong of other statements, the session ends instead.
    pub(in crate::proxy::postgres) fn withhold(&mut self, denial: Denial) -> Result<(), Stop> {
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
    pub(super) fn withheld_frame(&mut self, header: Header) -> Result<bool, Stop> {
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
