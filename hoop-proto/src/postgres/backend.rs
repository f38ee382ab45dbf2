//! Messages of a server.

use bytes::{BufMut, Bytes, BytesMut};
use hoop_core::{Column, Format, TableColumn};

use super::frame::{Frame, FrameError};
use super::frontend::format;
use super::read::Reader;
use super::write::{put_string, write_frame};

/// Type byte of every Authentication message.
pub const AUTHENTICATION: u8 = b'R';
/// Type byte of ParameterStatus.
pub const PARAMETER_STATUS: u8 = b'S';
/// Type byte of BackendKeyData.
pub const BACKEND_KEY_DATA: u8 = b'K';
/// Type byte of ReadyForQuery.
pub const READY_FOR_QUERY: u8 = b'Z';
/// Type byte of RowDescription.
pub const ROW_DESCRIPTION: u8 = b'T';
/// Type byte of ParameterDescription.
pub const PARAMETER_DESCRIPTION: u8 = b't';
/// Type byte of DataRow.
pub const DATA_ROW: u8 = b'D';
/// Type byte of CommandComplete.
pub const COMMAND_COMPLETE: u8 = b'C';
/// Type byte of ErrorResponse.
pub const ERROR_RESPONSE: u8 = b'E';
/// Type byte of NoticeResponse.
pub const NOTICE_RESPONSE: u8 = b'N';
/// Type byte of NotificationResponse.
pub const NOTIFICATION_RESPONSE: u8 = b'A';
/// Type byte of CopyInResponse.
pub const COPY_IN_RESPONSE: u8 = b'G';
/// Type byte of CopyOutResponse.
pub const COPY_OUT_RESPONSE: u8 = b'H';
/// Type byte of CopyBothResponse.
pub const COPY_BOTH_RESPONSE: u8 = b'W';
/// Type byte of CopyData, both ways.
pub const COPY_DATA: u8 = b'd';
/// Type byte of CopyDone, both ways.
pub const COPY_DONE: u8 = b'c';
/// Type byte of ParseComplete.
pub const PARSE_COMPLETE: u8 = b'1';
/// Type byte of BindComplete.
pub const BIND_COMPLETE: u8 = b'2';
/// Type byte of CloseComplete.
pub const CLOSE_COMPLETE: u8 = b'3';
/// Type byte of NoData.
pub const NO_DATA: u8 = b'n';
/// Type byte of PortalSuspended.
pub const PORTAL_SUSPENDED: u8 = b's';
/// Type byte of EmptyQueryResponse.
pub const EMPTY_QUERY_RESPONSE: u8 = b'I';
/// Type byte of FunctionCallResponse.
pub const FUNCTION_CALL_RESPONSE: u8 = b'V';
/// Type byte of NegotiateProtocolVersion.
pub const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';

/// What the server wants for a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// The login is done.
    Ok,
    /// The password as it is.
    CleartextPassword,
    /// The password hashed with this salt.
    Md5Password([u8; 4]),
    /// One of these SASL mechanisms.
    Sasl(Vec<Bytes>),
    /// The mechanism's next message.
    SaslContinue(Bytes),
    /// The mechanism's last message.
    SaslFinal(Bytes),
    /// Another kind, by its number: GSSAPI, SSPI and older ones.
    Other(u32),
}

impl Authentication {
    /// Reads the message.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn parse(frame: &Frame) -> Result<Self, FrameError> {
        let mut reader = Reader::new("Authentication", frame.body());
        Ok(match reader.u32()? {
            0 => Self::Ok,
            3 => Self::CleartextPassword,
            5 => {
                let salt = reader.u32()?.to_be_bytes();
                reader.end()?;
                Self::Md5Password(salt)
            }
            10 => Self::Sasl(mechanisms(reader)?),
            11 => Self::SaslContinue(reader.rest()),
            12 => Self::SaslFinal(reader.rest()),
            other => Self::Other(other),
        })
    }

    /// Appends the message.
    pub fn write(&self, out: &mut BytesMut) {
        write_frame(out, AUTHENTICATION, |out| match self {
            Self::Ok => out.put_u32(0),
            Self::CleartextPassword => out.put_u32(3),
            Self::Md5Password(salt) => {
                out.put_u32(5);
                out.put_slice(salt);
            }
            Self::Sasl(mechanisms) => {
                out.put_u32(10);
                for mechanism in mechanisms {
                    put_string(out, mechanism);
                }
                out.put_u8(0);
            }
            Self::SaslContinue(data) => {
                out.put_u32(11);
                out.put_slice(data);
            }
            Self::SaslFinal(data) => {
                out.put_u32(12);
                out.put_slice(data);
            }
            Self::Other(number) => out.put_u32(*number),
        });
    }
}

