//! Audit of programs, files and forwarded connections.

use hoop_core::{
    ChannelClosed, ChannelEnd, ChannelId, Command, Denial, FileDone, FileOperation, Forward, Input, Output,
    OutputStream, WindowChange,
};

use super::super::channels;
use super::super::terminal::{Terminal, Typed};
use super::{Recording, SessionAudit};
use crate::record::event::{self, MAX_STATEMENT_BYTES, Stream, StreamHead, Text};
use crate::record::{Kind, MAX_PAYLOAD};

impl SessionAudit {
    pub(super) fn command(&mut self, command: &Command) -> Result<(), Denial> {
        let channel = self.channels.open(command.channel, self.clock.monotonic());
        let size = command.terminal.as_ref().map(|terminal| terminal.size);
        channel.terminal = size.map(|size| Box::new(Terminal::new(size.columns, size.rows)));
        self.totals.commands += 1;
        let event = channels::command(command, &self.redactor, &mut self.memory.hits);
        self.add(Kind::Command, |out| event.encode(out))
    }

    pub(super) fn forward(&mut self, forward: &Forward) -> Result<(), Denial> {
        if forward.channel != ChannelId(0) {
            self.channels.open(forward.channel, self.clock.monotonic());
            self.totals.forwards += 1;
        }
        self.add(Kind::Forward, |out| channels::forward(forward).encode(out))
    }

    pub(super) fn channel_closed(&mut self, closed: &ChannelClosed) -> Result<(), Denial> {
        self.totals.denied += u64::from(matches!(closed.end, ChannelEnd::Refused(_)));
        self.typed_to_the_end(closed.channel)?;
        let event = self.channels.close(closed, self.clock.monotonic());
        self.add(Kind::ChannelClosed, |out| event.encode(out))
    }

    pub(super) fn file(&mut self, file: &FileOperation) -> Result<(), Denial> {
        self.totals.files += 1;
        if let Some(keep) = &self.limits.files {
            self.contents.open(keep, file);
        }
        self.add(Kind::File, |out| channels::file(file).encode(out))
    }

    pub(super) fn file_done(&mut self, done: &FileDone) -> Result<(), Denial> {
        self.totals.denied += u64::from(done.denial.is_some());
        let kept = self.contents.close(done);
        let event = event::FileDone {
            kept_read: kept.map(|kept| kept.read),
            kept_written: kept.map(|kept| kept.written),
            ..channels::file_done(done)
        };
        self.add(Kind::FileDone, |out| event.encode(out))
    }

    pub(super) fn window_change(&mut self, change: &WindowChange) -> Result<(), Denial> {
        if let Some(terminal) = self.channels.terminal(change.channel) {
            terminal.resize(change.size.columns, change.size.rows);
        }
        self.add(Kind::WindowChange, |out| channels::window_change(change).encode(out))
    }

    pub(super) fn input(&mut self, input: &Input) -> Result<(), Denial> {
        self.totals.input_bytes += input.bytes.len() as u64;
        if let Some(terminal) = self.channels.terminal(input.channel).filter(|_| input.terminal) {
            let typed = terminal.input(&input.bytes);
            return self.typed(input.channel, typed);
        }
        let limit = if input.terminal { u64::MAX } else { self.limits.stream };
        let kept = &mut self.channels.open(input.channel, self.clock.monotonic()).input;
        let keep = kept.add(&input.bytes, limit);
        if keep == 0 {
            return Ok(());
        }
        // Redacted before it is cut: half a value would not be found.
        let bytes = self.redactor.framed(&input.bytes, &mut self.memory.hits);
        self.stdin(input.channel, input.terminal, false, bytes.get(..keep).unwrap_or_default())
    }

    fn stdin(&mut self, channel: ChannelId, terminal: bool, hidden: bool, bytes: &[u8]) -> Result<(), Denial> {
        let head = StreamHead { channel: channel.0, stream: Stream::Stdin, terminal, hidden };
        stream(&mut self.recording, Kind::Input, head, bytes)
    }

    /// Records what was typed on a terminal.
    fn typed(&mut self, channel: ChannelId, typed: Vec<Typed>) -> Result<(), Denial> {
        for Typed { bytes, hidden, line } in typed {
            let bytes = self.redactor.framed(&bytes.into(), &mut self.memory.hits);
            self.stdin(channel, true, hidden, &bytes)?;
            if let Some(line) = line {
                let text = self.redactor.text(&line.into(), &mut self.memory.hits);
                let text = Text::capped(&text, MAX_STATEMENT_BYTES);
                let event = event::Line { channel: channel.0.into(), text, best_effort: true };
                self.add(Kind::Line, |out| event.encode(out))?;
            }
        }
        Ok(())
    }

    /// Records what is left of what was typed.
    pub(super) fn typed_to_the_end(&mut self, channel: ChannelId) -> Result<(), Denial> {
        let typed = self.channels.terminal(channel).map(Terminal::end).unwrap_or_default();
        self.typed(channel, typed)
    }

    pub(super) fn output(&mut self, output: &Output) -> Result<(), Denial> {
        self.totals.output_bytes += output.bytes.len() as u64;
        if let Some(terminal) = self.channels.terminal(output.channel).filter(|_| output.terminal) {
            let typed = terminal.output(&output.bytes);
            self.typed(output.channel, typed)?;
        }
        let limit = if output.terminal { u64::MAX } else { self.limits.stream };
        let kept = &mut self.channels.open(output.channel, self.clock.monotonic()).output;
        let keep = kept.add(&output.bytes, limit);
        let which = match output.stream {
            OutputStream::Stdout => Stream::Stdout,
            OutputStream::Stderr => Stream::Stderr,
        };
        let head = StreamHead { channel: output.channel.0, stream: which, terminal: output.terminal, hidden: false };
        stream(&mut self.recording, Kind::Output, head, output.bytes.get(..keep).unwrap_or_default())
    }
}

/// Appends bytes of a program in records of a bounded length.
fn stream(log: &mut Recording, kind: Kind, head: StreamHead, bytes: &[u8]) -> Result<(), Denial> {
    let head = head.encode();
    bytes.chunks(MAX_PAYLOAD - StreamHead::LENGTH).try_for_each(|piece| log.add(kind, &[&head, piece]))
}
