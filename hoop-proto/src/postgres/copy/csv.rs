//! Rows in csv format.

use bytes::{BufMut, Bytes, BytesMut};
use hoop_core::{CellIndex, RowEncoding, RowError};

use super::{index_lines, write_cells};

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
        index_lines(bytes, index, |body, line, index| self.index_line(body, line, index))
    }

    fn encode(
        &self,
        original: &[u8],
        cells: &mut dyn Iterator<Item = Option<&[u8]>>,
        out: &mut BytesMut,
    ) -> Result<(), RowError> {
        write_cells(original, cells, self.delimiter, &self.null, out, |value, out| self.write_value(value, out));
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
