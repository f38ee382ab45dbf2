//! Audit of HTTP.

use bytes::Bytes;
use hoop_core::{BodyPart, ChannelClosed, ChannelEnd, ChannelId, Denial, HttpRequest, HttpResponse, Message};

use super::super::exchanges;
use super::super::fields::Heads;
use super::SessionAudit;
use crate::record::event::{self, BodyHead, Text};
use crate::record::{Kind, MAX_PAYLOAD};

impl SessionAudit {
    pub(super) fn http_request(&mut self, head: &mut HttpRequest) -> Result<(), Denial> {
        self.totals.requests += 1;
        self.exchanges.begin(head, self.clock.monotonic());
        let (hits, before) = (&mut self.memory.hits, &mut self.heads.0);
        let event = self.exchanges.request(head, Heads { redactor: &self.redactor, hits, before });
        self.add(Kind::HttpRequest, |out| event.encode(out))
    }

    pub(super) fn http_response(&mut self, head: &mut HttpResponse) -> Result<(), Denial> {
        self.exchanges.answered(head, self.clock.monotonic());
        let (hits, before) = (&mut self.memory.hits, &mut self.heads.1);
        let event = exchanges::response(head, Heads { redactor: &self.redactor, hits, before });
        self.add(Kind::HttpResponse, |out| event.encode(out))
    }

    pub(super) fn request_body(&mut self, part: &BodyPart) -> Result<(), Denial> {
        let Some(exchange) = self.exchanges.get(part.channel) else { return Ok(()) };
        let kept = exchange.request.sent(&part.bytes, part.last, &self.redactor, &mut self.memory.hits);
        self.body(part.channel, false, &kept)
    }

    pub(super) fn response_body(&mut self, part: &BodyPart) -> Result<(), Denial> {
        let Some(exchange) = self.exchanges.get(part.channel) else { return Ok(()) };
        let keep = exchange.response.shown(&part.bytes);
        self.body(part.channel, true, part.bytes.get(..keep).unwrap_or_default())
    }

    /// Appends bytes of a body in records of a bounded length.
    fn body(&mut self, channel: ChannelId, from_target: bool, bytes: &[u8]) -> Result<(), Denial> {
        let head = BodyHead { channel: channel.0, from_target }.encode();
        let mut pieces = bytes.chunks(MAX_PAYLOAD - BodyHead::LENGTH);
        pieces.try_for_each(|piece| self.recording.add(Kind::HttpBody, &[&head, piece]))
    }

    pub(super) fn request_message(&mut self, message: &Message) -> Result<(), Denial> {
        let Some(exchange) = self.exchanges.get(message.channel) else { return Ok(()) };
        let keep = exchange.request.message(&message.bytes);
        // Redacted before it is cut: half a value would not be found.
        let kept = match keep {
            0 => Bytes::new(),
            keep => self.redactor.written(&message.bytes, &mut self.memory.hits).slice(..keep),
        };
        self.message(message, false, kept)
    }

    pub(super) fn response_message(&mut self, message: &Message) -> Result<(), Denial> {
        let Some(exchange) = self.exchanges.get(message.channel) else { return Ok(()) };
        let keep = exchange.response.message(&message.bytes);
        self.message(message, true, message.bytes.slice(..keep))
    }

    fn message(&mut self, message: &Message, from_target: bool, kept: Bytes) -> Result<(), Denial> {
        if self.exchanges.of_a_message() == 0 {
            return Ok(());
        }
        let is_whole = kept.len() == message.bytes.len();
        let event = event::HttpMessage {
            channel: message.channel.0.into(),
            from_target,
            message: Text::fixed(message.kind.as_str()),
            length: message.bytes.len() as u64,
            bytes: Text(kept),
            digest: if is_whole { String::new() } else { blake3::hash(&message.bytes).to_hex().to_string() },
        };
        self.add(Kind::HttpMessage, |out| event.encode(out))
    }

    pub(super) fn http_done(&mut self, closed: &ChannelClosed) -> Result<(), Denial> {
        self.totals.denied += u64::from(matches!(closed.end, ChannelEnd::Refused(_)));
        self.totals.request_bytes += closed.bytes_in;
        self.totals.response_bytes += closed.bytes_out;
        self.body_to_the_end(closed.channel)?;
        let event = self.exchanges.close(closed, self.clock.monotonic());
        self.add(Kind::HttpDone, |out| event.encode(out))
    }

    /// Records what is left of a body that was not sent to its end.
    pub(super) fn body_to_the_end(&mut self, channel: ChannelId) -> Result<(), Denial> {
        let Some(exchange) = self.exchanges.get(channel) else { return Ok(()) };
        let kept = exchange.request.rest(&self.redactor, &mut self.memory.hits);
        self.body(channel, false, &kept)
    }
}
