//! Messages that nobody reads as a whole go on in pieces, whatever their length.

use bytes::Bytes;
use hoop_core::{Code, Denial, Interest, Response, RowPart};
use hoop_proto::postgres::{Header, backend};

use super::super::{Passing, PostgresRelay, violation};
use super::{BATCH, Then};
use crate::proxy::Stop;

impl PostgresRelay {
    /// Rows that go through the chain together, in bytes. All of them but the first are shorter than this.
    pub(super) fn batch(&self) -> usize {
        BATCH.min(self.max_message_bytes)
    }

    pub(super) fn is_too_long(&self, header: Header) -> bool {
        header.len > self.max_message_bytes && !self.goes_on_in_pieces(header)
    }

    /// Whether nobody wants to read such a message as a whole.
    pub(super) fn goes_on_in_pieces(&self, header: Header) -> bool {
        if header.len <= self.batch() {
            return false;
        }
        match header.tag {
            backend::COPY_DATA if self.target.copies_both => true,
            backend::DATA_ROW | backend::COPY_DATA => self.target.withheld.is_some() || !self.wants(Interest::ROWS),
            _ => false,
        }
    }

    pub(super) fn begin_pieces(&mut self, header: Header, first: Bytes) -> Result<(), Stop> {
        let mut row_of = None;
        if header.tag == backend::DATA_ROW || !self.target.copies_both {
            if self.target.withheld.is_none() {
                self.begin_result()?;
                if self.target.held.is_some() || self.target.withheld.is_some() {
                    return Ok(());
                }
            }
            row_of = Some(self.row_statement()?);
            if header.tag == backend::DATA_ROW && self.target.withheld.is_none() {
                self.fit(&first)?;
            }
        }
        self.target.cut.remove_rest(&mut self.to_client);
        self.target.passing = Some(Passing { left: header.len, row_of, dropped: self.target.withheld.is_some() });
        self.pass(first)
    }

    /// A row that must be read as a whole, and is longer than what may be held of it.
    pub(super) fn too_long(&mut self, header: Header, rest: &Bytes) -> Result<(), Stop> {
        let what = format!(
            "a message of {} bytes is longer than the {} that can be read as a whole",
            header.len, self.max_message_bytes
        );
        if header.tag != backend::DATA_ROW && header.tag != backend::COPY_DATA {
            return Err(violation(&what).into());
        }
        let denial = Denial::new("gateway", Code::LimitExceeded, what);
        self.withhold(denial.hint("select less at once, or ask an administrator to raise limits.message_bytes"))?;
        let first = rest.slice(..header.len.min(rest.len()));
        self.target.cut.remove(first.len(), &mut self.to_client);
        self.target.passing = Some(Passing { left: header.len, row_of: None, dropped: true });
        self.pass(first)
    }

    /// A piece of a message that goes on in pieces.
    pub(super) fn pass(&mut self, mut bytes: Bytes) -> Result<(), Stop> {
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
}
