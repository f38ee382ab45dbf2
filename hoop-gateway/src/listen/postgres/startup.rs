//! The first packets: requests for encryption, a cancel request, or the StartupMessage.

use bytes::{Bytes, BytesMut};
use hoop_core::{Code, Denial};
use hoop_proto::postgres::startup::{self, Startup};
use hoop_proto::postgres::{FrameError, Header};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Refusal;

/// Longest message of a login, in bytes.
const MAX_LOGIN_BYTES: usize = 4 * 1024;

/// What a client begins with.
pub(super) enum First {
    /// Without encryption.
    Packet(Startup),
    /// It was told that TLS begins now.
    Tls,
}

/// Reads up to the first packet that is not a request for encryption; each kind of request is answered once.
pub(super) async fn first<S: AsyncRead + AsyncWrite + Unpin>(io: &mut S, has_tls: bool) -> Result<First, Refusal> {
    let (mut ssl, mut gss) = (false, false);
    loop {
        match packet(io).await? {
            Startup::SslRequest if !ssl && has_tls => {
                io.write_all(b"S").await?;
                return Ok(First::Tls);
            }
            Startup::SslRequest if !ssl => ssl = true,
            Startup::GssEncRequest if !gss => gss = true,
            Startup::SslRequest | Startup::GssEncRequest => {
                return Err(Denial::new("gateway", Code::ProtocolViolation, "encryption was asked for twice").into());
            }
            packet => return Ok(First::Packet(packet)),
        }
        io.write_all(b"N").await?;
    }
}

/// Reads one packet without a type, and not a byte beyond it.
pub(super) async fn packet<S: AsyncRead + Unpin>(io: &mut S) -> Result<Startup, Refusal> {
    let mut first = [0; 4];
    io.read_exact(&mut first).await?;
    // Who sends another length is no PostgreSQL client, and would not understand an answer.
    let len = startup::packet_length(first).map_err(|_| Refusal::Silent)?;
    let mut bytes = BytesMut::from(&first[..]);
    read_up_to(io, &mut bytes, len).await?;
    // A cancel request is never answered, not even one that is none.
    if bytes.get(4..8) == Some(&startup::CANCEL.to_be_bytes()) {
        return startup::parse(bytes.freeze()).map_err(|_| Refusal::Silent);
    }
    startup::parse(bytes.freeze())
        .map_err(|error| Denial::new("gateway", Code::ProtocolViolation, error.to_string()).into())
}

/// Reads one message of the login: a PasswordMessage or what else has its type.
pub(super) async fn message<S: AsyncRead + Unpin>(io: &mut S) -> Result<Bytes, Refusal> {
    let violation = |error: FrameError| Denial::new("gateway", Code::ProtocolViolation, error.to_string());
    let mut bytes = BytesMut::new();
    read_up_to(io, &mut bytes, hoop_proto::postgres::HEADER).await?;
    let header = Header::peek(&bytes).map_err(violation)?.ok_or(Refusal::Silent)?;
    if header.len > MAX_LOGIN_BYTES {
        let (tag, length, limit) = (header.tag, header.len, MAX_LOGIN_BYTES);
        return Err(violation(FrameError::TooLong { tag, length, limit }).into());
    }
    read_up_to(io, &mut bytes, header.len).await?;
    Ok(bytes.freeze())
}

/// Reads until there are `len` bytes. `len` is within a limit already.
async fn read_up_to<S: AsyncRead + Unpin>(io: &mut S, bytes: &mut BytesMut, len: usize) -> Result<(), Refusal> {
    let start = bytes.len();
    bytes.resize(len.max(start), 0);
    io.read_exact(bytes.get_mut(start..).unwrap_or_default()).await?;
    Ok(())
}
