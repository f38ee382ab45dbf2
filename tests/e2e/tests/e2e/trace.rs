//! What a collector of traces gets to see.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hoop_testkit::{Api, Folder, Guarded, Plan, Postgres, direct_only, hoop_agent, psql, until};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message as _;
use serde_json::{Value, json};

use crate::stand::stand;
use crate::stock::{Stock, first_admin};

/// Takes traces in OTLP over HTTP, and keeps them.
struct Collector {
    url: String,
    got: Arc<Mutex<Vec<ResourceSpans>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let got: Arc<Mutex<Vec<ResourceSpans>>> = Arc::default();
        let kept = Arc::clone(&got);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || serve(connection, &kept));
            }
        });
        Self { url, got }
    }

    fn spans(&self) -> Vec<Span> {
        let got = self.got.lock().expect("nobody panics while holding it");
        got.iter().flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Who sent something.
    fn services(&self) -> Vec<String> {
        let got = self.got.lock().expect("nobody panics while holding it");
        let resources = got.iter().filter_map(|resource| resource.resource.as_ref());
        let mut names: Vec<_> = resources.map(|resource| attribute(&resource.attributes, "service.name")).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Answers one request after the other, until the client goes.
fn serve(connection: TcpStream, kept: &Mutex<Vec<ResourceSpans>>) {
    let mut reader = BufReader::new(&connection);
    let mut head = String::new();
    while reader.read_line(&mut head).is_ok_and(|read| read > 0) {
        if !head.ends_with("\r\n\r\n") {
            continue;
        }
        let lower = head.to_ascii_lowercase();
        assert!(lower.starts_with("post /v1/traces http/1.1") && lower.contains("application/x-protobuf"), "{head}");
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let mut body = vec![0; length.trim().parse().expect("a number")];
        reader.read_exact(&mut body).expect("a body");
        let request = ExportTraceServiceRequest::decode(&*body).expect("OTLP");
        kept.lock().expect("nobody panics while holding it").extend(request.resource_spans);
        (&connection).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("answered");
        head.clear();
    }
}

/// The text of an attribute; empty where it is not there.
fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()).and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        _ => String::new(),
    }
}

#[track_caller]
fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut named = spans.iter().filter(|span| span.name == name);
    match (named.next(), named.next()) {
        (Some(span), None) => span,
        _ => panic!("not one {name} among {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>()),
    }
}

/// The one span of this name below another.
#[track_caller]
fn below<'a>(spans: &'a [Span], parent: &Span, name: &str) -> &'a Span {
    let mut named = spans.iter().filter(|span| span.name == name && span.parent_span_id == parent.span_id);
    match (named.next(), named.next()) {
        (Some(span), None) => span,
        _ => panic!("not one {name} below {} among {spans:?}", parent.name),
    }
}

/// A role to the shared server, through an agent of its own that traces as well, and the URL of a credential for it.
fn role(folder: &Folder, api: &Api, collector: &Collector) -> (Guarded, String) {
    let everything = json!({
        "name": "administrators", "effect": "allow", "subjects": { "kinds": ["admin"] }, "roles": { "names": ["*"] },
    });
    api.post("/api/v1/access-rules", &everything);
    let key = api.post("/api/v1/agents", &json!({ "name": "here" }))["key"].as_str().expect("a key").to_owned();
    let secret = ("HOOP_SECRET_E2E".to_owned(), Postgres::password().to_owned());
    let traces = ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), collector.url.clone());
    let agent = Guarded::start(&Plan {
        name: "agent".to_owned(),
        command: vec![hoop_agent().display().to_string(), "start".to_owned()],
        environment: vec![("HOOP_KEY".to_owned(), key), secret, traces],
        stop: "TERM",
        folder: folder.path().to_owned(),
    });
    until(Duration::from_secs(20), "the attached agent", || {
        assert!(agent.is_alive(), "the agent ended: {}", agent.log());
        let attached = api.get("/api/v1/agents/here")["attached"].as_array().map_or(0, Vec::len);
        (attached > 0).then_some(())
    });
    let target = json!({
        "kind": "postgres", "host": "127.0.0.1", "port": stand().postgres.port, "user": Postgres::user(),
        "password": "env:HOOP_SECRET_E2E", "database": "postgres", "sslmode": "disable",
    });
    api.post("/api/v1/roles", &json!({ "name": "orders", "agent": "here", "target": target }));
    let made = api.post("/api/v1/roles/orders/credentials", &json!({}));
    (agent, made["url"].as_str().expect("a credential has a URL").to_owned())
}

