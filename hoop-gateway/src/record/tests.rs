//! What a recorder promises, each seen to hold: nothing acknowledged is lost, and nothing changed goes unseen.

mod crash;
mod edits;
mod files;
mod http;
mod sessions;
mod terminals;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use hoop_core::clock::SystemClock;
use hoop_core::id::SessionId;
use tempfile::TempDir;

use super::event::{Complete, End, Header, RowFormat, RowsHead, Shown, Statement, Text, Totals};
use super::{Appended, Event, Kind, PublicKey, Recorder, RecorderConfig, SessionLog, read};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn public() -> PublicKey {
    PublicKey::from(&key())
}

fn config(folder: &Path) -> RecorderConfig {
    let mut config = RecorderConfig::new(folder, key());
    // Tests must not depend on how full the machine's disk is.
    config.space = super::Space { strict_percent: 0, all_percent: 0 };
    config
}

fn open(folder: &Path) -> Recorder {
    Recorder::open(config(folder), Arc::new(SystemClock)).expect("a fresh folder").0
}

fn id() -> SessionId {
    SessionId::new(&SystemClock)
}

fn header(strict: bool) -> Header {
    Header { name: "alice".into(), role_name: "shop".into(), strict, ..Header::default() }
}

fn statement(number: u64) -> Vec<u8> {
    let text = Text::copied(&format!("select {number}"), 100);
    let mut out = Vec::new();
    Statement { statement: number, phase: "query".into(), text, ..Statement::default() }.encode(&mut out);
    out
}

fn append(log: &SessionLog, kind: Kind, parts: &[&[u8]]) {
    assert!(log.append(kind, parts).expect("a working recorder").is_done());
}

fn fill(log: &SessionLog, statements: u64) {
    for number in 1..=statements {
        append(log, Kind::Statement, &[&statement(number)]);
        let head = RowsHead { statement: number, rows: 1, format: RowFormat::Messages };
        append(log, Kind::Rows, &[&head.encode(), b"D\0\0\0\x0c\0\x01\0\0\0\x02", b"hi"]);
        let shown = Some(Shown { rows: 1, bytes: 13, kept: 13, ..Shown::default() });
        let mut out = Vec::new();
        Complete { statement: number, tag: Text::from("SELECT 1"), shown, ..Complete::default() }.encode(&mut out);
        append(log, Kind::Complete, &[&out]);
    }
}

fn end() -> End {
    End { outcome: "completed".into(), ..End::default() }
}

/// A sealed log, and the bytes of it.
async fn sealed(folder: &TempDir, statements: u64) -> (PathBuf, Vec<u8>) {
    let recorder = open(folder.path());
    let log = recorder.session(id(), &header(false)).expect("a fresh recorder");
    fill(&log, statements);
    let sealed = log.close(&end()).await.expect("a working recorder");
    let bytes = fs::read(&sealed.path).expect("just written");
    assert_eq!(bytes.len() as u64, sealed.bytes);
    (sealed.path, bytes)
}

fn statements(path: &Path) -> Vec<u64> {
    let events = read(path).expect("a log");
    events
        .filter_map(|event| match event.expect("a whole log").event {
            Event::Statement(statement) => Some(statement.statement),
            _ => None,
        })
        .collect()
}
