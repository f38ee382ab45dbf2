//! What is under way: one line at a time, since a source waits for each answer.

use std::fmt::Display;

use bytes::Bytes;
use hoop_core::{ChannelId, Denial, FileDone, FileKind};
use hoop_proto::ssh::scp::{Answer, Command, Direction, Line, Part, Sink, Source};

use super::super::Piece;
use super::super::operation::{Intent, cut_off, over};
use super::super::transfer::{Track, Transfer};
use super::Lines;
use super::place::Place;

pub(super) struct State {
    channel: ChannelId,
    direction: Direction,
    pub(super) source: Source,
    pub(super) sink: Sink,
    place: Place,
    /// What the sink has to answer.
    asked: Option<Asked>,
    /// The file that is sent.
    file: Option<File>,
    operations: u64,
}

/// A line about which the chain is asked.
pub(super) struct Asking {
    pub(super) bytes: Bytes,
    pub(super) operation: u64,
    pub(super) intent: Intent,
    pub(super) asked: Asked,
}

/// What a sink answers.
pub(super) enum Asked {
    /// Whether it is there.
    Ready,
    Times,
    File {
        operation: u64,
    },
    Directory {
        operation: u64,
        name: Bytes,
    },
    End,
    /// A file that was sent, and what the source says of it.
    Sent(Answer),
}

struct File {
    operation: u64,
    /// Where its next byte belongs.
    offset: u64,
    transfer: Transfer,
}

impl State {
    pub(super) fn new(command: Command, channel: ChannelId) -> Self {
        Self {
            channel,
            direction: command.direction,
            source: Source::default(),
            sink: Sink::default(),
            place: Place::new(command),
            asked: Some(Asked::Ready),
            file: None,
            operations: 0,
        }
    }

    /// Reads what is there of the source, up to the next line about which the chain is asked.
    pub(super) fn next_line(
        &mut self,
        lines: &mut Lines,
        wrong: fn(&dyn Display) -> Denial,
    ) -> Result<Option<Asking>, Denial> {
        while let Some(part) = self.source.part().map_err(|error| wrong(&error))? {
            match part {
                Part::Line { line: Line::Failed(_), bytes } => lines.on.push(bytes),
                Part::Data { bytes, .. } => {
                    self.data(&bytes, lines);
                    lines.on.push(bytes);
                }
                _ if self.asked.is_some() => return Err(wrong(&"it does not wait for an answer")),
                Part::Sent { answer, bytes } => {
                    self.asked = Some(Asked::Sent(answer));
                    lines.on.push(bytes);
                }
                Part::Line { line, bytes } => match self.line(line, bytes, lines, wrong)? {
                    None => {}
                    asking => return Ok(asking),
                },
            }
        }
        Ok(None)
    }

    fn line(
        &mut self,
        line: Line,
        bytes: Bytes,
        lines: &mut Lines,
        wrong: fn(&dyn Display) -> Denial,
    ) -> Result<Option<Asking>, Denial> {
        let uploads = self.direction == Direction::Upload;
        let operation = self.operations + 1;
        let (kind, name, asked) = match line {
            Line::File { name, .. } => {
                let kind = if uploads { FileKind::Write } else { FileKind::Read };
                (kind, name, Asked::File { operation })
            }
            Line::Directory { name, .. } => {
                let kind = if uploads { FileKind::MakeDirectory } else { FileKind::List };
                (kind, name.clone(), Asked::Directory { operation, name })
            }
            Line::End if self.place.is_outermost() => return Err(wrong(&"it ends a folder that it has not begun")),
            Line::End | Line::Times { .. } | Line::Failed(_) => {
                self.asked = Some(if line == Line::End { Asked::End } else { Asked::Times });
                lines.on.push(bytes);
                return Ok(None);
            }
        };
        let intent = self.place.intent(kind, &name).ok_or_else(|| wrong(&"its folders are too deep"))?;
        self.operations = operation;
        Ok(Some(Asking { bytes, operation, intent, asked }))
    }

    /// A line that the chain has let through goes to the sink.
    pub(super) fn ask(&mut self, asked: Asked) {
        if let Asked::File { operation } = asked {
            let track = Track::from_the_beginning();
            let transfer = match self.direction {
                Direction::Upload => Transfer { written: track, ..Transfer::default() },
                Direction::Download => Transfer { read: track, ..Transfer::default() },
            };
            self.file = Some(File { operation, offset: 0, transfer });
        }
        self.asked = Some(asked);
    }

    /// The chain has refused the line.
    pub(super) fn refuse(&mut self) {
        self.source.answered(false);
    }

    fn data(&mut self, bytes: &Bytes, lines: &mut Lines) {
        let Some(File { operation, offset, transfer }) = &mut self.file else { return };
        let written = self.direction == Direction::Upload;
        let track = if written { &mut transfer.written } else { &mut transfer.read };
        track.add(bytes);
        track.arrived(bytes.len() as u64);
        lines.pieces.push(Piece { operation: *operation, written, offset: *offset, bytes: bytes.clone() });
        *offset = offset.saturating_add(bytes.len() as u64);
    }

    /// Reads what is there of the sink, up to the next answer with which something is done.
    pub(super) fn next_answer(
        &mut self,
        lines: &mut Lines,
        wrong: fn(&dyn Display) -> Denial,
    ) -> Result<Option<FileDone>, Denial> {
        while let Some((answer, bytes)) = self.sink.answer().map_err(|error| wrong(&error))? {
            let asked = self.asked.take().ok_or_else(|| wrong(&"it answers what nobody asks"))?;
            lines.on.push(bytes);
            let done = match asked {
                Asked::Ready | Asked::Times => None,
                Asked::End => {
                    self.place.leave();
                    None
                }
                Asked::File { .. } => {
                    self.source.answered(answer == Answer::Ok);
                    if answer == Answer::Ok { None } else { self.sent(answer) }
                }
                Asked::Directory { operation, name } => {
                    if answer == Answer::Ok {
                        self.place.enter(name);
                    }
                    Some(FileDone { error: message(answer), ..over(self.channel, operation) })
                }
                Asked::Sent(Answer::Ok) => self.sent(answer),
                Asked::Sent(failed) => self.sent(failed),
            };
            if done.is_some() {
                return Ok(done);
            }
        }
        Ok(None)
    }

    /// A file is done.
    fn sent(&mut self, answer: Answer) -> Option<FileDone> {
        let File { operation, mut transfer, .. } = self.file.take()?;
        let done = FileDone { error: message(answer), ..over(self.channel, operation) };
        if done.error.is_some() {
            return Some(transfer.so_far(done));
        }
        transfer.read.end();
        Some(transfer.done(done))
    }

    /// What is not done, in its order.
    pub(super) fn close(&mut self) -> Vec<FileDone> {
        let channel = self.channel;
        let file = self.file.take().map(|file| file.transfer.so_far(cut_off(channel, file.operation)));
        let directory = match self.asked.take() {
            Some(Asked::Directory { operation, .. }) => Some(cut_off(channel, operation)),
            _ => None,
        };
        file.into_iter().chain(directory).collect()
    }
}

fn message(answer: Answer) -> Option<Bytes> {
    match answer {
        Answer::Ok => None,
        Answer::Warning(text) | Answer::Fatal(text) => Some(Bytes::copy_from_slice(&text)),
    }
}
