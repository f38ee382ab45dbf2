//! HTTP in recordings: what is written is read, and exported.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::super::event::{
    BodyHead, HttpBody, HttpDone, HttpField, HttpMessage, HttpRead, HttpRequest, HttpResponse, Totals,
};
use super::super::exchanges::{Exchange, Exchanges, Told};
use super::super::har;
use super::super::path::{open_path, session_of};
use super::super::recover::recover;
use super::*;

fn text() -> impl Strategy<Value = Text> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Text(bytes.into()))
}

fn fields() -> impl Strategy<Value = Vec<HttpField>> {
    let field = (text(), text(), any::<bool>()).prop_map(|(name, value, hidden)| HttpField { name, value, hidden });
    prop::collection::vec(field, 0..4)
}

prop_compose! {
    fn request()(
        channel: u64, method in text(), path in text(), query in text(), authority in text(), service in text(),
        fields in fields(), field_count: Option<u64>,
    ) -> HttpRequest {
        let (scheme, exchange, call) = ("https".into(), "grpc".into(), service.clone());
        HttpRequest { channel, method, path, query, scheme, authority, exchange, service, call, fields, field_count }
    }
}

prop_compose! {
    fn done()(
        channel: u64, status: Option<u64>, message in text(), duration_us: u64, first_byte_us: Option<u64>, bytes_in: u64,
        bytes_out: u64, read: Option<(u64, u64, u64)>,
    ) -> HttpDone {
        let request = read.map(|(bytes, kept, messages)| HttpRead { bytes, kept, digest: "d".into(), messages });
        let (denied_by, denial, response) = (message.clone(), "request_denied".into(), request.clone());
        HttpDone {
            channel, status, message, denied_by, denial, duration_us, first_byte_us, bytes_in, bytes_out, request, response,
        }
    }
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}

proptest! {
    #[test]
    fn events_read_back(request in request(), done in done(), status: u64, fields in fields(), bytes in text(), from_target: bool) {
        let payload = encoded(|out| request.encode(out));
        prop_assert_eq!(Event::decode(Kind::HttpRequest.byte(), &payload), Ok(Event::HttpRequest(request)));
        let payload = encoded(|out| done.encode(out));
        prop_assert_eq!(Event::decode(Kind::HttpDone.byte(), &payload), Ok(Event::HttpDone(done)));
        let response = HttpResponse { channel: 7, status, fields, field_count: None };
        let payload = encoded(|out| response.encode(out));
        prop_assert_eq!(Event::decode(Kind::HttpResponse.byte(), &payload), Ok(Event::HttpResponse(response)));
        let message = HttpMessage { channel: 7, from_target, length: status, bytes: bytes.clone(), ..HttpMessage::default() };
        let payload = encoded(|out| message.encode(out));
        prop_assert_eq!(Event::decode(Kind::HttpMessage.byte(), &payload), Ok(Event::HttpMessage(message)));
        let payload = [&BodyHead { channel: 7, from_target }.encode()[..], &bytes.0].concat();
        prop_assert_eq!(
            Event::decode(Kind::HttpBody.byte(), &payload), Ok(Event::HttpBody(HttpBody { channel: 7, from_target, bytes }))
        );
    }

    /// No payload makes the decoder panic, and what it reads can be shown, as text and as JSON.
    #[test]
    fn nothing_makes_it_panic(kind in 0u8..=255, payload in prop::collection::vec(any::<u8>(), 0..80), cut in 0usize..80) {
        let own = encoded(|out| HttpRequest { channel: 1, path: "/x".into(), ..HttpRequest::default() }.encode(out));
        for payload in [&payload[..], own.get(..cut).unwrap_or(&own)] {
            if let Ok(event) = Event::decode(kind, payload) {
                let view = super::super::EventView { record: 0, offset: 0, time: 0, event };
                prop_assert!(!view.to_string().is_empty() && serde_json::to_string(&view).is_ok());
            }
        }
    }
}

/// Writes a session of HTTP.
struct Written(SessionLog);

impl Written {
    fn begin(recorder: &Recorder) -> Self {
        let header = Header { resource: "http".into(), ..header(false) };
        Self(recorder.session(id(), &header).expect("a fresh recorder"))
    }

