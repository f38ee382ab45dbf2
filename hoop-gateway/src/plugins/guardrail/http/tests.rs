//! Rules on HTTP requests, seen from the chain.

mod paths;
mod reviews;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hoop_core::{
    BodyUse, ChannelClosed, ChannelEnd, Clock, Flow, HttpResponse, Plugin, PluginChain, Request, ResourceRole,
    Response, SessionChain, SessionContext, SystemClock,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::super::{Guardrail, GuardrailRules};
use super::*;

fn session(user: UserId, role: RoleId, rules: &Value, groups: &[&str]) -> SessionContext {
    let billing = hoop_testkit::role(json!({ "kind": "http", "url": "http://billing.internal" }));
    let plugins = BTreeMap::from([(NAME.to_owned(), json!({ "http": rules }))]);
    let mut session = hoop_testkit::session(ResourceRole { id: role, name: "billing".into(), plugins, ..billing });
    let principal = Arc::make_mut(&mut session.principal);
    principal.user = user;
    principal.groups = groups.iter().map(|group| (*group).into()).collect();
    session
}

async fn open(rules: Value, groups: &[&str]) -> SessionChain {
    let session = session(UserId::new(&SystemClock), RoleId::new(&SystemClock), &rules, groups);
    PluginChain::new(vec![Arc::new(Guardrail::new())]).open(&session).await.expect("usable rules")
}

struct Asked {
    chain: SessionChain,
    next: u32,
}

/// What became of a head.
type Judged = Result<BodyUse, Denial>;

impl Asked {
    async fn new(rules: Value) -> Self {
        Self { chain: open(rules, &[]).await, next: 0 }
    }

    fn head(&mut self, method: &str, url: &str, fields: &[(&str, &str)], kind: ExchangeKind) -> Judged {
        self.next += 1;
        let headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().expect("a name");
                (name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
            })
            .collect();
        let head = HttpRequest {
            channel: ChannelId(self.next),
            method: method.parse().expect("a method"),
            uri: url.parse().unwrap_or_else(|error| panic!("{url}: {error}")),
            headers,
            kind,
            body: BodyUse::default(),
            known: Default::default(),
        };
        match self.chain.request(Request::Http(head)) {
            Flow::Pass(Request::Http(head)) => Ok(head.body),
            Flow::Denied(denial) => Err(denial),
            other => panic!("it never waits: {other:?}"),
        }
    }

    fn ask(&mut self, method: &str, url: &str, fields: &[(&str, &str)]) -> Judged {
        self.head(method, url, fields, ExchangeKind::Plain)
    }

    fn get(&mut self, url: &str) -> Judged {
        self.ask("GET", url, &[])
    }

    fn piece(&mut self, bytes: &[u8], last: bool) -> Result<(), Denial> {
        let bytes = Bytes::copy_from_slice(bytes);
        let part = BodyPart { channel: ChannelId(self.next), bytes, last, trailers: None, held_back: false };
        match self.chain.request(Request::Body(part)) {
            Flow::Pass(_) => Ok(()),
            Flow::Denied(denial) => Err(denial),
            other => panic!("it never waits: {other:?}"),
        }
    }

    /// A request with a JSON body, in pieces.
    fn post(&mut self, url: &str, body: &str) -> Result<(), Denial> {
        self.post_as(url, "application/json", body.as_bytes())
    }

