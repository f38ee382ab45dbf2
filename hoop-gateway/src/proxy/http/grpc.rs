//! Messages of gRPC in a body: a flag, a length of four bytes, and the message ([the protocol]).
//!
//! [the protocol]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use hoop_core::{Code, Denial};
use http::HeaderMap;
use http::header::HeaderName;

use super::coding::{Coding, Decoder};
use super::held::Held;
use super::web;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Flag and length.
const PREFIX: usize = 5;
/// The buffer of a message of no more than this is used again, in bytes.
const KEPT: usize = 64 * 1024;

/// Cuts a body into messages.
pub(super) struct Messages {
    buffer: BytesMut,
    most: usize,
    coding: Result<Option<Coding>, Denial>,
    /// What follows them, where it may stand in the body, and whether it has come.
    trailers: Option<Option<HeaderMap>>,
    /// What is held of them, where that is counted.
    held: Option<Held>,
}

impl Messages {
    /// Of a body with this head; `most` is the longest message, in bytes.
    pub(super) fn new(fields: &HeaderMap, most: usize) -> Self {
        let mut as_content = HeaderMap::new();
        if let Some(value) = fields.get(&GRPC_ENCODING) {
            as_content.insert(http::header::CONTENT_ENCODING, value.clone());
        }
        Self { buffer: BytesMut::new(), most, coding: Coding::of(&as_content), trailers: None, held: None }
    }

    /// The same of gRPC-Web, whose last frame has what follows the messages.
    pub(super) fn of_web(fields: &HeaderMap, most: usize) -> Self {
        Self { trailers: Some(None), ..Self::new(fields, most) }
    }

    /// The same, and what is held of them is counted.
    pub(super) fn within(self, held: Held) -> Self {
        Self { held: Some(held), ..self }
    }

    /// What the last frame has said.
    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.as_mut()?.take()
    }

    /// # Errors
    /// When no more may be held.
    pub(super) fn push(&mut self, data: &[u8]) -> Result<(), Denial> {
        self.cover(data.len())?;
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    /// Counts what has come, and this much besides.
    fn cover(&mut self, more: usize) -> Result<(), Denial> {
        let bytes = self.buffer.len().saturating_add(more);
        self.held.as_mut().map_or(Ok(()), |held| held.cover(bytes))
    }

    /// The next message, uncompressed, when all of it is there.
    ///
    /// # Errors
    /// [`Code::LimitExceeded`], [`Code::ProtocolViolation`], or that it cannot be uncompressed.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Denial> {
        let [compressed, a, b, c, d, ..] = self.buffer[..] else { return Ok(None) };
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        if len > self.most {
            return Err(too_long(self.most));
        }
        if self.buffer.len() < PREFIX + len {
            return Ok(None);
        }
        if matches!(self.trailers, Some(Some(_))) {
            return Err(Denial::new("gateway", Code::ProtocolViolation, "a call of gRPC-Web goes on after its end"));
        }
        self.buffer.advance(PREFIX);
        let message = self.buffer.split_to(len).freeze();
        if len > KEPT {
            // What is left would keep all of it alive, for as long as the call rests.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        match compressed {
            0 => self.whole(message).map(Some),
            1 => self.uncompressed(message).map(Some),
            web::TRAILERS if self.trailers.is_some() => {
                self.trailers = Some(Some(web::trailers(&message)?));
                self.next()
            }
            _ => Err(Denial::new("gateway", Code::ProtocolViolation, "a message of gRPC has an unknown flag")),
        }
    }

    /// Whether nothing is left that is not whole.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// A message is there until the next is asked for, and so is what rules and the other end make of it.
    fn whole(&mut self, message: Bytes) -> Result<Bytes, Denial> {
        /// Itself, masked, and as it goes on.
        const COPIES: usize = 3;
        self.cover(COPIES * message.len())?;
        Ok(message)
    }

    fn uncompressed(&mut self, mut message: Bytes) -> Result<Bytes, Denial> {
        let unnamed =
            || Denial::new("gateway", Code::ProtocolViolation, "a message of gRPC is compressed, and does not say how");
        let mut decoder = Decoder::new(self.coding.clone()?.ok_or_else(unnamed)?);
        let mut out = BytesMut::new();
        loop {
            let mut piece = decoder.decode(&mut message)?;
            if piece.is_empty() {
                piece = decoder.finish()?;
            }
            if piece.is_empty() {
                return self.whole(out.freeze());
            }
            if out.len() + piece.len() > self.most {
                return Err(too_long(self.most));
            }
            self.cover(message.len() + out.len() + piece.len())?;
            out.extend_from_slice(&piece);
        }
    }
}

/// A message as it stands in a body, uncompressed.
pub(super) fn framed(message: &Bytes) -> Bytes {
    let mut out = BytesMut::with_capacity(PREFIX + message.len());
    out.put_u8(0);
    out.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(message);
    out.freeze()
}

/// A call whose body ends in the middle of a message.
pub(super) fn cut_off() -> Denial {
    Denial::new("gateway", Code::ProtocolViolation, "a call of gRPC ended in the middle of a message")
}

