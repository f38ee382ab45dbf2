//! A terminal as [asciicast v3]: a header, and then a line for each thing that happened, with the seconds since the one before.
//!
//! | code | what |
//! | --- | --- |
//! | `o` | what the program wrote |
//! | `i` | what was typed, where that is asked for; of what could be a secret, asterisks |
//! | `r` | another size of the terminal |
//! | `m` | a line that was entered |
//! | `x` | the end, with the status |
//!
//! What was written is not changed: who shows it must keep it from doing anything but drawing.
//!
//! [asciicast v3]: https://docs.asciinema.org/manual/asciicast/v3/

use serde_json::json;

use super::replay::{Happening, Moment};

/// Writes a terminal as asciicast.
#[derive(Debug)]
pub struct Asciicast {
    input: bool,
    last: i64,
    /// The beginning of a character, of what is written and of what is typed.
    rest: [Vec<u8>; 2],
}

impl Asciicast {
    /// With what is typed, or without.
    pub const fn new(input: bool) -> Self {
        Self { input, last: 0, rest: [Vec::new(), Vec::new()] }
    }

    /// Appends the line of a moment, where it has one.
    pub fn write(&mut self, moment: Moment, out: &mut Vec<u8>) {
        let Moment { time, what } = moment;
        match what {
            Happening::Begin(stage) => {
                self.last = time;
                let term = json!({ "cols": stage.columns, "rows": stage.rows, "type": stage.term });
                let header = json!({
                    "version": 3,
                    "term": term,
                    "timestamp": time / 1_000_000,
                    "command": stage.command,
                    "title": stage.title,
                });
                line(out, &header.to_string());
            }
            Happening::Output(bytes) => {
                let text = characters(&mut self.rest[0], &bytes);
                self.event(time, "o", &text, out);
            }
            Happening::Input(bytes) if self.input => {
                let text = characters(&mut self.rest[1], &bytes);
                self.event(time, "i", &text, out);
            }
            Happening::Input(_) => {}
            Happening::Resize(columns, rows) => self.event(time, "r", &format!("{columns}x{rows}"), out),
            Happening::Marker(text) => self.event(time, "m", &text, out),
            Happening::Exit(status) => self.event(time, "x", if status.is_empty() { "0" } else { &status }, out),
        }
    }

    fn event(&mut self, time: i64, code: &str, data: &str, out: &mut Vec<u8>) {
        if data.is_empty() && code != "m" {
            return;
        }
        // A clock that is set back does not make a recording go backwards.
        let since = time.saturating_sub(self.last).max(0);
        self.last = self.last.max(time);
        let data = json!(data);
        line(out, &format!("[{}.{:06}, \"{code}\", {data}]", since / 1_000_000, since % 1_000_000));
    }
}

/// Appends a line of JSON. What serde leaves as it is and a terminal obeys, the controls from U+007F on, is escaped.
fn line(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            '\u{7f}'..='\u{9f}' => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'\n');
}

/// The characters that are whole now; what is none is U+FFFD, and the beginning of one waits.
fn characters(rest: &mut Vec<u8>, bytes: &[u8]) -> String {
    rest.extend_from_slice(bytes);
    let mut text = String::with_capacity(rest.len());
    let mut waits = Vec::new();
    let mut chunks = rest.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        let invalid = chunk.invalid();
        let may_go_on = std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        match chunks.peek() {
            None if may_go_on => waits = invalid.to_vec(),
            _ if invalid.is_empty() => {}
            _ => text.push(char::REPLACEMENT_CHARACTER),
        }
    }
    *rest = waits;
    text
}
