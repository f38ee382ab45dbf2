//! Rows, and the descriptions of what is in them.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use hoop_core::{
    Code, Column, Completion, CompletionKind, Denial, Format, Interest, Response, ResultColumns, RowBatch, RowEncoding,
    StatementId,
};
use hoop_proto::postgres::rows::{DataRows, FunctionResult};
use hoop_proto::postgres::{Frame, HEADER, Header, backend};

use super::super::columns::written;
use super::super::pending::Expected;
use super::super::{HeldResponse, PostgresRelay, target_error, violation};
use super::{ROW_HEADER, Then};
use crate::proxy::Stop;

/// Portals of which some rows were read, in one transaction.
const MOST_SUSPENDED: usize = 16 * 1024;

static DATA_ROWS: LazyLock<Arc<DataRows>> = LazyLock::new(|| Arc::new(DataRows));

impl PostgresRelay {
    pub(super) fn rows(&mut self, tag: u8) -> Result<(), Stop> {
        let (count, len) = self.target.cut.run(tag, self.batch()).map_err(|error| target_error(&error))?;
        if self.target.copies_both && tag == backend::COPY_DATA {
            self.target.cut.keep(len);
            return Ok(());
        }
        self.begin_result()?;
        if self.target.held.is_some() || self.target.withheld.is_some() {
            return Ok(());
        }
        let statement = self.row_statement()?;
        let bytes = self.target.cut.slice(len);
        if tag == backend::DATA_ROW {
            self.fit(&bytes)?;
        }
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
        self.through(
            Response::Rows(RowBatch::new(statement, columns, encoding, bytes.clone(), count)),
            Then::Emit(bytes),
        )
    }

    /// The statement that may give rows now.
    pub(super) fn row_statement(&self) -> Result<StatementId, Denial> {
        match self.pending.front() {
            Some(Expected::Query { id, denied: None, .. } | Expected::Execute { id, denied: None, .. }) => Ok(*id),
            _ => Err(violation("rows that nothing asks for")),
        }
    }

    /// Tells the chain the columns of what Execute gives, before the first row. No row passes that was not described: a
    /// plugin has narrowed its interest to the result before.
    pub(super) fn begin_result(&mut self) -> Result<(), Stop> {
        if let Some(Expected::Execute { id, portal, columns, begun: begun @ false, .. }) = self.pending.front_mut() {
            *begun = true;
            let (statement, columns) = (*id, columns.as_ref().and_then(|columns| columns.get().cloned()));
            let before = self.target.suspended.get(portal);
            if let Some(columns) = columns {
                // The rows are still those of before, whatever the name within a FETCH or EXECUTE means by now.
                if before.is_some_and(|before| *before != columns) {
                    return self.withhold(other_columns());
                }
                if before.is_none() && self.target.suspended.len() >= MOST_SUSPENDED {
                    return self.withhold(too_many());
                }
                return self.resolve(statement, columns, None);
            }
        }
        if self.target.columns.is_none() && self.wants(Interest::COLUMNS) {
            return Err(violation("rows that it has not described").into());
        }
        Ok(())
    }

    /// Whether these rows have as many columns as were described. The last one may be there in part.
    pub(super) fn fit(&self, mut rows: &[u8]) -> Result<(), Denial> {
        let Some(columns) = &self.target.columns else { return Ok(()) };
        while let Some(header) = Header::peek(rows).map_err(|error| target_error(&error))? {
            let count = rows.get(HEADER..ROW_HEADER.min(header.len)).and_then(|count| count.try_into().ok());
            if count.map(u16::from_be_bytes).map(usize::from) != Some(columns.len()) {
                return Err(violation("a row of more or fewer columns than it described"));
            }
            rows = rows.get(header.len..).unwrap_or_default();
        }
        Ok(())
    }

    /// Looks up where columns come from, where somebody wants that, and tells the chain.
    pub(super) fn resolve(
        &mut self,
        statement: StatementId,
        columns: Arc<[Column]>,
        format: Option<Format>,
    ) -> Result<(), Stop> {
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
    pub(in crate::proxy::postgres) fn announce(
        &mut self,
        statement: StatementId,
        columns: Arc<[Column]>,
    ) -> Result<(), Stop> {
        self.target.columns = Some(Arc::clone(&columns));
        let text = self.pending.front().and_then(Expected::text);
        let text = text.map(|text| self.names.meant(text)).unwrap_or_default();
        let flow = self.chain.response(Response::Columns(ResultColumns { statement, columns, text }));
        self.answered(flow, Then::Nothing)
    }

    pub(super) fn row_description(&mut self, frame: &Frame) -> Result<(), Stop> {
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

    pub(super) fn no_data(&mut self, frame: &Frame) -> Result<(), Stop> {
        let Some(Expected::Describe { is_ours, .. }) = self.pending.pop() else {
            return Err(violation("a description that nothing asks for").into());
        };
        self.keep_unless(is_ours, frame)
    }

    pub(super) fn parameter_description(&mut self, frame: &Frame) -> Result<(), Stop> {
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

    pub(super) fn function_result(&mut self, frame: &Frame) -> Result<(), Stop> {
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
}

fn too_many() -> Denial {
    let reason = format!("the session has {MOST_SUSPENDED} portals that have more rows, as many as it may");
    Denial::new("gateway", Code::LimitExceeded, reason).hint("read those to their end that are not needed any more")
}

fn other_columns() -> Denial {
    let reason = "the portal gives other columns than it did at first, so that nobody knows what is in its other rows";
    Denial::new("gateway", Code::MaskingFailed, reason)
        .hint("leave the cursor or statement within it as it is until it has given all")
}