fn too_long(most: usize) -> Denial {
    Denial::new("gateway", Code::LimitExceeded, format!("a message of gRPC has more than {most} bytes"))
        .hint("rules read messages as a whole: send smaller ones, or ask an administrator")
}

#[cfg(test)]
mod tests {
    use super::super::coding::Encoder;
    use super::super::held::Budget;
    use super::*;

    #[test]
    fn messages_are_cut_wherever_the_bytes_were_split() {
        let body = [framed(&Bytes::from_static(b"one")), framed(&Bytes::new()), framed(&Bytes::from_static(b"three"))]
            .concat();
        for pieces in 1..body.len() {
            let mut messages = Messages::new(&HeaderMap::new(), 5);
            let mut all = Vec::new();
            for piece in body.chunks(pieces) {
                messages.push(piece).expect("nothing is counted");
                while let Some(message) = messages.next().expect("messages") {
                    all.push(message);
                }
            }
            assert!(messages.is_empty());
            assert_eq!(all, [&b"one"[..], b"", b"three"]);
        }
    }

    #[test]
    fn a_call_of_grpc_web_ends_with_its_trailers() {
        let fields = HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), 0.into())]);
        let body = [framed(&Bytes::from_static(b"one")), web::frame(&fields)].concat();
        let mut messages = Messages::of_web(&HeaderMap::new(), 100);
        messages.push(&body).expect("nothing is counted");
        assert_eq!(messages.next().expect("a message").expect("whole"), "one");
        assert!(messages.next().expect("the end").is_none() && messages.is_empty());
        assert_eq!(messages.take_trailers(), Some(fields));
        messages = Messages::of_web(&HeaderMap::new(), 100);
        messages.push(&[&body[8..], &body[..8]].concat()).expect("nothing is counted");
        assert_eq!(messages.next().expect_err("after the end").code, Code::ProtocolViolation);
        messages = Messages::new(&HeaderMap::new(), 100);
        messages.push(&body[8..]).expect("nothing is counted");
        assert_eq!(messages.next().expect_err("not of gRPC").code, Code::ProtocolViolation);
    }

    #[test]
    fn compressed_long_and_wrong_ones() {
        let mut encoder = Encoder::new(Coding::Gzip);
        let text = [encoder.encode(&[b'a'; 100], false).expect("encoded"), encoder.finish().expect("encoded")].concat();
        let mut body = BytesMut::from(&framed(&text.into())[..]);
        body[0] = 1;
        let gzip = HeaderMap::from_iter([(GRPC_ENCODING, http::HeaderValue::from_static("gzip"))]);
        let next = |fields: &HeaderMap, most| {
            let mut messages = Messages::new(fields, most);
            messages.push(&body).expect("nothing is counted");
            messages.next()
        };
        assert_eq!(next(&gzip, 100).expect("uncompressed").expect("whole").len(), 100);
        assert_eq!(next(&gzip, 99).expect_err("too long").code, Code::LimitExceeded);
        assert_eq!(next(&HeaderMap::new(), 100).expect_err("unnamed").code, Code::ProtocolViolation);
        body[0] = 2;
        let mut messages = Messages::new(&gzip, 100);
        messages.push(&body).expect("nothing is counted");
        assert!(messages.next().is_err());
    }

    #[test]
    fn what_is_held_of_them_is_counted_to_its_end() {
        const LONG: usize = 256 * 1024;
        let (all, body) = (Budget::new(1 << 20), framed(&vec![0; LONG].into()));
        let counted = || Messages::new(&HeaderMap::new(), LONG).within(Held::of(&all));
        let mut one = counted();
        one.push(&body).expect("there is room");
        assert_eq!(one.next().expect("there is room").expect("a message").len(), LONG);
        // Three times the message, without what is free, and the same again.
        let mut other = counted();
        other.push(&body).expect("there is room");
        assert_eq!(other.next().expect_err("there is none").code, Code::GatewayBusy);
        drop(other);
        assert!(one.next().expect("nothing more").is_none());
        one.push(b"").expect("nothing is held");
        let mut other = counted();
        other.push(&body).expect("there is room");
        assert!(other.next().expect("there is room again").is_some());
        drop(other);
        Held::of(&all).cover(1 << 20).expect("all of it");
    }

    #[test]
    fn a_message_that_is_compressed_is_held_as_long_as_it_becomes() {
        let mut encoder = Encoder::new(Coding::Gzip);
        let text =
            [encoder.encode(&[b'a'; 1 << 20], false).expect("encoded"), encoder.finish().expect("encoded")].concat();
        let mut body = BytesMut::from(&framed(&text.into())[..]);
        body[0] = 1;
        let gzip = HeaderMap::from_iter([(GRPC_ENCODING, http::HeaderValue::from_static("gzip"))]);
        for (most, fits) in [(3 << 20, true), (2 << 20, false), (512 << 10, false)] {
            let mut messages = Messages::new(&gzip, 1 << 20).within(Held::of(&Budget::new(most)));
            messages.push(&body).expect("it is short");
            assert_eq!(messages.next().is_ok(), fits, "{most}");
        }
    }
}
