//! Audit, seen from the chain.

mod http;
mod terminals;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use hoop_core::{
    Column, Completion, CompletionKind, Flow, Format, Hit, Label, Outcome, Parameters, Phase, PluginChain, Request,
    ResourceRole, Response, ResultColumns, RowBatch, SessionChain, Statement, StatementId, SystemClock, TargetError,
};
use hoop_proto::postgres::rows::DataRows;
use parking_lot::Mutex;
use tempfile::TempDir;

use super::*;
use crate::record::{Event, PublicKey, RecorderConfig, Space, read, verify};

struct Emails;

impl Detector for Emails {
    fn name(&self) -> &str {
        "email"
    }

    fn find(&self, value: &[u8], hits: &mut Vec<Hit>) {
        let needle = b"ann@shop.eu";
        let starts = value.windows(needle.len()).enumerate().filter(|(_, window)| window == needle);
        hits.extend(starts.map(|(start, _)| Hit { start, end: start + needle.len(), label: Label::of("email") }));
    }
}

struct Fixture {
    folder: TempDir,
    recorder: Recorder,
    closed: Arc<Mutex<Vec<Closed>>>,
}

impl Fixture {
    fn new(change: impl FnOnce(RecorderConfig) -> RecorderConfig) -> Self {
        let folder = TempDir::new().expect("a folder");
        let config = RecorderConfig {
            space: Space { strict_percent: 0, all_percent: 0 },
            ..RecorderConfig::new(folder.path(), SigningKey::from_bytes(&[7; 32]))
        };
        let recorder = Recorder::open(change(config), Arc::new(SystemClock)).expect("a fresh folder").0;
        Self { folder, recorder, closed: Arc::default() }
    }

    async fn open(&self, recording: RecordingMode, options: AuditOptions) -> SessionChain {
        let closed = self.closed.clone();
        let audit = Audit::new(self.recorder.clone(), options).on_close(move |session| closed.lock().push(session));
        PluginChain::new(vec![Arc::new(audit)]).open(&session(recording)).await.expect("a working recorder")
    }

    fn only(&self) -> PathBuf {
        let open = std::fs::read_dir(self.folder.path().join("open")).expect("ours");
        open.map(|entry| entry.expect("readable").path()).next().expect("one session")
    }

    fn closed(&self) -> Closed {
        self.closed.lock().pop().expect("a session was closed")
    }
}

fn session(recording: RecordingMode) -> SessionContext {
    let mut session = hoop_testkit::session(ResourceRole { recording, ..hoop_testkit::postgres_role() });
    Arc::make_mut(&mut session.principal).groups = ["support".into()].into();
    SessionContext {
        source: Some(([10, 0, 0, 1], 4711).into()),
        database: Some("shop".into()),
        application: Some("psql".into()),
        reason: Some("to answer ann@shop.eu".into()),
        ..session
    }
}

fn query(id: u64, text: &'static str) -> Request {
    let text = Bytes::from_static(text.as_bytes());
    let settings = Default::default();
    Request::Statement(Statement { id: StatementId(id), phase: Phase::Query, text, settings, parameters: None })
}

fn cells() -> Arc<[Column]> {
    Arc::new([Column { name: Bytes::from_static(b"name"), table: None, type_oid: 25, format: Format::Text }])
}

fn row(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("short");
    [b"D".as_slice(), &(10 + length).to_be_bytes(), &[0, 1], &length.to_be_bytes(), text.as_bytes()].concat()
}

fn rows(id: u64, bytes: impl Into<Bytes>, rows: usize) -> Response {
    Response::Rows(RowBatch::new(StatementId(id), cells(), Arc::new(DataRows), bytes.into(), rows))
}

fn complete(id: u64, tag: &'static str) -> Response {
    let tag = Bytes::from_static(tag.as_bytes());
    Response::Complete(Completion { statement: StatementId(id), kind: CompletionKind::Done, tag, rows: None })
}

fn passes<T: std::fmt::Debug>(flow: Flow<T>) -> T {
    match flow {
        Flow::Pass(value) => value,
        other => panic!("audit must not wait: {other:?}"),
    }
}

async fn held<T: std::fmt::Debug>(flow: Flow<T>) -> Result<T, Denial> {
    match flow {
        Flow::Held(held) => held.until.await,
        other => panic!("audit must wait: {other:?}"),
    }
}

fn events(path: &Path) -> Vec<Event> {
    read(path).expect("a log").map(|event| event.expect("whole").event).collect()
}

