//! One exchange: a request that is asked about, passed on, and answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hoop_core::{
    ChannelClosed, ChannelEnd, ChannelId, Code, Denial, ExchangeKind, HttpRequest, HttpResponse, Interest, Request,
    Response,
};
use hoop_proto::tunnel::v1::{self, http_message};
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RANGE, VIA,
};
use http::{Method, StatusCode, Uri, Version, request};

use super::allow::allowed;
use super::answer::{self, Body};
use super::asked::RequestBody;
use super::coding::Coding;
use super::fields::{strip_request, strip_response};
use super::head::{self, Names, Origin};
use super::identity::HOOP_IDENTITY;
use super::sending::{self, Outgoing, Sending};
use super::session::{HttpSession, Place};
use super::web::{Wire, Wires};
use super::{validators, websocket};
use crate::tunnel::{Canceller, ChannelReceiver, OpenFailure, Received};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// An exchange's part of its session. Dropping it tells the chain that it ended without a word.
pub(super) struct Exchange {
    pub(super) session: Arc<HttpSession>,
    pub(super) id: ChannelId,
    pub(super) traffic: Arc<Traffic>,
    place: Option<Place>,
}

/// Bytes of bodies and messages.
#[derive(Default)]
pub(super) struct Traffic {
    pub(super) to_target: AtomicU64,
    pub(super) to_client: AtomicU64,
}

/// Who asks, and how they have named the gateway.
pub(crate) struct Asker {
    /// The address, as targets are told it.
    pub(crate) address: HeaderValue,
    pub(crate) origin: Origin,
}

impl Exchange {
    async fn begin(session: Arc<HttpSession>) -> Result<Self, Denial> {
        let (place, id) = session.enter().await?;
        Ok(Self { session, id, traffic: Arc::default(), place: Some(place) })
    }

    /// Tells the chain how it ended.
    ///
    /// # Errors
    /// When that cannot be recorded: the session ends, too.
    pub(super) async fn end(&mut self, end: ChannelEnd) -> Result<(), Denial> {
        let Some(_place) = self.place.take() else { return Ok(()) };
        tell(&self.session, self.closed(end)).await
    }

    fn closed(&self, end: ChannelEnd) -> Response {
        Response::ChannelClosed(ChannelClosed {
            channel: self.id,
            end,
            bytes_in: self.traffic.to_target.load(Ordering::Relaxed),
            bytes_out: self.traffic.to_client.load(Ordering::Relaxed),
        })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let (session, closed) = (Arc::clone(&self.session), self.closed(ChannelEnd::Closed));
        self.session.tasks.spawn(async move {
            let _ = tell(&session, closed).await;
            drop(place);
        });
    }
}

async fn tell(session: &HttpSession, closed: Response) -> Result<(), Denial> {
    if !session.chain.wants(Interest::HTTP | Interest::COMMANDS) {
        return Ok(());
    }
    let told = session.chain.response(closed).await;
    told.map(drop).inspect_err(|denial| session.fail(denial.clone()))
}

/// Answers a request.
///
/// # Errors
/// The refusal, for the client to be told; of what the target has sent nothing is in it.
pub(crate) async fn serve(
    session: Arc<HttpSession>,
    request: http::Request<RequestBody>,
    asker: &Asker,
) -> Result<http::Response<Body>, Denial> {
    let ending = session.ending.clone();
    let mut exchange = Exchange::begin(session).await?;
    // Also who waits, for the rest of a body or for somebody's word, does so no longer than the session.
    let ran = ending.run_until_cancelled(run(&mut exchange, request, asker)).await;
    match ran.unwrap_or_else(|| Err(exchange.session.why())) {
        Ok(Ran::Answer(parts, begun)) => answer::give(exchange, parts, begun).await,
        Ok(Ran::WebSocket(parts, begun)) => Ok(websocket::open(exchange, *parts, begun)),
        Err(denial) => {
            exchange.end(ChannelEnd::Refused(denial.clone())).await?;
            Err(denial)
        }
    }
}

/// What a request has come to.
enum Ran {
    Answer(Box<HttpResponse>, Begun),
    WebSocket(Box<HttpResponse>, websocket::Begun),
}

