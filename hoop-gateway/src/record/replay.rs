//! What happened on one terminal of a recorded session, in order, in flat memory.

use bytes::Bytes;

use super::event::{ChannelClosed, Command, Event, Header, Stream};
use super::reader::ReadError;
use super::view::EventView;

/// Something that happened on a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When, in microseconds since 1970-01-01 UTC.
    pub time: i64,
    /// What.
    pub what: Happening,
}

/// What happened on a terminal.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// The program was started. Always the first.
    Begin(Stage),
    /// It wrote this. A character may begin in one piece and end in the next.
    Output(Bytes),
    /// This was typed; of what could be a secret, asterisks.
    Input(Bytes),
    /// The terminal has another size: columns and rows.
    Resize(u16, u16),
    /// A line was entered.
    Marker(String),
    /// It has ended, with this status. Always the last, where the session did not end before.
    Exit(String),
}

/// A terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The channel.
    pub channel: u64,
    /// Its columns.
    pub columns: u16,
    /// Its rows.
    pub rows: u16,
    /// Its type.
    pub term: String,
    /// The command that ran, or `shell`.
    pub command: String,
    /// Who, on what.
    pub title: String,
}

/// Picks what happened on one terminal out of a log.
#[derive(Debug)]
pub struct Replay {
    wanted: Option<u64>,
    title: String,
    channel: Option<u64>,
    over: bool,
}

impl Replay {
    /// Of this channel, or the first that has a terminal.
    pub const fn new(channel: Option<u64>) -> Self {
        Self { wanted: channel, title: String::new(), channel: None, over: false }
    }

    /// Whether nothing more comes: the program or the session has ended.
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// Whether the terminal was found.
    pub const fn has_begun(&self) -> bool {
        self.channel.is_some()
    }

    /// The next moment; `None` at the end of the log, which may go on later.
    pub fn next(
        &mut self,
        log: impl Iterator<Item = Result<EventView, ReadError>>,
    ) -> Option<Result<Moment, ReadError>> {
        for event in log {
            if self.over {
                break;
            }
            match event {
                Ok(EventView { time, event, .. }) => {
                    if let Some(what) = self.happening(event) {
                        return Some(Ok(Moment { time, what }));
                    }
                }
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    fn happening(&mut self, event: Event) -> Option<Happening> {
        match event {
            Event::Header(header) => {
                self.title = title(&header);
                None
            }
            Event::Command(command) => self.begin(&command),
            Event::Output(bytes) if self.is_on(bytes.channel.into()) => Some(Happening::Output(bytes.bytes.0)),
            Event::Input(bytes) if self.is_on(bytes.channel.into()) && bytes.stream == Stream::Stdin => {
                Some(Happening::Input(bytes.bytes.0))
            }
            Event::WindowChange(change) if self.is_on(change.channel) => {
                let (columns, rows) = size(change.columns, change.rows);
                Some(Happening::Resize(columns, rows))
            }
            Event::Line(line) if self.is_on(line.channel) => Some(Happening::Marker(line.text.to_string())),
            Event::ChannelClosed(closed) if self.is_on(closed.channel) => {
                self.over = true;
                Some(Happening::Exit(status(&closed)))
            }
            Event::End(_) | Event::Seal(_) => {
                self.over = true;
                None
            }
            _ => None,
        }
    }

    fn is_on(&self, channel: u64) -> bool {
        self.channel == Some(channel)
    }

    fn begin(&mut self, command: &Command) -> Option<Happening> {
        let has_terminal = !command.term.0.is_empty() || command.columns > 0;
        if self.channel.is_some() || !has_terminal || self.wanted.is_some_and(|wanted| wanted != command.channel) {
            return None;
        }
        self.channel = Some(command.channel);
        let (columns, rows) = size(command.columns, command.rows);
        let text = if command.text.0.is_empty() { &command.program } else { &command.text };
        Some(Happening::Begin(Stage {
            channel: command.channel,
            columns,
            rows,
            term: command.term.to_string(),
            command: text.to_string(),
            title: self.title.clone(),
        }))
    }
}

fn title(header: &Header) -> String {
    format!("{} on {}", header.name, header.role_name)
}

/// A size as terminals can have it.
fn size(columns: u64, rows: u64) -> (u16, u16) {
    let clamp = |size, usual, most| if size == 0 { usual } else { u16::try_from(size).unwrap_or(most).min(most) };
    (clamp(columns, 80, 1_000), clamp(rows, 24, 500))
}

fn status(closed: &ChannelClosed) -> String {
    match closed.exit_status {
        Some(status) => status.to_string(),
        None if !closed.exit_signal.0.is_empty() => closed.exit_signal.to_string(),
        None => String::new(),
    }
}
