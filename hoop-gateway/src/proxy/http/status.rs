//! The status that a call of gRPC ends with when the gateway does not let it go on ([the protocol]): clients that have begun to read
//! an answer are told why it ends, as they are by a service.
//!
//! [the protocol]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hoop_core::{Code, Denial, Fault};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::Frame;

use super::web::{self, FromText, TRAILERS, Wire};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Flag and length of a message.
const PREFIX: usize = 5;

/// A refusal as the fields that a call ends with: what happened and why, and what to do next.
pub(crate) fn fields(denial: &Denial) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(2);
    fields.insert(GRPC_STATUS, HeaderValue::from(code(denial.code)));
    let message = match &denial.hint {
        Some(hint) => format!("{}; {hint}", denial.reason),
        None => denial.reason.clone(),
    };
    if let Ok(message) = HeaderValue::try_from(percent_encoded(&message)) {
        fields.insert(GRPC_MESSAGE, message);
    }
    fields
}

/// Of [gRPC's codes](https://github.com/grpc/grpc/blob/master/doc/statuscodes.md).
const fn code(code: Code) -> u16 {
    const CANCELLED: u16 = 1;
    const INVALID_ARGUMENT: u16 = 3;
    const DEADLINE_EXCEEDED: u16 = 4;
    const NOT_FOUND: u16 = 5;
    const PERMISSION_DENIED: u16 = 7;
    const RESOURCE_EXHAUSTED: u16 = 8;
    const UNIMPLEMENTED: u16 = 12;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match code {
        Code::LoginFailed | Code::Unauthenticated | Code::CredentialExpired | Code::CredentialRevoked => {
            UNAUTHENTICATED
        }
        Code::Cancelled => CANCELLED,
        Code::TargetTimeout | Code::ClientTimeout | Code::Timeout => DEADLINE_EXCEEDED,
        Code::RoleNotFound | Code::NotFound => NOT_FOUND,
        Code::LimitExceeded | Code::Throttled => RESOURCE_EXHAUSTED,
        Code::Unsupported => UNIMPLEMENTED,
        Code::StoreUnavailable | Code::GatewayDraining | Code::GatewayBusy | Code::ReviewRequired => UNAVAILABLE,
        other => match other.fault() {
            Fault::Client => INVALID_ARGUMENT,
            Fault::Policy => PERMISSION_DENIED,
            Fault::Target => UNAVAILABLE,
            Fault::Gateway => INTERNAL,
        },
    }
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// How a client whose answer has begun is told a status.
#[derive(Debug, Default)]
pub(super) enum LastWord {
    /// Not at all: the answer breaks off. Over HTTP/1.1 there is nothing that every client reads behind a body.
    #[default]
    None,
    /// Behind the body.
    Behind,
    /// In a frame of it, in Base64 where that is so.
    Within { text: bool, border: Border },
}

impl LastWord {
    /// Of the answer to a call by this wire; `behind` is whether something may follow a body. `raw` is whether the body goes on as it
    /// is, with frames that nobody has cut.
    pub(super) fn of(client: Wire, behind: bool, raw: bool) -> Self {
        match client {
            Wire::Grpc if behind => Self::Behind,
            Wire::Grpc => Self::None,
            Wire::Web | Wire::WebText => {
                let text = client == Wire::WebText;
                Self::Within {
                    text,
                    border: Border { text: (text && raw).then(FromText::default), ..Border::default() },
                }
            }
        }
    }

    /// These bytes of the body go on as they are.
    pub(super) fn passes(&mut self, data: &[u8]) {
        if let Self::Within { border, .. } = self {
            border.pass(data);
        }
    }

    /// What the client is given to end the answer with this refusal; nothing where it would not be read as that.
    pub(super) fn say(&self, denial: &Denial) -> Option<Frame<Bytes>> {
        match self {
            Self::None => None,
            Self::Behind => Some(Frame::trailers(fields(denial))),
            Self::Within { border, .. } if !border.is_here() => None,
            Self::Within { text, .. } => {
                let frame = web::frame(&fields(denial));
                Some(Frame::data(if *text { BASE64_STANDARD.encode(frame).into() } else { frame }))
            }
        }
    }
}

/// Follows a body to know whether a frame has ended: one within another would be read as a part of it.
#[derive(Debug, Default)]
pub(super) struct Border {
    text: Option<FromText>,
    prefix: Vec<u8>,
    /// How much of a frame is still to come.
    left: u64,
    /// The status has gone already, or nobody can tell.
    over: bool,
}

impl Border {
    fn pass(&mut self, data: &[u8]) {
        let decoded = self.text.as_mut().map(|text| text.decode(data));
        match decoded {
            None => self.follow(data),
            Some(Ok(decoded)) => self.follow(&decoded),
            Some(Err(_)) => self.over = true,
        }
    }

    fn follow(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.left > 0 {
                let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(data.len());
                self.left -= skipped as u64;
                data = data.get(skipped..).unwrap_or_default();
                continue;
            }
            let (more, rest) = data.split_at(data.len().min(PREFIX - self.prefix.len()));
            self.prefix.extend_from_slice(more);
            data = rest;
            if let [flag, a, b, c, d] = self.prefix[..] {
                self.over |= flag & TRAILERS != 0;
                self.left = u32::from_be_bytes([a, b, c, d]).into();
                self.prefix.clear();
            }
        }
    }

    fn is_here(&self) -> bool {
        let is_whole = self.text.as_ref().is_none_or(FromText::is_whole);
        self.left == 0 && self.prefix.is_empty() && is_whole && !self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial() -> Denial {
        Denial::new("gateway", Code::AccessRevoked, "you may not any more").hint("ask – somebody")
    }

    fn message(text: &[u8]) -> Vec<u8> {
        [&[0, 0, 0, 0, u8::try_from(text.len()).expect("a short one")], text].concat()
    }

    #[test]
    fn a_refusal_is_a_status_with_what_to_do() {
        let said = fields(&denial());
        assert_eq!(said[GRPC_STATUS], "7");
        assert_eq!(said[GRPC_MESSAGE], "you may not any more; ask %E2%80%93 somebody");
    }

    #[test]
    fn it_stands_behind_the_body_or_in_its_last_frame() {
        let behind = LastWord::of(Wire::Grpc, true, true).say(&denial()).expect("over HTTP/2");
        assert_eq!(behind.into_trailers().expect("they follow"), fields(&denial()));
        assert!(LastWord::of(Wire::Grpc, false, true).say(&denial()).is_none(), "over HTTP/1.1");
        for version in [true, false] {
            let within = LastWord::of(Wire::Web, version, true).say(&denial()).expect("in either version");
            assert_eq!(within.into_data().expect("a frame"), web::frame(&fields(&denial())));
        }
        let text = LastWord::of(Wire::WebText, true, false).say(&denial()).expect("a frame").into_data();
        assert_eq!(text.expect("Base64"), BASE64_STANDARD.encode(web::frame(&fields(&denial()))));
    }

    #[test]
    fn it_is_never_said_within_a_message() {
        let body = [message(b"one"), message(b""), message(b"three")].concat();
        let ends = [0, 8, 13, 23];
        for raw in [true, false] {
            for wire in [Wire::Web, Wire::WebText] {
                let mut word = LastWord::of(wire, true, raw);
                for (at, byte) in body.iter().enumerate() {
                    assert_eq!(word.say(&denial()).is_some(), ends.contains(&at), "{wire:?} after {at}");
                    let coded = wire == Wire::WebText && raw;
                    // Each byte by itself, with its own padding.
                    let passed = if coded { BASE64_STANDARD.encode([*byte]).into_bytes() } else { vec![*byte] };
                    let (begin, end) = passed.split_at(passed.len() / 2);
                    word.passes(begin);
                    assert!(!coded || word.say(&denial()).is_none(), "within four letters");
                    word.passes(end);
                }
                assert!(word.say(&denial()).is_some());
                word.passes(&if wire == Wire::WebText && raw { b"!!!!".to_vec() } else { vec![TRAILERS, 0, 0, 0, 0] });
                assert!(word.say(&denial()).is_none(), "{wire:?}: it has ended, or nobody can tell");
            }
        }
    }
}
