//! What recording costs: on the forwarding path, on the writer's thread, and on the disk.
//!
//! `cargo bench -p hoop-bench --bench record [folder]`: the folder decides which disk is measured.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ed25519_dalek::SigningKey;
use hoop_core::id::SessionId;
use hoop_core::{
    CellIndex, Column, Completion, CompletionKind, Flow, Format, Outcome, Phase, PluginChain, Request, Response,
    ResultColumns, RowBatch, RowEncoding, RowError, Statement, StatementId, SystemClock,
};
use hoop_gateway::plugins::audit::{Audit, AuditOptions};
use hoop_gateway::record::event::{End, Header};
use hoop_gateway::record::{Appended, Kind, PublicKey, Recorder, RecorderConfig, SessionLog, Space, verify};
use hoop_testkit::postgres_role;

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let folder = folder.map_or_else(tempfile::tempdir, tempfile::tempdir_in).expect("a folder");
    let config = RecorderConfig {
        space: Space { strict_percent: 0, all_percent: 0 },
        ..RecorderConfig::new(folder.path(), SigningKey::from_bytes(&[7; 32]))
    };
    let key = PublicKey::from(&config.key);
    let recorder = Recorder::open(config, Arc::new(SystemClock)).expect("a fresh folder").0;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        appends(&recorder).await;
        audited(&recorder).await;
        rows(&recorder, &key).await;
        for sessions in [1, 2, 8, 50] {
            strict(&recorder, sessions).await;
        }
        opens(&recorder).await;
    });
}

fn session(recorder: &Recorder, strict: bool) -> SessionLog {
    recorder.session(SessionId::new(&SystemClock), &Header { strict, ..Header::default() }).expect("a working disk")
}

async fn close(log: SessionLog) -> std::path::PathBuf {
    log.close(&End { outcome: "completed".into(), ..End::default() }).await.expect("a working disk").path
}

fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

async fn appends(recorder: &Recorder) {
    let log = session(recorder, false);
    let payload = [b'x'; 120];
    let mut batches = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        for _ in 0..1_000 {
            assert!(log.append(Kind::Statement, &[&payload[..20], &payload[20..]]).expect("working").is_done());
        }
        batches.push(start.elapsed() / 1_000);
        log.durable().await.expect("a working disk");
    }
    batches.sort();
    println!("append of 120 bytes: p50 {:?}, p99 {:?}", quantile(&batches, 50), quantile(&batches, 99));
    close(log).await;
}

/// One row as one message; nobody looks into it here.
#[derive(Debug)]
struct Opaque;

impl RowEncoding for Opaque {
    fn index(&self, _: &Bytes, _: &mut CellIndex) -> Result<(), RowError> {
        Err(RowError::new("opaque"))
    }

    fn encode(&self, _: &[u8], _: &mut dyn Iterator<Item = Option<&[u8]>>, _: &mut BytesMut) -> Result<(), RowError> {
        Err(RowError::new("opaque"))
    }
}

/// A simple query with one row, through the chain with audit alone: statement, columns, row, end.
async fn audited(recorder: &Recorder) {
    let audit = Audit::new(recorder.clone(), AuditOptions::default());
    let mut chain = PluginChain::new(vec![Arc::new(audit)])
        .open(&hoop_testkit::session(postgres_role()))
        .await
        .expect("a working disk");
    let text = Bytes::from_static(b"SELECT abalance FROM pgbench_accounts WHERE aid = 4711;");
    let row = Bytes::from_static(b"D\0\0\0\x0b\0\x01\0\0\0\x010");
    let encoding: Arc<dyn RowEncoding> = Arc::new(Opaque);
    let mut batches = Vec::new();
    for batch in 0..200 {
        let start = Instant::now();
        for number in 0..1_000 {
            let id = StatementId(batch * 1_000 + number + 1);
            let name = Bytes::from_static(b"abalance");
            let columns: Arc<[Column]> = Arc::new([Column { name, table: None, type_oid: 23, format: Format::Text }]);
            let (text, settings) = (text.clone(), Default::default());
            let query = Statement { id, phase: Phase::Query, text, settings, parameters: None };
            pass(chain.request(Request::Statement(query))).await;
            pass(chain.response(Response::Columns(ResultColumns {
                statement: id,
                columns: columns.clone(),
                text: Bytes::new(),
            })))
            .await;
            pass(chain.response(Response::Rows(RowBatch::new(id, columns, encoding.clone(), row.clone(), 1)))).await;
            let tag = Bytes::from_static(b"SELECT 1");
            let done = Completion { statement: id, kind: CompletionKind::Done, tag, rows: Some(1) };
            pass(chain.response(Response::Complete(done))).await;
        }
        batches.push(start.elapsed() / 1_000);
    }
    batches.sort();
    println!("audit of a query with one row: p50 {:?}, p99 {:?}", quantile(&batches, 50), quantile(&batches, 99));
    chain.close(&Outcome::Completed).await;
}

async fn pass<T>(flow: Flow<T>) {
    match flow {
        Flow::Pass(value) => drop(black_box(value)),
        Flow::Held(held) => drop(held.until.await.expect("a working disk")),
        Flow::Denied(denial) => panic!("{denial}"),
    }
}

async fn rows(recorder: &Recorder, key: &PublicKey) {
    let log = session(recorder, false);
    let piece = vec![b'r'; 64 << 10];
    let start = Instant::now();
    let total = 16 << 10;
    for _ in 0..total {
        while let Appended::Full(room) = log.append(Kind::Rows, &[&[0; 13], &piece]).expect("working") {
            room.wait().await.expect("a working disk");
        }
    }
    let path = close(log).await;
    let megabytes = f64::from(total) / 16.0;
    println!("rows, kept in full: {:.0} MiB/s", megabytes / start.elapsed().as_secs_f64());
    let start = Instant::now();
    assert!(verify(&path, key).expect("readable").is_sealed());
    println!("verify: {:.0} MiB/s", megabytes / start.elapsed().as_secs_f64());
}

async fn strict(recorder: &Recorder, sessions: usize) {
    let start = Instant::now();
    let rounds = 2_000 / sessions.min(10);
    let tasks = (0..sessions).map(|_| {
        let log = session(recorder, true);
        async move {
            let mut waits = Vec::with_capacity(rounds);
            for _ in 0..rounds {
                let start = Instant::now();
                assert!(log.append(Kind::Statement, &[&[0; 120]]).expect("working").is_done());
                log.durable().await.expect("a working disk");
                waits.push(start.elapsed());
            }
            close(log).await;
            waits
        }
    });
    let mut waits: Vec<_> = futures::future::join_all(tasks).await.into_iter().flatten().collect();
    let rate = waits.len() as f64 / start.elapsed().as_secs_f64();
    waits.sort();
    let (p50, p99) = (quantile(&waits, 50), quantile(&waits, 99));
    println!("strict, {sessions} sessions: {rate:.0} durable statements/s, p50 {p50:?}, p99 {p99:?}");
}

async fn opens(recorder: &Recorder) {
    let (mut opened, mut closed) = (Vec::new(), Vec::new());
    for _ in 0..500 {
        let start = Instant::now();
        let log = session(recorder, false);
        opened.push(start.elapsed());
        let start = Instant::now();
        close(log).await;
        closed.push(start.elapsed());
    }
    opened.sort();
    closed.sort();
    println!("open: p50 {:?}, p99 {:?}", quantile(&opened, 50), quantile(&opened, 99));
    println!("close and seal: p50 {:?}, p99 {:?}", quantile(&closed, 50), quantile(&closed, 99));
}
