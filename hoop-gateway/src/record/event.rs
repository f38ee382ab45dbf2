//! What is recorded, as typed events. Texts from outside are cut at the limits given here and say so with a `…` at their
//! end; they keep their bytes in the log, and their control characters are escaped when they are shown.

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::fields::{self, Field, Item};
use super::format::Kind;
use super::note::Checkpoint;

pub use super::fields::Malformed;

/// Longest statement text that is kept, in bytes.
pub const MAX_STATEMENT_BYTES: usize = 256 << 10;
/// Longest value of a parameter that is kept, in bytes.
pub const MAX_PARAMETER_BYTES: usize = 4 << 10;
/// Most parameters of one statement that are kept.
pub const MAX_PARAMETERS: usize = 128;
/// Longest message of an error or a notice that is kept, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4 << 10;
/// Longest name (of a column, a role, a client's application) that is kept, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// Most columns of one result that are kept.
pub const MAX_COLUMNS: usize = 1_664;

/// Bytes from outside. Shown with control characters and what is not UTF-8 escaped, so that a recording can hide
/// nothing from a terminal or a log.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text(pub Bytes);

impl Text {
    /// The bytes, cut to at most `limit` of them.
    pub fn capped(bytes: &Bytes, limit: usize) -> Self {
        if bytes.len() <= limit {
            return Self(bytes.clone());
        }
        let mut cut = bytes.get(..limit).unwrap_or_default().to_vec();
        cut.extend_from_slice("…".as_bytes());
        Self(cut.into())
    }

    /// A text of the program's own.
    pub const fn fixed(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// A copy of the text, cut to at most `limit` bytes.
    pub fn copied(text: &str, limit: usize) -> Self {
        Self::capped(&Bytes::copy_from_slice(text.as_bytes()), limit)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\n' | '\t' => fmt::Write::write_char(f, c)?,
                    c if c.is_control() || is_direction(c) => write!(f, "{}", c.escape_default())?,
                    c => fmt::Write::write_char(f, c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Characters that reorder the text around them.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Field for Text {
    fn put(&self, tag: u8, out: &mut Vec<u8>) {
        if !self.0.is_empty() {
            fields::put(tag, &self.0, out);
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.0 = Bytes::copy_from_slice(bytes);
        Ok(())
    }
}

impl Item for Text {
    fn put_item(&self, tag: u8, out: &mut Vec<u8>) {
        fields::put(tag, &self.0, out);
    }

    fn read_item(bytes: &[u8]) -> Result<Self, Malformed> {
        Ok(Self(Bytes::copy_from_slice(bytes)))
    }
}

macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $tag:literal $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl $name {
            /// Appends the payload.
            pub fn encode(&self, out: &mut Vec<u8>) {
                $(Field::put(&self.$field, $tag, out);)*
            }

            /// Reads the payload; fields of later versions are skipped.
            ///
            /// # Errors
            /// When it is not a list of fields or one of them has a wrong form.
            pub fn decode(mut payload: &[u8]) -> Result<Self, Malformed> {
                let mut read = Self::default();
                while let Some((tag, bytes)) = fields::next(&mut payload)? {
                    match tag {
                        $($tag => Field::read(&mut read.$field, bytes)?,)*
                        _ => {}
                    }
                }
                Ok(read)
            }
        }

        impl Item for $name {
            fn put_item(&self, tag: u8, out: &mut Vec<u8>) {
                let mut inner = Vec::new();
                self.encode(&mut inner);
                fields::put(tag, &inner, out);
            }

            fn read_item(bytes: &[u8]) -> Result<Self, Malformed> {
                Self::decode(bytes)
            }
        }
    )*};
}

payloads! {
    /// The first record: whose session this is.
    Header {
        /// Version of the format, 1.
        1 version: u64,
        /// The session's id.
        2 session: String,
        /// The organisation's id.
        3 org: String,
        /// The id of the request that opened the session.
        4 request: String,
        /// The user's id.
        5 user: String,
        /// The user's name.
        6 name: Text,
        /// `user` or `service_account`.
        7 principal: String,
        /// The groups that the user belonged to.
        8 groups: Vec<Text>,
        /// The resource role's id.
        9 role: String,
        /// The resource role's name.
        10 role_name: Text,
        /// The kind of resource.
        11 resource: String,
        /// The agent's name.
        12 agent: Text,
        /// The database.
        13 database: Text,
        /// What the client calls itself.
        14 application: Text,
        /// Where the client connected from.
        15 source: String,
        /// The access mode.
        16 mode: String,
        /// Whether each statement was durable before it went on.
        17 strict: bool,
        /// What for, in the caller's own words.
        18 reason: Text,
    }

    /// A parameter of a statement.
    Parameter {
        /// The value, masked; nothing for a null.
        1 value: Text,
        /// Whether it is null.
        2 null: bool,
        /// Whether the value is in the target's binary format.
        3 binary: bool,
    }

    /// A statement on its way to the target.
    Statement {
        /// Number of the statement in the session.
        1 statement: u64,
        /// `query`, `prepare` or `execute`.
        2 phase: Text,
        /// The text, masked. For `execute` it is the text that was prepared.
        3 text: Text,
        /// The parameters.
        4 parameters: Vec<Parameter>,
        /// How many there were, when not all were kept.
        5 parameter_count: Option<u64>,
    }

    /// A column of a result.
    Column {
        /// The name.
        1 name: Text,
        /// Number of the type.
        2 type_oid: u64,
        /// Whether the values are in the target's binary format.
        3 binary: bool,
        /// Number of the table it comes from; 0 when computed.
        4 table_oid: u64,
        /// Number of the column in that table.
        5 table_column: u64,
    }

    /// The columns of a result.
    Columns {
        /// Number of the statement.
        1 statement: u64,
        /// The columns.
        2 columns: Vec<Column>,
        /// How many there were, when not all were kept.
        3 column_count: Option<u64>,
    }

    /// Rows in one direction, summed up.
    Shown {
        /// How many.
        1 rows: u64,
        /// How many bytes, as encoded by the protocol.
        2 bytes: u64,
        /// How many of these bytes the log holds.
        3 kept: u64,
        /// BLAKE3 of the bytes that it does not hold, in hex.
        4 digest: String,
    }

    /// The end of a statement that ran.
    Complete {
        /// Number of the statement.
        1 statement: u64,
        /// The target's word for it, such as `SELECT 3`.
        2 tag: Text,
        /// How long it took, in microseconds.
        3 duration_us: u64,
        /// What was shown.
        4 shown: Option<Shown>,
        /// What the client sent with `COPY … FROM STDIN`.
        5 sent: Option<Shown>,
        /// Whether a portal was suspended with more rows to come.
        6 suspended: bool,
    }

    /// The end of a statement that failed or was refused.
    Failed {
        /// Number of the statement; nothing for an error outside of one.
        1 statement: Option<u64>,
        /// `ERROR`, `FATAL` or `PANIC`.
        2 severity: Text,
        /// The SQLSTATE.
        3 code: Text,
        /// The message, as shown.
        4 message: Text,
        /// The rule or plugin that refused it, when it was refused.
        5 denied_by: Text,
        /// The stable code of the refusal.
        6 denial: String,
        /// How long it took, in microseconds.
        7 duration_us: u64,
        /// What had been shown by then.
        8 shown: Option<Shown>,
        /// What the client had sent by then.
        9 sent: Option<Shown>,
    }

    /// A notice of the target.
    Notice {
        /// `NOTICE`, `WARNING` and so on.
        1 severity: Text,
        /// The SQLSTATE.
        2 code: Text,
        /// The message, as shown.
        3 message: Text,
    }

    /// An asynchronous notification.
    Notification {
        /// The channel.
        1 channel: Text,
        /// The payload, as shown.
        2 payload: Text,
        /// Process of the target that sent it.
        3 process: u64,
    }

    /// The client asked to cancel what runs.
    Cancel {
        /// The statement that was running, when known.
        1 statement: Option<u64>,
    }

    /// A call of a function by its number.
    Function {
        /// Number of the statement.
        1 statement: u64,
        /// Number of the function.
        2 oid: u64,
        /// The arguments.
        3 arguments: Vec<Parameter>,
    }

    /// Sums over a session.
    Totals {
        /// Statements that went to the target or were refused.
        1 statements: u64,
        /// Of these, refused.
        2 denied: u64,
        /// Of these, failed.
        3 failed: u64,
        /// Rows shown.
        4 rows: u64,
        /// Bytes of rows shown.
        5 bytes: u64,
        /// Rows that the client sent.
        6 rows_in: u64,
        /// Bytes of rows that the client sent.
        7 bytes_in: u64,
    }

    /// How the session ended.
    End {
        /// The outcome's stable text.
        1 outcome: String,
        /// The code of the refusal or failure behind it.
        2 code: String,
        /// Its reason.
        3 reason: Text,
        /// Sums over the session.
        4 totals: Option<Totals>,
        /// Bytes of a torn write that recovery cut off.
        5 torn_bytes: u64,
    }
}

/// How the bytes of rows are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowFormat {
    /// Whole messages of the target's protocol.
    Messages,
    /// Part of a row that was too large to be taken as a whole.
    Part,
    /// A format of a later version.
    Other,
}

/// What stands before the bytes of rows: number of the statement (8 bytes), rows (4 bytes), format (1 byte).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowsHead {
    /// Number of the statement.
    pub statement: u64,
    /// Rows that end in these bytes.
    pub rows: u32,
    /// How the bytes are to be read.
    pub format: RowFormat,
}