/// An answer whose head is there.
pub(super) struct Begun {
    pub(super) receiver: ChannelReceiver,
    pub(super) sending: Sending,
    pub(super) give_up: GiveUp,
    /// No body follows.
    pub(super) bodiless: bool,
    /// The target's coding of the body, where it is decoded.
    pub(super) coding: Option<Coding>,
    /// It is the answer to a call of gRPC, or gRPC-Web.
    pub(super) wires: Option<Wires>,
    /// The client reads what follows a body.
    pub(super) trailers: bool,
}

/// Dropped before its time, it has the agent give the exchange up: the end of a stream alone is not seen by one that waits for a
/// target to take more.
pub(super) struct GiveUp(Option<Canceller>);

impl GiveUp {
    pub(super) const fn of(canceller: Canceller) -> Self {
        Self(Some(canceller))
    }

    /// The exchange has ended as it should.
    pub(super) fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        if let Some(canceller) = self.0.take() {
            canceller.cancel();
        }
    }
}

async fn run(exchange: &mut Exchange, mut request: http::Request<RequestBody>, asker: &Asker) -> Result<Ran, Denial> {
    let upgrade = websocket::asked(&mut request)?;
    let (mut parts, mut body) = request.into_parts();
    let session = Arc::clone(&exchange.session);
    let names = Names { client: &asker.origin, target: &session.target, url: &session.url };
    let bodiless = sending::is_empty(&parts.headers, &mut body, session.limits.body_idle).await?;
    let mut head = asked(exchange.id, &mut parts, upgrade.is_some())?;
    names.request(&mut head.headers);
    validators::asked(&mut head.headers, &session.variant);
    let wires = Wires::of(&mut head, session.target.grpc_web)?;
    let is_call = wires.is_some();
    if is_call && let Some(types) = session.types().await {
        head.known.insert(types);
    }
    let mut head = ask(&session, head).await?;
    // After the chain has seen it: what somebody tried is recorded, too.
    allowed(&session.target.allow, &session.url.prefix, &head)?;
    let reads_body = head.body.read && !bodiless && !is_call;
    let coding = if reads_body { Coding::of(&head.headers)? } else { None };
    if reads_body {
        // What was read is what is sent.
        head.headers.remove(CONTENT_ENCODING);
        head.headers.remove(CONTENT_LENGTH);
    }
    if let Some(wires) = wires {
        wires.asked(&mut head.headers, head.body.read);
    }
    assert_caller(&session, &mut head.headers, &parts, asker);
    let mut outgoing = Outgoing::new(exchange, &head, wires, coding);
    let mut body = Some(body);
    let mut whole = None;
    if head.body.whole
        && let Some(body) = body.take()
    {
        // No body is decided on, too; none is sent then.
        let decided = if is_call { outgoing.whole_call(body).await? } else { outgoing.whole(body).await? };
        whole = (!bodiless).then_some(decided);
    }
    if !bodiless && let Some(body) = &mut body {
        outgoing.look(body).await;
    }
    loop {
        let channel = session.channel().await?;
        let give_up = GiveUp::of(channel.canceller());
        let (mut receiver, mut sender) = channel.split();
        let nothing_follows = bodiless && upgrade.is_none();
        let mut wire = head::request(&head, &session.url.prefix, names.authority(), nothing_follows);
        wire.grpc = wires.is_some_and(|wires| wires.target == Wire::Grpc);
        sender.http(http_message::Body::Request(wire)).await?;
        let mut sending = match (&whole, body.take()) {
            (Some(whole), _) => outgoing.send_whole(whole.clone(), sender).await?,
            (None, Some(body)) if !bodiless => outgoing.send(body, sender).await?,
            _ => Sending::Done(sender),
        };
        let response = answered(&session, &mut receiver, &mut sending).await?;
        outgoing.patience().answered();
        let (mut shown, bodiless_answer) = received(exchange.id, response)?;
        if shown.status == StatusCode::SWITCHING_PROTOCOLS {
            let Some(upgrade) = upgrade else { return Err(unasked()) };
            names.response(&mut shown.headers);
            let shown = show(&session, shown).await?;
            let sender = sending.sender().ok_or_else(|| session.violation())?;
            let reads = head.body.read || shown.body.read;
            let begun = websocket::Begun { upgrade, receiver, sender, reads, _give_up: give_up };
            return Ok(Ran::WebSocket(Box::new(shown), begun));
        }
        let wires = wires.map(|wires| wires.answered(&mut shown)).transpose()?;
        names.response(&mut shown.headers);
        let shown = show(&session, shown).await?;
        if shown.body.change && is_part(&shown) {
            // A part cannot be read without the rest: all of it is asked for. What was begun ends with its channel.
            if bodiless && is_safe(&head.method) && head.headers.contains_key(RANGE) {
                validators::whole(&mut head.headers);
                continue;
            }
            return Err(Denial::new("gateway", Code::MaskingFailed, "the target sent a part, which cannot be masked"));
        }
        let coding = if shown.body.read && !bodiless_answer && !is_call { Coding::of(&shown.headers)? } else { None };
        return Ok(Ran::Answer(
            Box::new(shown),
            Begun {
                receiver,
                sending,
                give_up,
                bodiless: bodiless_answer,
                coding,
                wires,
                trailers: parts.version == Version::HTTP_2,
            },
        ));
    }
}

