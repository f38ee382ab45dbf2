//! Text in other encodings than UTF-8, as UTF-8 and back.

/// An encoding that is not UTF-8, and bytes of a character that is not whole.
#[derive(Debug, Clone)]
pub struct Transcoder {
    charset: Charset,
    read: Vec<u8>,
    written: Vec<u8>,
}

/// An encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Charset {
    /// One byte for each character, of which the first 128 are ASCII. All others are read as those of ISO 8859-1: what is
    /// looked for is in ASCII, and all come back as they were.
    Single,
    /// UTF-16, the high byte last.
    Utf16Le,
    /// UTF-16, the high byte first.
    Utf16Be,
}

/// What is not of the encoding, such as half a pair of surrogates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes that are not of the encoding that they are said to have")]
pub struct NotOfCharset;

impl Transcoder {
    /// Nothing was read.
    pub const fn new(charset: Charset) -> Self {
        Self { charset, read: Vec::new(), written: Vec::new() }
    }

    /// Reads bytes as UTF-8.
    ///
    /// # Errors
    /// [`NotOfCharset`].
    pub fn read(&mut self, bytes: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), NotOfCharset> {
        if self.charset == Charset::Single {
            out.extend(bytes.iter().flat_map(|byte| {
                let mut buffer = [0; 2];
                let len = char::from(*byte).encode_utf8(&mut buffer).len();
                buffer.into_iter().take(len)
            }));
            return Ok(());
        }
        self.read.extend_from_slice(bytes);
        let (units, odd) = self.read.as_chunks::<2>();
        let unit = |bytes: &[u8; 2]| match self.charset {
            Charset::Utf16Be => u16::from_be_bytes(*bytes),
            _ => u16::from_le_bytes(*bytes),
        };
        let held = units.last().is_some_and(|last| matches!(unit(last), 0xD800..0xDC00)) && !last;
        let (now, later) = units.split_at(units.len() - usize::from(held));
        for char in char::decode_utf16(now.iter().map(unit)) {
            let char = char.map_err(|_| NotOfCharset)?;
            out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
        let rest = [later.as_flattened(), odd].concat();
        self.read = rest;
        if last && !self.read.is_empty() { Err(NotOfCharset) } else { Ok(()) }
    }

    /// Writes UTF-8 as it was.
    ///
    /// # Errors
    /// [`NotOfCharset`].
    pub fn write(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), NotOfCharset> {
        self.written.extend_from_slice(text);
        let valid = match std::str::from_utf8(&self.written) {
            Ok(text) => text,
            Err(error) if error.error_len().is_none() => {
                let whole = self.written.get(..error.valid_up_to()).unwrap_or_default();
                std::str::from_utf8(whole).map_err(|_| NotOfCharset)?
            }
            Err(_) => return Err(NotOfCharset),
        };
        for char in valid.chars() {
            match self.charset {
                Charset::Single => out.push(u8::try_from(u32::from(char)).map_err(|_| NotOfCharset)?),
                Charset::Utf16Be => {
                    out.extend(char.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes()))
                }
                Charset::Utf16Le => {
                    out.extend(char.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_le_bytes()))
                }
            }
        }
        let done = valid.len();
        self.written.drain(..done);
        Ok(())
    }
}
