//! The exchanges of an HTTP session as a log for people: one line each, as they ended.
//!
//! Bodies and messages are shown as text alone: nothing in them reaches the terminal but characters, and each line of them is set
//! off, so that none looks like one of the log's own.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use hoop_gateway::record::event::{HttpMessage, Text};
use hoop_gateway::record::exchanges::{Exchanges, Told};
use hoop_gateway::record::{self, Reader};

use crate::failure::Failure;

/// Tells the exchanges of a recording.
pub(super) fn tell(path: &Path, bodies: bool) -> Result<(), Failure> {
    let mut log = record::read(path)?;
    let mut exchanges = Exchanges::default();
    let mut out = BufWriter::new(io::stdout().lock());
    while let Some(told) = exchanges.next(&mut log) {
        match told? {
            Told::Exchange(exchange) => writeln!(out, "{exchange}")?,
            told if bodies => out.write_all(kept(told).as_bytes())?,
            _ => {}
        }
    }
    for exchange in exchanges.unfinished() {
        writeln!(out, "{exchange}")?;
    }
    Ok(out.flush()?)
}

/// What was kept of a body or a message.
fn kept(told: Told) -> String {
    match told {
        Told::Body { channel, from_target, bytes } => {
            let side = if from_target { "response" } else { "request" };
            format!("{:12}  ~{channel} body of the {side}\n{}", "", set_off(Text(bytes)))
        }
        Told::Message(HttpMessage { channel, from_target, message, length, bytes, .. }) => {
            let from = if from_target { "target" } else { "client" };
            format!("{:12}  ~{channel} {message} message from the {from}, {length} bytes\n{}", "", set_off(bytes))
        }
        _ => String::new(),
    }
}

fn set_off(text: Text) -> String {
    let text = text.to_string().replace("\\r\n", "\n");
    text.lines().map(|line| format!("{:16}{line}\n", "")).collect()
}

/// Whether the recording is one of HTTP.
pub(in super::super) fn is_http(log: &mut Reader) -> Result<bool, Failure> {
    Ok(record::exchanges::is_http(log)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_text_alone() {
        let body =
            Told::Body { channel: 3, from_target: true, bytes: "a\u{1b}[2J\r\n10:00:00.000  ~1 GET /\n\u{ff}".into() };
        let shown = kept(body);
        let lines: Vec<_> = shown.lines().map(str::trim_end).collect();
        assert_eq!(lines[0].trim_start(), "~3 body of the response");
        assert_eq!(
            lines[1..],
            ["                a\\u{1b}[2J", "                10:00:00.000  ~1 GET /", "                \u{ff}",]
        );
    }
}
