//! Running sessions.

use std::fs::File;
use std::sync::atomic::Ordering;

use super::super::{State, find, verify};
use super::*;

#[tokio::test]
async fn a_closed_log_is_sealed_and_reads_back() {
    let folder = TempDir::new().expect("a folder");
    let (path, _) = sealed(&folder, 3).await;
    let report = verify(&path, &public()).expect("readable");
    assert_eq!((report.state, report.bad), (State::Sealed, None));
    assert_eq!((report.records, report.proven), (12, 12));
    assert_eq!(find(folder.path(), report.session.expect("a header")), Some(path.clone()));
    assert_eq!(statements(&path), [1, 2, 3]);
    let other = PublicKey::from(&SigningKey::from_bytes(&[8; 32]));
    assert_eq!(verify(&path, &other).expect("readable").state, State::Changed);
}

#[tokio::test]
async fn what_is_shown_has_no_control_characters() {
    let folder = TempDir::new().expect("a folder");
    let recorder = open(folder.path());
    let log = recorder.session(id(), &header(false)).expect("a fresh recorder");
    let mut out = Vec::new();
    let text = Text(Bytes::from_static(b"select '\x1b[31m\xff\r\xe2\x80\xae'"));
    Statement { statement: 1, phase: "query".into(), text, ..Statement::default() }.encode(&mut out);
    append(&log, Kind::Statement, &[&out]);
    let path = log.close(&end()).await.expect("a working recorder").path;
    let view = read(&path).expect("a log").nth(1).expect("two records").expect("whole");
    let shown = view.to_string();
    assert!(shown.ends_with(r"select '\u{1b}[31m\xff\r\u{202e}'"), "{shown}");
    let json = serde_json::to_value(&view).expect("plain data");
    assert_eq!(json["text"], r"select '\u{1b}[31m\xff\r\u{202e}'");
    assert_eq!(json["kind"], "statement");
}

#[tokio::test]
async fn rows_of_data_row_messages_are_shown_as_cells() {
    let folder = TempDir::new().expect("a folder");
    let (path, _) = sealed(&folder, 1).await;
    let view = read(&path).expect("a log").nth(2).expect("three records").expect("whole");
    assert_eq!(serde_json::to_value(&view).expect("plain data")["cells"], serde_json::json!([["hi"]]));
}

#[tokio::test]
async fn a_log_that_is_dropped_ends_as_aborted() {
    let folder = TempDir::new().expect("a folder");
    let recorder = open(folder.path());
    let session = id();
    drop(recorder.session(session, &header(false)).expect("a fresh recorder"));
    recorder.shut_down();
    let path = find(folder.path(), session).expect("a log");
    assert!(verify(&path, &public()).expect("readable").is_sealed());
    let ended = read(&path)
        .expect("a log")
        .any(|event| matches!(event.expect("whole").event, Event::End(end) if end.outcome == "aborted"));
    assert!(ended);
}

#[tokio::test]
async fn one_session_has_one_log_and_one_folder_one_gateway() {
    let folder = TempDir::new().expect("a folder");
    let recorder = open(folder.path());
    let session = id();
    let log = recorder.session(session, &header(false)).expect("a fresh recorder");
    assert!(recorder.session(session, &header(false)).is_err());
    log.close(&end()).await.expect("a working recorder");
    assert!(recorder.session(session, &header(false)).is_err());
    let second = Recorder::open(config(folder.path()), Arc::new(SystemClock));
    assert!(matches!(second, Err(super::super::RecordError::Locked(_))));
}

