//! Terminals in recordings: long ones play, and verify.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use hoop_core::Clock;

use super::super::asciicast::Asciicast;
use super::super::event::{ChannelClosed, Command, Line, Stream, StreamHead, WindowChange};
use super::super::replay::{Happening, Moment, Replay};
use super::super::verify;
use super::*;

/// A clock that stands still until it is moved.
#[derive(Debug)]
struct Standing(AtomicI64, Instant);

impl Standing {
    fn at(second: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(second), Instant::now()))
    }

    fn set(&self, second: i64) {
        self.0.store(second, Ordering::Relaxed);
    }
}

impl Clock for Standing {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0.load(Ordering::Relaxed), 0).expect("in range")
    }

    fn monotonic(&self) -> Instant {
        self.1 + Duration::from_secs(self.0.load(Ordering::Relaxed).unsigned_abs())
    }
}

struct Written {
    log: SessionLog,
    clock: Arc<Standing>,
}

impl Written {
    fn begin(folder: &Path) -> (Self, Recorder) {
        let clock = Standing::at(1_000);
        let recorder = Recorder::open(config(folder), clock.clone()).expect("a fresh folder").0;
        let log = recorder.session(id(), &header(false)).expect("a fresh recorder");
        (Self { log, clock }, recorder)
    }

    async fn add(&self, second: i64, kind: Kind, parts: &[&[u8]]) {
        self.clock.set(1_000 + second);
        if let Appended::Full(room) = self.log.append(kind, parts).expect("a working recorder") {
            room.append(vec![(kind, parts.concat())]).await.expect("a working recorder");
        }
    }

    async fn payload(&self, second: i64, kind: Kind, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        encode(&mut out);
        self.add(second, kind, &[&out]).await;
    }

    async fn command(&self, second: i64, command: Command) {
        self.payload(second, Kind::Command, |out| command.encode(out)).await;
    }

    async fn stream(&self, second: i64, kind: Kind, channel: u32, bytes: &[u8]) {
        let stream = if kind == Kind::Input { Stream::Stdin } else { Stream::Stdout };
        let hidden = kind == Kind::Input && bytes.starts_with(b"*");
        self.add(second, kind, &[&StreamHead { channel, stream, terminal: true, hidden }.encode(), bytes]).await;
    }
}

fn shell(channel: u64) -> Command {
    Command {
        channel,
        program: "shell".into(),
        term: "xterm-256color".into(),
        columns: 80,
        rows: 24,
        ..Command::default()
    }
}

fn moments(path: &Path, channel: Option<u64>) -> Vec<Moment> {
    let (mut log, mut replay) = (read(path).expect("a log"), Replay::new(channel));
    std::iter::from_fn(|| replay.next(&mut log)).map(|moment| moment.expect("whole")).collect()
}

fn cast(path: &Path, input: bool) -> String {
    let (mut cast, mut out) = (Asciicast::new(input), Vec::new());
    moments(path, None).into_iter().for_each(|moment| cast.write(moment, &mut out));
    String::from_utf8(out).expect("UTF-8")
}

async fn short(folder: &Path) -> PathBuf {
    let (written, _recorder) = Written::begin(folder);
    written.command(0, Command { channel: 1, program: "exec".into(), text: "true".into(), ..Command::default() }).await;
    written.command(1, shell(2)).await;
    written.stream(1, Kind::Output, 2, b"$ caf\xc3").await;
    written.stream(2, Kind::Output, 1, b"of another channel").await;
    written.stream(3, Kind::Output, 2, b"\xa9\x1b[m").await;
    written.stream(4, Kind::Input, 2, b"ls\r").await;
    let line = Line { channel: 2, text: "ls".into(), best_effort: true };
    written.payload(4, Kind::Line, |out| line.encode(out)).await;
    written.stream(5, Kind::Input, 2, b"***\r").await;
    let change = WindowChange { channel: 2, columns: 120, rows: 40 };
    written.payload(6, Kind::WindowChange, |out| change.encode(out)).await;
    let closed = ChannelClosed { channel: 2, exit_status: Some(3), ..ChannelClosed::default() };
    written.payload(8, Kind::ChannelClosed, |out| closed.encode(out)).await;
    written.log.close(&end()).await.expect("a working recorder").path
}

