//! What is known of the exchanges of a session, and how they are recorded.

use std::collections::HashMap;
use std::time::Instant;

use hoop_core::{ChannelClosed, ChannelEnd, ChannelId, ExchangeKind, HttpRequest, HttpResponse, ResourceRole, Target};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HOST};

use super::bodies::{Body, Keep};
use super::fields::Heads;
use super::session::microseconds;
use crate::record::event::{self, HttpDone, MAX_MESSAGE_BYTES, MAX_NAME_BYTES, Text};

/// The exchanges that are open.
#[derive(Default)]
pub(super) struct Exchanges {
    keep: Keep,
    /// The scheme and the host of the role's target.
    origin: (Text, Text),
    open: HashMap<ChannelId, Exchange>,
}

/// An exchange.
pub(super) struct Exchange {
    since: Instant,
    first_byte: Option<Instant>,
    kind: ExchangeKind,
    /// Whether bodies of its path are kept.
    takes: bool,
    pub(super) request: Body,
    pub(super) response: Body,
}

impl Exchanges {
    pub(super) fn new(keep: Keep, role: &ResourceRole) -> Self {
        let origin = match &role.target {
            Target::Http(target) => url::Url::parse(&target.url).map(|url| origin(&url)).unwrap_or_default(),
            _ => Default::default(),
        };
        Self { keep, origin, open: HashMap::new() }
    }

    /// An exchange begins; asks for what is kept of its request.
    pub(super) fn begin(&mut self, head: &mut HttpRequest, now: Instant) {
        let takes = self.keep.bodies.take_path(head.uri.path());
        let content_type = head.headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
        let limit = match head.kind {
            ExchangeKind::Plain if takes && self.keep.bodies.take_type(content_type) => self.keep.bodies.request,
            ExchangeKind::Plain => 0,
            ExchangeKind::WebSocket | ExchangeKind::Grpc { .. } => self.keep.messages,
        };
        if limit > 0 {
            head.body.read();
        }
        let request = Body::up_to(limit);
        let (kind, response) = (head.kind.clone(), Body::default());
        self.open.insert(head.channel, Exchange { since: now, first_byte: None, kind, takes, request, response });
    }

    /// It is answered; asks for what is kept of the response.
    pub(super) fn answered(&mut self, head: &mut HttpResponse, now: Instant) {
        let Some(exchange) = self.open.get_mut(&head.channel) else { return };
        exchange.first_byte.get_or_insert(now);
        let content_type = head.headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
        let of_messages = match exchange.kind {
            ExchangeKind::Plain => false,
            // A server that does not switch answers as to any other request.
            ExchangeKind::WebSocket => {
                head.status == StatusCode::SWITCHING_PROTOCOLS || head.headers.contains_key("sec-websocket-accept")
            }
            ExchangeKind::Grpc { .. } => true,
        };
        exchange.response.limit = match of_messages {
            true => self.keep.messages,
            false if exchange.takes && self.keep.bodies.take_type(content_type) => self.keep.bodies.response,
            false => 0,
        };
        if exchange.response.limit > 0 {
            head.body.read();
        }
    }

    /// What is kept of each message.
    pub(super) const fn of_a_message(&self) -> u64 {
        self.keep.messages
    }

    pub(super) fn get(&mut self, channel: ChannelId) -> Option<&mut Exchange> {
        self.open.get_mut(&channel)
    }

    /// Whether the channel is an exchange.
    pub(super) fn has(&self, closed: &ChannelClosed) -> bool {
        self.open.contains_key(&closed.channel) || matches!(closed.end, ChannelEnd::Answered(_))
    }

    /// The exchanges that are open.
    pub(super) fn ids(&self) -> Vec<ChannelId> {
        let mut ids: Vec<_> = self.open.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn request(&self, head: &HttpRequest, mut heads: Heads<'_>) -> event::HttpRequest {
        let (exchange, service, call) = match &head.kind {
            ExchangeKind::Plain => ("plain", "", ""),
            ExchangeKind::WebSocket => ("websocket", "", ""),
            ExchangeKind::Grpc { service, method } => ("grpc", &**service, &**method),
        };
        let (scheme, target) = &self.origin;
        let named = |text: &str| Text::copied(text, MAX_NAME_BYTES);
        let host = head.headers.get(HOST).map(|host| named(host.to_str().unwrap_or_default()));
        let authority = head
            .uri
            .authority()
            .map(|authority| named(authority.as_str().rsplit('@').next().unwrap_or_default()))
            .or(host);
        let (fields, field_count) = heads.fields(&head.headers);
        event::HttpRequest {
            channel: head.channel.0.into(),
            method: named(head.method.as_str()),
            path: heads.path(head.uri.path()),
            query: head.uri.query().map(|query| heads.query(query)).unwrap_or_default(),
            scheme: head.uri.scheme_str().map_or_else(|| scheme.clone(), named),
            authority: authority.unwrap_or_else(|| target.clone()),
            exchange: Text::fixed(exchange),
            service: named(service),
            call: named(call),
            fields,
            field_count,
        }
    }

    pub(super) fn close(&mut self, closed: &ChannelClosed, now: Instant) -> HttpDone {
        let mut done = HttpDone {
            channel: closed.channel.0.into(),
            bytes_in: closed.bytes_in,
            bytes_out: closed.bytes_out,
            ..HttpDone::default()
        };
        if let Some(exchange) = self.open.remove(&closed.channel) {
            done.duration_us = microseconds(exchange.since, now);
            done.first_byte_us = exchange.first_byte.map(|first| microseconds(exchange.since, first));
            done.request = exchange.request.done();
            done.response = exchange.response.done();
        }
        match &closed.end {
            ChannelEnd::Answered(status) => done.status = Some(status.as_u16().into()),
            ChannelEnd::Refused(denial) => {
                done.message = Text::copied(&denial.reason, MAX_MESSAGE_BYTES);
                done.denied_by = Text::copied(&denial.by, MAX_NAME_BYTES);
                done.denial = denial.code.as_str().to_owned();
            }
            ChannelEnd::ExitStatus(_) | ChannelEnd::ExitSignal { .. } | ChannelEnd::Closed => {}
        }
        done
    }
}

fn origin(url: &url::Url) -> (Text, Text) {
    let host = url.host_str().unwrap_or_default();
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    (Text::copied(url.scheme(), MAX_NAME_BYTES), Text::copied(&authority, MAX_NAME_BYTES))
}

pub(super) fn response(head: &HttpResponse, mut heads: Heads<'_>) -> event::HttpResponse {
    let (fields, field_count) = heads.fields(&head.headers);
    event::HttpResponse { channel: head.channel.0.into(), status: head.status.as_u16().into(), fields, field_count }
}
