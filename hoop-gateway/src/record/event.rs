//! What is recorded, as typed events. Texts from outside are cut at the limits given here and say so with a `…` at their
//! end; they keep their bytes in the log, and their control characters are escaped when they are shown.

mod http;
mod payload;
mod session;
mod ssh;
mod statement;
mod text;

use bytes::Bytes;
use serde::Serialize;

use super::format::Kind;
use super::note::Checkpoint;

pub use super::fields::Malformed;
pub use http::{
    BodyHead, HttpBody, HttpDone, HttpField, HttpMessage, HttpRead, HttpRequest, HttpResponse, MAX_FIELD_BYTES,
    MAX_FIELDS, MAX_MESSAGE_KEPT, MAX_URL_BYTES,
};
pub use session::{End, Header, Review, Totals};
pub use ssh::{
    ChannelClosed, Command, File, FileBytes, FileDone, FileHead, Forward, Line, Signal, Stream, StreamBytes,
    StreamHead, Variable, WindowChange,
};
pub use statement::{
    Cancel, Column, Columns, Complete, Failed, Function, Notice, Notification, Parameter, RowFormat, Rows, RowsHead,
    Shown, Statement,
};
pub use text::{
    MAX_COLUMNS, MAX_MESSAGE_BYTES, MAX_NAME_BYTES, MAX_PARAMETER_BYTES, MAX_PARAMETERS, MAX_STATEMENT_BYTES, Text,
};

/// One record of a log, typed.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The first record.
    #[serde(rename = "session")]
    Header(Header),
    /// A statement on its way to the target.
    Statement(Statement),
    /// The columns of a result.
    Columns(Columns),
    /// Rows as they were shown.
    Rows(Rows),
    /// Rows that the client sent.
    CopyIn(Rows),
    /// The end of a statement that ran.
    Complete(Complete),
    /// The end of a statement that failed or was refused.
    Failed(Failed),
    /// A notice.
    Notice(Notice),
    /// A notification.
    Notification(Notification),
    /// A cancel request.
    Cancel(Cancel),
    /// A function call.
    Function(Function),
    /// A program on its way to the target.
    Command(Command),
    /// Another size of a terminal.
    WindowChange(WindowChange),
    /// What a program was given to read.
    Input(StreamBytes),
    /// What a program wrote, as it was shown.
    Output(StreamBytes),
    /// A line that was entered on a terminal.
    Line(Line),
    /// A signal for a program.
    Signal(Signal),
    /// A connection that is forwarded.
    Forward(Forward),
    /// The end of a channel.
    ChannelClosed(ChannelClosed),
    /// Something that is done with files.
    File(File),
    /// The end of something that was done with files.
    FileDone(FileDone),
    /// Bytes of a file, of which the contents are kept.
    FileBytes(FileBytes),
    /// The head of an HTTP request.
    HttpRequest(HttpRequest),
    /// The head of an HTTP response.
    HttpResponse(HttpResponse),
    /// A piece of a body.
    HttpBody(HttpBody),
    /// A message of a WebSocket or a gRPC call.
    HttpMessage(HttpMessage),
    /// The end of an HTTP exchange.
    HttpDone(HttpDone),
    /// A step of what somebody must agree to.
    Review(Review),
    /// A signed checkpoint inside the log.
    Checkpoint(Checkpoint),
    /// How the session ended.
    End(End),
    /// The signed checkpoint after the end.
    Seal(Checkpoint),
    /// A record of a later version.
    Unknown {
        /// The number of its kind.
        number: u8,
        /// Its payload.
        payload: Text,
    },
}