#[tokio::test]
async fn a_terminal_is_written_as_asciicast() {
    let folder = TempDir::new().expect("a folder");
    let path = short(folder.path()).await;
    let cast = cast(&path, true);
    let (head, events) = cast.split_once('\n').expect("a header");
    let head: serde_json::Value = serde_json::from_str(head).expect("JSON");
    assert_eq!(head["version"], 3);
    assert_eq!(head["term"], serde_json::json!({ "cols": 80, "rows": 24, "type": "xterm-256color" }));
    assert_eq!((&head["timestamp"], &head["command"]), (&1_001.into(), &"shell".into()));
    assert_eq!(head["title"], "alice on shop");
    let expected = [
        r#"[0.000000, "o", "$ caf"]"#,
        r#"[2.000000, "o", "é\u001b[m"]"#,
        r#"[1.000000, "i", "ls\r"]"#,
        r#"[0.000000, "m", "ls"]"#,
        r#"[1.000000, "i", "***\r"]"#,
        r#"[1.000000, "r", "120x40"]"#,
        r#"[2.000000, "x", "3"]"#,
    ];
    assert_eq!(events.lines().collect::<Vec<_>>(), expected);
    assert!(!self::cast(&path, false).contains("\"i\""), "what was typed only when it is asked for");
}

#[tokio::test]
async fn a_channel_without_a_terminal_has_no_replay() {
    let folder = TempDir::new().expect("a folder");
    let path = short(folder.path()).await;
    assert!(moments(&path, Some(1)).is_empty() && moments(&path, Some(9)).is_empty());
    assert_eq!(moments(&path, Some(2)), moments(&path, None));
}

#[tokio::test]
async fn events_of_a_terminal_are_told_to_people() {
    let folder = TempDir::new().expect("a folder");
    let path = short(folder.path()).await;
    let shown: Vec<_> = read(&path).expect("a log").map(|event| event.expect("whole").to_string()).collect();
    assert!(shown.iter().any(|line| line.ends_with("~2 ENTERED (as read from the screen): ls")), "{shown:#?}");
    assert!(shown.iter().any(|line| line.ends_with("~2 read 4 bytes, hidden")), "{shown:#?}");
}

/// Two hours with much output. `HOOP_TERMINAL_MIB` says how much, in MiB.
#[tokio::test]
async fn a_long_session_plays_and_verifies() {
    let mib = std::env::var("HOOP_TERMINAL_MIB").map_or(4, |mib| mib.parse().expect("a number of MiB"));
    let folder = TempDir::new().expect("a folder");
    let (written, _recorder) = Written::begin(folder.path());
    written.command(0, shell(1)).await;
    let piece = b"a line of output, of which there are many\r\n".repeat(1_524);
    let pieces = i64::from(mib) * (1 << 20) / i64::try_from(piece.len()).expect("small");
    for number in 0..pieces {
        written.stream(number * 7_200 / pieces, Kind::Output, 1, &piece).await;
    }
    written
        .payload(7_200, Kind::ChannelClosed, |out| ChannelClosed { channel: 1, ..Default::default() }.encode(out))
        .await;
    let path = written.log.close(&end()).await.expect("a working recorder").path;
    assert!(verify(&path, &public()).expect("readable").is_sealed());
    let (mut log, mut replay) = (read(&path).expect("a log"), Replay::new(None));
    let (mut bytes, mut last) = (0, 0);
    while let Some(moment) = replay.next(&mut log) {
        let moment = moment.expect("whole");
        last = moment.time;
        if let Happening::Output(output) = moment.what {
            bytes += output.len();
        }
    }
    assert!(replay.is_over());
    assert_eq!(bytes as i64, pieces * piece.len() as i64);
    assert_eq!(last, (1_000 + 7_200) * 1_000_000);
}