    async fn add(&self, kind: Kind, parts: &[&[u8]]) {
        if let Appended::Full(room) = self.0.append(kind, parts).expect("a working recorder") {
            room.append(vec![(kind, parts.concat())]).await.expect("a working recorder");
        }
    }

    async fn request(&self, channel: u64, method: &str, path: &str, exchange: &str) {
        let query = "a=b+c&mail=[email]".into();
        let fields = vec![
            HttpField { name: "content-type".into(), value: "application/json".into(), hidden: false },
            HttpField { name: "cookie".into(), value: Text::default(), hidden: true },
        ];
        let (method, path, exchange) = (method.into(), path.into(), exchange.into());
        let request = HttpRequest { channel, method, path, query, exchange, fields, ..HttpRequest::default() };
        self.add(Kind::HttpRequest, &[&encoded(|out| request.encode(out))]).await;
    }

    async fn response(&self, channel: u64, status: u64) {
        let field = HttpField { name: "content-type".into(), value: "text/plain".into(), hidden: false };
        let response = HttpResponse { channel, status, fields: vec![field], field_count: None };
        self.add(Kind::HttpResponse, &[&encoded(|out| response.encode(out))]).await;
    }

    async fn body(&self, channel: u32, from_target: bool, bytes: &[u8]) {
        self.add(Kind::HttpBody, &[&BodyHead { channel, from_target }.encode(), bytes]).await;
    }

    async fn message(&self, channel: u64, from_target: bool, kind: &str, bytes: &'static [u8]) {
        let (message, length) = (kind.into(), bytes.len() as u64);
        let bytes = Text(Bytes::from_static(bytes));
        let message = HttpMessage { channel, from_target, message, length, bytes, digest: String::new() };
        self.add(Kind::HttpMessage, &[&encoded(|out| message.encode(out))]).await;
    }

    async fn done(&self, done: HttpDone) {
        self.add(Kind::HttpDone, &[&encoded(|out| done.encode(out))]).await;
    }

    async fn close(self) -> PathBuf {
        self.0.close(&end()).await.expect("a working recorder").path
    }
}

fn answered(channel: u64, status: u64) -> HttpDone {
    let (duration_us, first_byte_us) = (12_500, Some(2_500));
    HttpDone {
        channel,
        status: Some(status),
        duration_us,
        first_byte_us,
        bytes_in: 10,
        bytes_out: 20,
        ..HttpDone::default()
    }
}

fn archive(path: &Path) -> Vec<u8> {
    let mut open = |offset| {
        let mut file = fs::File::open(path)?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(offset))?;
        Ok(Box::new(file) as Box<dyn std::io::Read + Send>)
    };
    let mut out = Vec::new();
    har::write(&mut open, path.to_owned(), &mut out).expect("a whole log");
    out
}

/// What the format's schema requires of an entry, and allows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    started_date_time: chrono::DateTime<chrono::Utc>,
    time: f64,
    request: HarRequest,
    response: HarResponse,
    cache: serde_json::Map<String, Value>,
    timings: Timings,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "they are there because the schema requires them")]
struct HarRequest {
    method: String,
    url: String,
    http_version: String,
    cookies: Vec<Value>,
    headers: Vec<Pair>,
    query_string: Vec<Pair>,
    headers_size: i64,
    body_size: i64,
    post_data: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "as above")]
