//! Rows of a result: runs of DataRow messages.

use bytes::{BufMut, Bytes, BytesMut};
use hoop_core::{CellIndex, RowEncoding, RowError};

use super::backend::DATA_ROW;
use super::frame::{HEADER, Header};
use super::write::write_frame;

/// DataRow messages, one row each.
#[derive(Debug, Clone, Copy, Default)]
pub struct DataRows;

impl RowEncoding for DataRows {
    fn index(&self, bytes: &Bytes, index: &mut CellIndex) -> Result<(), RowError> {
        each_frame(bytes, DATA_ROW, |start, body, end| {
            index.begin_row(start);
            index_tuple(bytes, body, end, index)?;
            index.end_row(end);
            Ok(())
        })
    }

    fn encode(
        &self,
        _original: &[u8],
        cells: &mut dyn Iterator<Item = Option<&[u8]>>,
        out: &mut BytesMut,
    ) -> Result<(), RowError> {
        let mut written = Ok(());
        write_frame(out, DATA_ROW, |out| written = write_tuple(cells, out));
        written
    }
}

/// FunctionCallResponse: one row of one cell.
#[derive(Debug, Clone, Copy, Default)]
pub struct FunctionResult;

impl RowEncoding for FunctionResult {
    fn index(&self, bytes: &Bytes, index: &mut CellIndex) -> Result<(), RowError> {
        each_frame(bytes, super::backend::FUNCTION_CALL_RESPONSE, |start, body, end| {
            index.begin_row(start);
            let at = index_value(bytes, body, index)?;
            index.end_row(end);
            if at == end { Ok(()) } else { Err(RowError::new("bytes after the function's result")) }
        })
    }

    fn encode(
        &self,
        _original: &[u8],
        cells: &mut dyn Iterator<Item = Option<&[u8]>>,
        out: &mut BytesMut,
    ) -> Result<(), RowError> {
        let mut written = Ok(());
        write_frame(out, super::backend::FUNCTION_CALL_RESPONSE, |out| {
            written = write_value(cells.next().flatten(), out);
        });
        written
    }
}

/// Calls `row` with the start, the start of the body, and the end of every frame in `bytes`.
pub(super) fn each_frame(
    bytes: &[u8],
    tag: u8,
    mut row: impl FnMut(usize, usize, usize) -> Result<(), RowError>,
) -> Result<(), RowError> {
    let mut start = 0;
    while start < bytes.len() {
        let rest = bytes.get(start..).unwrap_or_default();
        let header = Header::peek(rest).ok().flatten().ok_or(RowError::new("a torn frame"))?;
        if header.tag != tag || header.len > rest.len() {
            return Err(RowError::new("another frame among the rows"));
        }
        row(start, start + HEADER, start + header.len)?;
        start += header.len;
    }
    Ok(())
}

/// Finds the cells of a tuple: a count, then values with their length before them, up to exactly `end`.
pub(super) fn index_tuple(bytes: &[u8], at: usize, end: usize, index: &mut CellIndex) -> Result<(), RowError> {
    let count = read::<2>(bytes, at).map(u16::from_be_bytes).ok_or(RowError::new("a row without a column count"))?;
    let mut at = at + 2;
    for _ in 0..count {
        at = index_value(bytes, at, index)?;
        if at > end {
            return Err(RowError::new("a value that reaches out of its row"));
        }
    }
    if at == end { Ok(()) } else { Err(RowError::new("bytes after the last column")) }
}

fn index_value(bytes: &[u8], at: usize, index: &mut CellIndex) -> Result<usize, RowError> {
    let len = read::<4>(bytes, at).map(i32::from_be_bytes).ok_or(RowError::new("a value without a length"))?;
    let start = at + 4;
    if len == -1 {
        index.push_cell(None);
        return Ok(start);
    }
    let len = usize::try_from(len).map_err(|_| RowError::new("a negative length"))?;
    let end =
        start.checked_add(len).filter(|end| *end <= bytes.len()).ok_or(RowError::new("a value longer than its row"))?;
    index.push_cell(Some(start..end));
    Ok(end)
}

fn read<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

pub(super) fn write_tuple(cells: &mut dyn Iterator<Item = Option<&[u8]>>, out: &mut BytesMut) -> Result<(), RowError> {
    let place = out.len();
    out.put_u16(0);
    let mut count = 0_u16;
    for cell in cells {
        count = count.checked_add(1).ok_or(RowError::new("more columns than a row can have"))?;
        write_value(cell, out)?;
    }
    if let Some(place) = out.get_mut(place..place + 2) {
        place.copy_from_slice(&count.to_be_bytes());
    }
    Ok(())
}

fn write_value(value: Option<&[u8]>, out: &mut BytesMut) -> Result<(), RowError> {
    match value {
        None => out.put_i32(-1),
        Some(value) => {
            out.put_i32(i32::try_from(value.len()).map_err(|_| RowError::new("a value of more than 2 GiB"))?);
            out.put_slice(value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hoop_core::{RowBatch, StatementId};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn encode(rows: &[Vec<Option<Vec<u8>>>]) -> Bytes {
        let mut out = BytesMut::new();
        for row in rows {
            DataRows.encode(&[], &mut row.iter().map(|cell| cell.as_deref()), &mut out).expect("small");
        }
        out.freeze()
    }

    proptest! {
        #[test]
        fn rows_read_back(rows in proptest::collection::vec(
            proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)), 0..6), 1..8)) {
            let mut batch = RowBatch::new(StatementId(1), Arc::new([]), Arc::new(DataRows), encode(&rows), rows.len());
            let cells = batch.cells().expect("rows");
            for (at, row) in rows.iter().enumerate() {
                let read: Vec<_> = cells.row(at).map(|cell| cell.map(<[u8]>::to_vec)).collect();
                prop_assert_eq!(&read, row);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = DataRows.index(&Bytes::from(bytes.clone()), &mut CellIndex::default());
            let mut row = BytesMut::new();
            write_frame(&mut row, DATA_ROW, |out| out.extend_from_slice(&bytes));
            let _ = DataRows.index(&row.freeze(), &mut CellIndex::default());
        }
    }

    #[test]
    fn a_row_cut_short_anywhere_is_an_error() {
        let whole = encode(&[vec![Some(b"abc".to_vec()), None, Some(Vec::new())]]);
        for end in 1..whole.len() {
            assert!(DataRows.index(&whole.slice(..end), &mut CellIndex::default()).is_err(), "cut at {end}");
        }
    }
}