/// The one session, as the API tells of it.
fn ended_session(api: &Api) -> Value {
    until(Duration::from_secs(15), "the end of the session", || {
        let sessions = api.get("/api/v1/sessions");
        let session = sessions["items"].as_array()?.first()?.clone();
        (!session["ended_at"].is_null()).then_some(session)
    })
}

#[test]
fn a_session_is_one_trace() {
    if direct_only() {
        return;
    }
    let (folder, collector) = (Folder::new("trace"), Collector::start());
    let setting = format!("telemetry.otlp_endpoint={}", collector.url);
    let mut gateway = Stock::start(&folder, &[setting], &[]);
    let api = Api::sign_in(&format!("http://{}", gateway.address("http")), "root", &first_admin(&folder));
    let (mut agent, url) = role(&folder, &api, &collector);
    let select = ["-c", "select 1", "-c", "select 2", "-c", "select 3"];
    assert_eq!(psql(&url, &select).ok(), "1\n2\n3\n");
    let told = ended_session(&api);
    gateway.server.stop("TERM");
    agent.stop("TERM");

    let spans = collector.spans();
    let session = one(&spans, "session");
    for (key, expected) in
        [("session", &told["id"]), ("request", &told["request_id"]), ("outcome", &json!("completed"))]
    {
        assert_eq!(Some(attribute(&session.attributes, key).as_str()), expected.as_str(), "{key}: {told}");
    }
    let named = ["user", "role", "database"].map(|key| attribute(&session.attributes, key));
    assert_eq!(named, ["root", "orders", "postgres"]);
    let open = one(&spans, "open");
    assert_eq!(attribute(&open.attributes, "session"), attribute(&session.attributes, "session"));
    assert_eq!(open.parent_span_id, session.span_id);
    below(&spans, session, "login");
    let [.., agent_span] = ["store", "policy", "chain", "agent"].map(|name| below(&spans, open, name));
    let target = below(&spans, agent_span, "target");
    assert_eq!(attribute(&target.attributes, "session"), attribute(&session.attributes, "session"));
    for name in ["secrets", "connect", "login"] {
        below(&spans, target, name);
    }
    assert!(spans.iter().all(|span| span.trace_id == session.trace_id));
    assert_eq!(spans.len(), 11, "no statement has a span");
    assert_eq!(collector.services(), ["hoop-agent", "hoop-gateway"]);
    assert!(!gateway.server.log().contains("otel"), "what is traced is in no log");
}

#[test]
fn a_refused_login_is_an_error_in_its_trace() {
    if direct_only() {
        return;
    }
    let (folder, collector) = (Folder::new("trace"), Collector::start());
    let mut gateway = Stock::start(&folder, &[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)]);
    let url = format!("postgresql://nobody:hunter2@{}/postgres?sslmode=require", gateway.address("postgres"));
    psql(&url, &["-c", "select 1"]).failure();
    gateway.server.stop("TERM");
    let spans = collector.spans();
    let session = one(&spans, "session");
    let status = session.status.clone().expect("a status");
    assert_eq!((status.code, status.message.as_str()), (2, "login_failed"));
    assert_eq!(attribute(&session.attributes, "outcome"), "denied");
    assert!(!format!("{spans:?}").contains("hunter2"));
}
