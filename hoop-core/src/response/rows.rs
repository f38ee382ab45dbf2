//! Rows as views: the received bytes, an index of where each cell lies, and a sparse list of edits. Rows that nobody
//! edits leave as the bytes that came; only an edited row is encoded anew.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::Column;
use crate::request::StatementId;

/// How rows are written on the wire. One for each protocol and format, in `hoop-proto`.
pub trait RowEncoding: fmt::Debug + Send + Sync {
    /// Finds the rows and cells in `bytes`, which are one or more whole rows.
    ///
    /// # Errors
    /// [`RowError`] when the bytes are not whole rows of this encoding.
    fn index(&self, bytes: &Bytes, index: &mut CellIndex) -> Result<(), RowError>;

    /// Appends one row with these cells, framing included. `original` is the row as it was received.
    ///
    /// # Errors
    /// [`RowError`] when a cell cannot be written, for example because it is too long.
    fn encode(
        &self,
        original: &[u8],
        cells: &mut dyn Iterator<Item = Option<&[u8]>>,
        out: &mut BytesMut,
    ) -> Result<(), RowError>;
}

/// Bytes that are not rows, or cells that cannot be written as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("row cannot be read or written: {what}")]
pub struct RowError {
    /// What is wrong, as one lower-case clause.
    pub what: &'static str,
}

impl RowError {
    /// An error that says what is wrong, as one lower-case clause.
    pub const fn new(what: &'static str) -> Self {
        Self { what }
    }
}

/// Where the rows and cells of a batch lie. Offsets are 32 bits wide: a batch is far smaller than 4 GiB.
#[derive(Debug, Default, Clone)]
pub struct CellIndex {
    rows: Vec<RowSpan>,
    cells: Vec<CellSpan>,
    decoded: Vec<(u32, Bytes)>,
}

#[derive(Debug, Clone, Copy)]
struct RowSpan {
    start: u32,
    end: u32,
    first_cell: u32,
}

#[derive(Debug, Clone, Copy)]
struct CellSpan {
    start: u32,
    /// [`NULL`], or the length.
    len: u32,
}

const NULL: u32 = u32::MAX;

impl CellIndex {
    /// Begins a row that starts at this byte.
    pub fn begin_row(&mut self, start: usize) {
        let first_cell = self.cells.len() as u32;
        self.rows.push(RowSpan { start: start as u32, end: start as u32, first_cell });
    }

    /// Adds a cell to the row: the range of its bytes, or `None` for NULL.
    pub fn push_cell(&mut self, range: Option<Range<usize>>) {
        self.cells.push(match range {
            Some(range) => CellSpan { start: range.start as u32, len: range.len() as u32 },
            None => CellSpan { start: 0, len: NULL },
        });
    }

    /// Adds a cell whose value is not a range of the received bytes, because it was escaped there.
    pub fn push_decoded(&mut self, value: Bytes) {
        self.decoded.push((self.cells.len() as u32, value));
        self.cells.push(CellSpan { start: 0, len: 0 });
    }

    /// Ends the row before this byte.
    pub fn end_row(&mut self, end: usize) {
        if let Some(row) = self.rows.last_mut() {
            row.end = end as u32;
        }
    }

    fn cell_range(&self, row: usize) -> Range<usize> {
        let first = self.rows.get(row).map_or(self.cells.len(), |row| row.first_cell as usize);
        let end = self.rows.get(row + 1).map_or(self.cells.len(), |row| row.first_cell as usize);
        first..end
    }
}

/// Whole rows of one result, or of one COPY.
#[derive(Debug)]
pub struct RowBatch {
    statement: StatementId,
    columns: Arc<[Column]>,
    encoding: Arc<dyn RowEncoding>,
    bytes: Bytes,
    rows: usize,
    index: Option<CellIndex>,
    /// By cell number, in ascending order.
    edits: Vec<(u32, Option<Bytes>)>,
}

impl RowBatch {
    /// `rows` whole rows in `bytes`. `columns` may be shorter than a row where the protocol does not describe it.
    pub fn new(
        statement: StatementId,
        columns: Arc<[Column]>,
        encoding: Arc<dyn RowEncoding>,
        bytes: Bytes,
        rows: usize,
    ) -> Self {
        Self { statement, columns, encoding, bytes, rows, index: None, edits: Vec::new() }
    }

    /// The statement.
    pub const fn statement(&self) -> StatementId {
        self.statement
    }

    /// The columns, as [`Response::Columns`](crate::Response::Columns) gave them.
    pub const fn columns(&self) -> &Arc<[Column]> {
        &self.columns
    }

    /// How many rows.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The rows as they were received, before any edit.
    pub const fn received(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether any cell was replaced.
    pub const fn is_edited(&self) -> bool {
        !self.edits.is_empty()
    }

    /// Finds the cells, once; later calls cost nothing.
    ///
    /// # Errors
    /// [`RowError`] when the received bytes are not rows. They must not be shown then: nobody knows what is in them.
    pub fn cells(&mut self) -> Result<Cells<'_>, RowError> {
        if self.index.is_none() {
            let mut index = CellIndex::default();
            self.encoding.index(&self.bytes, &mut index)?;
            if index.rows.len() != self.rows {
                return Err(RowError::new("another number of rows than its frames"));
            }
            self.index = Some(index);
        }
        let index = self.index.as_ref().ok_or(RowError::new("no index"))?;
        Ok(Cells { bytes: &self.bytes, index, edits: &self.edits })
    }

