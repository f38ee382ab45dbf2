//! gRPC-Web ([the protocol]): calls of gRPC for clients that see no trailers and, as `-text`, no bytes. Its messages are framed as those of
//! gRPC; a last frame has the trailers.
//!
//! [the protocol]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use hoop_core::role::GrpcWeb;
use hoop_core::{Code, Denial, ExchangeKind, HttpRequest, HttpResponse};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

/// The flag of the frame with the trailers.
pub(super) const TRAILERS: u8 = 0x80;
/// Most fields in it.
const MOST_FIELDS: usize = 200;

const GRPC: &[u8] = b"application/grpc";
const X_GRPC_WEB: HeaderName = HeaderName::from_static("x-grpc-web");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// How calls are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// `application/grpc`.
    Grpc,
    /// `application/grpc-web`.
    Web,
    /// `application/grpc-web-text`: the same in Base64.
    WebText,
}

impl Wire {
    /// What a content type says, by itself or with the format of messages behind it, `+proto`.
    pub(crate) fn of(fields: &HeaderMap) -> Option<Self> {
        Self::parse(fields.get(CONTENT_TYPE)?.as_bytes()).map(|(wire, _)| wire)
    }

    fn parse(content_type: &[u8]) -> Option<(Self, &[u8])> {
        let (begin, mut rest) = content_type.split_at_checked(GRPC.len())?;
        let mut wire = Self::Grpc;
        for (name, named) in [(&b"-web-text"[..], Self::WebText), (b"-web", Self::Web)] {
            if let Some((first, behind)) = rest.split_at_checked(name.len())
                && first.eq_ignore_ascii_case(name)
            {
                (wire, rest) = (named, behind);
                break;
            }
        }
        let is_one = begin.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' '));
        is_one.then_some((wire, rest))
    }

    pub(crate) const fn is_web(self) -> bool {
        matches!(self, Self::Web | Self::WebText)
    }

    /// Its content type.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Grpc => "application/grpc",
            Self::Web => "application/grpc-web",
            Self::WebText => "application/grpc-web-text",
        }
    }

    /// Has a head say this one, with the same format of messages.
    fn say(self, fields: &mut HeaderMap) {
        let said = fields.get(CONTENT_TYPE).and_then(|value| Self::parse(value.as_bytes()));
        let said = [self.content_type().as_bytes(), said.map_or(&b"+proto"[..], |(_, format)| format)].concat();
        if let Ok(value) = HeaderValue::from_bytes(&said) {
            fields.insert(CONTENT_TYPE, value);
        }
    }
}

/// How a call is written at both ends. The chain sees it as one of gRPC in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wires {
    pub(super) client: Wire,
    pub(super) target: Wire,
}

/// What is done with a body between two ends.
#[derive(Debug)]
pub(super) struct Between {
    /// It comes in Base64.
    pub(super) from_text: Option<FromText>,
    /// It goes on in Base64.
    pub(super) to_text: bool,
    /// What follows it is put into its last frame.
    pub(super) trailers_within: bool,
}

impl Wires {
    /// The wires of a call, whose head then says gRPC; nothing for other exchanges.
    ///
    /// # Errors
    /// [`Code::ProtocolViolation`] for one that has a content coding: its messages could not be told apart.
    pub(super) fn of(head: &mut HttpRequest, how: GrpcWeb) -> Result<Option<Self>, Denial> {
        let ExchangeKind::Grpc { .. } = head.kind else { return Ok(None) };
        let client = Wire::of(&head.headers).unwrap_or(Wire::Grpc);
        if !client.is_web() {
            return Ok(Some(Self { client, target: client }));
        }
        check_coding(&head.headers, Code::ProtocolViolation)?;
        head.headers.remove(ACCEPT_ENCODING);
        Wire::Grpc.say(&mut head.headers);
        if how == GrpcWeb::Pass {
            return Ok(Some(Self { client, target: client }));
        }
        head.headers.remove(X_GRPC_WEB);
        head.headers.remove(ACCEPT);
        Ok(Some(Self { client, target: Wire::Grpc }))
    }

    /// The head that the chain has seen goes on to the target; `read` is whether messages are framed anew.
    pub(super) fn asked(self, fields: &mut HeaderMap, read: bool) {
        if read || self.client != self.target {
            fields.remove(CONTENT_LENGTH);
        }
        if self.target.is_web() {
            self.target.say(fields);
        }
    }

