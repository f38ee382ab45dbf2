//! Masking of bodies over HTTP, on one core: 1 MiB of JSON as an API gives it, without values, with one in ten records, and with a
//! rule for a field; and a page of HTML.
//!
//! `cargo bench -p hoop-bench --bench http_masking`

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::executor::block_on;
use hoop_core::{
    BodyPart, BodyUse, ChannelClosed, ChannelEnd, ChannelId, HttpResponse, PluginChain, ResourceRole, Response,
    SessionChain,
};
use hoop_gateway::plugins::masking::Masking;
use hoop_testkit::session;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;

/// What a read of a socket gives.
const PIECE: usize = 32 << 10;
const SIZE: usize = 1 << 20;
const FIELD: &str = r#"{"fields": [{"path": "[*].ssn"}]}"#;

fn role(settings: &str) -> ResourceRole {
    let mut role = hoop_testkit::role(json!({ "kind": "http", "url": "http://shop.internal" }));
    role.plugins.insert("masking".into(), serde_json::from_str(settings).expect("settings"));
    role
}

fn grown(begin: &str, end: &str, record: impl Fn(usize) -> String) -> Bytes {
    let mut text = begin.to_owned();
    for number in 0.. {
        text.push_str(&record(number));
        if text.len() >= SIZE {
            break;
        }
    }
    format!("{}{end}", text.trim_end_matches(',')).into()
}

fn record(number: usize, mail: &str) -> String {
    let text = "The parcel was handed to a neighbour; please call again, thank you.";
    format!(
        r#"{{"id":{number},"name":"Ada Lovelace","state":"shipped","at":"2024-11-27T14:05:{:02}Z","mail":"{mail}","items":[{{"sku":"A-{number}","count":2,"price":19.95}}],"note":"{text}"}},"#,
        number % 60
    )
}

/// One response, from its head to its end.
fn exchange(chain: &mut SessionChain, kind: &'static str, body: &Bytes) -> usize {
    let channel = ChannelId(1);
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
    let head = HttpResponse { channel, status: StatusCode::OK, headers, body: BodyUse::default() };
    let _ = black_box(chain.response(Response::Http(head)));
    let mut shown = 0;
    for at in (0..body.len()).step_by(PIECE) {
        let bytes = body.slice(at..body.len().min(at + PIECE));
        let last = at + PIECE >= body.len();
        let part = BodyPart { channel, bytes, last, trailers: None, held_back: false };
        if let hoop_core::Flow::Pass(Response::Body(part)) = chain.response(Response::Body(part)) {
            shown += part.bytes.len();
        }
    }
    let end = ChannelEnd::Answered(StatusCode::OK);
    let _ =
        black_box(chain.response(Response::ChannelClosed(ChannelClosed { channel, end, bytes_in: 0, bytes_out: 0 })));
    shown
}

fn http_masking(criterion: &mut Criterion) {
    let plugins = PluginChain::new(vec![Arc::new(Masking::new(*b"a secret of at least 32 bytes ..."))]);
    let mail = |number: usize| if number.is_multiple_of(10) { "ada.lovelace@example.com" } else { "none" };
    let plain = grown("[", "]", |number| record(number, "none"));
    let values = grown("[", "]", |number| record(number, mail(number)));
    let page = grown("<!doctype html><table>", "</table>", |number| {
        format!("<tr class=\"row\"><td>{number}</td><td>Ada <b>Lovelace</b></td><td>{}</td></tr>\n", mail(number))
    });
    let mut group = criterion.benchmark_group("http_masking");
    for (name, settings, kind, body) in [
        ("json", "{}", "application/json", &plain),
        ("json with values", "{}", "application/json", &values),
        ("json with a rule", FIELD, "application/json", &values),
        ("html", "{}", "text/html", &page),
    ] {
        let mut chain = block_on(plugins.open(&session(role(settings)))).expect("good settings");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| exchange(&mut chain, kind, black_box(body))));
    }
}

criterion_group!(benches, http_masking);
criterion_main!(benches);
