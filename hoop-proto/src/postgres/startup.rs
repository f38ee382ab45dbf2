//! The first packet of a connection, which has no type byte: StartupMessage, SSLRequest, GSSENCRequest, CancelRequest.

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::FrameError;
use super::read::Reader;
use super::write::put_string;

/// Protocol version 3.0.
pub const PROTOCOL_3_0: u32 = 3 << 16;
/// Protocol version 3.2, of PostgreSQL 18: longer cancel keys.
pub const PROTOCOL_3_2: u32 = (3 << 16) | 2;
/// The longest first packet that is read, as on the server (`MAX_STARTUP_PACKET_LENGTH`).
pub const MAX_STARTUP_BYTES: usize = 10_000;

/// The code in the place of a version that makes a packet a CancelRequest.
pub const CANCEL: u32 = (1234 << 16) | 5678;
const SSL: u32 = (1234 << 16) | 5679;
const GSSENC: u32 = (1234 << 16) | 5680;

/// The longest cancel key that the protocol allows.
pub const MAX_CANCEL_KEY: usize = 256;

/// A first packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Startup {
    /// The client wants TLS; it is answered with one byte, `S` or `N`.
    SslRequest,
    /// The client wants GSSAPI encryption; it is answered with one byte.
    GssEncRequest,
    /// The client wants a session.
    StartupMessage(StartupMessage),
    /// The client wants to cancel what runs in another session.
    CancelRequest(CancelRequest),
}

/// A client wants a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartupMessage {
    /// The protocol version, major in the upper half and minor in the lower.
    pub protocol: u32,
    /// The parameters in the client's order: `user`, `database`, `options`, settings, `_pq_.` extensions.
    pub parameters: Vec<(Bytes, Bytes)>,
}

impl StartupMessage {
    /// The value of a parameter; the last one counts, as on the server.
    pub fn parameter(&self, name: &str) -> Option<&Bytes> {
        self.parameters.iter().rev().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value)
    }

    /// Appends the packet.
    pub fn write(&self, out: &mut BytesMut) {
        packet(out, self.protocol, |out| {
            for (name, value) in &self.parameters {
                put_string(out, name);
                put_string(out, value);
            }
            out.put_u8(0);
        });
    }
}

/// A client wants to cancel what runs in another session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelRequest {
    /// The process id that BackendKeyData gave.
    pub process: i32,
    /// The key that BackendKeyData gave: 4 bytes in protocol 3.0, up to 256 later.
    pub key: Bytes,
}

impl CancelRequest {
    /// Appends the packet.
    pub fn write(&self, out: &mut BytesMut) {
        packet(out, CANCEL, |out| {
            out.put_i32(self.process);
            out.put_slice(&self.key);
        });
    }
}

/// Appends an SSLRequest.
pub fn write_ssl_request(out: &mut BytesMut) {
    packet(out, SSL, |_| {});
}

fn packet(out: &mut BytesMut, code: u32, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_u32(code);
    body(out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// The length of the first packet, from its first four bytes.
///
/// # Errors
/// [`FrameError::Length`] when it is less than 8 or more than [`MAX_STARTUP_BYTES`]: then it is no PostgreSQL client.
pub fn packet_length(first: [u8; 4]) -> Result<usize, FrameError> {
    let length = u32::from_be_bytes(first);
    match usize::try_from(length) {
        Ok(len) if (8..=MAX_STARTUP_BYTES).contains(&len) => Ok(len),
        _ => Err(FrameError::Length { tag: 0, length }),
    }
}

/// Reads a whole first packet, length included.
///
/// # Errors
/// [`FrameError`] when it is none.
pub fn parse(packet: Bytes) -> Result<Startup, FrameError> {
    let mut reader = Reader::new("StartupMessage", packet);
    let length = reader.u32()?;
    if usize::try_from(length).ok() != reader.remaining().checked_add(4) {
        return Err(reader.malformed("its length is not that of the packet"));
    }
    match reader.u32()? {
        SSL => reader.end().map(|()| Startup::SslRequest),
        GSSENC => reader.end().map(|()| Startup::GssEncRequest),
        CANCEL => cancel_request(reader),
        protocol if protocol >> 16 == 3 => startup_message(protocol, reader),
        _ => Err(reader.malformed("a protocol version that is not 3")),
    }
}

fn cancel_request(mut reader: Reader) -> Result<Startup, FrameError> {
    let process = reader.i32()?;
    if !(4..=MAX_CANCEL_KEY).contains(&reader.remaining()) {
        return Err(FrameError::Malformed { message: "CancelRequest", what: "a key that is not 4 to 256 bytes long" });
    }
    Ok(Startup::CancelRequest(CancelRequest { process, key: reader.rest() }))
}

fn startup_message(protocol: u32, mut reader: Reader) -> Result<Startup, FrameError> {
    let mut parameters = Vec::new();
    loop {
        let name = reader.string()?;
        if name.is_empty() {
            break;
        }
        parameters.push((name, reader.string()?));
    }
    reader.end()?;
    Ok(Startup::StartupMessage(StartupMessage { protocol, parameters }))
}
