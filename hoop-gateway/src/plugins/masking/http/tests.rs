//! Masking over HTTP, as the chain of a session does it.

mod canary;
mod fields;
mod forms;
mod heads;
mod hostile;
mod messages;
mod split;

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use hoop_core::{
    BodyPart, BodyUse, ChannelClosed, ChannelEnd, ChannelId, Code, ExchangeKind, Flow, HttpRequest, HttpResponse,
    Message, MessageKind, Plugin as _, PluginChain, Request, ResourceRole, Response, SessionChain,
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::json;

use super::super::Masking;

const SECRET: [u8; 32] = *b"a secret of at least 32 bytes ..";

/// A session of a role with these settings.
struct Session {
    chain: RefCell<SessionChain>,
    next: Cell<u32>,
}

/// What the client is shown.
#[derive(Debug, Default, PartialEq)]
struct Shown {
    headers: HeaderMap,
    bytes: Vec<u8>,
    trailers: HeaderMap,
    denied: Option<Code>,
}

impl Shown {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

fn role(settings: &str) -> ResourceRole {
    let mut role = hoop_testkit::role(json!({ "kind": "http", "url": "http://shop.internal" }));
    role.plugins.insert("masking".into(), serde_json::from_str(settings).expect("settings"));
    role
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().expect("a name");
        (name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
    };
    fields.iter().map(field).collect()
}

impl Session {
    fn new(settings: &str) -> Self {
        let plugins = PluginChain::new(vec![Arc::new(Masking::new(SECRET))]);
        let chain = block_on(plugins.open(&hoop_testkit::session(role(settings)))).expect("good settings");
        Self { chain: RefCell::new(chain), next: Cell::new(1) }
    }

    /// A request of a kind goes to the target.
    fn ask(&self, kind: ExchangeKind) -> ChannelId {
        self.ask_knowing(kind, Extensions::new())
    }

    /// The same, and this is known of it.
    fn ask_knowing(&self, kind: ExchangeKind, known: Extensions) -> ChannelId {
        let channel = ChannelId(self.next.get());
        self.next.set(self.next.get() + 1);
        let request = HttpRequest {
            channel,
            method: Method::GET,
            uri: "/".parse().expect("a path"),
            headers: HeaderMap::new(),
            kind,
            body: BodyUse::default(),
            known,
        };
        let asked = self.chain.borrow_mut().request(Request::Http(request));
        assert!(matches!(asked, Flow::Pass(_)));
        channel
    }

    fn head(&self, channel: ChannelId, status: u16, fields: &[(&str, &str)]) -> Result<HttpResponse, Code> {
        let status = StatusCode::from_u16(status).expect("a status");
        let head = HttpResponse { channel, status, headers: headers(fields), body: BodyUse::default() };
        match self.chain.borrow_mut().response(Response::Http(head)) {
            Flow::Pass(Response::Http(head)) => Ok(head),
            Flow::Denied(denial) => Err(denial.code),
            other => panic!("{other:?}"),
        }
    }

    fn piece(
        &self,
        channel: ChannelId,
        bytes: &[u8],
        last: bool,
        trailers: Option<HeaderMap>,
    ) -> Result<BodyPart, Code> {
        let part = BodyPart { channel, bytes: Bytes::copy_from_slice(bytes), last, trailers, held_back: false };
        match self.chain.borrow_mut().response(Response::Body(part)) {
            Flow::Pass(Response::Body(part)) => Ok(part),
            Flow::Denied(denial) => Err(denial.code),
            other => panic!("{other:?}"),
        }
    }

    fn flush(&self, channel: ChannelId) -> Vec<u8> {
        let shown = |flow| match flow {
            Flow::Pass(Response::Body(part)) => part.bytes,
            other => panic!("{other:?}"),
        };
        self.chain.borrow_mut().flush(channel).into_iter().flat_map(shown).collect()
    }

    fn close(&self, channel: ChannelId) {
        let closed = ChannelClosed { channel, end: ChannelEnd::Answered(StatusCode::OK), bytes_in: 0, bytes_out: 0 };
        let closed = self.chain.borrow_mut().response(Response::ChannelClosed(closed));
        assert!(matches!(closed, Flow::Pass(_)));
    }

    fn message(&self, channel: ChannelId, kind: MessageKind, bytes: &[u8]) -> Result<Bytes, Code> {
        let message = Message { channel, kind, bytes: Bytes::copy_from_slice(bytes) };
        match self.chain.borrow_mut().response(Response::Message(message)) {
            Flow::Pass(Response::Message(message)) => Ok(message.bytes),
            Flow::Denied(denial) => Err(denial.code),
            other => panic!("{other:?}"),
        }
    }

    /// A response whose body comes in these pieces.
    fn response<'a>(&self, fields: &[(&str, &str)], pieces: impl IntoIterator<Item = &'a [u8]>) -> Shown {
        let channel = self.ask(ExchangeKind::Plain);
        let mut shown = Shown::default();
        match self.head(channel, 200, fields) {
            Ok(head) => shown.headers = head.headers,
            Err(code) => return Shown { denied: Some(code), ..shown },
        }
        for piece in pieces {
            match self.piece(channel, piece, false, None) {
                Ok(part) => shown.bytes.extend(part.bytes),
                Err(code) => return Shown { denied: Some(code), ..shown },
            }
        }
        match self.piece(channel, b"", true, None) {
            Ok(part) => shown.bytes.extend(part.bytes),
            Err(code) => shown.denied = Some(code),
        }
        self.close(channel);
        shown
    }

    /// A body of a type, as a whole.
    fn body(&self, content_type: &str, body: impl AsRef<[u8]>) -> Shown {
        self.response(&[("content-type", content_type)], [body.as_ref()])
    }

    fn text(&self, content_type: &str, body: impl AsRef<[u8]>) -> String {
        let shown = self.body(content_type, body);
        assert_eq!(shown.denied, None);
        shown.text()
    }
}

#[test]
fn settings_that_say_nothing_are_refused_before_they_are_stored() {
    let check = |settings: &str| Masking::new(SECRET).check_role(&role(settings)).map_err(|denial| denial.reason);
    assert_eq!(check(r#"{"fields": [{"path": "customers[*].email"}, {"path": "$..ssn", "action": "null"}]}"#), Ok(()));
    for (settings, reason) in [
        (r#"{"fields": [{"path": "a..[*]"}]}"#, "a key is missing"),
        (r#"{"fields": [{"path": "a[0]"}]}"#, "a dot or [*] is missing"),
        (r#"{"fields": [{"path": "$"}]}"#, "it leads to no field"),
        (r#"{"fields": [{}]}"#, "a field is named by one of"),
        (r#"{"fields": [{"form": "a", "path": "b"}]}"#, "a field is named by one of"),
        (r#"{"fields": [{"grpc": "number"}]}"#, "not the full name"),
        (r#"{"grpc": {"descriptor_set": "%"}}"#, "not Base64"),
        (r#"{"grpc": {"descriptor_set": ""}, "fields": [{"grpc": "a.B.c"}]}"#, "has no field a.B.c"),
    ] {
        let said = check(settings).expect_err(settings);
        assert!(said.contains(reason), "{settings}: {said}");
    }
    assert!(check(r#"{"fail": "sometimes"}"#).is_err());
}
