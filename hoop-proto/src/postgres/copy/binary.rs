//! Rows in binary format.

use bytes::{BufMut, Bytes, BytesMut};
use hoop_core::{CellIndex, RowEncoding, RowError};

use crate::postgres::backend::COPY_DATA;
use crate::postgres::frame::HEADER;
use crate::postgres::rows::{each_frame, index_tuple, write_tuple};
use crate::postgres::write::write_frame;

/// Rows in binary format: the header comes with the first row, the trailer is a row without cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyBinary;

pub(super) const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

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