fn is_part(head: &HttpResponse) -> bool {
    let is_named = head.headers.contains_key(CONTENT_RANGE) && head.status != StatusCode::RANGE_NOT_SATISFIABLE;
    head.status == StatusCode::PARTIAL_CONTENT || is_named
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The head of a request as the chain sees it; its fields are taken out of `parts`.
fn asked(channel: ChannelId, parts: &mut request::Parts, websocket: bool) -> Result<HttpRequest, Denial> {
    if parts.method == Method::CONNECT && !websocket {
        return Err(Denial::new(
            "gateway",
            Code::Unsupported,
            "CONNECT is not served: nothing could be seen of what follows",
        )
        .hint("ask for the URL of the role itself"));
    }
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
    if !path.as_str().starts_with('/') && parts.method != Method::OPTIONS {
        return Err(Denial::new("gateway", Code::ProtocolViolation, "the request names no path"));
    }
    let mut headers = std::mem::take(&mut parts.headers);
    // Whether it is a call would be one thing here and another there.
    if headers.get_all(CONTENT_TYPE).iter().count() > 1 {
        return Err(Denial::new("gateway", Code::ProtocolViolation, "the request has more than one Content-Type"));
    }
    strip_request(&mut headers);
    let method = if websocket { Method::GET } else { parts.method.clone() };
    let kind = if websocket { ExchangeKind::WebSocket } else { kind(&method, path.path(), &headers) };
    Ok(HttpRequest {
        channel,
        method,
        uri: Uri::from(path),
        headers,
        kind,
        body: Default::default(),
        known: Default::default(),
    })
}

fn kind(method: &Method, path: &str, headers: &HeaderMap) -> ExchangeKind {
    let is_grpc = Wire::of(headers).is_some();
    match path.strip_prefix('/').and_then(|path| path.rsplit_once('/')) {
        Some((service, name)) if is_grpc && method == Method::POST => {
            ExchangeKind::Grpc { service: service.into(), method: name.into() }
        }
        _ => ExchangeKind::Plain,
    }
}

async fn ask(session: &HttpSession, head: HttpRequest) -> Result<HttpRequest, Denial> {
    if !session.chain.wants(Interest::HTTP) {
        return Ok(head);
    }
    match session.chain.request(Request::Http(head), async |_| {}).await? {
        Request::Http(head) => Ok(head),
        _ => Err(confused()),
    }
}

async fn show(session: &HttpSession, head: HttpResponse) -> Result<HttpResponse, Denial> {
    if !session.chain.wants(Interest::HTTP) {
        return Ok(head);
    }
    match session.chain.response(Response::Http(head)).await? {
        Response::Http(head) => Ok(head),
        _ => Err(confused()),
    }
}

pub(super) fn confused() -> Denial {
    Denial::new("gateway", Code::PluginFailed, "a plugin has made something else of what it was shown")
}

/// Says who asks, in fields that no client can send.
fn assert_caller(session: &HttpSession, headers: &mut HeaderMap, parts: &request::Parts, asker: &Asker) {
    if session.target.identity
        && let Some(token) = session.identity.token()
    {
        headers.insert(HOOP_IDENTITY, token);
    }
    let version = match parts.version {
        Version::HTTP_2 => "2.0 hoop",
        _ => "1.1 hoop",
    };
    headers.append(VIA, HeaderValue::from_static(version));
    headers.insert(FORWARDED_FOR, asker.address.clone());
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(asker.origin.scheme));
    if let Ok(authority) = HeaderValue::from_str(&asker.origin.authority) {
        headers.insert(FORWARDED_HOST, authority);
    }
}

