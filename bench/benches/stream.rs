//! Masking of what programs write, on one core: lines without values, plain and coloured, and lines of which one in ten has one.
//!
//! `cargo bench -p hoop-bench --bench stream`

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::executor::block_on;
use hoop_core::id::{OrgId, RequestId, RoleId, SessionId, UserId};
use hoop_core::principal::PrincipalKind;
use hoop_core::{
    AccessMode, ChannelId, Clock as _, Output, OutputStream, PluginChain, PostgresTarget, Principal, RecordingMode,
    ResourceRole, Response, SessionContext, SystemClock, Target,
};
use hoop_gateway::plugins::masking::Masking;

/// What a read of a socket gives.
const PIECE: usize = 32 << 10;

fn session() -> SessionContext {
    let clock = SystemClock;
    let target = PostgresTarget {
        host: "db".into(),
        port: 5432,
        user: "app".into(),
        password: None,
        database: "shop".into(),
        databases: Vec::new(),
        replication: false,
        sslmode: Default::default(),
        sslrootcert: None,
        sslcert: None,
        sslkey: None,
        channel_binding: Default::default(),
    };
    let role = ResourceRole {
        id: RoleId::new(&clock),
        org: OrgId::DEFAULT,
        name: "shop".into(),
        agent: "edge".into(),
        target: Target::Postgres(target),
        labels: BTreeMap::new(),
        recording: RecordingMode::Default,
        plugins: BTreeMap::new(),
    };
    let principal = Principal {
        org: OrgId::DEFAULT,
        user: UserId::new(&clock),
        name: "ann".into(),
        groups: Default::default(),
        kind: PrincipalKind::User,
    };
    SessionContext {
        id: SessionId::new(&clock),
        org: OrgId::DEFAULT,
        request_id: RequestId::new(&clock),
        principal: Arc::new(principal),
        role: Arc::new(role),
        mode: AccessMode::Native,
        started_at: clock.now(),
        expires_at: None,
        source: None,
        database: None,
        application: None,
        reason: None,
    }
}

fn lines(line: impl Fn(usize) -> String) -> Bytes {
    let mut text = String::new();
    for number in 0.. {
        text.push_str(&line(number));
        if text.len() >= PIECE {
            break;
        }
    }
    text.into()
}

fn stream(criterion: &mut Criterion) {
    let plugins = PluginChain::new(vec![Arc::new(Masking::new(*b"a secret of at least 32 bytes ..."))]);
    let mut chain = block_on(plugins.open(&session())).expect("default rules");
    let file =
        |number: usize| format!("-rw-r--r-- 1 ann staff {:>6} Nov 27 14:05 report-{number}.txt\r\n", number * 37);
    let coloured =
        |number: usize| format!("\x1b[0m\x1b[01;34mfolder-{number}\x1b[0m  \x1b[32mscript-{number}.sh\x1b[0m\r\n");
    let values = |number: usize| match number % 10 {
        0 => format!("{number} ada.lovelace@example.com 4111 1111 1111 1111\r\n"),
        _ => file(number),
    };
    let mut group = criterion.benchmark_group("stream");
    for (name, bytes) in [("plain", lines(file)), ("coloured", lines(coloured)), ("values", lines(values))] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let stream = OutputStream::Stdout;
                let bytes = black_box(bytes.clone());
                let output =
                    Output { channel: ChannelId(1), stream, bytes, terminal: true, exact: false, held_back: false };
                chain.response(Response::Output(output))
            });
        });
    }
}

criterion_group!(benches, stream);
criterion_main!(benches);
