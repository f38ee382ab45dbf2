//! Where a replay is, and what comes next.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hoop_gateway::record::replay::{Happening, Moment, Replay, Stage};
use hoop_gateway::record::{self, Reader};
use hoop_proto::terminal::filter::Filter;

use crate::failure::Failure;

/// How far the arrows go.
const JUMP: Duration = Duration::from_secs(10);

/// A key that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Pause,
    Quit,
    Back,
    Ahead,
}

impl Key {
    /// The keys that were struck.
    pub(super) fn read(mut struck: &[u8]) -> Vec<Self> {
        let mut keys = Vec::new();
        while let Some((first, rest)) = struck.split_first() {
            let (key, rest) = match (first, rest) {
                (b' ', rest) => (Some(Self::Pause), rest),
                (b'q' | b'Q', rest) => (Some(Self::Quit), rest),
                (0x1b, [b'[' | b'O', b'D', rest @ ..]) => (Some(Self::Back), rest),
                (0x1b, [b'[' | b'O', b'C', rest @ ..]) => (Some(Self::Ahead), rest),
                (_, rest) => (None, rest),
            };
            keys.extend(key);
            struck = rest;
        }
        keys
    }
}

/// What is to be shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// This was written.
    Written(Vec<u8>),
    /// The whole screen, as it was.
    Redrawn(Vec<u8>),
    Nothing,
}

/// Plays a terminal of a recording.
pub(super) struct Player {
    path: PathBuf,
    channel: Option<u64>,
    speed: f64,
    skip_idle: Option<Duration>,
    log: Reader,
    replay: Replay,
    stage: Option<Stage>,
    begun: i64,
    /// Since the program was started.
    at: Duration,
    next: Option<Moment>,
    /// The screen, to be shown before anything else.
    screen: Option<Vec<u8>>,
}

impl Player {
    /// At the beginning.
    pub(super) fn open(
        path: &Path,
        channel: Option<u64>,
        speed: f64,
        skip_idle: Option<Duration>,
    ) -> Result<Self, Failure> {
        let mut player = Self {
            path: path.to_owned(),
            channel,
            speed,
            skip_idle,
            log: record::read(path)?,
            replay: Replay::new(channel),
            stage: None,
            begun: 0,
            at: Duration::ZERO,
            next: None,
            screen: None,
        };
        player.begin()?;
        Ok(player)
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.log = record::read(&self.path)?;
        self.replay = Replay::new(self.channel);
        self.at = Duration::ZERO;
        self.stage = None;
        if let Some(Moment { time, what: Happening::Begin(stage) }) = self.replay.next(&mut self.log).transpose()? {
            self.begun = time;
            self.stage = Some(stage);
        }
        self.fetch()
    }

    fn fetch(&mut self) -> Result<(), Failure> {
        self.next = self.replay.next(&mut self.log).transpose()?;
        Ok(())
    }

    pub(super) const fn has_terminal(&self) -> bool {
        self.stage.is_some()
    }

    /// Columns and rows at the beginning.
    pub(super) fn size(&self) -> (u16, u16) {
        self.stage.as_ref().map_or((80, 24), |stage| (stage.columns, stage.rows))
    }

    /// What is to be shown now; `None` at the end.
    pub(super) fn step(&mut self) -> Result<Option<Shown>, Failure> {
        if let Some(shown) = self.redrawn() {
            return Ok(Some(shown));
        }
        let Some(moment) = self.next.take() else { return Ok(None) };
        self.at = self.at.max(since(self.begun, &moment));
        self.fetch()?;
        Ok(Some(match moment.what {
            Happening::Output(bytes) => Shown::Written(bytes.into()),
            _ => Shown::Nothing,
        }))
    }

    /// The screen after a jump, once.
    pub(super) fn redrawn(&mut self) -> Option<Shown> {
        self.screen.take().map(Shown::Redrawn)
    }

    /// How long it is until the next step.
    pub(super) fn wait(&self) -> Result<Duration, Failure> {
        let Some(moment) = &self.next else { return Ok(Duration::ZERO) };
        let wait = since(self.begun, moment).saturating_sub(self.at);
        let wait = self.skip_idle.map_or(wait, |most| wait.min(most));
        Ok(Duration::try_from_secs_f64(wait.as_secs_f64() / self.speed)?)
    }

    /// Goes back or ahead.
    pub(super) fn jump(&mut self, ahead: bool) -> Result<(), Failure> {
        self.seek(if ahead { self.at + JUMP } else { self.at.saturating_sub(JUMP) })
    }

    /// Goes to a place. What the screen looks like there is worked out from the beginning.
    pub(super) fn seek(&mut self, to: Duration) -> Result<(), Failure> {
        if to.is_zero() && self.at.is_zero() && self.screen.is_none() {
            return Ok(());
        }
        self.begin()?;
        let (columns, rows) = self.size();
        let mut screen = vt100::Parser::new(at_least_one(rows), at_least_one(columns), 0);
        let (mut filter, mut drawn) = (Filter::new(), Vec::new());
        while let Some(moment) = self.next.take_if(|moment| since(self.begun, moment) <= to) {
            self.fetch()?;
            match moment.what {
                Happening::Output(bytes) => {
                    drawn.clear();
                    filter.push(&bytes, &mut drawn);
                    screen.process(&drawn);
                }
                Happening::Resize(columns, rows) => {
                    screen.screen_mut().set_size(at_least_one(rows), at_least_one(columns));
                }
                _ => {}
            }
        }
        self.at = to;
        // Without modes of input, which the filter has not let through.
        let alternate: &[u8] = if screen.screen().alternate_screen() { b"\x1b[?1049h" } else { b"" };
        self.screen = Some([alternate, screen.screen().contents_formatted().as_bytes()].concat());
        Ok(())
    }
}