impl Event {
    /// Reads the payload of a record. The signature of a checkpoint is not looked at: that is [`verify`](super::verify())'s part.
    ///
    /// # Errors
    /// When the payload is not what its kind says.
    pub fn decode(kind: u8, payload: &[u8]) -> Result<Self, Malformed> {
        let Some(known) = Kind::from_byte(kind) else {
            return Ok(Self::Unknown { number: kind, payload: Text(Bytes::copy_from_slice(payload)) });
        };
        Ok(match known {
            Kind::Header => Self::Header(Header::decode(payload)?),
            Kind::Statement => Self::Statement(Statement::decode(payload)?),
            Kind::Columns => Self::Columns(Columns::decode(payload)?),
            Kind::Rows => Self::Rows(Rows::decode(payload)?),
            Kind::CopyIn => Self::CopyIn(Rows::decode(payload)?),
            Kind::Complete => Self::Complete(Complete::decode(payload)?),
            Kind::Failed => Self::Failed(Failed::decode(payload)?),
            Kind::Notice => Self::Notice(Notice::decode(payload)?),
            Kind::Notification => Self::Notification(Notification::decode(payload)?),
            Kind::Cancel => Self::Cancel(Cancel::decode(payload)?),
            Kind::Function => Self::Function(Function::decode(payload)?),
            Kind::Command => Self::Command(Command::decode(payload)?),
            Kind::WindowChange => Self::WindowChange(WindowChange::decode(payload)?),
            Kind::Input => Self::Input(StreamBytes::decode(payload)?),
            Kind::Output => Self::Output(StreamBytes::decode(payload)?),
            Kind::Line => Self::Line(Line::decode(payload)?),
            Kind::Signal => Self::Signal(Signal::decode(payload)?),
            Kind::Forward => Self::Forward(Forward::decode(payload)?),
            Kind::ChannelClosed => Self::ChannelClosed(ChannelClosed::decode(payload)?),
            Kind::File => Self::File(File::decode(payload)?),
            Kind::FileDone => Self::FileDone(FileDone::decode(payload)?),
            Kind::FileBytes => Self::FileBytes(FileBytes::decode(payload)?),
            Kind::HttpRequest => Self::HttpRequest(HttpRequest::decode(payload)?),
            Kind::HttpResponse => Self::HttpResponse(HttpResponse::decode(payload)?),
            Kind::HttpBody => Self::HttpBody(HttpBody::decode(payload)?),
            Kind::HttpMessage => Self::HttpMessage(HttpMessage::decode(payload)?),
            Kind::HttpDone => Self::HttpDone(HttpDone::decode(payload)?),
            Kind::Review => Self::Review(Review::decode(payload)?),
            Kind::Checkpoint => Self::Checkpoint(Checkpoint::parse(payload).ok_or(Malformed)?.0),
            Kind::End => Self::End(End::decode(payload)?),
            Kind::Seal => Self::Seal(Checkpoint::parse(payload).ok_or(Malformed)?.0),
        })
    }

    /// The name of the kind, as it is shown.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Header(_) => Kind::Header,
            Self::Statement(_) => Kind::Statement,
            Self::Columns(_) => Kind::Columns,
            Self::Rows(_) => Kind::Rows,
            Self::CopyIn(_) => Kind::CopyIn,
            Self::Complete(_) => Kind::Complete,
            Self::Failed(_) => Kind::Failed,
            Self::Notice(_) => Kind::Notice,
            Self::Notification(_) => Kind::Notification,
            Self::Cancel(_) => Kind::Cancel,
            Self::Function(_) => Kind::Function,
            Self::Command(_) => Kind::Command,
            Self::WindowChange(_) => Kind::WindowChange,
            Self::Input(_) => Kind::Input,
            Self::Output(_) => Kind::Output,
            Self::Line(_) => Kind::Line,
            Self::Signal(_) => Kind::Signal,
            Self::Forward(_) => Kind::Forward,
            Self::ChannelClosed(_) => Kind::ChannelClosed,
            Self::File(_) => Kind::File,
            Self::FileDone(_) => Kind::FileDone,
            Self::FileBytes(_) => Kind::FileBytes,
            Self::HttpRequest(_) => Kind::HttpRequest,
            Self::HttpResponse(_) => Kind::HttpResponse,
            Self::HttpBody(_) => Kind::HttpBody,
            Self::HttpMessage(_) => Kind::HttpMessage,
            Self::HttpDone(_) => Kind::HttpDone,
            Self::Review(_) => Kind::Review,
            Self::Checkpoint(_) => Kind::Checkpoint,
            Self::End(_) => Kind::End,
            Self::Seal(_) => Kind::Seal,
            Self::Unknown { .. } => return "unknown",
        }
        .as_str()
    }
}