fn mechanisms(mut reader: Reader) -> Result<Vec<Bytes>, FrameError> {
    let mut mechanisms = Vec::new();
    loop {
        let mechanism = reader.string()?;
        if mechanism.is_empty() {
            return Ok(mechanisms);
        }
        mechanisms.push(mechanism);
    }
}

/// ParameterStatus: a setting of the session, at the start and whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterStatus {
    /// The setting's name.
    pub name: Bytes,
    /// Its value.
    pub value: Bytes,
}

impl ParameterStatus {
    /// Reads the message.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn parse(frame: &Frame) -> Result<Self, FrameError> {
        let mut reader = Reader::new("ParameterStatus", frame.body());
        let status = Self { name: reader.string()?, value: reader.string()? };
        reader.end()?;
        Ok(status)
    }

    /// Appends the message.
    pub fn write(name: &[u8], value: &[u8], out: &mut BytesMut) {
        write_frame(out, PARAMETER_STATUS, |out| {
            put_string(out, name);
            put_string(out, value);
        });
    }
}

/// BackendKeyData: what a CancelRequest must name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendKeyData {
    /// The process id.
    pub process: i32,
    /// The key: 4 bytes in protocol 3.0, up to 256 later.
    pub key: Bytes,
}

impl BackendKeyData {
    /// Reads the message.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn parse(frame: &Frame) -> Result<Self, FrameError> {
        let mut reader = Reader::new("BackendKeyData", frame.body());
        let process = reader.i32()?;
        if !(4..=super::startup::MAX_CANCEL_KEY).contains(&reader.remaining()) {
            return Err(reader.malformed("a key that is not 4 to 256 bytes long"));
        }
        Ok(Self { process, key: reader.rest() })
    }

    /// Appends the message.
    pub fn write(&self, out: &mut BytesMut) {
        write_frame(out, BACKEND_KEY_DATA, |out| {
            out.put_i32(self.process);
            out.put_slice(&self.key);
        });
    }
}

/// The state of the session's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Outside of a transaction block.
    Idle,
    /// In a transaction block.
    Active,
    /// In a transaction block that failed; statements are refused until it ends.
    Failed,
}

impl TransactionStatus {
    /// Reads a ReadyForQuery.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn parse(frame: &Frame) -> Result<Self, FrameError> {
        let mut reader = Reader::new("ReadyForQuery", frame.body());
        let status = match reader.u8()? {
            b'I' => Self::Idle,
            b'T' => Self::Active,
            b'E' => Self::Failed,
            _ => return Err(reader.malformed("an unknown transaction status")),
        };
        reader.end()?;
        Ok(status)
    }

    /// Appends a ReadyForQuery.
    pub fn write(self, out: &mut BytesMut) {
        let status = match self {
            Self::Idle => b'I',
            Self::Active => b'T',
            Self::Failed => b'E',
        };
        write_frame(out, READY_FOR_QUERY, |out| out.put_u8(status));
    }
}

/// Whether what a server has sent ends with a ReadyForQuery, as far as its last bytes say: nothing more comes before the client
/// has asked for it. Bytes of a row can look the same.
///
/// ```
/// use hoop_proto::postgres::backend::ends_with_ready_for_query;
///
/// assert!(ends_with_ready_for_query(b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05T"));
/// assert!(!ends_with_ready_for_query(b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05"));
/// assert!(!ends_with_ready_for_query(b"C\0\0\0\x0dSELECT 1\0"));
/// ```
pub fn ends_with_ready_for_query(sent: &[u8]) -> bool {
    matches!(sent, [.., READY_FOR_QUERY, 0, 0, 0, 5, b'I' | b'T' | b'E'])
}

/// Reads a RowDescription.
///
/// # Errors
/// [`FrameError::Malformed`].
pub fn row_description(frame: &Frame) -> Result<Vec<Column>, FrameError> {
    let mut reader = Reader::new("RowDescription", frame.body());
    let count = reader.count()?;
    let mut columns = Vec::with_capacity(count.min(reader.remaining() / 19));
    for _ in 0..count {
        let name = reader.string()?;
        let (table_oid, attribute) = (reader.u32()?, reader.i16()?);
        let type_oid = reader.u32()?;
        let (_size, _modifier) = (reader.i16()?, reader.i32()?);
        let format = format(&mut reader)?;
        let table = (table_oid != 0).then_some(TableColumn { table_oid, attribute, names: None });
        columns.push(Column { name, table, type_oid, format });
    }
    reader.end()?;
    Ok(columns)
}