/// When something happened, since the program was started.
fn since(begun: i64, moment: &Moment) -> Duration {
    Duration::from_micros(u64::try_from(moment.time.saturating_sub(begun)).unwrap_or(0))
}

fn at_least_one(size: u16) -> NonZeroU16 {
    NonZeroU16::new(size).unwrap_or(NonZeroU16::MIN)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Instant;

    use chrono::{DateTime, Utc};
    use hoop_core::Clock;
    use hoop_core::id::SessionId;
    use hoop_gateway::record::event::{Command, End, Header, Stream, StreamHead};
    use hoop_gateway::record::{Kind, Recorder, RecorderConfig, Space, load_or_create_key};

    use super::*;

    struct Standing(AtomicI64, Instant);

    impl Clock for Standing {
        fn now(&self) -> DateTime<Utc> {
            DateTime::from_timestamp(self.0.load(Ordering::Relaxed), 0).expect("in range")
        }

        fn monotonic(&self) -> Instant {
            self.1
        }
    }

    /// A recording in which this is written, at these seconds.
    async fn recording(folder: &Path, written: &[(i64, &str)]) -> PathBuf {
        let key = load_or_create_key(&folder.join("key")).expect("a key");
        let space = Space { strict_percent: 0, all_percent: 0 };
        let config = RecorderConfig { space, ..RecorderConfig::new(folder.join("recordings"), key) };
        let clock = Arc::new(Standing(AtomicI64::new(1_000), Instant::now()));
        let recorder = Recorder::open(config, clock.clone()).expect("a fresh folder").0;
        let log = recorder.session(SessionId::new(&*clock), &Header::default()).expect("a fresh recorder");
        let mut command = Vec::new();
        Command { channel: 1, term: "xterm".into(), columns: 20, rows: 5, ..Command::default() }.encode(&mut command);
        assert!(log.append(Kind::Command, &[&command]).expect("working").is_done());
        let head = StreamHead { channel: 1, stream: Stream::Stdout, terminal: true, hidden: false }.encode();
        for (second, text) in written {
            clock.0.store(1_000 + second, Ordering::Relaxed);
            assert!(log.append(Kind::Output, &[&head, text.as_bytes()]).expect("working").is_done());
        }
        log.close(&End::default()).await.expect("a working recorder").path
    }

    const WRITTEN: [(i64, &str); 4] =
        [(0, "one\r\n"), (5, "two\r\n"), (65, "\x1b[1mthree\x1b[m\r\n"), (3_600, "\x1b]52;c;eA==\x07end")];

    fn written(shown: Option<Shown>) -> String {
        match shown {
            Some(Shown::Written(bytes) | Shown::Redrawn(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            other => panic!("{other:?}"),
        }
    }

    fn screen(drawn: &str) -> String {
        let mut screen = vt100::Parser::new(at_least_one(5), at_least_one(20), 0);
        screen.process(drawn.as_bytes());
        screen.screen().contents()
    }

    #[tokio::test]
    async fn it_plays_at_its_own_pace() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = recording(folder.path(), &WRITTEN).await;
        let waits = |speed, skip_idle| {
            let mut player = Player::open(&path, None, speed, skip_idle).expect("a recording");
            let mut waits = Vec::new();
            while let Some(shown) = player.step().expect("whole") {
                assert!(matches!(shown, Shown::Written(_)));
                waits.push(player.wait().expect("a time").as_secs_f64());
            }
            waits
        };
        assert_eq!(waits(1.0, None), [5.0, 60.0, 3_535.0, 0.0]);
        assert_eq!(waits(2.0, None), [2.5, 30.0, 1_767.5, 0.0]);
        assert_eq!(waits(1.0, Some(Duration::from_secs(10))), [5.0, 10.0, 10.0, 0.0]);
    }

    #[tokio::test]
    async fn a_place_shows_the_screen_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = recording(folder.path(), &WRITTEN).await;
        let mut player = Player::open(&path, None, 1.0, None).expect("a recording");
        player.seek(Duration::from_secs(70)).expect("whole");
        let drawn = written(player.step().expect("whole"));
        assert_eq!(screen(&drawn), "one\ntwo\nthree\n".trim_end());
        assert_eq!(player.wait().expect("a time"), Duration::from_secs(3_530));
        player.jump(false).expect("whole");
        assert_eq!(screen(&written(player.redrawn())).trim_end(), "one\ntwo");
        player.jump(true).expect("whole");
        assert_eq!(screen(&written(player.redrawn())).trim_end(), "one\ntwo\nthree");
        player.seek(Duration::from_secs(10_000)).expect("whole");
        let drawn = written(player.step().expect("whole"));
        assert!(screen(&drawn).ends_with("end") && !drawn.contains("52;"), "{drawn:?}");
        assert_eq!(player.step().expect("whole"), None);
    }

    #[test]
    fn keys() {
        assert_eq!(Key::read(b" q\x1b[D\x1bOCx\x1b"), [Key::Pause, Key::Quit, Key::Back, Key::Ahead]);
    }
}