#[tokio::test]
async fn files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().expect("a folder");
    let (path, _) = sealed(&folder, 1).await;
    assert_eq!(fs::metadata(&path).expect("a log").permissions().mode() & 0o777, 0o600);
    let day = path.parent().expect("in a folder");
    assert_eq!(fs::metadata(day).expect("a folder").permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_full_buffer_makes_the_session_wait_and_loses_nothing() {
    let folder = TempDir::new().expect("a folder");
    let config = RecorderConfig { max_buffered_bytes: 4_096, ..config(folder.path()) };
    let recorder = Recorder::open(config, Arc::new(SystemClock)).expect("a fresh folder").0;
    let log = recorder.session(id(), &header(false)).expect("a fresh recorder");
    let mut number = 1;
    let room = {
        // The writer stands still while its file is locked.
        let _file = log.session.file.lock();
        loop {
            match log.append(Kind::Statement, &[&statement(number)]).expect("working") {
                Appended::Done => number += 1,
                Appended::Full(room) => break room,
            }
        }
    };
    room.wait().await.expect("a working recorder");
    append(&log, Kind::Statement, &[&statement(number)]);
    let path = log.close(&end()).await.expect("a working recorder").path;
    assert_eq!(statements(&path), (1..=number).collect::<Vec<_>>());
    assert!(number < 60, "{number} statements in 4 KiB");
}

#[tokio::test]
async fn a_running_log_has_checkpoints() {
    let folder = TempDir::new().expect("a folder");
    let config = RecorderConfig { checkpoint_every: std::time::Duration::ZERO, ..config(folder.path()) };
    let recorder = Recorder::open(config, Arc::new(SystemClock)).expect("a fresh folder").0;
    let log = recorder.session(id(), &header(true)).expect("a fresh recorder");
    fill(&log, 2);
    log.durable().await.expect("a working recorder");
    let report = verify(&log.path(), &public()).expect("readable");
    assert_eq!((report.state, report.proven), (State::Open, report.records));
    fill(&log, 1);
    let path = log.close(&end()).await.expect("a working recorder").path;
    assert!(verify(&path, &public()).expect("readable").is_sealed());
}

#[tokio::test]
async fn an_error_of_the_disk_stops_the_recorder_for_good() {
    for waiting in [1, 2] {
        let folder = TempDir::new().expect("a folder");
        let recorder = open(folder.path());
        let logs: Vec<_> =
            (0..waiting).map(|_| recorder.session(id(), &header(true)).expect("a fresh recorder")).collect();
        logs[0].durable().await.expect("a working disk");
        logs[0].session.file.lock().file = File::options().write(true).open("/dev/full").expect("Linux");
        for log in &logs {
            fill(log, 1);
        }
        let all = futures::future::join_all(logs.iter().map(SessionLog::durable)).await;
        assert!(all.iter().any(Result::is_err), "nothing may look durable");
        recorder.failed().await;
        for log in &logs {
            assert!(log.append(Kind::Statement, &[&statement(2)]).is_err());
            assert!(log.durable().await.is_err() || log.session.durable.load(Ordering::Relaxed) >= 4);
        }
        assert!(recorder.session(id(), &header(false)).is_err());
        for log in logs {
            assert!(log.close(&end()).await.is_err());
        }
    }
}

#[tokio::test]
async fn a_folder_that_went_away_refuses_sessions() {
    let folder = TempDir::new().expect("a folder");
    let recorder = open(folder.path());
    fs::remove_dir_all(folder.path().join("open")).expect("ours");
    assert!(recorder.session(id(), &header(false)).is_err());
}

#[tokio::test]
async fn too_little_space_refuses_strict_sessions_first() {
    let folder = TempDir::new().expect("a folder");
    let low = super::super::Space { strict_percent: 101, all_percent: 0 };
    let recorder = Recorder::open(RecorderConfig { space: low, ..config(folder.path()) }, Arc::new(SystemClock));
    let recorder = recorder.expect("a fresh folder").0;
    assert!(recorder.session(id(), &header(true)).is_err());
    assert!(recorder.session(id(), &header(false)).is_ok());
    recorder.shut_down();
    drop(recorder);
    let full = super::super::Space { strict_percent: 101, all_percent: 101 };
    let recorder = Recorder::open(RecorderConfig { space: full, ..config(folder.path()) }, Arc::new(SystemClock));
    assert!(recorder.expect("the folder is free again").0.session(id(), &header(false)).is_err());
}