    fn post_as(&mut self, url: &str, kind: &str, body: &[u8]) -> Result<(), Denial> {
        let wants = self.ask("POST", url, &[("content-type", kind)])?;
        assert!(wants.read && wants.whole, "it decides by the body");
        body.chunks(7).try_for_each(|piece| self.piece(piece, false))?;
        self.piece(b"", true)
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Denial>, words: &str) {
    let denial = result.expect_err(words);
    assert_eq!(denial.code, Code::RequestDenied, "{denial}");
    assert!(denial.reason.contains(words), "{denial} is not about {words}");
    assert!(denial.hint.is_some(), "{denial}");
}

#[tokio::test]
async fn methods_and_what_stands_for_them() {
    let mut asked = Asked::new(json!([
        { "name": "no-removal", "methods": ["DELETE"], "paths": ["/api/*"], "hint": "ask ops" },
        { "name": "no-look", "methods": ["GET"], "paths": ["/secret"] },
    ]))
    .await;
    refused(asked.ask("DELETE", "/api/x", &[]), "rule no-removal refuses DELETE /api/x");
    refused(asked.ask("delete", "/api/x", &[]), "rule no-removal");
    for field in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_HTTP_Method_Override"] {
        refused(asked.ask("POST", "/api/x", &[(field, " delete ")]), "since it may be about it");
    }
    refused(asked.ask("POST", "/api/x?_method=delete", &[]), "no-removal");
    refused(asked.ask("POST", "/api/x?_method=%44ELETE", &[]), "no-removal");
    refused(asked.ask("HEAD", "/secret", &[]), "rule no-look refuses HEAD");
    for (method, url) in [("GET", "/api/x"), ("DELETE", "/x"), ("POST", "/api/x?method=delete"), ("PUT", "/secret")] {
        asked.ask(method, url, &[]).unwrap_or_else(|denial| panic!("{method} {url}: {denial}"));
    }
    let denial = asked.ask("DELETE", "/api/x?token=abc", &[]).expect_err("refused");
    assert_eq!((denial.hint.as_deref(), denial.reason.contains("abc")), (Some("ask ops"), false));
}

#[tokio::test]
async fn what_no_rule_allows_is_refused() {
    let mut asked = Asked::new(json!([
        { "name": "no-keys", "paths": ["*/keys"] },
        { "name": "look", "action": "allow", "methods": ["GET"], "paths": ["/app", "/app/*"] },
        { "name": "search", "action": "allow", "paths": ["/search"], "query": [{ "name": "kind", "equals": "open" }] },
    ]))
    .await;
    for url in ["/app", "/app/", "/app/x", "/app/a%20b", "/app/%C3%A9", "/search?kind=open", "/search?kind=open&q=%25"]
    {
        asked.get(url).unwrap_or_else(|denial| panic!("{url}: {denial}"));
    }
    for url in [
        "/",
        "/App",
        "/app/../x",
        "/app/..;/x",
        "/app/%2e%2e/x",
        "/app%2f..%2fx",
        "/app/..%5cx",
        "/app//../../x",
        "/appx",
        "/search",
        "/search?kind=all",
        "/search?kind=open&kind=all",
        "/search?kind=open&KIND=all",
        "/search?kind=open;kind=all",
        "/search?kind=%256fpen",
    ] {
        refused(asked.get(url), "no rule allows GET");
    }
    refused(asked.get("/app/keys"), "rule no-keys");
    refused(asked.ask("POST", "/app/x", &[]), "no rule allows POST /app/x");
    refused(asked.ask("GET", "/app/x", &[("x-http-method-override", "DELETE")]), "no rule allows");
}