#[tokio::test]
async fn a_session_reads_back() {
    let fixture = Fixture::new(|config| config);
    let options = AuditOptions { detectors: vec![Arc::new(Emails)], ..AuditOptions::default() };
    let mut chain = fixture.open(RecordingMode::Default, options).await;
    passes(chain.request(query(1, "select name from t where email = 'ann@shop.eu'")));
    passes(chain.response(Response::Columns(ResultColumns {
        statement: StatementId(1),
        columns: cells(),
        text: Bytes::new(),
    })));
    passes(chain.response(rows(1, [row("Ann"), row("Bob")].concat(), 2)));
    passes(chain.response(complete(1, "SELECT 2")));
    passes(chain.request(query(2, "drop table t")));
    let fields = vec![(b'S', "ERROR".into()), (b'C', "42501".into()), (b'M', "refused".into())];
    let denial = Some(Denial::new("no-drop", Code::StatementDenied, "no"));
    passes(chain.response(Response::Error(TargetError { statement: Some(StatementId(2)), fields, denial })));
    chain.close(&Outcome::Completed).await;

    let Closed { totals, log, .. } = fixture.closed();
    assert_eq!(totals, Totals { statements: 2, denied: 1, rows: 2, bytes: 28, ..Totals::default() });
    let path = log.expect("sealed").path;
    let key = PublicKey::from(&SigningKey::from_bytes(&[7; 32]));
    assert!(verify(&path, &key).expect("readable").is_sealed());
    let shown: Vec<_> = read(&path).expect("a log").map(|event| event.expect("whole").to_string()).collect();
    let shown: Vec<_> = shown.iter().map(|line| line.split_once("  ").expect("a time").1).collect();
    assert!(shown[0].contains("ann on shop through edge, database shop, application psql, from 10.0.0.1:4711"));
    assert!(shown[0].ends_with(", reason to answer [email]"), "{}", shown[0]);
    assert_eq!(shown[1], "#1 query select name from t where email = '[email]'");
    assert_eq!(shown[2], "#1 columns name");
    assert_eq!(shown[3], "#1 shown 2 rows\n    Ann\n    Bob");
    assert!(shown[4].starts_with("#1 SELECT 2, ") && shown[4].ends_with("2 rows shown (28 bytes)"), "{}", shown[4]);
    assert_eq!(shown[5], "#2 query drop table t");
    assert_eq!(shown[6], "#2 DENIED by no-drop (statement_denied): refused");
    assert!(shown[7].starts_with("end: completed; 2 statements, 1 denied, 0 failed, 2 rows shown"));
}

#[tokio::test]
async fn parameters_and_sent_rows_are_redacted() {
    let fixture = Fixture::new(|config| config);
    let options = AuditOptions { detectors: vec![Arc::new(Emails)], ..AuditOptions::default() };
    let mut chain = fixture.open(RecordingMode::Default, options).await;
    let values = vec![Some(Bytes::from_static(b"to ann@shop.eu")), None];
    let parameters = Some(Parameters { values, formats: vec![Format::Text] });
    let text = Bytes::from_static(b"select $1, $2");
    let settings = Default::default();
    let run = Statement { id: StatementId(1), phase: Phase::Execute, text, settings, parameters };
    passes(chain.request(Request::Statement(run)));
    let sent = RowBatch::new(StatementId(1), cells(), Arc::new(DataRows), Bytes::from_static(b"1,ann@shop.eu\n"), 1);
    let Request::CopyIn(batch) = passes(chain.request(Request::CopyIn(sent))) else { panic!("a batch") };
    assert_eq!(batch.received(), "1,ann@shop.eu\n", "what the target gets is not changed");
    chain.close(&Outcome::ClientLost).await;
    let events = events(&fixture.closed().log.expect("sealed").path);
    let Event::Statement(statement) = &events[1] else { panic!("{events:?}") };
    assert_eq!(statement.parameters[0].value.to_string(), "to [email]");
    assert!(statement.parameters[1].null);
    let Event::CopyIn(sent) = &events[2] else { panic!("{events:?}") };
    assert_eq!(sent.bytes.to_string(), "1,***********\n");
}

#[tokio::test]
async fn a_value_that_the_limit_cuts_is_redacted_too() {
    let fixture = Fixture::new(|config| config);
    let detectors: Vec<Arc<dyn Detector>> = vec![Arc::new(Emails)];
    let options = AuditOptions { detectors, rows_bytes_per_statement: 6, ..AuditOptions::default() };
    let mut chain = fixture.open(RecordingMode::Default, options).await;
    passes(chain.request(query(1, "copy t from stdin")));
    let sent = RowBatch::new(StatementId(1), cells(), Arc::new(DataRows), Bytes::from_static(b"1,ann@shop.eu\n"), 1);
    passes(chain.request(Request::CopyIn(sent)));
    chain.close(&Outcome::Completed).await;
    let events = events(&fixture.closed().log.expect("sealed").path);
    let Event::CopyIn(sent) = &events[2] else { panic!("{events:?}") };
    assert_eq!(sent.bytes.to_string(), "1,****");
}

