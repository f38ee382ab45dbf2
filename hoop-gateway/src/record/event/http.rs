//! Events of HTTP: an exchange is a channel of its session.

use bytes::Bytes;
use serde::Serialize;

use super::super::fields::{self, Field, Item, Malformed};
use super::payload::payloads;
use super::text::Text;

/// Longest path or query that is kept, in bytes.
pub const MAX_URL_BYTES: usize = 16 << 10;
/// Longest value of a field that is kept, in bytes.
pub const MAX_FIELD_BYTES: usize = 4 << 10;
/// Most fields of one head that are kept.
pub const MAX_FIELDS: usize = 128;
/// Most bytes of one WebSocket or gRPC message that are kept.
pub const MAX_MESSAGE_KEPT: u64 = 512 << 10;

payloads! {
    /// A field of a head.
    HttpField {
        /// Its name.
        1 name: Text,
        /// Its value, in requests masked; nothing where it is hidden.
        2 value: Text,
        /// Whether the value is one that is never recorded.
        3 hidden: bool,
    }

    /// The head of a request.
    HttpRequest {
        /// Number of the exchange's channel in the session.
        1 channel: u64,
        /// The method.
        2 method: Text,
        /// The path as the client wrote it, masked.
        3 path: Text,
        /// The query without its `?`, masked.
        4 query: Text,
        /// `http` or `https`, as the target is asked; empty where it is not known.
        5 scheme: Text,
        /// The host that is asked for, with a port where one is given; empty where it is not known.
        6 authority: Text,
        /// `plain`, `websocket` or `grpc`.
        7 exchange: Text,
        /// The service of a gRPC call.
        8 service: Text,
        /// The method of a gRPC call.
        9 call: Text,
        /// The fields.
        10 fields: Vec<HttpField>,
        /// How many there were, when not all were kept.
        11 field_count: Option<u64>,
    }

    /// The head of a response, as it was shown.
    HttpResponse {
        /// Number of the channel.
        1 channel: u64,
        /// The status.
        2 status: u64,
        /// The fields.
        3 fields: Vec<HttpField>,
        /// How many there were, when not all were kept.
        4 field_count: Option<u64>,
    }

    /// A message of a WebSocket or a gRPC call.
    HttpMessage {
        /// Number of the channel.
        1 channel: u64,
        /// Whether it came from the target.
        2 from_target: bool,
        /// `text`, `binary` or `grpc`.
        3 message: Text,
        /// How long it was, in bytes.
        4 length: u64,
        /// Its bytes, those of a client masked; the first of them where the role keeps no more.
        5 bytes: Text,
        /// BLAKE3 of the whole message in hex, where not all of it was kept.
        6 digest: String,
    }

    /// What was read of a body, or of the messages of one direction.
    HttpRead {
        /// Bytes, without content codings.
        1 bytes: u64,
        /// How many of them the log holds.
        2 kept: u64,
        /// BLAKE3 of all of them in hex.
        3 digest: String,
        /// How many messages they were.
        4 messages: u64,
    }

    /// The end of an exchange.
    HttpDone {
        /// Number of the channel.
        1 channel: u64,
        /// The status, where the response went to the client as a whole.
        2 status: Option<u64>,
        /// Why it was refused.
        3 message: Text,
        /// The rule or plugin that refused it, when it was refused.
        4 denied_by: Text,
        /// The stable code of the refusal.
        5 denial: String,
        /// How long it took, in microseconds.
        6 duration_us: u64,
        /// How long it was until the head of the response, in microseconds.
        7 first_byte_us: Option<u64>,
        /// Bytes that went to the target.
        8 bytes_in: u64,
        /// Bytes that came from it.
        9 bytes_out: u64,
        /// What was read of the request's body, where it was read.
        10 request: Option<HttpRead>,
        /// What was read of the response's body, where it was read.
        11 response: Option<HttpRead>,
    }
}

/// What stands before the bytes of a body: number of the channel (4 bytes), direction (1 byte: 1 for from the target).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyHead {
    /// Number of the channel.
    pub channel: u32,
    /// Whether it is that of a response.
    pub from_target: bool,
}

impl BodyHead {
    /// Length of the encoded form.
    pub const LENGTH: usize = 5;

    /// The encoded form.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut out = [0; Self::LENGTH];
        out[..4].copy_from_slice(&self.channel.to_le_bytes());
        out[4] = u8::from(self.from_target);
        out
    }
}

/// A piece of a body: of a request as it was sent, masked; of a response as it was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpBody {
    /// Number of the channel.
    pub channel: u32,
    /// Whether it is that of a response.
    pub from_target: bool,
    /// The bytes. Where one piece ends means nothing.
    pub bytes: Text,
}

impl HttpBody {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let (channel, rest) = payload.split_first_chunk::<4>().ok_or(Malformed)?;
        let (direction, bytes) = rest.split_first().ok_or(Malformed)?;
        Ok(Self {
            channel: u32::from_le_bytes(*channel),
            from_target: *direction == 1,
            bytes: Text(Bytes::copy_from_slice(bytes)),
        })
    }
}