#[tokio::test]
async fn parameters_are_read_in_every_way() {
    let mut asked = Asked::new(json!([
        { "name": "raw", "paths": ["/report"], "query": [{ "name": "format", "equals": "raw" }] },
        { "name": "many", "query": [{ "name": "limit", "above": 100 }] },
        { "name": "debug", "query": [{ "name": "debug" }] },
        { "name": "tenant", "paths": ["/t"], "query": [{ "name": "tenant", "present": false }] },
        { "name": "like", "query": [{ "name": "q", "like": "*Secret*" }] },
        { "name": "match", "query": [{ "name": "id", "matches": "^0+$" }] },
    ]))
    .await;
    for (url, rule) in [
        ("/report?format=raw", "raw"),
        ("/report?a=b&format=raw", "raw"),
        ("/report?%66ormat=r%61w", "raw"),
        ("/report?%2566ormat=raw", "raw"),
        ("/report?FORMAT=raw", "raw"),
        ("/report?format=RAW", "raw"),
        ("/report?format=csv&format=raw", "raw"),
        ("/report?format[]=raw", "raw"),
        ("/report?format%5B0%5D=raw", "raw"),
        ("/report?a=b;format=raw", "raw"),
        ("/report?format=%ff", "raw"),
        ("/report?format=raw%", "raw"),
        ("/report?%=raw", "raw"),
        ("//report?format=raw", "raw"),
        ("/x?limit=101", "many"),
        ("/x?limit=1e3", "many"),
        ("/x?limit=+101", "many"),
        ("/x?limit=all", "many"),
        ("/x?limit=", "many"),
        ("/x?debug", "debug"),
        ("/x?debug=0", "debug"),
        ("/t", "tenant"),
        ("/t?Tenant=x", "tenant"),
        ("/t?tenant2=x", "tenant"),
        ("/x?q=my+SECRETS", "like"),
        ("/x?id=000", "match"),
    ] {
        refused(asked.get(url), &format!("rule {rule} refuses"));
    }
    for url in
        ["/report", "/report?format=csv", "/report?x=raw", "/x?limit=100", "/x?limits=999", "/t?tenant=x", "/x?id=0a"]
    {
        asked.get(url).unwrap_or_else(|denial| panic!("{url}: {denial}"));
    }
}

#[tokio::test]
async fn fields_are_compared() {
    let mut asked = Asked::new(json!([
        { "name": "impersonate", "headers": [{ "name": "X-Act-As" }] },
        { "name": "agent", "headers": [{ "name": "user-agent", "like": "curl/*" }] },
        { "name": "reason", "methods": ["DELETE"], "headers": [{ "name": "x-reason", "present": false }] },
        { "name": "version", "headers": [{ "name": "x-version", "below": 2 }] },
    ]))
    .await;
    refused(asked.ask("GET", "/", &[("x-act-as", "root")]), "rule impersonate");
    refused(asked.ask("GET", "/", &[("x_act_as", "root")]), "rule impersonate");
    refused(asked.ask("GET", "/", &[("user-agent", "CURL/8")]), "rule agent");
    refused(asked.ask("GET", "/", &[("user-agent", "x"), ("user-agent", "curl/8")]), "rule agent");
    refused(asked.ask("GET", "/", &[("user-agent", "caf\u{e9}"), ("x-version", "1")]), "rule version");
    refused(asked.ask("DELETE", "/", &[]), "rule reason");
    asked.ask("DELETE", "/", &[("x-reason", "it is old"), ("x-version", "2")]).expect("it has one");
    asked.ask("GET", "/", &[("user-agent", "firefox")]).expect("another");
}