#[tokio::test]
async fn what_is_not_kept_is_summed_up() {
    let fixture = Fixture::new(|config| config);
    let options = AuditOptions { rows_bytes_per_statement: 20, ..AuditOptions::default() };
    let mut chain = fixture.open(RecordingMode::Default, options).await;
    passes(chain.request(query(1, "select")));
    let all = [row("Ann"), row("Bob"), row("Cid")].concat();
    passes(chain.response(rows(1, all[..28].to_vec(), 2)));
    passes(chain.response(rows(1, all[28..].to_vec(), 1)));
    passes(chain.response(complete(1, "SELECT 3")));
    chain.close(&Outcome::Completed).await;
    let events = events(&fixture.closed().log.expect("sealed").path);
    let kept: Vec<u8> = events
        .iter()
        .filter_map(|event| if let Event::Rows(rows) = event { Some(rows.bytes.0.to_vec()) } else { None })
        .flatten()
        .collect();
    assert_eq!(kept, all[..20]);
    let Some(Event::Complete(complete)) = events.iter().find(|event| matches!(event, Event::Complete(_))) else {
        panic!("{events:?}")
    };
    let shown = complete.shown.as_ref().expect("rows were shown");
    assert_eq!((shown.rows, shown.bytes, shown.kept), (3, 42, 20));
    assert_eq!(shown.digest, blake3::hash(&all[20..]).to_hex().as_str());
}

#[tokio::test]
async fn a_strict_session_waits_for_the_disk() {
    let fixture = Fixture::new(|config| config);
    let mut chain = fixture.open(RecordingMode::Strict, AuditOptions::default()).await;
    let path = fixture.only();
    held(chain.request(query(1, "select 1"))).await.expect("a working disk");
    assert!(matches!(events(&path).last(), Some(Event::Statement(statement)) if statement.statement == 1));
    passes(chain.response(rows(1, row("Ann"), 1)));
    held(chain.response(complete(1, "SELECT 1"))).await.expect("a working disk");
    assert!(matches!(events(&path).last(), Some(Event::Complete(_))));
    chain.close(&Outcome::Completed).await;
}

#[tokio::test]
async fn a_recorder_that_stops_ends_the_session() {
    for recording in [RecordingMode::Default, RecordingMode::Strict] {
        let fixture = Fixture::new(|config| config);
        let mut chain = fixture.open(recording, AuditOptions::default()).await;
        fixture.recorder.shut_down();
        match chain.request(query(1, "select 1")) {
            Flow::Denied(denial) => assert_eq!(denial.code, Code::RecordingFailed),
            other => panic!("not recorded, and yet {other:?}"),
        }
        match chain.response(complete(1, "SELECT 1")) {
            Flow::Denied(denial) => assert_eq!(denial.code, Code::RecordingFailed),
            other => panic!("not recorded, and yet {other:?}"),
        }
        chain.close(&Outcome::GatewayLost).await;
        assert!(fixture.closed().log.is_none());
        let audit = Audit::new(fixture.recorder.clone(), AuditOptions::default());
        let refused = audit.open(&session(recording)).await.err().expect("no new sessions");
        assert_eq!(refused.code, Code::RecordingFailed);
    }
}

#[tokio::test]
async fn a_full_buffer_holds_the_rows_and_loses_none() {
    let fixture = Fixture::new(|config| RecorderConfig { max_buffered_bytes: 128, ..config });
    let mut chain = fixture.open(RecordingMode::Default, AuditOptions::default()).await;
    // The header may still be all that fits.
    if let Flow::Held(held) = chain.request(query(1, "select")) {
        held.until.await.expect("a working disk");
    }
    let mut waits = 0;
    for number in 0..3_000 {
        let flow = chain.response(rows(1, row(&format!("{number:04}")), 1));
        match flow {
            Flow::Pass(_) => {}
            Flow::Held(held) => {
                waits += 1;
                held.until.await.expect("a working disk");
            }
            Flow::Denied(denial) => panic!("{denial}"),
        }
    }
    chain.close(&Outcome::Completed).await;
    let events = events(&fixture.closed().log.expect("sealed").path);
    let kept = events.iter().filter_map(|event| match event {
        Event::Rows(rows) => Some(rows.cells()?[0][0].as_ref()?.to_string()),
        _ => None,
    });
    assert!(kept.eq((0..3_000).map(|number| format!("{number:04}"))), "all rows, in their order");
    assert!(waits > 0);
}
