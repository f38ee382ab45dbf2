//! What a client asks of a target, as the chain sees it.

use std::fmt;

use bytes::Bytes;

use crate::channel::{ChannelId, Command, FileBytes, FileOperation, Forward, Input, Signal, WindowChange};
use crate::http::{BodyPart, HttpRequest, Message};
use crate::response::Format;
use crate::response::rows::RowBatch;

/// A request on its way to the target. The kinds grow with the protocols.
#[non_exhaustive]
#[derive(Debug)]
pub enum Request {
    /// A statement: to be run, to be prepared, or a prepared one to be run with parameters.
    Statement(Statement),
    /// Rows on their way to the target, as in PostgreSQL's COPY FROM STDIN.
    CopyIn(RowBatch),
    /// A call of a function by its number, as in PostgreSQL's FunctionCall message.
    Function(FunctionCall),
    /// The client asks to cancel what runs. It is told to plugins, and cannot be refused.
    Cancel,
    /// A program to be started.
    Command(Command),
    /// What a program is to read.
    Input(Input),
    /// Another size of a program's terminal. It is told to plugins, and cannot be refused.
    WindowChange(WindowChange),
    /// A signal for a program.
    Signal(Signal),
    /// A connection to be forwarded.
    Forward(Forward),
    /// Something to be done with files.
    File(FileOperation),
    /// The head of an HTTP request.
    Http(HttpRequest),
    /// A piece of its body.
    Body(BodyPart),
    /// A message of a WebSocket or a gRPC call.
    Message(Message),
    /// Bytes that are written to a file. They are kept or not; to change them changes nothing.
    FileBytes(FileBytes),
}

/// Numbers the statements of a session, from 1 on. A response carries the number of the statement it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StatementId(pub u64);

impl fmt::Display for StatementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A statement.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Its number in the session.
    pub id: StatementId,
    /// What is to be done with it.
    pub phase: Phase,
    /// The text as the client sent it, in the client's encoding, without a terminating zero. For
    /// [`Phase::Execute`] it is the text that was prepared.
    pub text: Bytes,
    /// How the text is to be read.
    pub settings: TextSettings,
    /// The parameters, for [`Phase::Execute`].
    pub parameters: Option<Parameters>,
}

/// What is to be done with a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Run it (PostgreSQL's Query). The text may hold several statements.
    Query,
    /// Parse it, to be run later (PostgreSQL's Parse). It is here that rules are applied.
    Prepare,
    /// Run what was prepared (PostgreSQL's Execute).
    Execute,
}

impl Phase {
    /// The name as recordings spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Prepare => "prepare",
            Self::Execute => "execute",
        }
    }
}

/// The settings of the session that decide how a server reads a statement's text. Who reads it otherwise, reads another
/// statement than the server will run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextSettings {
    /// The encoding of the text.
    pub encoding: TextEncoding,
    /// PostgreSQL's `standard_conforming_strings`: whether a backslash in `'…'` is an ordinary character.
    pub standard_conforming_strings: bool,
    /// Whether that is how they will be when the server reads the text. They may be others while something that was sent
    /// before has not been answered, for anything that runs can change them.
    pub settled: bool,
}

impl Default for TextSettings {
    fn default() -> Self {
        Self { encoding: TextEncoding::Utf8, standard_conforming_strings: true, settled: true }
    }
}

/// What must be known of an encoding to find the ASCII characters in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextEncoding {
    /// UTF-8.
    Utf8,
    /// Bytes below 128 are ASCII characters wherever they stand (LATIN1, EUC_JP, SQL_ASCII …).
    AsciiSuperset,
    /// Bytes below 128 may be a part of another character (SJIS, BIG5, GBK, GB18030, UHC, JOHAB).
    Other,
}

/// The parameters of a prepared statement.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// One value each, `None` for NULL.
    pub values: Vec<Option<Bytes>>,
    /// The format of each value: none for all text, one for all, or one each.
    pub formats: Vec<Format>,
}

impl Parameters {
    /// The format of the parameter with this index.
    pub fn format(&self, index: usize) -> Format {
        match self.formats.as_slice() {
            [] => Format::Text,
            [all] => *all,
            each => each.get(index).copied().unwrap_or(Format::Text),
        }
    }
}

/// A call of a function by its number.
#[derive(Debug, Clone)]
pub struct FunctionCall {
    /// Its number in the session, counted with the statements.
    pub id: StatementId,
    /// The function's object id.
    pub function: u32,
    /// The arguments.
    pub arguments: Parameters,
}

impl Request {
    /// The statement that the request is, or is a part of.
    pub const fn statement(&self) -> Option<StatementId> {
        match self {
            Self::Statement(statement) => Some(statement.id),
            Self::CopyIn(batch) => Some(batch.statement()),
            Self::Function(call) => Some(call.id),
            Self::Cancel
            | Self::Command(_)
            | Self::Input(_)
            | Self::WindowChange(_)
            | Self::Signal(_)
            | Self::Forward(_)
            | Self::File(_)
            | Self::Http(_)
            | Self::Body(_)
            | Self::Message(_)
            | Self::FileBytes(_) => None,
        }
    }

    /// The channel that the request is made on, where it has one.
    pub const fn channel(&self) -> Option<ChannelId> {
        match self {
            Self::Command(command) => Some(command.channel),
            Self::Input(input) => Some(input.channel),
            Self::WindowChange(change) => Some(change.channel),
            Self::Signal(signal) => Some(signal.channel),
            Self::Forward(forward) => Some(forward.channel),
            Self::File(operation) => Some(operation.channel),
            Self::FileBytes(piece) => Some(piece.channel),
            Self::Http(head) => Some(head.channel),
            Self::Body(part) => Some(part.channel),
            Self::Message(message) => Some(message.channel),
            Self::Statement(_) | Self::CopyIn(_) | Self::Function(_) | Self::Cancel => None,
        }
    }
}
