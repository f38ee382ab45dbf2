//! What is kept of HTTP.

use std::collections::{BTreeMap, HashMap};

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hoop_core::{
    BodyPart, BodyUse, ChannelClosed, ChannelEnd, ChannelId, ExchangeKind, HttpRequest, HttpResponse, Message,
    MessageKind,
};
use serde_json::{Value, json};

use super::*;
use crate::record::event::HttpDone;

const CHANNEL: ChannelId = ChannelId(1);

async fn open(fixture: &Fixture, recording: RecordingMode, settings: Value) -> SessionChain {
    let mut context = session(recording);
    let role = hoop_testkit::role(json!({ "kind": "http", "url": "https://billing.internal:8443/base" }));
    let plugins = BTreeMap::from([(NAME.to_owned(), settings)]);
    context.role = Arc::new(ResourceRole { recording, plugins, ..role });
    let closed = fixture.closed.clone();
    let options = AuditOptions { detectors: vec![Arc::new(Emails)], ..AuditOptions::default() };
    let audit = Audit::new(fixture.recorder.clone(), options).on_close(move |session| closed.lock().push(session));
    PluginChain::new(vec![Arc::new(audit)]).open(&context).await.expect("a working recorder")
}

fn fields(fields: &[(&str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&str, &str)| -> (HeaderName, HeaderValue) {
        (name.parse().expect("a name"), value.parse().expect("a value"))
    };
    fields.iter().map(field).collect()
}

fn head(channel: ChannelId, method: &str, url: &str, headers: HeaderMap, kind: ExchangeKind) -> Request {
    let (method, uri) = (method.parse().expect("a method"), url.parse().expect("a URL"));
    let (body, known) = (BodyUse::default(), Default::default());
    Request::Http(HttpRequest { channel, method, uri, headers, kind, body, known })
}

fn get(url: &str) -> Request {
    head(CHANNEL, "GET", url, HeaderMap::new(), ExchangeKind::Plain)
}

fn answer(status: u16, headers: HeaderMap) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    Response::Http(HttpResponse { channel: CHANNEL, status, headers, body: BodyUse::default() })
}

fn part(bytes: impl Into<Bytes>, last: bool) -> BodyPart {
    BodyPart { channel: CHANNEL, bytes: bytes.into(), last, trailers: None, held_back: false }
}

fn message(kind: MessageKind, bytes: &'static str) -> Message {
    Message { channel: CHANNEL, kind, bytes: bytes.into() }
}

fn done(end: ChannelEnd) -> Response {
    Response::ChannelClosed(ChannelClosed { channel: CHANNEL, end, bytes_in: 120, bytes_out: 340 })
}

fn wants(request: Request) -> BodyUse {
    let Request::Http(head) = request else { panic!("a head") };
    head.body
}

fn wants_of(response: Response) -> BodyUse {
    let Response::Http(head) = response else { panic!("a head") };
    head.body
}

fn path(fixture: &Fixture) -> PathBuf {
    fixture.closed().log.expect("sealed").path
}

/// The bodies of a log, those of requests and those of responses.
fn bodies(path: &Path) -> HashMap<bool, Vec<u8>> {
    let mut bodies: HashMap<bool, Vec<u8>> = HashMap::new();
    for event in events(path) {
        if let Event::HttpBody(body) = event {
            bodies.entry(body.from_target).or_default().extend_from_slice(&body.bytes.0);
        }
    }
    bodies
}

fn ends(path: &Path) -> Vec<HttpDone> {
    let ends = events(path).into_iter();
    ends.filter_map(|event| if let Event::HttpDone(done) = event { Some(done) } else { None }).collect()
}

