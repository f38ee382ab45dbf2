//! What is known of the channels of a session that runs programs, and how they are recorded.

use std::collections::HashMap;
use std::time::Instant;

use hoop_core::{
    ChannelClosed, ChannelEnd, ChannelId, Command, FileDone, FileOperation, Forward, Signal, WindowChange,
};

use super::redact::Redactor;
use super::terminal::Terminal;
use crate::record::event::{
    self, MAX_MESSAGE_BYTES, MAX_NAME_BYTES, MAX_PARAMETER_BYTES, MAX_STATEMENT_BYTES, Text, Variable,
};

/// Longest path of a file that is kept, in bytes.
const MAX_PATH_BYTES: usize = 4 << 10;
/// Most variables of one program that are kept.
const MAX_VARIABLES: usize = 64;

/// The channels that are open.
#[derive(Default)]
pub(super) struct Channels(HashMap<ChannelId, Channel>);

pub(super) struct Channel {
    since: Instant,
    pub(super) input: Kept,
    pub(super) output: Kept,
    /// Where the program has one.
    pub(super) terminal: Option<Box<Terminal>>,
}

/// How much of a stream the log holds.
#[derive(Default)]
pub(super) struct Kept {
    bytes: u64,
    beyond: Option<Box<blake3::Hasher>>,
}

impl Kept {
    /// How many of these bytes are to be kept: all, or those up to the limit, or none.
    pub(super) fn add(&mut self, bytes: &[u8], limit: u64) -> usize {
        // Only what is kept from the start can be read back.
        let room = if self.beyond.is_some() { 0 } else { limit.saturating_sub(self.bytes) };
        let keep = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        self.bytes += keep as u64;
        if keep < bytes.len() {
            self.beyond.get_or_insert_default().update(bytes.get(keep..).unwrap_or_default());
        }
        keep
    }

    fn done(self) -> (Option<u64>, String) {
        match self.beyond {
            Some(hasher) => (Some(self.bytes), hasher.finalize().to_hex().to_string()),
            None => (None, String::new()),
        }
    }
}

impl Channels {
    pub(super) fn open(&mut self, id: ChannelId, now: Instant) -> &mut Channel {
        let new = || Channel { since: now, input: Kept::default(), output: Kept::default(), terminal: None };
        self.0.entry(id).or_insert_with(new)
    }

    pub(super) fn terminal(&mut self, id: ChannelId) -> Option<&mut Terminal> {
        self.0.get_mut(&id).and_then(|channel| channel.terminal.as_deref_mut())
    }

    /// The channels that are open.
    pub(super) fn ids(&self) -> Vec<ChannelId> {
        let mut ids: Vec<_> = self.0.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn close(&mut self, closed: &ChannelClosed, now: Instant) -> event::ChannelClosed {
        let mut event = event::ChannelClosed {
            channel: closed.channel.0.into(),
            bytes_in: closed.bytes_in,
            bytes_out: closed.bytes_out,
            ..event::ChannelClosed::default()
        };
        if let Some(channel) = self.0.remove(&closed.channel) {
            event.duration_us = super::session::microseconds(channel.since, now);
            (event.kept_in, event.digest_in) = channel.input.done();
            (event.kept_out, event.digest_out) = channel.output.done();
        }
        match &closed.end {
            ChannelEnd::ExitStatus(status) => event.exit_status = Some((*status).into()),
            ChannelEnd::ExitSignal { name, message, .. } => {
                event.exit_signal = Text::capped(name, MAX_NAME_BYTES);
                event.message = Text::capped(message, MAX_MESSAGE_BYTES);
            }
            ChannelEnd::Refused(denial) => {
                event.message = Text::copied(&denial.reason, MAX_MESSAGE_BYTES);
                event.denied_by = Text::copied(&denial.by, MAX_NAME_BYTES);
                event.denial = denial.code.as_str().to_owned();
            }
            ChannelEnd::Answered(_) | ChannelEnd::Closed => {}
        }
        event
    }
}

pub(super) fn command(command: &Command, redactor: &Redactor, hits: &mut Vec<hoop_core::Hit>) -> event::Command {
    let terminal = command.terminal.as_ref();
    let mut redacted = |text: &bytes::Bytes, limit| Text::capped(&redactor.text(text, hits), limit);
    event::Command {
        channel: command.channel.0.into(),
        program: Text::fixed(command.kind.as_str()),
        text: redacted(&command.text, MAX_STATEMENT_BYTES),
        term: terminal.map(|terminal| Text::capped(&terminal.term, MAX_NAME_BYTES)).unwrap_or_default(),
        columns: terminal.map_or(0, |terminal| terminal.size.columns.into()),
        rows: terminal.map_or(0, |terminal| terminal.size.rows.into()),
        environment: command
            .environment
            .iter()
            .take(MAX_VARIABLES)
            .map(|(name, value)| Variable {
                name: Text::capped(name, MAX_NAME_BYTES),
                value: redacted(value, MAX_PARAMETER_BYTES),
            })
            .collect(),
    }
}

pub(super) fn window_change(change: &WindowChange) -> event::WindowChange {
    event::WindowChange {
        channel: change.channel.0.into(),
        columns: change.size.columns.into(),
        rows: change.size.rows.into(),
    }
}

pub(super) fn signal(signal: &Signal) -> event::Signal {
    event::Signal { channel: signal.channel.0.into(), name: Text::capped(&signal.name, MAX_NAME_BYTES) }
}

pub(super) fn forward(forward: &Forward) -> event::Forward {
    event::Forward {
        channel: forward.channel.0.into(),
        forward: Text::fixed(forward.kind.as_str()),
        host: Text::capped(&forward.host, MAX_PATH_BYTES),
        port: forward.port.into(),
        originator: Text::capped(&forward.originator, MAX_NAME_BYTES),
    }
}

pub(super) fn file(file: &FileOperation) -> event::File {
    event::File {
        channel: file.channel.0.into(),
        number: file.id,
        operation: Text::fixed(file.kind.as_str()),
        path: Text::capped(&file.path, MAX_PATH_BYTES),
        to: file.to.as_ref().map(|to| Text::capped(to, MAX_PATH_BYTES)).unwrap_or_default(),
    }
}

pub(super) fn file_done(done: &FileDone) -> event::FileDone {
    let denial = done.denial.as_ref();
    let error = match denial {
        Some(denial) => Text::copied(&denial.reason, MAX_MESSAGE_BYTES),
        None => done.error.as_ref().map(|error| Text::capped(error, MAX_MESSAGE_BYTES)).unwrap_or_default(),
    };
    event::FileDone {
        channel: done.channel.0.into(),
        number: done.id,
        bytes_read: done.bytes_read,
        bytes_written: done.bytes_written,
        sha256: done.sha256.map(|digest| digest.iter().map(|byte| format!("{byte:02x}")).collect()).unwrap_or_default(),
        error,
        denied_by: denial.map(|denial| Text::copied(&denial.by, MAX_NAME_BYTES)).unwrap_or_default(),
        denial: denial.map(|denial| denial.code.as_str().to_owned()).unwrap_or_default(),
        ..event::FileDone::default()
    }
}