    /// Replaces a cell, by `None` with NULL. The last replacement counts.
    ///
    /// # Errors
    /// [`RowError`] when there is no such cell, or the received bytes are not rows.
    pub fn replace(&mut self, row: usize, column: usize, value: Option<Bytes>) -> Result<(), RowError> {
        self.cells()?;
        let index = self.index.as_ref().ok_or(RowError::new("no index"))?;
        let range = index.cell_range(row);
        let cell = range.start.saturating_add(column);
        if cell >= range.end {
            return Err(RowError::new("no such cell"));
        }
        let cell = cell as u32;
        match self.edits.last() {
            Some((last, _)) if *last >= cell => match self.edits.binary_search_by_key(&cell, |(at, _)| *at) {
                Ok(at) => self.edits[at].1 = value,
                Err(at) => self.edits.insert(at, (cell, value)),
            },
            _ => self.edits.push((cell, value)),
        }
        Ok(())
    }

    /// Writes the edits into the bytes: hands every piece of the batch to `sink`, in order. Pieces between edited rows
    /// are slices of what was received.
    ///
    /// # Errors
    /// [`RowError`] when an edited row cannot be encoded. What was handed over until then must not be shown.
    pub fn encode(&self, mut sink: impl FnMut(Bytes)) -> Result<(), RowError> {
        let Some(index) = self.index.as_ref().filter(|_| self.is_edited()) else {
            sink(self.bytes.clone());
            return Ok(());
        };
        let cells = Cells { bytes: &self.bytes, index, edits: &self.edits };
        let mut kept = 0;
        let mut next = 0;
        let mut out = BytesMut::new();
        while let Some((cell, _)) = self.edits.get(next) {
            let row = index.rows.partition_point(|row| row.first_cell <= *cell).saturating_sub(1);
            let Some(span) = index.rows.get(row) else { break };
            let (start, end) = (span.start as usize, span.end as usize);
            if kept < start {
                if !out.is_empty() {
                    sink(out.split().freeze());
                }
                sink(self.bytes.slice(kept..start));
            }
            let original = self.bytes.get(start..end).ok_or(RowError::new("row outside of its batch"))?;
            self.encoding.encode(original, &mut cells.row(row), &mut out)?;
            kept = end;
            let last = index.cell_range(row).end as u32;
            while self.edits.get(next).is_some_and(|(cell, _)| *cell < last) {
                next += 1;
            }
        }
        if !out.is_empty() {
            sink(out.freeze());
        }
        if kept < self.bytes.len() {
            sink(self.bytes.slice(kept..));
        }
        Ok(())
    }

    /// Makes the edits final: afterwards [`received`](Self::received) are the bytes as they are shown. A plugin that
    /// keeps what is shown calls it; it costs nothing on rows that nobody edited.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn apply(&mut self) -> Result<&Bytes, RowError> {
        if self.is_edited() {
            let mut out = BytesMut::with_capacity(self.bytes.len() + 256);
            self.encode(|piece| out.extend_from_slice(&piece))?;
            self.bytes = out.freeze();
            self.edits.clear();
            self.index = None;
        }
        Ok(&self.bytes)
    }
}

/// The cells of a batch, with the edits made so far.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    bytes: &'a Bytes,
    index: &'a CellIndex,
    edits: &'a [(u32, Option<Bytes>)],
}

