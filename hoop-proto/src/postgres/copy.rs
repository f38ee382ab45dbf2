//! Rows of a COPY: CopyData messages in text, csv and binary format ([COPY, File Formats]).
//!
//! A PostgreSQL server sends one CopyData for each row. The protocol would allow others to cut differently; rows that are
//! not one to a message are an error here, so that nothing is shown that could not be read.
//!
//! [COPY, File Formats]: https://www.postgresql.org/docs/current/sql-copy.html

use bytes::{BufMut, Bytes, BytesMut};
use hoop_core::{CellIndex, RowEncoding, RowError};

use super::backend::COPY_DATA;
use super::frame::HEADER;
use super::rows::{each_frame, index_tuple, write_tuple};
use super::write::write_frame;

/// Rows in text format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyText {
    /// What separates the columns; a tab unless said otherwise.
    pub delimiter: u8,
    /// What stands for NULL; `\N` unless said otherwise.
    pub null: Bytes,
}

impl Default for CopyText {
    fn default() -> Self {
        Self { delimiter: b'\t', null: Bytes::from_static(b"\\N") }
    }
}

impl RowEncoding for CopyText {
    fn index(&self, bytes: &Bytes, index: &mut CellIndex) -> Result<(), RowError> {
        each_frame(bytes, COPY_DATA, |start, body, end| {
            index.begin_row(start);
            let line = line(bytes, body, end)?;
            if !index_end_marker(line, index) {
                self.index_line(bytes, body, line, index)?;
            }
            index.end_row(end);
            Ok(())
        })
    }

    fn encode(
        &self,
        original: &[u8],
        cells: &mut dyn Iterator<Item = Option<&[u8]>>,
        out: &mut BytesMut,
    ) -> Result<(), RowError> {
        write_frame(out, COPY_DATA, |out| {
            for (at, cell) in cells.enumerate() {
                if at > 0 {
                    out.put_u8(self.delimiter);
                }
                match cell {
                    None => out.put_slice(&self.null),
                    Some(value) => self.escape(value, out),
                }
            }
            out.put_slice(line_end(original));
        });
        Ok(())
    }
}

impl CopyText {
    fn index_line(&self, bytes: &Bytes, body: usize, line: &[u8], index: &mut CellIndex) -> Result<(), RowError> {
        let mut from = 0;
        loop {
            let end = self.cell_end(line, from);
            let cell = line.get(from..end).ok_or(RowError::new("a cell outside of its row"))?;
            if cell == &self.null[..] {
                index.push_cell(None);
            } else if memchr::memchr(b'\\', cell).is_some() {
                index.push_decoded(unescape(cell));
            } else {
                index.push_cell(Some(body + from..body + end));
            }
            if end >= line.len() {
                break;
            }
            from = end + 1;
        }
        debug_assert!(body + line.len() <= bytes.len());
        if memchr::memchr(b'\n', line).is_some() { Err(RowError::new("several rows in one CopyData")) } else { Ok(()) }
    }

    /// Where the cell ends: at the next delimiter that no backslash stands before.
    fn cell_end(&self, line: &[u8], from: usize) -> usize {
        let mut at = from;
        while let Some(found) = line.get(at..).and_then(|rest| memchr::memchr2(self.delimiter, b'\\', rest)) {
            at += found;
            if line.get(at) == Some(&self.delimiter) {
                return at;
            }
            at += 2;
        }
        line.len()
    }

    fn escape(&self, value: &[u8], out: &mut BytesMut) {
        for &byte in value {
            let letter = match byte {
                b'\x08' => b'b',
                b'\x0c' => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                b'\x0b' => b'v',
                b'\\' => b'\\',
                _ if byte == self.delimiter => byte,
                _ => {
                    out.put_u8(byte);
                    continue;
                }
            };
            out.put_slice(&[b'\\', letter]);
        }
    }
}