impl RowsHead {
    /// Length of the encoded form.
    pub const LENGTH: usize = 13;

    /// The encoded form.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut out = [0; Self::LENGTH];
        out[..8].copy_from_slice(&self.statement.to_le_bytes());
        out[8..12].copy_from_slice(&self.rows.to_le_bytes());
        out[12] = match self.format {
            RowFormat::Messages => 1,
            RowFormat::Part => 2,
            RowFormat::Other => 0,
        };
        out
    }
}

/// Rows, as they were shown or sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// Number of the statement.
    pub statement: u64,
    /// Rows that end in these bytes.
    pub rows: u32,
    /// How the bytes are to be read.
    pub format: RowFormat,
    /// The bytes.
    pub bytes: Text,
}

impl Rows {
    fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let (statement, rest) = payload.split_first_chunk::<8>().ok_or(Malformed)?;
        let (rows, rest) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
        let (format, bytes) = rest.split_first().ok_or(Malformed)?;
        Ok(Self {
            statement: u64::from_le_bytes(*statement),
            rows: u32::from_le_bytes(*rows),
            format: match format {
                1 => RowFormat::Messages,
                2 => RowFormat::Part,
                _ => RowFormat::Other,
            },
            bytes: Text(Bytes::copy_from_slice(bytes)),
        })
    }
}

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
            Self::Checkpoint(_) => Kind::Checkpoint,
            Self::End(_) => Kind::End,
            Self::Seal(_) => Kind::Seal,
            Self::Unknown { .. } => return "unknown",
        }
        .as_str()
    }
}
