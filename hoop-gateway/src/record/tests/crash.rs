//! What a gateway that dies leaves behind.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::super::path::{open_path, session_of};
use super::super::recover::recover;
use super::super::{Recovery, State, find, verify};
use super::*;

fn recovered(folder: &Path) -> Recovery {
    fs::create_dir_all(folder.join("wal")).expect("ours");
    fs::create_dir_all(folder.join("open")).expect("ours");
    recover(&config(folder), &SystemClock).expect("a folder of ours").0
}

#[tokio::test]
async fn a_log_cut_at_any_byte_recovers_and_verifies() {
    let folder = TempDir::new().expect("a folder");
    let (path, bytes) = sealed(&folder, 1).await;
    let whole = verify(&path, &public()).expect("readable");
    fs::remove_file(&path).expect("ours");
    let session = session_of(&path).expect("a log's name");
    for cut in 0..=bytes.len() {
        fs::write(open_path(folder.path(), session), &bytes[..cut]).expect("ours");
        let recovery = recovered(folder.path());
        let [log] = recovery.logs.as_slice() else { panic!("one log, not {recovery:?}") };
        let report = verify(&log.path, &public()).expect("readable");
        assert!(report.is_sealed(), "cut at {cut}: {report:?}");
        assert_eq!(report.records, log.records, "cut at {cut}");
        assert_eq!(report.head, Some(blake3::Hash::from_bytes(log.head).to_hex().to_string()), "cut at {cut}");
        let kept = fs::read(&log.path).expect("a log");
        let common = bytes[..cut].iter().zip(&kept).take_while(|(a, b)| a == b).count() as u64;
        assert!(common + log.torn_bytes >= cut as u64, "cut at {cut}: {log:?}");
        if cut == bytes.len() {
            assert_eq!((report.records, log.outcome.as_str()), (whole.records, "completed"));
        }
        assert_eq!(log.damaged, None, "cut at {cut}");
    }
}

#[tokio::test]
async fn an_open_log_that_was_changed_is_left_as_evidence() {
    let folder = TempDir::new().expect("a folder");
    let (path, mut bytes) = sealed(&folder, 3).await;
    bytes[200] ^= 1;
    let session = session_of(&path).expect("a log's name");
    fs::remove_file(&path).expect("ours");
    fs::write(open_path(folder.path(), session), &bytes).expect("ours");
    let log = recovered(folder.path()).logs.remove(0);
    assert!(log.damaged.is_some());
    assert_eq!(fs::read(&log.path).expect("a log"), bytes);
    assert_eq!(verify(&log.path, &public()).expect("readable").state, State::Changed);
}

#[tokio::test]
async fn a_clean_shutdown_leaves_open_logs_for_the_next_start() {
    let folder = TempDir::new().expect("a folder");
    let recorder = open(folder.path());
    let log = recorder.session(id(), &header(false)).expect("a fresh recorder");
    fill(&log, 2);
    let session = log.id();
    recorder.shut_down();
    drop((log, recorder));
    let (_recorder, recovery) = Recorder::open(config(folder.path()), Arc::new(SystemClock)).expect("free again");
    assert_eq!(recovery.logs.len(), 1);
    assert_eq!(recovery.logs[0].outcome, "gateway_lost");
    let totals = Totals { statements: 2, rows: 2, bytes: 26, ..Totals::default() };
    assert_eq!(recovery.logs[0].totals, totals);
    assert_eq!(statements(&find(folder.path(), session).expect("a log")), [1, 2]);
}

/// Fifty strict sessions wait at once; then the power fails: of each file only what its own fdatasync promised is
/// left, and the shared write-ahead log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_commit_survives_a_power_failure() {
    let folder = TempDir::new().expect("a folder");
    let recorder = open(folder.path());
    let logs: Vec<_> = (0..50).map(|_| recorder.session(id(), &header(true)).expect("a fresh recorder")).collect();
    for round in 0..10 {
        let all = logs.iter().map(|log| {
            fill(log, 1 + round % 3);
            log.durable()
        });
        for durable in futures::future::join_all(all).await {
            durable.expect("a working recorder");
        }
    }
    let image = TempDir::new().expect("a folder");
    recovered(image.path());
    let mut shared = 0;
    for log in &logs {
        let file = log.session.file.lock();
        let settled = usize::try_from(file.settled).expect("small");
        shared += usize::from(file.settled < file.synced);
        let bytes = fs::read(&file.path).expect("a log");
        if settled > 0 {
            fs::write(open_path(image.path(), log.id()), &bytes[..settled]).expect("ours");
        }
    }
    for entry in fs::read_dir(folder.path().join("wal")).expect("ours") {
        let path = entry.expect("readable").path();
        fs::copy(&path, image.path().join("wal").join(path.file_name().expect("a file"))).expect("ours");
    }
    let recovery = recovered(image.path());
    assert!(shared > 25, "most were served by the write-ahead log, not {shared}");
    assert_eq!(recovery.logs.len(), 50);
    for log in recovery.logs {
        assert!(verify(&log.path, &public()).expect("readable").is_sealed());
        assert_eq!((log.torn_bytes, statements(&log.path).len()), (0, 19));
    }
}

const CHILD: &str = "HOOP_RECORD_CRASH_FOLDER";

/// The child of the test below; does nothing when run by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_child() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let recorder = open(Path::new(&folder));
    let sessions = (0..8).map(|_| async {
        let log = recorder.session(id(), &header(true)).expect("a fresh recorder");
        for number in 1.. {
            append(&log, Kind::Statement, &[&statement(number)]);
            log.durable().await.expect("a working recorder");
            println!("\nACK {} {number}", log.id());
        }
    });
    futures::future::join_all(sessions).await;
}

#[test]
fn a_gateway_killed_under_load_loses_nothing_acknowledged() {
    for acknowledged in [1, 40, 400] {
        let folder = TempDir::new().expect("a folder");
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "record::tests::crash::crash_child", "--nocapture", "--test-threads=1"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test runs");
        let mut acks: HashMap<String, u64> = HashMap::new();
        let mut output = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut read_acks = |most: usize, acks: &mut HashMap<String, u64>| {
            let lines = output.by_ref().map_while(Result::ok).filter_map(|line| {
                let (session, number) = line.strip_prefix("ACK ")?.split_once(' ')?;
                Some((session.to_owned(), number.parse().ok()?))
            });
            acks.extend(lines.take(most));
        };
        read_acks(acknowledged, &mut acks);
        child.kill().expect("ours");
        child.wait().expect("ours");
        read_acks(usize::MAX, &mut acks);
        assert!(acks.values().sum::<u64>() >= acknowledged as u64 / 8, "{acks:?}");
        let recovery = recovered(folder.path());
        for (session, number) in acks {
            let log = recovery.logs.iter().find(|log| log.session.to_string() == session).expect("recovered");
            assert!(verify(&log.path, &public()).expect("readable").is_sealed());
            assert!(statements(&log.path).len() as u64 >= number, "{log:?}, acknowledged {number}");
        }
    }
}
