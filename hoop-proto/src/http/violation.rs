//! What is wrong with a client's bytes.

/// Why a client's bytes are not passed on. Its text is for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The head is larger than [`Limits::head_bytes`](super::Limits::head_bytes).
    #[error("the head of the request is too large")]
    HeadTooLarge,
    /// More fields than [`Limits::fields`](super::Limits::fields).
    #[error("the request has too many fields")]
    TooManyFields,
    /// A line that ends with LF alone.
    #[error("a line ends with LF in the place of CR LF")]
    BareLineFeed,
    /// CR within a line.
    #[error("a line has a CR within it")]
    BareCarriageReturn,
    /// A byte 0.
    #[error("a line has a zero byte within it")]
    Nul,
    /// Another control character.
    #[error("a line has a control character within it")]
    Control,
    /// Not a method, a target and a version with one space between each.
    #[error("the request line is not a method, a target and a version with one space between them")]
    RequestLine,
    /// The method is no token.
    #[error("the method is not a token")]
    Method,
    /// The target is none that the method takes, or has characters that a URI does not have.
    #[error("the target of the request is malformed")]
    Target,
    /// Another version than HTTP/1.1 and HTTP/1.0.
    #[error("the version is neither HTTP/1.1 nor HTTP/1.0")]
    Version,
    /// A line that begins with a space or a tab.
    #[error("a field is folded over lines, or a line begins with white space")]
    Folded,
    /// White space between the name and the colon.
    #[error("a field has white space before its colon")]
    SpaceBeforeColon,
    /// A line without a colon, or a name that is no token.
    #[error("a field has no name that is a token")]
    FieldName,
    /// No `Host` in HTTP/1.1.
    #[error("the request has no Host field")]
    NoHost,
    /// More than one `Host`.
    #[error("the request has more than one Host field")]
    SeveralHosts,
    /// A `Host` that is none.
    #[error("the Host field is malformed")]
    Host,
    /// The target names another host than `Host`.
    #[error("the target of the request names another host than its Host field")]
    HostDiffers,
    /// A `Content-Length` that is not a plain decimal number.
    #[error("Content-Length is not a decimal number")]
    ContentLength,
    /// More than one `Content-Length`.
    #[error("the request has more than one Content-Length field")]
    SeveralLengths,
    /// A `Transfer-Encoding` other than `chunked`, or more than one.
    #[error("Transfer-Encoding is something else than chunked")]
    TransferEncoding,
    /// `Transfer-Encoding` in HTTP/1.0.
    #[error("Transfer-Encoding is not of HTTP/1.0")]
    EncodedInHttp10,
    /// Both `Content-Length` and `Transfer-Encoding`.
    #[error("the request has both Content-Length and Transfer-Encoding")]
    LengthAndEncoding,
    /// A chunk's size is not a plain hexadecimal number, or is too large.
    #[error("the size of a chunk is not a hexadecimal number")]
    ChunkSize,
    /// Extensions of chunks that are malformed or too long.
    #[error("the extension of a chunk is malformed or too long")]
    ChunkExtension,
    /// A chunk is not followed by CR LF.
    #[error("a chunk does not end with CR LF")]
    ChunkEnd,
    /// A field after the body that has no place there.
    #[error("a field after the body frames the message")]
    Trailer,
    /// The fields after the body are larger than [`MAX_TRAILERS`](super::MAX_TRAILERS), or too many.
    #[error("the fields after the body are too large")]
    TrailersTooLarge,
    /// A request that asks for another protocol has a body.
    #[error("a request with Upgrade has a body")]
    UpgradeBody,
    /// Something follows a request for another protocol that has no answer yet.
    #[error("something follows a request with Upgrade before its answer")]
    EarlyBytes,
}

impl Violation {
    /// The status that says so.
    pub const fn status(self) -> u16 {
        match self {
            Self::HeadTooLarge | Self::TooManyFields => 431,
            _ => 400,
        }
    }
}