    /// The head of the answer, before the chain sees it: it says gRPC then. Gives the wires with what the target has chosen.
    ///
    /// # Errors
    /// [`Code::TargetLost`] for what is no answer to a call: a client of gRPC-Web would make its own sense of it.
    pub(super) fn answered(self, answer: &mut HttpResponse) -> Result<Self, Denial> {
        if !self.client.is_web() {
            return Ok(self);
        }
        let said = Wire::of(&answer.headers);
        let is_call = answer.status == StatusCode::OK && said.is_some_and(|said| said.is_web() == self.target.is_web());
        if !is_call && !answer.headers.contains_key(GRPC_STATUS) {
            let reason = format!("the target did not answer the call, but with the status {} of HTTP", answer.status);
            return Err(Denial::new("gateway", Code::TargetLost, reason)
                .hint("a service that speaks gRPC-Web itself needs a role with `grpc_web`: `pass`"));
        }
        check_coding(&answer.headers, Code::TargetLost)?;
        answer.status = StatusCode::OK;
        Wire::Grpc.say(&mut answer.headers);
        Ok(Self { target: said.unwrap_or(self.target), ..self })
    }

    /// The head that the chain has seen goes on to the client.
    pub(super) fn shown(self, fields: &mut HeaderMap) {
        if self.client.is_web() {
            fields.remove(CONTENT_LENGTH);
            self.client.say(fields);
        }
    }

    /// What is done with the body of the request.
    pub(super) fn up(self, read: bool) -> Between {
        Between::new(self.client, self.target, read)
    }

    /// What is done with the body of the answer.
    pub(super) fn down(self, read: bool) -> Between {
        Between::new(self.target, self.client, read)
    }
}

impl Between {
    fn new(from: Wire, to: Wire, read: bool) -> Self {
        let as_it_is = from == to && !read;
        Self {
            from_text: (from == Wire::WebText && !as_it_is).then(FromText::default),
            to_text: to == Wire::WebText && !as_it_is,
            // Frames that nobody reads have the trailers among them.
            trailers_within: to.is_web() && (read || !from.is_web()),
        }
    }

    /// Nothing.
    pub(super) const fn nothing() -> Self {
        Self { from_text: None, to_text: false, trailers_within: false }
    }

    pub(super) fn read(&mut self, data: Bytes) -> Result<Bytes, Denial> {
        match &mut self.from_text {
            Some(text) => text.decode(&data),
            None => Ok(data),
        }
    }

    pub(super) fn write(&self, data: Bytes) -> Bytes {
        if self.to_text && !data.is_empty() { BASE64_STANDARD.encode(data).into() } else { data }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.from_text.as_ref().is_none_or(FromText::is_whole)
    }
}

fn check_coding(fields: &HeaderMap, code: Code) -> Result<(), Denial> {
    match fields.get(CONTENT_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(Denial::new("gateway", code, "a call of gRPC-Web has a content coding"))
        }
        _ => Ok(()),
    }
}

/// Base64 that comes in pieces; it may be padded in its midst.
#[derive(Debug, Default)]
pub(super) struct FromText {
    left: BytesMut,
}

impl FromText {
    pub(super) fn decode(&mut self, data: &[u8]) -> Result<Bytes, Denial> {
        self.left.extend_from_slice(data);
        let mut whole = self.left.split_to(self.left.len() / 4 * 4);
        let mut out = BytesMut::with_capacity(whole.len() / 4 * 3);
        while !whole.is_empty() {
            let end = memchr::memchr(b'=', &whole).map_or(whole.len(), |padded| (padded / 4 + 1) * 4);
            let decoded = BASE64_STANDARD.decode(whole.split_to(end));
            out.extend_from_slice(&decoded.map_err(|_| wrong("is not in Base64"))?);
        }
        Ok(out.freeze())
    }

    /// Whether nothing is left that is not whole.
    pub(super) fn is_whole(&self) -> bool {
        self.left.is_empty()
    }
}

