//! Masking of what is said over HTTP: heads, bodies and trailers of responses, and messages of WebSockets and gRPC calls.
//!
//! A body is read as what it is said to be, and where it is said to be no text, or nothing, as what it looks like. It is masked
//! as it comes, in memory that does not grow with it, and whatever its pieces are, the same is shown. Of plain text and markup
//! what cannot be a part of a value goes on after a few milliseconds without more; in all else a value is kept until it is whole,
//! and events and lines are never kept once they are.
//!
//! What is not searched: pictures, fonts, sound, films, PDFs and other data; Base64; what a script or the client puts together of
//! several values; cookies that are set. What cannot be read is refused, or left out, as the role says; so are values that are
//! encoded in bytes (CBOR, MessagePack, protobuf outside of gRPC), which clients may ask for in the place of JSON.

mod body;
mod events;
mod flow;
mod form;
mod grpc;
mod head;
mod json;
mod keys;
mod markup;
mod parts;
mod path;
mod rules;
mod search;
mod structure;
#[cfg(test)]
mod tests;
mod text;

use std::collections::HashMap;

use bytes::Bytes;
use hoop_core::{
    BodyPart, ChannelId, Code, Denial, ExchangeKind, HttpRequest, HttpResponse, Label, Message, MessageKind,
};
use http::StatusCode;
use prost_reflect::{DescriptorPool, MessageDescriptor};

use super::mask::Masker;
use body::Body;
use search::{Search, Unreadable};
use text::End;

pub(crate) use rules::Fields;
pub use rules::{BinaryMessages, FieldRule, GrpcRules, Unread};

const MASKED: &[u8] = b"[masked]";

/// The exchanges of a session.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    fields: Fields,
    running: HashMap<ChannelId, Exchange>,
}

/// What is kept of an exchange.
#[derive(Debug, Default)]
struct Exchange {
    /// Whether it is a gRPC call, whose answer has messages.
    is_call: bool,
    /// The type of the messages that answer, where it is a gRPC call.
    messages: Option<MessageDescriptor>,
    /// How these are written.
    format: grpc::Format,
    body: Option<Body>,
    /// Why its body cannot be searched, where its head says so.
    part: Option<Unreadable>,
    ended: Ended,
}

/// Whether what follows is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Ended {
    #[default]
    No,
    /// It is left out.
    LeftOut,
    /// The exchange was refused.
    Refused,
}

impl Exchanges {
    pub(crate) fn new(fields: Fields) -> Self {
        Self { fields, running: HashMap::new() }
    }

    /// An exchange begins.
    pub(crate) fn request(&mut self, request: &HttpRequest, masker: &Masker) {
        let search = Search { masker, fields: &self.fields };
        let messages = match &request.kind {
            ExchangeKind::Grpc { service, method } => {
                let reflected = request.known.get::<DescriptorPool>();
                grpc::response_type(service, method, reflected, search)
            }
            ExchangeKind::Plain | ExchangeKind::WebSocket => None,
        };
        let is_call = matches!(request.kind, ExchangeKind::Grpc { .. });
        self.running.insert(request.channel, Exchange { is_call, messages, ..Exchange::default() });
    }

    /// Masks the head of a response, and asks for its body.
    ///
    /// # Errors
    /// A [`Denial`] for what cannot be searched.
    pub(crate) fn head(&mut self, response: &mut HttpResponse, masker: &Masker) -> Result<(), Denial> {
        let search = Search { masker, fields: &self.fields };
        let exchange = self.running.entry(response.channel).or_default();
        exchange.may_go_on()?;
        let body = Body::new(head::content_type(&response.headers), search, 0);
        if !body.is_unsearched() {
            // Whoever asks for all of it instead comes again with another head.
            exchange.part = head::check_whole(response.status, &response.headers).err();
            response.body.change();
            // Some servers take any request for a call; nobody cuts the messages of what is none.
            if !exchange.is_call && grpc::is_type(&response.headers) {
                exchange.ended = Ended::Refused;
                return Err(denied(Unreadable("it has messages of gRPC, and was not asked for as a call")));
            }
        } else if response.status == StatusCode::SWITCHING_PROTOCOLS {
            response.body.change();
        }
        exchange.format = grpc::Format::of(&response.headers);
        head::fields(&mut response.headers, search);
        exchange.body = Some(body);
        Ok(())
    }

    /// Masks a piece of a body.
    ///
    /// # Errors
    /// A [`Denial`] for what cannot be read.
    pub(crate) fn body(&mut self, part: &mut BodyPart, masker: &Masker) -> Result<(), Denial> {
        let search = Search { masker, fields: &self.fields };
        let exchange = self.running.entry(part.channel).or_default();
        exchange.may_go_on()?;
        if let Some(trailers) = &mut part.trailers {
            head::fields(trailers, search);
        }
        if let Some(unreadable) = exchange.part.take() {
            exchange.ended = Ended::Refused;
            return Err(denied(unreadable));
        }
        if exchange.ended == Ended::LeftOut {
            part.bytes = Bytes::new();
            return Ok(());
        }
        let body = exchange.body.get_or_insert_with(|| Body::new(None, search, 0));
        if body.is_unsearched() {
            return Ok(());
        }
        let end = if part.last { End::Whole } else { End::Open };
        let mut out = Vec::with_capacity(part.bytes.len() + 64);
        let read = body.push(&part.bytes, end, search, &mut out);
        part.held_back |= body.is_held() && !part.last;
        if let Err(unreadable) = read {
            exchange.unread(unreadable, search, &mut out)?;
        }
        part.bytes = out.into();
        Ok(())
    }

