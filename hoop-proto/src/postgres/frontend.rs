//! Messages of a client.

use bytes::{BufMut, Bytes, BytesMut};
use hoop_core::{Format, Parameters};

use super::frame::{Frame, FrameError};
use super::read::Reader;
use super::write::{put_string, write_frame};

/// Type byte of Query.
pub const QUERY: u8 = b'Q';
/// Type byte of Parse.
pub const PARSE: u8 = b'P';
/// Type byte of Bind.
pub const BIND: u8 = b'B';
/// Type byte of Describe.
pub const DESCRIBE: u8 = b'D';
/// Type byte of Execute.
pub const EXECUTE: u8 = b'E';
/// Type byte of Close.
pub const CLOSE: u8 = b'C';
/// Type byte of Sync.
pub const SYNC: u8 = b'S';
/// Type byte of Flush.
pub const FLUSH: u8 = b'H';
/// Type byte of FunctionCall.
pub const FUNCTION_CALL: u8 = b'F';
/// Type byte of CopyData, both ways.
pub const COPY_DATA: u8 = b'd';
/// Type byte of CopyDone, both ways.
pub const COPY_DONE: u8 = b'c';
/// Type byte of CopyFail.
pub const COPY_FAIL: u8 = b'f';
/// Type byte of Terminate.
pub const TERMINATE: u8 = b'X';
/// Type byte of PasswordMessage, SASLInitialResponse, SASLResponse and GSSResponse.
pub const PASSWORD: u8 = b'p';

/// Query: a text of one or more statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The text.
    pub text: Bytes,
}

impl Query {
    /// Reads the message.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn parse(frame: &Frame) -> Result<Self, FrameError> {
        let mut reader = Reader::new("Query", frame.body());
        let text = reader.string()?;
        reader.end()?;
        Ok(Self { text })
    }

    /// Appends a Query with this text.
    pub fn write(text: &[u8], out: &mut BytesMut) {
        write_frame(out, QUERY, |out| put_string(out, text));
    }
}

/// Parse: a statement to be prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parse {
    /// The name of the prepared statement, empty for the unnamed one.
    pub name: Bytes,
    /// The text.
    pub text: Bytes,
    /// The types of the parameters as they follow in the message, undecoded.
    pub types: Bytes,
}

#[allow(
    clippy::self_named_constructors,
    reason = "the message is called Parse, and all messages are read with `parse`"
)]
impl Parse {
    /// Reads the message.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn parse(frame: &Frame) -> Result<Self, FrameError> {
        let mut reader = Reader::new("Parse", frame.body());
        let (name, text) = (reader.string()?, reader.string()?);
        Ok(Self { name, text, types: reader.rest() })
    }

    /// Appends a Parse without parameter types.
    pub fn write(name: &[u8], text: &[u8], out: &mut BytesMut) {
        write_frame(out, PARSE, |out| {
            put_string(out, name);
            put_string(out, text);
            out.put_i16(0);
        });
    }
}

/// Bind: a prepared statement gets its parameters and becomes a portal.
#[derive(Debug, Clone)]
pub struct Bind {
    /// The name of the portal, empty for the unnamed one.
    pub portal: Bytes,
    /// The name of the prepared statement.
    pub statement: Bytes,
    /// The parameters.
    pub parameters: Parameters,
    /// The formats of the result's columns: none for all text, one for all, or one each.
    pub result_formats: Vec<Format>,
}

impl Bind {
    /// Reads the message.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn parse(frame: &Frame) -> Result<Self, FrameError> {
        let mut reader = Reader::new("Bind", frame.body());
        let (portal, statement) = (reader.string()?, reader.string()?);
        let parameters = parameters(&mut reader)?;
        let result_formats = formats(&mut reader)?;
        reader.end()?;
        Ok(Self { portal, statement, parameters, result_formats })
    }
}

fn parameters(reader: &mut Reader) -> Result<Parameters, FrameError> {
    let formats = formats(reader)?;
    let count = reader.count()?;
    // Each value takes four bytes at least: a count that the message cannot hold makes no room.
    let mut values = Vec::with_capacity(count.min(reader.remaining() / 4));
    for _ in 0..count {
        values.push(reader.value()?);
    }
    Ok(Parameters { values, formats })
}

pub(super) fn formats(reader: &mut Reader) -> Result<Vec<Format>, FrameError> {
    let count = reader.count()?;
    let mut formats = Vec::with_capacity(count.min(reader.remaining() / 2));
    for _ in 0..count {
        formats.push(format(reader)?);
    }
    Ok(formats)
}

