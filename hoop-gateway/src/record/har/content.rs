//! Texts of unknown length as JSON strings.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Whether what comes in pieces is UTF-8; a character that is cut at the end is.
#[derive(Debug)]
pub(super) struct Utf8 {
    is_text: bool,
    rest: Vec<u8>,
}

impl Default for Utf8 {
    fn default() -> Self {
        Self { is_text: true, rest: Vec::new() }
    }
}

impl Utf8 {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.is_text {
            return;
        }
        self.rest.extend_from_slice(bytes);
        match std::str::from_utf8(&self.rest) {
            Ok(_) => self.rest.clear(),
            Err(error) if error.error_len().is_none() => drop(self.rest.drain(..error.valid_up_to())),
            Err(_) => self.is_text = false,
        }
    }

    pub(super) const fn is_text(&self) -> bool {
        self.is_text
    }
}

/// Writes a string that comes in pieces: as it is, or in base64.
pub(super) struct Writer {
    is_text: bool,
    rest: Vec<u8>,
}

impl Writer {
    pub(super) fn begin(is_text: bool, out: &mut dyn Write) -> io::Result<Self> {
        out.write_all(b"\"")?;
        Ok(Self { is_text, rest: Vec::new() })
    }

    pub(super) fn push(&mut self, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        self.rest.extend_from_slice(bytes);
        let whole = match (self.is_text, std::str::from_utf8(&self.rest)) {
            (false, _) => self.rest.len() / 3 * 3,
            (true, Ok(_)) => self.rest.len(),
            (true, Err(error)) => error.valid_up_to(),
        };
        self.some(whole, out)
    }

    pub(super) fn end(mut self, out: &mut dyn Write) -> io::Result<()> {
        self.some(self.rest.len(), out)?;
        out.write_all(b"\"")
    }

    fn some(&mut self, length: usize, out: &mut dyn Write) -> io::Result<()> {
        let later = self.rest.split_off(length);
        let now = std::mem::replace(&mut self.rest, later);
        match self.is_text {
            true => inner(&String::from_utf8_lossy(&now), out),
            false => out.write_all(STANDARD.encode(now).as_bytes()),
        }
    }
}

/// What stands between the quotes of a JSON string.
fn inner(text: &str, out: &mut dyn Write) -> io::Result<()> {
    let quoted = serde_json::to_vec(text)?;
    out.write_all(quoted.get(1..quoted.len() - 1).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_in_pieces_is_read_as_a_whole(
            bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..60), "\\PC{0,20}".prop_map(String::into_bytes)],
            size in 1usize..9,
        ) {
            let mut utf8 = Utf8::default();
            bytes.chunks(size).for_each(|piece| utf8.push(piece));
            let cut = std::str::from_utf8(&bytes).err().is_some_and(|error| error.error_len().is_none());
            prop_assert_eq!(utf8.is_text(), std::str::from_utf8(&bytes).is_ok() || cut);
            let mut out = Vec::new();
            let mut writer = Writer::begin(utf8.is_text(), &mut out).expect("memory");
            for piece in bytes.chunks(size) {
                writer.push(piece, &mut out).expect("memory");
            }
            writer.end(&mut out).expect("memory");
            let read: String = serde_json::from_slice(&out).expect("a string");
            match utf8.is_text() {
                true => prop_assert_eq!(read, String::from_utf8_lossy(&bytes)),
                false => prop_assert_eq!(STANDARD.decode(read).expect("base64"), bytes),
            }
        }
    }
}