#[tokio::test]
async fn a_body_decides_when_it_is_whole() {
    let mut asked = Asked::new(json!([
        { "name": "large", "methods": ["POST"], "paths": ["/pay"], "body": [{ "name": "/items/*/amount", "above": 1000 }] },
        { "name": "role", "paths": ["/users"], "body": [{ "name": "/role", "equals": "admin" }] },
        { "name": "flag", "paths": ["/users"], "body": [{ "name": "/root", "equals": true }] },
    ]))
    .await;
    let wants = asked.ask("GET", "/pay", &[]).expect("another method");
    assert_eq!(wants, BodyUse::default(), "nobody reads it");
    for (url, body) in [
        ("/pay", r#"{"items":[{"amount":10},{"amount":5}]}"#),
        ("/pay", r#"{"items":[{"amount":1000}]}"#),
        ("/pay", r#"{"amount":9000}"#),
        ("/pay", r#"{"items":[{"amount":null}]}"#),
        ("/pay", ""),
        ("/users", r#"{"role":"reader","root":false}"#),
        ("/users", r#"{"roles":"admin"}"#),
    ] {
        asked.post(url, body).unwrap_or_else(|denial| panic!("{url} {body}: {denial}"));
    }
    for (url, body, words) in [
        ("/pay", r#"{"items":[{"amount":10},{"amount":1000.5}]}"#, "rule large refuses POST /pay"),
        ("/PAY/", r#"{"items":[{"amount":1e4}]}"#, "rule large"),
        ("/pay", r#"{"items":{"x":{"amount":5000}}}"#, "rule large"),
        ("/pay", r#"{"items":[{"amount":"5000"}]}"#, "since it may be about it"),
        ("/pay", r#"{"items":[{"amount":"5,000"}]}"#, "since it may be about it"),
        ("/pay", r#"{"items":[{"amount":[5000]}]}"#, "since it may be about it"),
        ("/pay", r#"{"items":[{"amount":1,"Amount":5000}]}"#, "since it may be about it"),
        ("/pay", r#"{"ITEMS":[{"amount":5000}]}"#, "since it may be about it"),
        ("/pay", r#"{"items":[{"amount":1,"amount":5000}]}"#, "a name twice"),
        ("/pay", r#"{"items":[{"amount":1,"\u0061mount":5000}]}"#, "a name twice"),
        ("/pay", r#"{"items":[{"amount":1}]"#, "it is not JSON"),
        ("/users", r#"{"role":"admin"}"#, "rule role refuses POST /users"),
        ("/users", r#"{"role":"\u0061dmin"}"#, "rule role"),
        ("/users", r#"{"role":"ADMIN"}"#, "rule role"),
        ("/users", r#"{"role":"reader","root":true}"#, "rule flag"),
        ("/users", r#"{"role":"reader","root":"true"}"#, "rule flag"),
    ] {
        refused(asked.post(url, body), words);
    }
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    refused(asked.post("/pay", &deep), "too many levels");
    let long = format!(r#"{{"x":"{}"}}"#, "a".repeat(1 << 20));
    refused(asked.post("/pay", &long), "longer than 1048576 bytes");
    refused(asked.piece(b"{}", true), "longer than 1048576 bytes");
}

#[tokio::test]
async fn a_body_that_could_be_another_is_refused() {
    let mut asked = Asked::new(json!([{ "name": "r", "body": [{ "name": "/a", "above": 1 }] }])).await;
    for (kind, body, words) in [
        ("application/x-www-form-urlencoded", &br#"{"x":"&a=2&"}"#[..], "not said to be JSON"),
        ("text/plain", b"{}", "not said to be JSON"),
        ("application/json, text/plain", b"{}", "not said to be JSON"),
        ("application/json; charset=utf-16", b"{}", "charset"),
        ("application/json; charset=\"UTF-7\"", b"{}", "charset"),
        ("application/json", b"\xef\xbb\xbf{}", "not JSON"),
        ("application/json", b"\xff\xfe{\0}\0", "not UTF-8"),
        ("application/json", b"{\0}\0", "not JSON"),
    ] {
        refused(asked.post_as("/", kind, body), words);
    }
    for kind in ["application/json", "Application/JSON; charset=UTF-8", "application/problem+json", "text/json;x=y"] {
        asked.post_as("/", kind, b"{\"a\":1}").unwrap_or_else(|denial| panic!("{kind}: {denial}"));
    }
    let twice = [("content-type", "application/json"), ("content-type", "text/plain")];
    asked.ask("POST", "/", &twice).expect("the body decides");
    refused(asked.piece(b"{}", true), "does not say once");
    asked.ask("POST", "/", &[]).expect("the body decides");
    refused(asked.piece(b"{", false), "does not say once");
    asked.ask("GET", "/", &[]).expect("the body decides");
    asked.piece(b"", true).expect("there is none");
    refused(asked.head("GET", "/", &[], ExchangeKind::WebSocket), "since it may be about it");
}

#[tokio::test]
async fn an_allow_list_of_bodies() {
    let mut asked = Asked::new(json!([
        { "name": "small", "action": "allow", "paths": ["/pay"], "body": [{ "name": "/amount", "below": 100, "above": 0 }] },
        { "name": "look", "action": "allow", "methods": ["GET"], "paths": ["/look"] },
    ]))
    .await;
    asked.post("/pay", r#"{"amount":99}"#).expect("allowed");
    asked.get("/look").expect("allowed");
    for body in [r#"{"amount":100}"#, r#"{"amount":"99"}"#, r#"{"Amount":99}"#, r#"{"amount":99,"Amount":1}"#, "{}", ""]
    {
        refused(asked.post("/pay", body), "no rule allows POST /pay");
    }
    refused(asked.head("GET", "/pay", &[], ExchangeKind::WebSocket), "no rule allows");
}

/// The same said in another form.
#[tokio::test]
async fn no_other_form_of_a_body_walks_past_a_rule() {
    let mut asked = Asked::new(json!([{ "name": "large", "paths": ["/pay"], "body": [
        { "name": "/amount", "above": 1000 }, { "name": "/to", "equals": "eve" }
    ] }]))
    .await;
    let large = r#"{"amount":5000,"to":"eve"}"#;
    asked.post("/pay", r#"{"amount":5,"to":"eve"}"#).expect("it is small");
    asked.post_as("/pay", "application/vnd.pay.v1+json; charset=UTF-8", br#"{"amount":5}"#).expect("it is JSON");
    let utf16 = |mark: &[u8]| [mark, &large.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()].concat();
    let utf32 =
        |mark: &[u8]| [mark, &large.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect::<Vec<_>>()].concat();
    let parts = format!("--b\r\nContent-Type: application/json\r\n\r\n{large}\r\n--b--\r\n");
    for (kind, body) in [
        ("application/json", large.as_bytes().to_vec()),
        ("application/problem+json", large.into()),
        ("text/json", large.into()),
        ("application/x-www-form-urlencoded", b"amount=5000&to=eve".to_vec()),
        ("application/x-www-form-urlencoded", large.into()),
        ("multipart/form-data; boundary=b", parts.into()),
        ("application/x-ndjson", format!("{large}\n").into()),
        ("application/json", format!("{{}}\n{large}\n").into()),
        ("application/json", format!("\u{feff}{large}").into()),
        ("application/json", utf16(b"")),
        ("application/json", utf16(b"\xff\xfe")),
        ("application/json; charset=utf-16le", utf16(b"")),
        ("application/json; charset*=utf-16le''", utf16(b"")),
        ("application/json", utf32(b"")),
        ("application/json", utf32(b"\0\0\xfe\xff")),
        ("application/json; charset=utf-7", b"+AHs-+ACI-amount+ACI-:5000+AH0-".to_vec()),
        ("application/json;x=\";\";charset=\"ibm037\"", large.into()),
        ("application/json", br#"{"amount":5,"amount":5000,"to":"eve"}"#.to_vec()),
        ("application/json", br#"{"amount":5000,"to":"eve","\u0061mount":5}"#.to_vec()),
        ("application/json", br#"{"AMOUNT":5000,"To":"eve"}"#.to_vec()),
        ("application/json", br#"{"amount\u0000x":5000,"to":"eve"}"#.to_vec()),
        ("application/json", br#"{"amount":"5000","to":"eve\u0000"}"#.to_vec()),
        ("application/json", format!("[{large}]").into()),
        ("application/json", format!(r#"[{{"amount":1,"to":"ann"}},[{large}]]"#).into()),
        ("application/graphql", b"mutation { pay(amount: 5000, to: eve) }".to_vec()),
        ("text/plain", large.into()),
        ("application/cbor", b"\xa1\x66amount\x19\x13\x88".to_vec()),
    ] {
        refused(asked.post_as("/pay", kind, &body), "large");
    }
    // Who is to be let in by what the body says is so by what everybody reads there.
    let mut allowed = Asked::new(json!([{ "name": "small", "action": "allow", "paths": ["/pay"], "body": [
        { "name": "/amount", "below": 100 }
    ] }]))
    .await;
    allowed.post("/pay", r#"{"amount":5}"#).expect("it is small");
    for body in [r#"[{"amount":5}]"#, r#"{"Amount":5}"#, r#"{"amount\u0000":5}"#, r#"{"amount":[5]}"#] {
        refused(allowed.post("/pay", body), "no rule allows");
    }
}

#[tokio::test]
async fn grpc_methods_are_named() {
    let grpc = |service: &str, method: &str| ExchangeKind::Grpc { service: service.into(), method: method.into() };
    let mut asked = Asked::new(json!([
        { "name": "refunds", "services": ["pay.v1.Cards/Refund*", "pay.v1.Admin"] },
    ]))
    .await;
    let post = |asked: &mut Asked, service: &str, method: &str| {
        asked.head("POST", &format!("/{service}/{method}"), &[], grpc(service, method))
    };
    refused(post(&mut asked, "pay.v1.Cards", "RefundAll"), "rule refunds");
    refused(post(&mut asked, "pay.v1.Admin", "Drop"), "rule refunds");
    post(&mut asked, "pay.v1.Cards", "List").expect("another method");
    post(&mut asked, "pay.v2.Cards", "Refund").expect("another package");
    for url in ["/pay.v1.Cards/RefundAll", "/pay.v1.Cards/refundall", "/pay.v1.Admin%2fDrop", "//pay.v1.Admin/Drop"] {
        refused(asked.ask("POST", url, &[]), "rule refunds");
    }
    let mut allowed = Asked::new(json!([{ "name": "a", "action": "allow", "services": ["pay.v1.Cards/List"] }])).await;
    post(&mut allowed, "pay.v1.Cards", "List").expect("allowed");
    refused(post(&mut allowed, "pay.v1.Cards", "Refund"), "no rule allows");
    refused(allowed.ask("POST", "/pay.v1.Cards/List", &[]), "no rule allows");
}

#[tokio::test]
async fn rules_hold_for_groups_and_cost_nothing_where_there_are_none() {
    let rules = json!([{ "name": "no-admin", "paths": ["/admin*"], "except_groups": ["ops"] }]);
    assert!(!open(rules.clone(), &["ops"]).await.wants(Interest::HTTP));
    let others = open(rules, &["dev"]).await;
    assert!(others.wants(Interest::HTTP) && !others.wants(Interest::BODIES));
    let bodies = json!([{ "name": "r", "body": [{ "name": "/a" }] }]);
    assert!(open(bodies, &[]).await.wants(Interest::BODIES));
}

/// A clock that stands still until it is moved.
struct Standing(AtomicU64, Instant);

impl Clock for Standing {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000, 0).expect("in range")
    }

    fn monotonic(&self) -> Instant {
        self.1 + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn a_limit_counts_over_all_sessions_of_a_user() {
    let clock = Arc::new(Standing(AtomicU64::new(0), Instant::now()));
    let plugin: Arc<dyn Plugin> = Arc::new(Guardrail::new().clock(&(clock.clone() as Arc<dyn Clock>)));
    let rules = json!([
        { "name": "slowly", "paths": ["/search"], "limit": { "requests": 2, "per_seconds": 60 }, "hint": "use the export" },
        { "name": "no-admin", "paths": ["/admin"] },
    ]);
    let (ann, role) = (UserId::new(&SystemClock), RoleId::new(&SystemClock));
    let asked = async |user: UserId, role: RoleId, rules: &Value| {
        let chain = PluginChain::new(vec![plugin.clone()]).open(&session(user, role, rules, &[])).await;
        Asked { chain: chain.expect("usable rules"), next: 0 }
    };
    let mut one = asked(ann, role, &rules).await;
    one.get("/search").expect("the first");
    let mut two = asked(ann, role, &rules).await;
    two.get("//SEARCH/").expect("the second");
    two.get("/other").expect("another path");
    refused(two.get("/admin"), "rule no-admin");
    let denial = one.get("/search").expect_err("the third");
    assert_eq!(denial.code, Code::Throttled);
    assert_eq!(denial.reason, "rule slowly lets 2 requests through in 60 s, and these were made");
    assert_eq!(denial.hint.as_deref(), Some("try again in 31 s; use the export"));
    asked(UserId::new(&SystemClock), role, &rules).await.get("/search").expect("another user");
    asked(ann, RoleId::new(&SystemClock), &rules).await.get("/search").expect("another role");
    clock.0.store(30, Ordering::Relaxed);
    one.get("/search").expect("one has filled up");
    assert!(one.get("/search").is_err());
    let more = json!([{ "name": "slowly", "paths": ["/search"], "limit": { "requests": 3, "per_seconds": 60 } }]);
    asked(ann, role, &more).await.get("/search").expect("another limit begins anew");
}

#[tokio::test]
async fn what_waits_is_forgotten_with_its_exchange() {
    let mut asked = Asked::new(json!([{ "name": "r", "body": [{ "name": "/a" }] }])).await;
    asked.ask("POST", "/", &[("content-type", "application/json")]).expect("the body decides");
    asked.piece(b"{", false).expect("not all of it");
    let (channel, headers, body) = (ChannelId(1), HeaderMap::new(), BodyUse::default());
    let early = HttpResponse { channel, status: http::StatusCode::OK, headers, body };
    assert!(matches!(asked.chain.response(Response::Http(early)), Flow::Denied(_)), "it is not decided");
    let closed = ChannelClosed { channel: ChannelId(1), end: ChannelEnd::Closed, bytes_in: 0, bytes_out: 0 };
    assert!(matches!(asked.chain.response(Response::ChannelClosed(closed)), Flow::Pass(_)));
    asked.piece(b"x", true).expect("nobody waits for it any more");
}

#[test]
fn rules_that_cannot_be_used_are_named() {
    for (rule, word) in [
        (json!({ "name": "r" }), "everything"),
        (json!({ "name": "", "paths": ["/x"] }), "no name"),
        (json!({ "name": "r", "methods": ["G T"] }), "no method"),
        (json!({ "name": "r", "paths": ["x"] }), "in full"),
        (json!({ "name": "r", "paths": ["/x/"] }), "in full"),
        (json!({ "name": "r", "paths": ["/x/../y"] }), "in full"),
        (json!({ "name": "r", "paths": ["/a%20b"] }), "decoded"),
        (json!({ "name": "r", "paths": ["/a;b"] }), "in full"),
        (json!({ "name": "r", "paths": [""] }), "empty"),
        (json!({ "name": "r", "services": ["/a/b"] }), "gRPC method"),
        (json!({ "name": "r", "services": ["a/b/c"] }), "gRPC method"),
        (json!({ "name": "r", "body": [{ "name": "amount" }] }), "JSON pointer"),
        (json!({ "name": "r", "query": [{ "name": "a", "matches": "(" }] }), "not one"),
        (json!({ "name": "r", "query": [{ "name": "a", "present": false, "equals": "x" }] }), "where there is none"),
        (json!({ "name": "r", "action": "allow", "limit": { "requests": 1, "per_seconds": 1 } }), "cannot allow"),
        (json!({ "name": "r", "limit": { "requests": 1, "per_seconds": 86401 } }), "more than 86400 seconds"),
    ] {
        let rules: GuardrailRules = serde_json::from_value(json!({ "http": [rule] })).expect("of the right form");
        let denial = super::super::SessionGuardrail::new(rules).err().unwrap_or_else(|| panic!("{rule}"));
        assert!(denial.code == Code::InvalidRequest && denial.reason.contains(word), "{denial}");
    }
    for rule in [
        json!({ "name": "r", "path": "/x" }),
        json!({ "name": "r", "limit": { "requests": 0, "per_seconds": 1 } }),
        json!({ "name": "r", "body": [{ "pointer": "/a" }] }),
    ] {
        assert!(serde_json::from_value::<GuardrailRules>(json!({ "http": [rule] })).is_err(), "{rule}");
    }
}