pub(super) fn format(reader: &mut Reader) -> Result<Format, FrameError> {
    match reader.i16()? {
        0 => Ok(Format::Text),
        1 => Ok(Format::Binary),
        _ => Err(reader.malformed("a format that is neither text nor binary")),
    }
}

/// What Describe and Close speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// A prepared statement.
    Statement(Bytes),
    /// A portal.
    Portal(Bytes),
}

impl Named {
    /// Reads a Describe or a Close.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn parse(frame: &Frame) -> Result<Self, FrameError> {
        let mut reader = Reader::new("Describe or Close", frame.body());
        let kind = reader.u8()?;
        let name = reader.string()?;
        match kind {
            b'S' => reader.end().map(|()| Self::Statement(name)),
            b'P' => reader.end().map(|()| Self::Portal(name)),
            _ => Err(reader.malformed("it speaks of neither a statement nor a portal")),
        }
    }

    /// Appends a Describe of it.
    pub fn write_describe(&self, out: &mut BytesMut) {
        self.write(DESCRIBE, out);
    }

    /// Appends a Close of it.
    pub fn write_close(&self, out: &mut BytesMut) {
        self.write(CLOSE, out);
    }

    fn write(&self, tag: u8, out: &mut BytesMut) {
        let (kind, name) = match self {
            Self::Statement(name) => (b'S', name),
            Self::Portal(name) => (b'P', name),
        };
        write_frame(out, tag, |out| {
            out.put_u8(kind);
            put_string(out, name);
        });
    }
}

/// Execute: a portal is to give rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execute {
    /// The name of the portal, empty for the unnamed one.
    pub portal: Bytes,
    /// At most this many rows; 0 for all.
    pub max_rows: i32,
}

impl Execute {
    /// Reads the message.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn parse(frame: &Frame) -> Result<Self, FrameError> {
        let mut reader = Reader::new("Execute", frame.body());
        let execute = Self { portal: reader.string()?, max_rows: reader.i32()? };
        reader.end()?;
        Ok(execute)
    }
}

/// FunctionCall: a function is to be called by its number.
#[derive(Debug, Clone)]
pub struct FunctionCall {
    /// The function's object id.
    pub function: u32,
    /// The arguments.
    pub arguments: Parameters,
    /// The format of the result.
    pub result_format: Format,
}

impl FunctionCall {
    /// Reads the message.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn parse(frame: &Frame) -> Result<Self, FrameError> {
        let mut reader = Reader::new("FunctionCall", frame.body());
        let function = reader.u32()?;
        let arguments = parameters(&mut reader)?;
        let result_format = format(&mut reader)?;
        reader.end()?;
        Ok(Self { function, arguments, result_format })
    }

    /// Appends a call of function 0, which no server has.
    pub fn write_impossible(out: &mut BytesMut) {
        write_frame(out, FUNCTION_CALL, |out| {
            out.put_u32(0);
            out.put_i16(0);
            out.put_i16(0);
            out.put_i16(0);
        });
    }
}

/// SASLInitialResponse: the client chooses a mechanism.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaslInitialResponse {
    /// The mechanism's name.
    pub mechanism: Bytes,
    /// The mechanism's first message; `None` when the client waits for the server's.
    pub data: Option<Bytes>,
}

impl SaslInitialResponse {
    /// Reads the message.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn parse(frame: &Frame) -> Result<Self, FrameError> {
        let mut reader = Reader::new("SASLInitialResponse", frame.body());
        let response = Self { mechanism: reader.string()?, data: reader.value()? };
        reader.end()?;
        Ok(response)
    }

    /// Appends the message.
    pub fn write(mechanism: &[u8], data: &[u8], out: &mut BytesMut) {
        write_frame(out, PASSWORD, |out| {
            put_string(out, mechanism);
            out.put_i32(i32::try_from(data.len()).unwrap_or(i32::MAX));
            out.put_slice(data);
        });
    }
}

/// Appends a SASLResponse.
pub fn write_sasl_response(data: &[u8], out: &mut BytesMut) {
    write_frame(out, PASSWORD, |out| out.put_slice(data));
}

/// Appends a PasswordMessage.
pub fn write_password(password: &[u8], out: &mut BytesMut) {
    write_frame(out, PASSWORD, |out| put_string(out, password));
}

/// Appends a message that has no body: Sync, Flush, CopyDone, Terminate.
pub fn write_bare(tag: u8, out: &mut BytesMut) {
    write_frame(out, tag, |_| {});
}
