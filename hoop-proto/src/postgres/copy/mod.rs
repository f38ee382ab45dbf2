//! Rows of a COPY: CopyData messages in text, csv and binary format ([COPY, File Formats]).
//!
//! A PostgreSQL server sends one CopyData for each row. The protocol would allow others to cut differently; rows that are
//! not one to a message are an error here, so that nothing is shown that could not be read.
//!
//! [COPY, File Formats]: https://www.postgresql.org/docs/current/sql-copy.html

mod binary;
mod csv;
mod text;

use bytes::{BufMut, Bytes, BytesMut};
use hoop_core::{CellIndex, RowEncoding, RowError};

use super::backend::COPY_DATA;
use super::rows::each_frame;
use super::write::write_frame;

pub use binary::CopyBinary;
pub use csv::CopyCsv;
pub use text::CopyText;

/// Lines of unknown structure: each CopyData is one cell. It serves where the options of a COPY are not known, so that
/// what looks sensitive is still found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyLines;

impl RowEncoding for CopyLines {
    fn index(&self, bytes: &Bytes, index: &mut CellIndex) -> Result<(), RowError> {
        each_frame(bytes, COPY_DATA, |start, body, end| {
            index.begin_row(start);
            index.push_cell(Some(body..end));
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
        write_frame(out, COPY_DATA, |out| out.put_slice(cells.next().flatten().unwrap_or_default()));
        Ok(())
    }
}

/// Indexes rows that are a line each. `row` is given where the line begins, the line without its end, and the index.
fn index_lines(
    bytes: &Bytes,
    index: &mut CellIndex,
    mut row: impl FnMut(usize, &[u8], &mut CellIndex) -> Result<(), RowError>,
) -> Result<(), RowError> {
    each_frame(bytes, COPY_DATA, |start, body, end| {
        index.begin_row(start);
        let line = line(bytes, body, end)?;
        // Older servers end a COPY with this; it is a row without cells.
        if line != b"\\." {
            row(body, line, index)?;
        }
        index.end_row(end);
        Ok(())
    })
}

/// The line of a payload, without its end.
fn line(bytes: &[u8], body: usize, end: usize) -> Result<&[u8], RowError> {
    let payload = bytes.get(body..end).ok_or(RowError::new("a torn frame"))?;
    let line = payload.strip_suffix(b"\n").ok_or(RowError::new("a row that does not end in its CopyData"))?;
    Ok(line.strip_suffix(b"\r").unwrap_or(line))
}

/// Writes a row as a line that ends as the original one. `value` writes what is not NULL.
fn write_cells(
    original: &[u8],
    cells: &mut dyn Iterator<Item = Option<&[u8]>>,
    delimiter: u8,
    null: &[u8],
    out: &mut BytesMut,
    value: impl Fn(&[u8], &mut BytesMut),
) {
    write_frame(out, COPY_DATA, |out| {
        for (at, cell) in cells.enumerate() {
            if at > 0 {
                out.put_u8(delimiter);
            }
            match cell {
                None => out.put_slice(null),
                Some(bytes) => value(bytes, out),
            }
        }
        out.put_slice(if original.ends_with(b"\r\n") { b"\r\n" } else { b"\n" });
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hoop_core::{RowBatch, StatementId};
    use proptest::prelude::*;

    use super::binary::SIGNATURE;
    use super::*;
    use crate::postgres::frame::HEADER;

    type Row = Vec<Option<Vec<u8>>>;

    fn frame(payload: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        write_frame(&mut out, COPY_DATA, |out| out.put_slice(payload));
        out
    }

    fn read(encoding: impl RowEncoding + 'static, bytes: Bytes, rows: usize) -> Result<Vec<Row>, RowError> {
        let mut batch = RowBatch::new(StatementId(1), Arc::new([]), Arc::new(encoding), bytes, rows);
        let cells = batch.cells()?;
        Ok((0..rows).map(|row| cells.row(row).map(|cell| cell.map(<[u8]>::to_vec)).collect()).collect())
    }

    fn some(text: &[u8]) -> Option<Vec<u8>> {
        Some(text.to_vec())
    }

    #[test]
    fn text_rows() {
        let row = frame(b"1\ta\\tb\\\\\\x41\\101\t\\N\t\n").freeze();
        let expected = vec![vec![some(b"1"), some(b"a\tb\\AA"), None, some(b"")]];
        assert_eq!(read(CopyText::default(), row, 1), Ok(expected));
        assert!(read(CopyText::default(), frame(b"1\n2\n").freeze(), 1).is_err());
        assert!(read(CopyText::default(), frame(b"1").freeze(), 1).is_err());
    }

    #[test]
    fn csv_rows() {
        let row = frame(b"1,\"a,\"\"b\"\"\nc\",,\"\"\n").freeze();
        let expected = vec![vec![some(b"1"), some(b"a,\"b\"\nc"), None, some(b"")]];
        assert_eq!(read(CopyCsv::default(), row, 1), Ok(expected));
        assert!(read(CopyCsv::default(), frame(b"1\n2\n").freeze(), 1).is_err());
        assert!(read(CopyCsv::default(), frame(b"\"1\n").freeze(), 1).is_err());
    }

    #[test]
    fn a_binary_header_is_kept() {
        let mut first = SIGNATURE.to_vec();
        first.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, b'h', b'i']);
        let mut bytes = frame(&first);
        bytes.extend_from_slice(&frame(&[0xff, 0xff]));
        let bytes = bytes.freeze();
        assert_eq!(read(CopyBinary, bytes.clone(), 2), Ok(vec![vec![some(b"hi")], vec![]]));
        let mut batch = RowBatch::new(StatementId(1), Arc::new([]), Arc::new(CopyBinary), bytes.clone(), 2);
        batch.replace(0, 0, Some(Bytes::from_static(b"ho"))).expect("a cell");
        let edited = batch.apply().expect("rows").clone();
        assert_eq!(edited.len(), bytes.len());
        assert!(edited.starts_with(&bytes[..HEADER + SIGNATURE.len()]));
        assert_eq!(read(CopyBinary, edited, 2), Ok(vec![vec![some(b"ho")], vec![]]));
    }

    fn rows() -> impl Strategy<Value = Row> {
        let cell = proptest::collection::vec(
            prop_oneof![Just(b','), Just(b'"'), Just(b'\\'), Just(b'\n'), Just(b'\t'), Just(b'.'), any::<u8>()],
            0..12,
        );
        proptest::collection::vec(proptest::option::of(cell), 1..6)
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(row in rows()) {
            let cells = || row.iter().map(|cell| cell.as_deref());
            let mut out = BytesMut::new();
            CopyText::default().encode(b"\n", &mut cells(), &mut out).expect("small");
            prop_assert_eq!(read(CopyText::default(), out.split().freeze(), 1), Ok(vec![row.clone()]));
            CopyCsv::default().encode(b"\n", &mut cells(), &mut out).expect("small");
            prop_assert_eq!(read(CopyCsv::default(), out.split().freeze(), 1), Ok(vec![row.clone()]));
            CopyBinary.encode(b"", &mut cells(), &mut out).expect("small");
            prop_assert_eq!(read(CopyBinary, out.split().freeze(), 1), Ok(vec![row.clone()]));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let frame = frame(&bytes).freeze();
            let _ = CopyText::default().index(&frame, &mut CellIndex::default());
            let _ = CopyCsv::default().index(&frame, &mut CellIndex::default());
            let _ = CopyBinary.index(&frame, &mut CellIndex::default());
        }
    }
}