impl<'a> Cells<'a> {
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.index.rows.len()
    }

    /// The cells of a row, `None` for NULL. A row that does not exist has no cells.
    pub fn row(&self, row: usize) -> impl Iterator<Item = Option<&'a [u8]>> + 'a {
        let cells = *self;
        self.index.cell_range(row).map(move |cell| cells.value(cell))
    }

    /// The value of a cell: `None` when there is no such cell, `Some(None)` for NULL.
    pub fn get(&self, row: usize, column: usize) -> Option<Option<&'a [u8]>> {
        let range = self.index.cell_range(row);
        let cell = range.start.checked_add(column).filter(|cell| *cell < range.end)?;
        Some(self.value(cell))
    }

    /// The range of a cell in the received bytes; `None` for NULL, for a cell that was escaped there, and for one that
    /// does not exist. Lets a scan of all the bytes at once be related to cells.
    pub fn range(&self, row: usize, column: usize) -> Option<Range<usize>> {
        let range = self.index.cell_range(row);
        let cell = range.start.checked_add(column).filter(|cell| *cell < range.end)?;
        let span = self.index.cells.get(cell).filter(|span| span.len != NULL)?;
        if self.decoded(cell).is_some() {
            return None;
        }
        Some(span.start as usize..span.start as usize + span.len as usize)
    }

    /// The cells that were escaped in the received bytes: row, column and value. A scan of all the bytes at once cannot
    /// see them.
    pub fn escaped(&self) -> impl Iterator<Item = (usize, usize, &'a [u8])> + 'a {
        let index = self.index;
        index.decoded.iter().map(move |(cell, value)| {
            let row = index.rows.partition_point(|row| row.first_cell <= *cell).saturating_sub(1);
            (row, *cell as usize - index.cell_range(row).start, &value[..])
        })
    }

    /// The range of a row in the received bytes.
    pub fn row_range(&self, row: usize) -> Option<Range<usize>> {
        self.index.rows.get(row).map(|row| row.start as usize..row.end as usize)
    }

    /// How many cells a row has.
    pub fn columns(&self, row: usize) -> usize {
        self.index.cell_range(row).len()
    }

    fn decoded(&self, cell: usize) -> Option<&'a Bytes> {
        if self.index.decoded.is_empty() {
            return None;
        }
        let at = self.index.decoded.binary_search_by_key(&cell, |(at, _)| *at as usize).ok()?;
        self.index.decoded.get(at).map(|(_, value)| value)
    }

    fn value(&self, cell: usize) -> Option<&'a [u8]> {
        if let Some((_, value)) = self.edited(cell) {
            return value.as_deref();
        }
        if let Some(value) = self.decoded(cell) {
            return Some(value);
        }
        let span = self.index.cells.get(cell).filter(|span| span.len != NULL)?;
        let start = span.start as usize;
        self.bytes.get(start..start + span.len as usize)
    }

    fn edited(&self, cell: usize) -> Option<&'a (u32, Option<Bytes>)> {
        if self.edits.is_empty() {
            return None;
        }
        let at = self.edits.binary_search_by_key(&cell, |(at, _)| *at as usize).ok()?;
        self.edits.get(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows end in `\n`, cells are separated by `,`, `-` is NULL.
    #[derive(Debug)]
    struct Lines;

    impl RowEncoding for Lines {
        fn index(&self, bytes: &Bytes, index: &mut CellIndex) -> Result<(), RowError> {
            let mut at = 0;
            for line in bytes.split_inclusive(|b| *b == b'\n') {
                index.begin_row(at);
                let mut cell = at;
                for text in line.strip_suffix(b"\n").ok_or(RowError::new("torn"))?.split(|b| *b == b',') {
                    index.push_cell((text != b"-").then(|| cell..cell + text.len()));
                    cell += text.len() + 1;
                }
                at += line.len();
                index.end_row(at);
            }
            Ok(())
        }

        fn encode(
            &self,
            _original: &[u8],
            cells: &mut dyn Iterator<Item = Option<&[u8]>>,
            out: &mut BytesMut,
        ) -> Result<(), RowError> {
            for (at, cell) in cells.enumerate() {
                if at > 0 {
                    out.extend_from_slice(b",");
                }
                out.extend_from_slice(cell.unwrap_or(b"-"));
            }
            out.extend_from_slice(b"\n");
            Ok(())
        }
    }

    fn batch(text: &'static str) -> RowBatch {
        let rows = text.lines().count();
        RowBatch::new(StatementId(1), Arc::new([]), Arc::new(Lines), Bytes::from_static(text.as_bytes()), rows)
    }

    fn pieces(batch: &RowBatch) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        batch.encode(|piece| pieces.push(piece)).expect("rows");
        pieces
    }

    #[test]
    fn without_edits_the_same_bytes_leave() {
        let mut batch = batch("a,b\nc,-\n");
        assert_eq!(batch.cells().expect("rows").get(1, 1), Some(None));
        assert_eq!(batch.cells().expect("rows").get(1, 2), None);
        let out = pieces(&batch);
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].as_ptr(), batch.received().as_ptr());
    }

    #[test]
    fn only_edited_rows_are_encoded() {
        let mut batch = batch("a,b\nc,d\ne,f\ng,h\n");
        batch.replace(2, 1, None).expect("a cell");
        batch.replace(1, 0, Some(Bytes::from_static(b"X"))).expect("a cell");
        batch.replace(2, 0, Some(Bytes::from_static(b"Y"))).expect("a cell");
        let out = pieces(&batch);
        assert_eq!(out.concat(), b"a,b\nX,d\nY,-\ng,h\n");
        assert_eq!(out.len(), 3, "the rows before and after are slices");
        assert_eq!(batch.cells().expect("rows").get(2, 0), Some(Some(&b"Y"[..])));
        assert!(batch.replace(4, 0, None).is_err());
        assert_eq!(batch.apply().expect("rows"), &b"a,b\nX,d\nY,-\ng,h\n"[..]);
        assert!(!batch.is_edited());
        assert_eq!(batch.cells().expect("rows").get(2, 1), Some(None));
    }

    #[test]
    fn bytes_that_are_no_rows_are_an_error() {
        assert!(
            RowBatch::new(StatementId(1), Arc::new([]), Arc::new(Lines), Bytes::from_static(b"a"), 1).cells().is_err()
        );
        let mut short = batch("a\nb\n");
        short.rows = 3;
        assert!(short.cells().is_err());
    }
}