/// What a cell with backslashes says.
fn unescape(cell: &[u8]) -> Bytes {
    let mut value = BytesMut::with_capacity(cell.len());
    let mut bytes = cell.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            value.put_u8(byte);
            continue;
        }
        match bytes.next() {
            Some(b'b') => value.put_u8(b'\x08'),
            Some(b'f') => value.put_u8(b'\x0c'),
            Some(b'n') => value.put_u8(b'\n'),
            Some(b'r') => value.put_u8(b'\r'),
            Some(b't') => value.put_u8(b'\t'),
            Some(b'v') => value.put_u8(b'\x0b'),
            Some(b'x') => match digits(&mut bytes, 16, 2) {
                Some(code) => value.put_u8(code),
                None => value.put_u8(b'x'),
            },
            Some(digit @ b'0'..=b'7') => {
                let mut code = u32::from(digit - b'0');
                for _ in 0..2 {
                    match bytes.peek() {
                        Some(next @ b'0'..=b'7') => {
                            code = code * 8 + u32::from(next - b'0');
                            bytes.next();
                        }
                        _ => break,
                    }
                }
                value.put_u8(u8::try_from(code & 0xff).unwrap_or(0));
            }
            Some(other) => value.put_u8(other),
            None => value.put_u8(b'\\'),
        }
    }
    value.freeze()
}

fn digits(bytes: &mut std::iter::Peekable<impl Iterator<Item = u8>>, radix: u32, most: usize) -> Option<u8> {
    let mut code: Option<u32> = None;
    for _ in 0..most {
        let Some(digit) = bytes.peek().and_then(|byte| char::from(*byte).to_digit(radix)) else { break };
        code = Some(code.unwrap_or(0) * radix + digit);
        bytes.next();
    }
    code.and_then(|code| u8::try_from(code).ok())
}

/// Rows in csv format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyCsv {
    /// What separates the columns; a comma unless said otherwise.
    pub delimiter: u8,
    /// What stands for NULL when it is not quoted; nothing unless said otherwise.
    pub null: Bytes,
    /// What stands around a value; `"` unless said otherwise.
    pub quote: u8,
    /// What stands before a quote inside of a value; the quote itself unless said otherwise.
    pub escape: u8,
}

impl Default for CopyCsv {
    fn default() -> Self {
        Self { delimiter: b',', null: Bytes::new(), quote: b'"', escape: b'"' }
    }
}

impl RowEncoding for CopyCsv {
    fn index(&self, bytes: &Bytes, index: &mut CellIndex) -> Result<(), RowError> {
        each_frame(bytes, COPY_DATA, |start, body, end| {
            index.begin_row(start);
            let line = line(bytes, body, end)?;
            if !index_end_marker(line, index) {
                self.index_line(body, line, index)?;
            }
            index.end_row(end);
            Ok(())
        })
    }

    fn encode(
        &self,
        original: &[u8],
        cells: &mut dyn Iterator<Item = Option<&[u8]>>,
        out: &mut BytesMut,
    ) -> Result<(), RowError> {
        write_frame(out, COPY_DATA, |out| {
            for (at, cell) in cells.enumerate() {
                if at > 0 {
                    out.put_u8(self.delimiter);
                }
                match cell {
                    None => out.put_slice(&self.null),
                    Some(value) => self.write_value(value, out),
                }
            }
            out.put_slice(line_end(original));
        });
        Ok(())
    }
}

impl CopyCsv {
    fn index_line(&self, body: usize, line: &[u8], index: &mut CellIndex) -> Result<(), RowError> {
        let mut from = 0;
        loop {
            let end = self.index_cell(body, line, from, index)?;
            match line.get(end) {
                None => return Ok(()),
                Some(byte) if *byte == self.delimiter => from = end + 1,
                Some(_) => return Err(RowError::new("several rows in one CopyData")),
            }
        }
    }

    /// Adds the cell that starts at `from`; says where it ends.
    fn index_cell(&self, body: usize, line: &[u8], from: usize, index: &mut CellIndex) -> Result<usize, RowError> {
        let rest = line.get(from..).unwrap_or_default();
        let plain = memchr::memchr3(self.delimiter, self.quote, b'\n', rest).map_or(line.len(), |at| from + at);
        if line.get(plain) != Some(&self.quote) {
            let cell = line.get(from..plain).unwrap_or_default();
            index.push_cell((cell != &self.null[..]).then(|| body + from..body + plain));
            return Ok(plain);
        }
        let (value, end) = self.quoted(line, from)?;
        index.push_decoded(value);
        Ok(end)
    }

