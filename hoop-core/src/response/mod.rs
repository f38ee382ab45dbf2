//! What a target answers, as the chain sees it on its way to the client.

pub mod rows;

use std::sync::Arc;

use bytes::Bytes;

use crate::channel::{ChannelClosed, FileBytes, FileDone, Output};
use crate::error::Denial;
use crate::http::{BodyPart, HttpResponse, Message};
use crate::request::StatementId;
use crate::review::ReviewStep;
use rows::RowBatch;

/// A response on its way to the client. The kinds grow with the protocols.
#[non_exhaustive]
#[derive(Debug)]
pub enum Response {
    /// A result begins: its columns. It comes before the first row of every result, also where the wire leaves it out
    /// (a prepared statement that is run again), so that a plugin can plan per column.
    Columns(ResultColumns),
    /// Rows of the result that began last for the statement.
    Rows(RowBatch),
    /// A piece of a row that was not assembled; only while no plugin wants [`Interest::ROWS`](crate::Interest::ROWS).
    RowPart(RowPart),
    /// A statement ended.
    Complete(Completion),
    /// An error. A statement that a plugin refused ends in one too, with its [`denial`](TargetError::denial).
    Error(TargetError),
    /// A notice or a warning.
    Notice(TargetError),
    /// A notification that the client listens for.
    Notification(Notification),
    /// A setting that the target reports, at the login and whenever it changes.
    Setting(Setting),
    /// What a program writes.
    Output(Output),
    /// A channel ended, or was refused.
    ChannelClosed(ChannelClosed),
    /// Something that was done with files ended, or was refused.
    FileDone(FileDone),
    /// The head of an HTTP response.
    Http(HttpResponse),
    /// A piece of its body.
    Body(BodyPart),
    /// A message of a WebSocket or a gRPC call.
    Message(Message),
    /// Bytes that are read from a file, as of [`Request::FileBytes`](crate::Request::FileBytes).
    FileBytes(FileBytes),
    /// What happens to a request that waits for somebody's agreement. Nobody is shown it: the plugins before the one that asked
    /// are told.
    Review(ReviewStep),
}

/// The columns of a result.
#[derive(Debug, Clone)]
pub struct ResultColumns {
    /// The statement.
    pub statement: StatementId,
    /// One each, in the order of the cells.
    pub columns: Arc<[Column]>,
    /// The text that gives it, as in [`Statement::text`](crate::Statement::text). It may hold several statements. Where it runs what
    /// was made before (FETCH, EXECUTE), it is all texts that may have made that, as far as they are known. Empty for a function that
    /// is called by its number.
    pub text: Bytes,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name in the result, in the client's encoding. A client chooses it freely.
    pub name: Bytes,
    /// The table column it is read from without a change, where it is one.
    pub table: Option<TableColumn>,
    /// The type's object id; 0 where it is not known.
    pub type_oid: u32,
    /// How its cells are written.
    pub format: Format,
}

/// Where the cells of a result come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// The table's object id.
    pub table_oid: u32,
    /// The column's number in the table.
    pub attribute: i16,
    /// The names, where the catalog could be asked.
    pub names: Option<Arc<ColumnNames>>,
}

/// The names of a table column, in the server's encoding as UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ColumnNames {
    /// The schema.
    pub schema: Box<str>,
    /// The table or view.
    pub table: Box<str>,
    /// The column; empty for a whole row.
    pub column: Box<str>,
    /// The columns whose values it shows, too: of the tables that a view reads, of the table that a partition is of, and all
    /// columns of a whole row. They have none beneath them: all are here.
    pub beneath: Box<[ColumnNames]>,
    /// The columns of which it may be made, where it is an expression of a view: all that the view reads, and those whose values
    /// these show.
    pub computed_from: Box<[ColumnNames]>,
    /// Whether these are all. A view may call a function, and that show anything.
    pub traced: bool,
}

impl ColumnNames {
    /// The column of a table that shows nothing but its own values.
    pub fn new(schema: impl Into<Box<str>>, table: impl Into<Box<str>>, column: impl Into<Box<str>>) -> Self {
        let (schema, table, column) = (schema.into(), table.into(), column.into());
        Self { schema, table, column, beneath: Box::default(), computed_from: Box::default(), traced: true }
    }

    /// The column, and those whose values it shows.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.beneath)
    }
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// As text, in the client's encoding.
    Text,
    /// As the type's binary form.
    Binary,
}

/// A piece of a row as it is shown.
#[derive(Debug, Clone)]
pub struct RowPart {
    /// The statement.
    pub statement: StatementId,
    /// The bytes, with the protocol's framing.
    pub bytes: Bytes,
    /// Whether it is the last piece of its row.
    pub last: bool,
}

/// The end of a statement.
#[derive(Debug, Clone)]
pub struct Completion {
    /// The statement.
    pub statement: StatementId,
    /// How it ended.
    pub kind: CompletionKind,
    /// The command tag, for example `INSERT 0 5`; empty where the protocol has none.
    pub tag: Bytes,
    /// The rows that the server counted, where it did.
    pub rows: Option<u64>,
}

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompletionKind {
    /// It ran to its end.
    Done,
    /// It was prepared.
    Prepared,
    /// It gave as many rows as were asked for, and has more.
    Suspended,
    /// It was empty.
    Empty,
}

/// An error or a notice, as the target worded it or as the gateway words a refusal.
#[derive(Debug, Clone)]
pub struct TargetError {
    /// The statement, where it belongs to one.
    pub statement: Option<StatementId>,
    /// The fields in the order of the wire, by the letters of PostgreSQL's
    /// [Error and Notice Message Fields](https://www.postgresql.org/docs/current/protocol-error-fields.html):
    /// `S` severity, `C` code, `M` message, `D` detail, `H` hint … Other protocols use `C` and `M`.
    pub fields: Vec<(u8, Bytes)>,
    /// The refusal that it is, where it is not the target's own.
    pub denial: Option<Denial>,
}

impl TargetError {
    /// The value of a field, empty where there is none.
    pub fn field(&self, letter: u8) -> &[u8] {
        self.fields.iter().find(|(field, _)| *field == letter).map_or(&[], |(_, value)| value)
    }
}

/// A notification.
#[derive(Debug, Clone)]
pub struct Notification {
    /// The process that sent it.
    pub process: i32,
    /// The channel it was sent on.
    pub channel: Bytes,
    /// What it says.
    pub payload: Bytes,
}

/// A setting, as the target reports it. A statement can give some of them any value.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its name.
    pub name: Bytes,
    /// What it is set to now.
    pub value: Bytes,
}

impl Response {
    /// The statement that the response belongs to.
    pub const fn statement(&self) -> Option<StatementId> {
        match self {
            Self::Columns(columns) => Some(columns.statement),
            Self::Rows(batch) => Some(batch.statement()),
            Self::RowPart(part) => Some(part.statement),
            Self::Complete(completion) => Some(completion.statement),
            Self::Error(error) => error.statement,
            Self::Review(step) => step.statement,
            Self::Notice(_)
            | Self::Notification(_)
            | Self::Setting(_)
            | Self::Output(_)
            | Self::ChannelClosed(_)
            | Self::FileDone(_)
            | Self::Http(_)
            | Self::Body(_)
            | Self::Message(_)
            | Self::FileBytes(_) => None,
        }
    }
}