struct HarResponse {
    status: u64,
    status_text: String,
    http_version: String,
    cookies: Vec<Value>,
    headers: Vec<Pair>,
    content: Content,
    #[serde(rename = "redirectURL")]
    redirect_url: String,
    headers_size: i64,
    body_size: i64,
    #[serde(rename = "_error")]
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    size: i64,
    mime_type: String,
    text: Option<String>,
    encoding: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Timings {
    send: f64,
    wait: f64,
    receive: f64,
}

fn entries(archive: &[u8]) -> (Vec<Entry>, Vec<Value>) {
    let whole: Value = serde_json::from_slice(archive).expect("JSON");
    let log = &whole["log"];
    assert_eq!((&log["version"], &log["creator"]["name"]), (&"1.2".into(), &"hoop".into()));
    let values = log["entries"].as_array().expect("entries").clone();
    (
        values.iter().map(|entry| Entry::deserialize(entry).unwrap_or_else(|why| panic!("{why}: {entry}"))).collect(),
        values,
    )
}

#[tokio::test]
async fn a_session_is_exported_as_an_archive() {
    let folder = TempDir::new().expect("a folder");
    let recorder = open(folder.path());
    let log = Written::begin(&recorder);
    log.request(1, "POST", "/x y/[email]", "plain").await;
    log.request(2, "GET", "/ws", "websocket").await;
    log.body(1, false, "{\"name\":\"Zo\u{eb}\"}".as_bytes()).await;
    log.message(2, false, "text", b"hi \"there\"").await;
    log.response(1, 201).await;
    log.body(1, true, b"ma\xc3").await;
    log.body(1, true, b"\xab\x01").await;
    log.message(2, true, "binary", b"\0\xff").await;
    log.done(answered(1, 201)).await;
    log.request(3, "GET", "/admin", "plain").await;
    let denial = HttpDone {
        denied_by: "guardrail".into(),
        denial: "request_denied".into(),
        message: "no".into(),
        ..answered(3, 0)
    };
    log.done(HttpDone { status: None, ..denial }).await;
    log.request(4, "POST", "/pay.v1.Cards/List", "grpc").await;
    log.message(4, false, "grpc", b"\x0a\x01").await;
    log.response(4, 200).await;
    let path = log.close().await;
    let (entries, values) = entries(&archive(&path));
    assert_eq!(entries.len(), 4);

    let first = &entries[0];
    assert_eq!((first.time, first.timings.send, first.timings.wait, first.timings.receive), (12.5, 0.0, 2.5, 10.0));
    assert!(first.cache.is_empty() && first.started_date_time.timestamp() > 0);
    assert_eq!(first.request.url, "http://shop/x%20y/%5Bemail%5D?a=b+c&mail=%5Bemail%5D");
    let query: Vec<_> =
        first.request.query_string.iter().map(|pair| (pair.name.as_str(), pair.value.as_str())).collect();
    assert_eq!(query, [("a", "b c"), ("mail", "[email]")]);
    let fields: Vec<_> = first.request.headers.iter().map(|pair| (pair.name.as_str(), pair.value.as_str())).collect();
    assert_eq!(fields, [("content-type", "application/json"), ("cookie", "[hidden]")]);
    let data = first.request.post_data.as_ref().expect("kept");
    assert_eq!((&data["mimeType"], &data["text"]), (&"application/json".into(), &"{\"name\":\"Zo\u{eb}\"}".into()));
    assert_eq!((first.response.status, first.response.status_text.as_str()), (201, "Created"));
    let content = &first.response.content;
    assert_eq!(content.mime_type, "text/plain");
    assert_eq!((content.text.as_deref(), content.encoding.as_deref(), content.size), (Some("ma\u{eb}\u{1}"), None, 20));

    assert_eq!(
        (entries[1].response.status, entries[1].response.error.as_deref()),
        (0, Some("guardrail (request_denied): no"))
    );
    assert!(values[1].get("_webSocketMessages").is_none() && entries[1].request.post_data.is_none());
    assert_eq!(entries[2].response.error.as_deref(), Some("the exchange did not end"));
    let messages = &values[2]["_webSocketMessages"];
    assert_eq!(values[2]["_resourceType"], "websocket");
    for (at, (kind, opcode, data)) in [("send", 1, "hi \"there\""), ("receive", 2, "AP8=")].into_iter().enumerate() {
        let message = &messages[at];
        assert_eq!(
            (&message["type"], &message["opcode"], &message["data"]),
            (&kind.into(), &opcode.into(), &data.into())
        );
        assert!(message["time"].as_f64().is_some_and(|time| time > 1e9), "{message}");
    }
    assert_eq!(values[3]["_grpcMessages"][0]["data"], "CgE=");
}

#[tokio::test]
async fn large_bodies_of_exchanges_side_by_side_are_exported_as_they_are() {
    let folder = TempDir::new().expect("a folder");
    let recorder = open(folder.path());
    let log = Written::begin(&recorder);
    for channel in [1, 2] {
        log.request(channel, "POST", "/x", "plain").await;
    }
    let (mut sent, mut shown) = (Vec::new(), Vec::new());
    for piece in 0u32..200 {
        let text = format!("{piece} \u{20ac}\n").repeat(300);
        // Characters are cut anywhere.
        for part in text.as_bytes().chunks(1_001) {
            log.body(1, false, part).await;
            log.body(2, false, b"other").await;
        }
        sent.extend_from_slice(text.as_bytes());
        let bytes = piece.to_le_bytes().repeat(500);
        log.body(1, true, &bytes).await;
        shown.extend_from_slice(&bytes);
    }
    log.done(answered(1, 200)).await;
    log.done(answered(2, 200)).await;
    let path = log.close().await;
    let (entries, _) = entries(&archive(&path));
    let data = entries[0].request.post_data.as_ref().expect("kept");
    assert_eq!(data["text"].as_str().map(str::as_bytes), Some(&sent[..]));
    let content = &entries[0].response.content;
    assert_eq!(content.encoding.as_deref(), Some("base64"));
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD.decode(content.text.as_deref().expect("kept"));
    assert_eq!(decoded.expect("base64"), shown);
    let other = entries[1].request.post_data.as_ref().expect("kept");
    assert!(other["text"].as_str().is_some_and(|text| text.len() % 5 == 0 && text.replace("other", "").is_empty()));
}

#[tokio::test]
async fn exchanges_are_told_one_line_each() {
    let folder = TempDir::new().expect("a folder");
    let recorder = open(folder.path());
    let log = Written::begin(&recorder);
    log.request(1, "GET", "/a\nb", "plain").await;
    log.request(2, "GET", "/ws", "websocket").await;
    log.body(1, true, b"hello").await;
    log.done(answered(1, 200)).await;
    let path = log.close().await;
    let (mut reader, mut exchanges) = (read(&path).expect("a log"), Exchanges::default());
    let mut told = Vec::new();
    while let Some(next) = exchanges.next(&mut reader) {
        told.push(next.expect("whole"));
    }
    assert!(exchanges.is_over() && exchanges.is_http() == Some(true));
    let [Told::Body { channel: 1, from_target: true, .. }, Told::Exchange(first), Told::Exchange(second)] = &told[..]
    else {
        panic!("{told:?}");
    };
    let line = first.to_string();
    assert_eq!(line.split_once("  ").expect("a time").1, "~1 GET /a b?a=b+c&mail=[email]  200, 12 ms, 10 in, 20 out");
    assert!(second.to_string().ends_with("~2 GET /ws?a=b+c&mail=[email] (websocket)  did not end"), "{second}");
    let text = serde_json::to_string(first).expect("JSON");
    assert_eq!(serde_json::from_str::<Exchange>(&text).expect("the same"), **first);
}

#[tokio::test]
async fn recovery_sums_up_what_was_asked() {
    let folder = TempDir::new().expect("a folder");
    let recorder = open(folder.path());
    let log = Written::begin(&recorder);
    log.request(1, "GET", "/", "plain").await;
    log.done(answered(1, 200)).await;
    log.request(2, "GET", "/", "plain").await;
    log.done(HttpDone { denial: "request_denied".into(), ..answered(2, 0) }).await;
    let path = log.close().await;
    let whole = fs::read(&path).expect("readable");
    let mut events = read(&path).expect("a log").map(|event| event.expect("whole"));
    let end = events.find(|event| matches!(event.event, Event::End(_))).expect("it has one").offset;
    let died = TempDir::new().expect("a folder");
    for name in ["wal", "open"] {
        fs::create_dir_all(died.path().join(name)).expect("ours");
    }
    let open = open_path(died.path(), session_of(&path).expect("a log's name"));
    fs::write(open, whole.get(..usize::try_from(end).expect("short")).expect("within")).expect("ours");
    let recovery = recover(&config(died.path()), &SystemClock).expect("a folder of ours").0;
    let sums = Totals { requests: 2, denied: 1, request_bytes: 20, response_bytes: 40, ..Totals::default() };
    assert_eq!(recovery.logs.first().map(|log| log.totals.clone()), Some(sums));
}
