//! A program at a terminal of its own.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::find;

const DEADLINE: Duration = Duration::from_secs(20);

/// A program that believes that somebody sits at its terminal.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Arc<(Mutex<Screen>, Condvar)>,
    seen: usize,
}

#[derive(Debug, Default)]
struct Screen {
    text: String,
    ended: bool,
}

impl Terminal {
    /// Starts a shell command at a terminal.
    ///
    /// # Panics
    /// When `script`, which makes the terminal, is missing.
    pub fn start(command: &str) -> Self {
        let mut script = Command::new(find("script", "bsdutils"));
        script.args(["-qfec", command, "/dev/null"]).env("PAGER", "cat").env("TERM", "dumb").env("LC_ALL", "C.UTF-8");
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = script.spawn().expect("script starts");
        let keys = child.stdin.take().expect("its input is a pipe");
        let mut output = child.stdout.take().expect("its output is a pipe");
        let screen: Arc<(Mutex<Screen>, Condvar)> = Arc::default();
        let shared = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let count = output.read(&mut buffer).unwrap_or(0);
                let mut screen = shared.0.lock().expect("nobody panics while holding it");
                screen.text += &String::from_utf8_lossy(&buffer[..count]);
                screen.ended = count == 0;
                shared.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Self { child, keys, screen, seen: 0 }
    }

    /// psql at a terminal, with a prompt that shows the transaction's state.
    pub fn psql(url: &str) -> Self {
        let psql = find("psql", "postgresql-client");
        Self::start(&format!("{} -X -n -v PROMPT1='ready%x> ' -v PROMPT2='more> ' '{url}'", psql.display()))
    }

    /// Presses keys.
    pub fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
        self.keys.flush().expect("the terminal takes keys");
    }

    /// Types a line.
    pub fn line(&mut self, line: &str) {
        self.keys(&format!("{line}\n"));
    }

    /// Waits until `text` appears after what was expected before, and gives everything up to its end.
    ///
    /// # Panics
    /// With what is on the screen, when it does not appear within twenty seconds.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut screen = self.screen.0.lock().expect("nobody panics while holding it");
        loop {
            if let Some(at) = screen.text[self.seen..].find(text) {
                let end = self.seen + at + text.len();
                let passed = screen.text[self.seen..end].to_owned();
                self.seen = end;
                return passed;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!screen.ended && !left.is_zero(), "no {text:?} on the screen:\n{}", &screen.text[self.seen..]);
            screen = self.screen.1.wait_timeout(screen, left).expect("nobody panics while holding it").0;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
