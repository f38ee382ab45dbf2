//! What a server answers.

use bytes::{BufMut, Bytes, BytesMut};

use super::fields::Fields;
use super::{HEAD, Need, SftpError};

pub(super) const VERSION: u8 = 2;
const STATUS: u8 = 101;
const DATA: u8 = 103;

/// A reply, named as in the draft.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the draft")]
pub enum Reply {
    /// The greeting, with the version that is spoken.
    Version { version: u32 },
    /// How it went.
    Status { status: Status, message: Bytes },
    /// What is open now.
    Handle { handle: Bytes },
    /// So many bytes of a file, which follow.
    Data { length: u32 },
    /// Names with their attributes.
    Name { count: u32 },
    /// Attributes.
    Attrs,
    /// The answer to an extension.
    Extended,
}

/// How a request went: the codes of the draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u32);

impl Status {
    /// It worked.
    pub const OK: Self = Self(0);
    /// There is nothing more.
    pub const EOF: Self = Self(1);
    /// The user may not.
    pub const PERMISSION_DENIED: Self = Self(3);
    /// It did not work.
    pub const FAILURE: Self = Self(4);
    /// The server does not do this.
    pub const OP_UNSUPPORTED: Self = Self(8);
}

/// How long the packet is up to the bytes of a file.
pub(super) fn head(kind: u8, _there: &[u8], whole: usize) -> Need {
    if kind == DATA { Need::Whole(HEAD + 4) } else { Need::Whole(whole) }
}

impl Reply {
    pub(super) fn parse(kind: u8, packet: &Bytes) -> Result<Self, SftpError> {
        let mut fields = Fields::of(kind, packet);
        let f = &mut fields;
        let reply = match kind {
            VERSION => {
                let version = super::fields::id(packet);
                return fields.pairs().map(|()| Self::Version { version });
            }
            STATUS => return Self::status(fields),
            102 => Self::Handle { handle: f.handle()? },
            DATA => Self::Data { length: f.u32()? },
            104 => Self::Name { count: names(f)? },
            105 => f.attributes().map(|_| Self::Attrs)?,
            201 => return Ok(Self::Extended),
            other => return Err(SftpError::Type(other)),
        };
        fields.end(reply)
    }

    /// Old servers leave out the message, or its language.
    fn status(mut fields: Fields) -> Result<Self, SftpError> {
        let status = Status(fields.u32()?);
        let message = if fields.is_at_end() { Bytes::new() } else { fields.text()? };
        if !fields.is_at_end() {
            fields.text()?;
        }
        fields.end(Self::Status { status, message })
    }

    pub(super) const fn data(&self) -> u32 {
        match self {
            Self::Data { length } => *length,
            _ => 0,
        }
    }
}

/// Each has a short and a long name, and attributes; there are as many as are announced.
fn names(fields: &mut Fields) -> Result<u32, SftpError> {
    let count = fields.u32()?;
    for _ in 0..count {
        fields.text()?;
        fields.text()?;
        fields.attributes()?;
    }
    Ok(count)
}

/// Answers a request that goes no further.
pub fn write_status(id: u32, status: Status, message: &str) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u8(STATUS);
    body.put_u32(id);
    body.put_u32(status.0);
    for text in [message, "en"] {
        body.put_u32(u32::try_from(text.len()).unwrap_or(0));
        body.put_slice(text.as_bytes());
    }
    let mut out = BytesMut::with_capacity(body.len() + 4);
    out.put_u32(u32::try_from(body.len()).unwrap_or(0));
    out.put_slice(&body);
    out.freeze()
}
