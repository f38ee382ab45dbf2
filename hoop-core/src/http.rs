//! What a session does over HTTP ([RFC 9110]): exchanges of a request and its response, their bodies, and what is said in
//! WebSockets and gRPC calls. An exchange is a channel of its session.
//!
//! Whoever moves the bytes has decided already what of them is HTTP: a plugin sees heads without fields that belong to one
//! connection, and bodies without transfer and content codings.
//!
//! [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, StatusCode, Uri};

use crate::channel::ChannelId;

/// The head of a request.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// The exchange.
    pub channel: ChannelId,
    /// The method.
    pub method: Method,
    /// What for: the path and the query, as the client wrote them.
    pub uri: Uri,
    /// The fields, without those of the gateway and of the connection.
    pub headers: HeaderMap,
    /// What kind of exchange it is.
    pub kind: ExchangeKind,
    /// What plugins want of its body.
    pub body: BodyUse,
    /// What is known of it beside, each by its type: of a gRPC call the types of its messages, as a `prost_reflect::DescriptorPool`,
    /// where the role has them asked of the target.
    pub known: Extensions,
}

/// The kind of an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ExchangeKind {
    /// A request and a response.
    Plain,
    /// The request of a WebSocket ([RFC 6455](https://www.rfc-editor.org/rfc/rfc6455)): messages follow in the place of
    /// bodies.
    WebSocket,
    /// A call of a method of [gRPC](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), gRPC-Web included:
    /// messages follow in the place of bodies.
    Grpc {
        /// The service with its package, for example `payments.v1.Cards`.
        service: Box<str>,
        /// The method.
        method: Box<str>,
    },
}

/// The head of a response. Informational ones are not shown.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    /// The exchange.
    pub channel: ChannelId,
    /// The status.
    pub status: StatusCode,
    /// The fields, without those of the connection.
    pub headers: HeaderMap,
    /// What plugins want of its body.
    pub body: BodyUse,
}

/// What plugins want of a body or of messages: a plugin that sees a head adds what it wants. What nobody wants is passed on as it
/// came, undecoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BodyUse {
    /// It is to be shown to the chain.
    pub read: bool,
    /// The chain may change it: validators, ranges and digests of what the target has sent do not apply to it, and its length
    /// is not known before its end.
    pub change: bool,
    /// The chain decides when it has seen all of it: nothing of the exchange goes on before, the head neither, and a refusal of
    /// any piece refuses the whole. What has no end within `limits.message_bytes` is refused.
    pub whole: bool,
}

impl BodyUse {
    /// Asks to be shown it.
    pub const fn read(&mut self) {
        self.read = true;
    }

    /// Asks to be shown it, and to be able to change it.
    pub const fn change(&mut self) {
        self.read = true;
        self.change = true;
    }

    /// Asks to be shown all of it before anything goes on: a plugin that decides by what a body says may then pass its head,
    /// and deny at any piece up to the last. A request without a body is shown one piece, empty and the last, so that what waits
    /// for it is decided. Of a gRPC call all messages are shown first, and then such a piece, so one that goes on until it is answered
    /// never is. Of no use to WebSockets.
    pub const fn decide(&mut self) {
        self.read = true;
        self.whole = true;
    }
}

/// A piece of a body.
#[derive(Debug, Clone)]
pub struct BodyPart {
    /// The exchange.
    pub channel: ChannelId,
    /// The bytes, without content codings. Where one piece ends means nothing.
    pub bytes: Bytes,
    /// Whether it is the last piece; it may be empty.
    pub last: bool,
    /// The fields after the body; with the last piece alone.
    pub trailers: Option<HeaderMap>,
    /// Set by a plugin that keeps a tail back: as [`Output::held_back`](crate::Output::held_back).
    pub held_back: bool,
}

/// A message of a WebSocket or a gRPC call, as a whole.
#[derive(Debug, Clone)]
pub struct Message {
    /// The exchange.
    pub channel: ChannelId,
    /// Its kind.
    pub kind: MessageKind,
    /// Its bytes, uncompressed.
    pub bytes: Bytes,
}

/// The kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8 text in a WebSocket.
    Text,
    /// Bytes in a WebSocket.
    Binary,
    /// A message of a gRPC call.
    Grpc,
}

impl MessageKind {
    /// The name as recordings spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Grpc => "grpc",
        }
    }
}