/// Waits for the head of the answer, for as long as a target may take; what the client does wrong meanwhile ends it.
async fn answered(
    session: &HttpSession,
    receiver: &mut ChannelReceiver,
    sending: &mut Sending,
) -> Result<v1::HttpResponse, Denial> {
    // Its time begins when the request is whole; until then it may take as long to take more of it.
    let late = async {
        sending.done().await?;
        tokio::time::sleep(session.limits.answer).await;
        Err(Denial::new(
            "gateway",
            Code::TargetTimeout,
            format!("the target did not answer in {:?}", session.limits.answer),
        )
        .hint("try again, or ask whoever runs the service"))
    };
    let received = tokio::select! {
        biased;
        received = receiver.receive() => received?,
        failed = late => return failed,
    };
    match received {
        Received::Http(http_message::Body::Response(response)) => Ok(response),
        Received::Http(http_message::Body::Failed(failure)) => {
            // The agent may see the end of what its client has broken off before anybody is told why.
            let broken = sending.broken().await;
            Err(broken.unwrap_or_else(|| OpenFailure::from(failure).denial))
        }
        _ => Err(session.violation()),
    }
}

fn received(channel: ChannelId, response: v1::HttpResponse) -> Result<(HttpResponse, bool), Denial> {
    let status = u16::try_from(response.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.filter(|status| !status.is_informational() || *status == StatusCode::SWITCHING_PROTOCOLS);
    let status =
        status.ok_or_else(|| Denial::new("gateway", Code::TargetLost, "the answer of the target has no status"))?;
    let mut headers = head::from_wire(response.fields)?;
    strip_response(&mut headers);
    Ok((HttpResponse { channel, status, headers, body: Default::default() }, response.bodiless))
}

fn unasked() -> Denial {
    Denial::new("gateway", Code::TargetLost, "the target switched to a protocol that nobody asked for")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_type() {
        let asked = |types: &[&str]| {
            let request = types
                .iter()
                .fold(http::Request::post("/a.v1.B/C"), |request, kind| request.header(CONTENT_TYPE, *kind));
            asked(ChannelId(1), &mut request.body(()).expect("a request").into_parts().0, false)
        };
        assert!(asked(&[]).is_ok() && asked(&["application/grpc"]).is_ok());
        let denial = asked(&["text/plain", "application/grpc"]).expect_err("which of them?");
        assert_eq!(denial.code, Code::ProtocolViolation);
    }

    #[test]
    fn calls_of_grpc_are_known_by_their_type() {
        let kind = |content_type: &'static str, path| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
            kind(&Method::POST, path, &headers)
        };
        let call = ExchangeKind::Grpc { service: "a.v1.B".into(), method: "C".into() };
        assert_eq!(kind("application/grpc", "/a.v1.B/C"), call);
        assert_eq!(kind("application/grpc+proto", "/a.v1.B/C"), call);
        assert_eq!(kind("application/grpc-web+proto", "/a.v1.B/C"), call);
        assert_eq!(kind("application/grpc-web-text", "/a.v1.B/C"), call);
        assert_eq!(kind("application/grpc-webs", "/a.v1.B/C"), ExchangeKind::Plain);
        assert_eq!(kind("application/json", "/a.v1.B/C"), ExchangeKind::Plain);
    }
}
