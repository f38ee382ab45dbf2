//! Rows in text format.

use bytes::{BufMut, Bytes, BytesMut};
use hoop_core::{CellIndex, RowEncoding, RowError};

use super::{index_lines, write_cells};

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
        index_lines(bytes, index, |body, line, index| self.index_line(body, line, index))
    }

    fn encode(
        &self,
        original: &[u8],
        cells: &mut dyn Iterator<Item = Option<&[u8]>>,
        out: &mut BytesMut,
    ) -> Result<(), RowError> {
        write_cells(original, cells, self.delimiter, &self.null, out, |value, out| self.escape(value, out));
        Ok(())
    }
}

impl CopyText {
    fn index_line(&self, body: usize, line: &[u8], index: &mut CellIndex) -> Result<(), RowError> {
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