    /// What is kept of a body and can be shown. Asked again and again, it gives nothing more.
    pub(crate) fn flush(&mut self, channel: ChannelId, masker: &Masker) -> Option<BodyPart> {
        let search = Search { masker, fields: &self.fields };
        let exchange = self.running.get_mut(&channel).filter(|exchange| exchange.ended == Ended::No)?;
        let mut out = Vec::new();
        // What cannot be written is refused with the next piece, which cannot be either.
        exchange.body.as_mut()?.let_go(search, &mut out).ok()?;
        let bytes = Bytes::from(out);
        (!bytes.is_empty()).then_some(BodyPart { channel, bytes, last: false, trailers: None, held_back: false })
    }

    /// Masks a message.
    ///
    /// # Errors
    /// A [`Denial`] for what cannot be read.
    pub(crate) fn message(&mut self, message: &mut Message, masker: &Masker) -> Result<(), Denial> {
        let search = Search { masker, fields: &self.fields };
        let exchange = self.running.entry(message.channel).or_default();
        exchange.may_go_on()?;
        let masked = match message.kind {
            MessageKind::Grpc => match exchange.format {
                grpc::Format::Protobuf => grpc::message(&message.bytes, exchange.messages.as_ref(), search),
                grpc::Format::Json => json_message(&message.bytes, search),
                grpc::Format::Other => Err(Unreadable("it has messages in a form that is not read")),
            },
            MessageKind::Text => text_message(&message.bytes, search),
            MessageKind::Binary => binary_message(&message.bytes, search),
        };
        match masked {
            Ok(Some(masked)) => message.bytes = masked.into(),
            Ok(None) => {}
            Err(unreadable) if self.fields.unread == Unread::Deny => {
                exchange.ended = Ended::Refused;
                return Err(denied(unreadable));
            }
            Err(_) => {
                masker.counts.add(&Label::of("unreadable"));
                // An empty message is one of any type.
                message.bytes = Bytes::from_static(if message.kind == MessageKind::Grpc { b"" } else { MASKED });
            }
        }
        Ok(())
    }

    /// The exchange has ended.
    pub(crate) fn close(&mut self, channel: ChannelId) {
        self.running.remove(&channel);
    }
}

impl Exchange {
    fn may_go_on(&self) -> Result<(), Denial> {
        match self.ended {
            Ended::Refused => Err(denied(Unreadable("what came before could not be read"))),
            _ => Ok(()),
        }
    }

    fn unread(&mut self, unreadable: Unreadable, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Denial> {
        if search.fields.unread == Unread::Deny {
            self.ended = Ended::Refused;
            return Err(denied(unreadable));
        }
        search.masker.counts.add(&Label::of("unreadable"));
        self.ended = Ended::LeftOut;
        out.extend_from_slice(MASKED);
        Ok(())
    }
}

fn denied(unreadable: Unreadable) -> Denial {
    let reason = format!("the response could not be searched, so it is not shown: {unreadable}");
    Denial::new(super::NAME, Code::MaskingFailed, reason).hint("ask the administrator of the role")
}

/// A message of gRPC in JSON: rules for fields of messages name what is not there.
fn json_message(bytes: &[u8], search: Search<'_>) -> Result<Option<Vec<u8>>, Unreadable> {
    if !search.fields.grpc.is_empty() {
        return Err(Unreadable("it has messages of gRPC in JSON, and the role has rules for their fields"));
    }
    let mut out = Vec::with_capacity(bytes.len());
    Body::new(Some("application/json"), search, 0).push(bytes, End::Whole, search, &mut out)?;
    Ok((out != bytes).then_some(out))
}

fn text_message(bytes: &[u8], search: Search<'_>) -> Result<Option<Vec<u8>>, Unreadable> {
    let mut out = Vec::with_capacity(bytes.len());
    let (envelope, text) = bytes.split_at(envelope(bytes));
    out.extend_from_slice(envelope);
    Body::new(Some("text/plain; charset=utf-8"), search, 0).push(text, End::Whole, search, &mut out)?;
    Ok((out != bytes).then_some(out))
}

/// How many bytes of a message say what kind it is, where JSON follows: `42["event",…]` of Engine.IO and Socket.IO, with the name of
/// a namespace and a number perhaps, or `a[…]` of SockJS.
fn envelope(message: &[u8]) -> usize {
    const LONGEST: usize = 64;
    let at = message.iter().take(LONGEST).position(|byte| matches!(byte, b'[' | b'{')).unwrap_or(0);
    let (head, _) = message.split_at(at);
    let kind = head.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-').count();
    // As many digits may be a value of their own.
    let is_short = |digits: &[u8]| digits.len() < 9 && digits.iter().all(u8::is_ascii_digit);
    let is_kind = match head.get(kind..).unwrap_or_default() {
        [] => kind < 9,
        rest @ [b'/', ..] if (1..9).contains(&kind) && !rest.contains(&b'@') => {
            memchr::memrchr(b',', rest).is_some_and(|comma| is_short(rest.get(comma + 1..).unwrap_or_default()))
        }
        rest => rest == b"a" && kind == 0,
    };
    if is_kind { at } else { 0 }
}

fn binary_message(bytes: &[u8], search: Search<'_>) -> Result<Option<Vec<u8>>, Unreadable> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => text_message(bytes, search),
        _ if search.fields.binary == BinaryMessages::Fail => Err(Unreadable("it is a message that is no text")),
        _ => Ok(None),
    }
}