/// Reads a CommandComplete's tag.
///
/// # Errors
/// [`FrameError::Malformed`].
pub fn command_tag(frame: &Frame) -> Result<Bytes, FrameError> {
    let mut reader = Reader::new("CommandComplete", frame.body());
    let tag = reader.string()?;
    reader.end()?;
    Ok(tag)
}

/// The rows that a command tag counts: its last word, where it is a number.
pub fn rows_of_tag(tag: &[u8]) -> Option<u64> {
    let word = tag.rsplit(|byte| *byte == b' ').next()?;
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// Reads an ErrorResponse or a NoticeResponse: its fields in their order, by letter.
///
/// # Errors
/// [`FrameError::Malformed`].
pub fn error_fields(frame: &Frame) -> Result<Vec<(u8, Bytes)>, FrameError> {
    let mut reader = Reader::new("ErrorResponse", frame.body());
    let mut fields = Vec::with_capacity(8);
    loop {
        match reader.u8()? {
            0 => break,
            letter => fields.push((letter, reader.string()?)),
        }
    }
    reader.end()?;
    Ok(fields)
}

/// Appends an ErrorResponse, or a NoticeResponse, as `tag` says.
pub fn write_error_fields<'a>(tag: u8, fields: impl IntoIterator<Item = (u8, &'a [u8])>, out: &mut BytesMut) {
    write_frame(out, tag, |out| {
        for (letter, value) in fields {
            out.put_u8(letter);
            put_string(out, value);
        }
        out.put_u8(0);
    });
}

/// NotificationResponse: somebody notified a channel that the client listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationResponse {
    /// The process that did.
    pub process: i32,
    /// The channel.
    pub channel: Bytes,
    /// What it says.
    pub payload: Bytes,
}

impl NotificationResponse {
    /// Reads the message.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn parse(frame: &Frame) -> Result<Self, FrameError> {
        let mut reader = Reader::new("NotificationResponse", frame.body());
        let notification = Self { process: reader.i32()?, channel: reader.string()?, payload: reader.string()? };
        reader.end()?;
        Ok(notification)
    }

    /// Appends the message.
    pub fn write(&self, out: &mut BytesMut) {
        write_frame(out, NOTIFICATION_RESPONSE, |out| {
            out.put_i32(self.process);
            put_string(out, &self.channel);
            put_string(out, &self.payload);
        });
    }
}

/// CopyInResponse, CopyOutResponse or CopyBothResponse: COPY begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyResponse {
    /// The overall format.
    pub format: Format,
    /// The format of each column.
    pub columns: Vec<Format>,
}

impl CopyResponse {
    /// Reads the message.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn parse(frame: &Frame) -> Result<Self, FrameError> {
        let mut reader = Reader::new("CopyResponse", frame.body());
        let format = match reader.u8()? {
            0 => Format::Text,
            1 => Format::Binary,
            _ => return Err(reader.malformed("a format that is neither text nor binary")),
        };
        let columns = super::frontend::formats(&mut reader)?;
        reader.end()?;
        Ok(Self { format, columns })
    }
}

/// NegotiateProtocolVersion: the server speaks an older minor version, or does not know some options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegotiateProtocolVersion {
    /// The newest version that the server speaks.
    pub protocol: u32,
    /// The `_pq_.` options that it does not know.
    pub unknown: Vec<Bytes>,
}

impl NegotiateProtocolVersion {
    /// Reads the message.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn parse(frame: &Frame) -> Result<Self, FrameError> {
        let mut reader = Reader::new("NegotiateProtocolVersion", frame.body());
        let protocol = reader.u32()?;
        let count = reader.u32()?;
        let mut unknown = Vec::new();
        for _ in 0..count {
            unknown.push(reader.string()?);
        }
        reader.end()?;
        Ok(Self { protocol, unknown })
    }

    /// Appends the message.
    pub fn write(&self, out: &mut BytesMut) {
        write_frame(out, NEGOTIATE_PROTOCOL_VERSION, |out| {
            out.put_u32(self.protocol);
            out.put_u32(u32::try_from(self.unknown.len()).unwrap_or(u32::MAX));
            for option in &self.unknown {
                put_string(out, option);
            }
        });
    }
}