    /// A cell with quotes in it: what it says, and where it ends.
    fn quoted(&self, line: &[u8], from: usize) -> Result<(Bytes, usize), RowError> {
        let mut value = BytesMut::new();
        let (mut at, mut inside) = (from, false);
        loop {
            let byte = match line.get(at) {
                Some(byte) => *byte,
                None if inside => return Err(RowError::new("a quoted value that does not end in its CopyData")),
                None => return Ok((value.freeze(), at)),
            };
            let next = line.get(at + 1).copied();
            if inside && byte == self.escape && next.is_some_and(|next| next == self.quote || next == self.escape) {
                value.put_u8(next.unwrap_or(byte));
                at += 2;
            } else if byte == self.quote {
                inside = !inside;
                at += 1;
            } else if !inside && (byte == self.delimiter || byte == b'\n') {
                return Ok((value.freeze(), at));
            } else {
                value.put_u8(byte);
                at += 1;
            }
        }
    }

    fn write_value(&self, value: &[u8], out: &mut BytesMut) {
        let special = |byte: &u8| [self.delimiter, self.quote, self.escape, b'\n', b'\r'].contains(byte);
        let plain = value != &self.null[..] && value != b"\\." && !value.is_empty() && !value.iter().any(special);
        if plain {
            out.put_slice(value);
            return;
        }
        out.put_u8(self.quote);
        for &byte in value {
            if byte == self.quote || byte == self.escape {
                out.put_u8(self.escape);
            }
            out.put_u8(byte);
        }
        out.put_u8(self.quote);
    }
}

/// Rows in binary format: the header comes with the first row, the trailer is a row without cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyBinary;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

impl RowEncoding for CopyBinary {
    fn index(&self, bytes: &Bytes, index: &mut CellIndex) -> Result<(), RowError> {
        each_frame(bytes, COPY_DATA, |start, body, end| {
            index.begin_row(start);
            let payload = bytes.get(body..end).unwrap_or_default();
            let at = body + header_len(payload)?;
            let tuple = bytes.get(at..end).unwrap_or_default();
            if !tuple.is_empty() && tuple != [0xff, 0xff] {
                index_tuple(bytes, at, end, index)?;
            }
            index.end_row(end);
            Ok(())
        })
    }

    fn encode(
        &self,
        original: &[u8],
        cells: &mut dyn Iterator<Item = Option<&[u8]>>,
        out: &mut BytesMut,
    ) -> Result<(), RowError> {
        let payload = original.get(HEADER..).unwrap_or_default();
        let header = payload.get(..header_len(payload)?).unwrap_or_default();
        let mut written = Ok(());
        write_frame(out, COPY_DATA, |out| {
            out.put_slice(header);
            written = write_tuple(cells, out);
        });
        written
    }
}

/// Length of the file header at the start of a payload, 0 where there is none.
fn header_len(payload: &[u8]) -> Result<usize, RowError> {
    let Some(rest) = payload.strip_prefix(SIGNATURE) else { return Ok(0) };
    let torn = RowError::new("a torn header");
    // Flags, then the length of an extension.
    let extension = rest.get(4..8).and_then(|bytes| bytes.first_chunk::<4>()).ok_or(torn.clone())?;
    let extension = usize::try_from(u32::from_be_bytes(*extension)).map_err(|_| torn.clone())?;
    let len = SIGNATURE.len().saturating_add(8).saturating_add(extension);
    if len > payload.len() { Err(torn) } else { Ok(len) }
}

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

/// The line of a payload, without its end.
fn line(bytes: &[u8], body: usize, end: usize) -> Result<&[u8], RowError> {
    let payload = bytes.get(body..end).ok_or(RowError::new("a torn frame"))?;
    let line = payload.strip_suffix(b"\n").ok_or(RowError::new("a row that does not end in its CopyData"))?;
    Ok(line.strip_suffix(b"\r").unwrap_or(line))
}

fn line_end(original: &[u8]) -> &[u8] {
    if original.ends_with(b"\r\n") { b"\r\n" } else { b"\n" }
}

/// Older servers end a COPY with `\.`; it is a row without cells.
fn index_end_marker(line: &[u8], _index: &mut CellIndex) -> bool {
    line == b"\\."
}

#[cfg(test)]
mod tests {
    use super::*;
    use hoop_core::{RowBatch, StatementId};
    use proptest::prelude::*;
    use std::sync::Arc;

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