/// The frame with what follows the messages.
pub(super) fn frame(trailers: &HeaderMap) -> Bytes {
    let mut lines = BytesMut::new();
    for (name, value) in trailers {
        lines.put_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let mut out = BytesMut::with_capacity(lines.len() + 5);
    out.put_u8(TRAILERS);
    out.put_u32(u32::try_from(lines.len()).unwrap_or(u32::MAX));
    out.unsplit(lines);
    out.freeze()
}

/// What follows the messages, from its frame.
///
/// # Errors
/// [`Code::ProtocolViolation`] for what are no fields.
pub(super) fn trailers(frame: &[u8]) -> Result<HeaderMap, Denial> {
    let mut fields = HeaderMap::new();
    for line in frame.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        let colon = memchr::memchr(b':', line).ok_or_else(|| wrong("ends with what are no fields"))?;
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).map_err(|_| wrong("ends with what are no fields"))?;
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
        let value = HeaderValue::from_bytes(value).map_err(|_| wrong("ends with what are no fields"))?;
        if fields.len() >= MOST_FIELDS {
            return Err(wrong("ends with too many fields"));
        }
        fields.append(name, value);
    }
    Ok(fields)
}

fn wrong(what: &str) -> Denial {
    Denial::new("gateway", Code::ProtocolViolation, format!("a body of gRPC-Web {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_told_apart() {
        for (text, expected) in [
            ("application/grpc", Some((Wire::Grpc, ""))),
            ("application/grpc+proto", Some((Wire::Grpc, "+proto"))),
            ("Application/gRPC-Web+json", Some((Wire::Web, "+json"))),
            ("application/grpc-web-text", Some((Wire::WebText, ""))),
            ("application/grpc-WEB-text+proto; x=y", Some((Wire::WebText, "+proto; x=y"))),
            ("application/grpc-website", None),
            ("application/grpcs", None),
            ("application/json", None),
            ("app", None),
        ] {
            let expected = expected.map(|(wire, rest)| (wire, rest.as_bytes()));
            assert_eq!(Wire::parse(text.as_bytes()), expected, "{text}");
        }
        let mut fields =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/grpc-web-text+json"))]);
        Wire::Grpc.say(&mut fields);
        assert_eq!(fields[CONTENT_TYPE], "application/grpc+json");
    }

    #[test]
    fn text_is_read_wherever_it_is_cut_and_padded() {
        let text: String = ["one", "of", "several", ""].map(|part| BASE64_STANDARD.encode(part)).concat();
        for size in 1..text.len() {
            let mut from = FromText::default();
            let mut all = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                all.extend_from_slice(&from.decode(piece).expect("Base64"));
            }
            assert_eq!((all.as_slice(), from.left.len()), (&b"oneofseveral"[..], 0));
        }
        for wrong in ["@@@@", "a===", "ab=c", "abc\n"] {
            assert!(FromText::default().decode(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn trailers_come_back_from_their_frame() {
        let fields: HeaderMap = [("grpc-status", "7"), ("grpc-message", "not: so")]
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let framed = frame(&fields);
        assert_eq!(framed[..5], [0x80, 0, 0, 0, 39]);
        assert_eq!(trailers(&framed[5..]).expect("fields"), fields);
        assert_eq!(trailers(b"grpc-status:0\n").expect("fields")["grpc-status"], "0");
        assert!(trailers(b"grpc-status").is_err() && trailers(b"a b: c\r\n").is_err());
        let many = "a: b\r\n".repeat(MOST_FIELDS + 1);
        assert!(trailers(many.as_bytes()).is_err());
    }

    #[test]
    fn what_is_the_same_at_both_ends_and_not_read_goes_on_as_it_is() {
        use Wire::{Grpc, Web, WebText};
        for (from, to, read, expected) in [
            (Grpc, Grpc, true, (false, false, false)),
            (WebText, WebText, false, (false, false, false)),
            (WebText, WebText, true, (true, true, true)),
            (WebText, Grpc, false, (true, false, false)),
            (Grpc, WebText, false, (false, true, true)),
            (Grpc, Web, true, (false, false, true)),
            (Web, WebText, false, (false, true, false)),
        ] {
            let Between { from_text, to_text, trailers_within } = Between::new(from, to, read);
            assert_eq!((from_text.is_some(), to_text, trailers_within), expected, "{from:?} {to:?} {read}");
        }
    }
}