#[tokio::test]
async fn an_exchange_reads_back_without_its_secrets() {
    let fixture = Fixture::new(|config| config);
    let mut chain = open(&fixture, RecordingMode::Default, json!({})).await;
    let secrets = fields(&[
        ("authorization", "Bearer s3cr3t"),
        ("cookie", "sid=s3cr3t"),
        ("x-api-key", "s3cr3t"),
        ("x_auth_token", "s3cr3t"),
        ("x-session-id", "s3cr3t"),
        ("sec-websocket-protocol", "v1, base64url.bearer.authorization.k8s.io.s3cr3t"),
        ("referer", "https://a/x?access_token=s3cr3t#id_token=s3cr3t&to=ann%40shop.eu"),
        ("x-about", "ann@shop.eu and others"),
        ("accept", "*/*"),
    ]);
    let url = "/users/ann%40shop.eu/x;JSESSIONID=s3cr3t?q=1&mail=ann%40shop.eu&password=s3cr3t&api%5Fkey=s3cr3t&sig=s3cr3t;\
               code=s3cr3t&SAMLResponse=s3cr3t&ticket=s3cr3t&PHPSESSID=s3cr3t";
    let asked = passes(chain.request(head(CHANNEL, "GET", url, secrets, ExchangeKind::Plain)));
    assert_eq!(wants(asked), BodyUse::default(), "nothing is read that is not kept");
    let cookies = fields(&[
        ("set-cookie", "sid=s3cr3t"),
        ("location", "/cb;sessionid=s3cr3t?code=s3cr3t&state=1"),
        ("x-mail", "ann@shop.eu"),
        ("content-type", "text/html"),
    ]);
    assert_eq!(wants_of(passes(chain.response(answer(302, cookies)))), BodyUse::default());
    passes(chain.response(done(ChannelEnd::Answered(StatusCode::FOUND))));
    passes(chain.request(get("/admin")));
    let denial = Denial::new("guardrail", Code::RequestDenied, "rule no-admin refuses GET /admin");
    passes(chain.response(done(ChannelEnd::Refused(denial))));
    chain.close(&Outcome::Completed).await;

    let Closed { totals, log, .. } = fixture.closed();
    let sums = Totals { requests: 2, denied: 1, request_bytes: 240, response_bytes: 680, ..Totals::default() };
    assert_eq!(totals, sums);
    let path = log.expect("sealed").path;
    let bytes = std::fs::read(&path).expect("readable");
    for secret in ["s3cr3t", "ann@shop.eu", "ann%40shop.eu"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
    let shown: Vec<_> = read(&path).expect("a log").map(|event| event.expect("whole").to_string()).collect();
    let shown: Vec<_> = shown.iter().map(|line| line.split_once("  ").expect("a time").1).collect();
    let request: Vec<_> = shown[1].lines().map(str::trim).collect();
    let url = "/users/[email]/x;JSESSIONID=[hidden]?q=1&mail=[email]&password=[hidden]&api%5Fkey=[hidden]&sig=[hidden];\
               code=[hidden]&SAMLResponse=[hidden]&ticket=[hidden]&PHPSESSID=[hidden]";
    assert_eq!(request[0], format!("~1 GET {url} of billing.internal:8443"));
    for field in [
        "authorization: [hidden]",
        "cookie: [hidden]",
        "x-api-key: [hidden]",
        "x_auth_token: [hidden]",
        "x-session-id: [hidden]",
        "sec-websocket-protocol: [hidden]",
        "referer: https://a/x?access_token=[hidden]#id_token=[hidden]&to=[email]",
        "x-about: [email] and others",
        "accept: */*",
    ] {
        assert!(request.contains(&field), "{field} in {request:?}");
    }
    assert!(shown[2].starts_with("~1 status 302") && shown[2].contains("set-cookie: [hidden]"), "{}", shown[2]);
    assert!(
        shown[2].contains("location: /cb;sessionid=[hidden]?code=[hidden]&state=1")
            && shown[2].contains("x-mail: [email]"),
        "{}",
        shown[2]
    );
    assert!(shown[3].starts_with("~1 answered 302, ") && shown[3].ends_with("120 in, 340 out"), "{}", shown[3]);
    assert!(shown[5].starts_with("~1 DENIED by guardrail (request_denied): rule no-admin"), "{}", shown[5]);
    assert!(shown[6].starts_with("end: completed; 2 requests, 1 denied, 240 bytes in, 680 bytes out"), "{}", shown[6]);
}

#[tokio::test]
async fn bodies_are_kept_where_the_role_says_so() {
    let settings =
        json!({ "bodies": { "request": 30, "response": 10, "types": ["application/json"], "paths": ["/api/*"] } });
    let fixture = Fixture::new(|config| config);
    let mut chain = open(&fixture, RecordingMode::Default, settings).await;
    let json = || fields(&[("content-type", "application/json; charset=utf-8")]);
    let post = |url: &str, headers| head(CHANNEL, "POST", url, headers, ExchangeKind::Plain);
    let reads = BodyUse { read: true, ..BodyUse::default() };
    for (url, kind) in [("/x", "application/json"), ("/api/x", "image/png")] {
        let other = passes(chain.request(post(url, fields(&[("content-type", kind)]))));
        assert_eq!(wants(other), BodyUse::default(), "{url} {kind}");
        assert_eq!(
            wants_of(passes(chain.response(answer(200, fields(&[("content-type", "text/html")]))))),
            BodyUse::default()
        );
        passes(chain.response(done(ChannelEnd::Answered(StatusCode::OK))));
    }
    assert_eq!(wants(passes(chain.request(post("/api/x", json())))), reads);
    for piece in ["{\"mail\":\"ann", "@shop", ".eu\",\"rest\":\"0123456789\"}"] {
        passes(chain.request(Request::Body(part(piece, false))));
    }
    passes(chain.request(Request::Body(part("", true))));
    assert_eq!(wants_of(passes(chain.response(answer(200, json())))), reads);
    passes(chain.response(Response::Body(part("{\"a\":", false))));
    passes(chain.response(Response::Body(part("\"shown\"}", true))));
    passes(chain.response(done(ChannelEnd::Answered(StatusCode::OK))));
    chain.close(&Outcome::Completed).await;

    let path = path(&fixture);
    let kept = bodies(&path);
    assert_eq!(kept[&false], b"{\"mail\":\"***********\",\"rest\":\"");
    assert_eq!(kept[&true], b"{\"a\":\"show");
    let ends = ends(&path);
    assert_eq!(ends[0].request, None);
    let (request, response) = (ends[2].request.clone().expect("read"), ends[2].response.clone().expect("read"));
    assert_eq!((request.bytes, request.kept), (42, 30));
    assert_eq!(request.digest, blake3::hash(b"{\"mail\":\"ann@shop.eu\",\"rest\":\"0123456789\"}").to_hex().as_str());
    assert_eq!((response.bytes, response.kept), (13, 10));
    assert_eq!(response.digest, blake3::hash(b"{\"a\":\"shown\"}").to_hex().as_str());
}

#[tokio::test]
async fn what_others_read_is_digested_and_not_kept() {
    let fixture = Fixture::new(|config| config);
    let mut chain = open(&fixture, RecordingMode::Default, json!({})).await;
    passes(chain.request(get("/x")));
    passes(chain.request(Request::Body(part("secret", true))));
    passes(chain.response(answer(200, HeaderMap::new())));
    passes(chain.response(Response::Body(part("shown", true))));
    passes(chain.response(done(ChannelEnd::Answered(StatusCode::OK))));
    chain.close(&Outcome::Completed).await;
    let path = path(&fixture);
    assert!(bodies(&path).is_empty());
    let request = ends(&path)[0].request.clone().expect("read");
    assert_eq!((request.bytes, request.kept, request.digest), (6, 0, blake3::hash(b"secret").to_hex().to_string()));
}

#[tokio::test]
async fn a_body_that_does_not_end_is_kept_as_far_as_it_came() {
    for by_session in [false, true] {
        let fixture = Fixture::new(|config| config);
        let mut chain = open(&fixture, RecordingMode::Default, json!({ "bodies": { "request": 100 } })).await;
        passes(chain.request(get("/x")));
        passes(chain.request(Request::Body(part("to ann@shop.eu", false))));
        if !by_session {
            passes(chain.response(done(ChannelEnd::Closed)));
        }
        chain.close(&Outcome::Completed).await;
        assert_eq!(bodies(&path(&fixture))[&false], b"to ***********", "{by_session}");
    }
}

#[tokio::test]
async fn messages_are_kept_where_the_role_says_so() {
    let fixture = Fixture::new(|config| config);
    let mut chain = open(&fixture, RecordingMode::Default, json!({ "messages": 16 })).await;
    let reads = BodyUse { read: true, ..BodyUse::default() };
    let socket = passes(chain.request(head(CHANNEL, "GET", "/ws", HeaderMap::new(), ExchangeKind::WebSocket)));
    assert_eq!(wants(socket), reads);
    assert_eq!(wants_of(passes(chain.response(answer(101, HeaderMap::new())))), reads);
    passes(chain.request(Request::Message(message(MessageKind::Text, "to ann@shop.eu, and more"))));
    passes(chain.response(Response::Message(message(MessageKind::Binary, "short"))));
    passes(chain.response(done(ChannelEnd::Answered(StatusCode::SWITCHING_PROTOCOLS))));
    let call = ExchangeKind::Grpc { service: "pay.v1.Cards".into(), method: "List".into() };
    let call = passes(chain.request(head(CHANNEL, "POST", "/pay.v1.Cards/List", HeaderMap::new(), call)));
    assert_eq!(wants(call), reads);
    passes(chain.response(done(ChannelEnd::Closed)));
    chain.close(&Outcome::Completed).await;

    let path = path(&fixture);
    let messages = events(&path).into_iter();
    let messages: Vec<_> = messages
        .filter_map(|event| if let Event::HttpMessage(message) = event { Some(message) } else { None })
        .collect();
    assert_eq!((messages[0].from_target, &messages[0].bytes.0[..]), (false, &b"to ***********, "[..]));
    assert_eq!(messages[0].length, 24);
    assert_eq!(messages[0].digest, blake3::hash(b"to ann@shop.eu, and more").to_hex().as_str());
    assert_eq!(
        (messages[1].from_target, &messages[1].bytes.0[..], messages[1].digest.as_str()),
        (true, &b"short"[..], "")
    );
    let request = ends(&path)[0].request.clone().expect("read");
    assert_eq!((request.bytes, request.kept, request.messages), (24, 16, 1));
    let shown: Vec<_> = read(&path).expect("a log").map(|event| event.expect("whole").to_string()).collect();
    assert!(shown.iter().any(|line| line.contains("~1 GET /ws of billing.internal:8443, a WebSocket")), "{shown:?}");
    assert!(shown.iter().any(|line| line.contains("gRPC pay.v1.Cards/List")), "{shown:?}");
}

#[tokio::test]
async fn a_socket_that_is_refused_has_a_body() {
    let fixture = Fixture::new(|config| config);
    let mut chain = open(&fixture, RecordingMode::Default, json!({ "bodies": { "response": 9 } })).await;
    let socket = passes(chain.request(head(CHANNEL, "GET", "/ws", HeaderMap::new(), ExchangeKind::WebSocket)));
    assert_eq!(wants(socket), BodyUse::default());
    assert!(wants_of(passes(chain.response(answer(403, HeaderMap::new())))).read);
    passes(chain.response(Response::Body(part("forbidden", true))));
    passes(chain.response(done(ChannelEnd::Answered(StatusCode::FORBIDDEN))));
    chain.close(&Outcome::Completed).await;
    assert_eq!(bodies(&path(&fixture))[&true], b"forbidden");
}

#[tokio::test]
async fn a_strict_session_waits_for_the_disk() {
    let fixture = Fixture::new(|config| config);
    let mut chain = open(&fixture, RecordingMode::Strict, json!({ "bodies": { "request": 9 } })).await;
    let path = fixture.only();
    let request = held(chain.request(get("/x"))).await.expect("recorded");
    assert!(wants(request).read);
    assert!(matches!(events(&path).last(), Some(Event::HttpRequest(_))), "it is on disk before it goes on");
    passes(chain.request(Request::Body(part("body", true))));
    held(chain.response(answer(200, HeaderMap::new()))).await.expect("recorded");
    assert!(matches!(events(&path).last(), Some(Event::HttpResponse(_))), "and so is its answer");
    held(chain.response(done(ChannelEnd::Answered(StatusCode::OK)))).await.expect("recorded");
    assert!(matches!(events(&path).last(), Some(Event::HttpDone(_))), "and its end");
    chain.close(&Outcome::Completed).await;
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named() {
    let fixture = Fixture::new(|config| config);
    let audit = Audit::new(fixture.recorder.clone(), AuditOptions::default());
    let check = |settings: Value| {
        let role = session(RecordingMode::Default).role;
        let plugins = BTreeMap::from([(NAME.to_owned(), settings)]);
        audit.check_role(&ResourceRole { plugins, ..(*role).clone() })
    };
    check(json!({ "bodies": { "request": 1, "types": ["text/*"], "paths": ["/*"] }, "messages": 524_288 }))
        .expect("usable");
    for (settings, word) in [
        (json!({ "bodies": { "all": true } }), "unknown field"),
        (json!({ "bodies": { "types": ["json"] } }), "media type"),
        (json!({ "bodies": { "paths": ["api"] } }), "begins with /"),
        (json!({ "messages": 524_289 }), "524288"),
        (json!({ "messages": -1 }), "cannot be read"),
    ] {
        let denial = check(settings).expect_err(word);
        assert!(denial.reason.contains(word), "{denial} is not about {word}");
    }
}
