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

    /// A variable that a program gets from the client.
    Variable {
        /// Its name.
        1 name: Text,
        /// Its value, masked.
        2 value: Text,
    }

    /// A program on its way to the target.
    Command {
        /// Number of the channel in the session.
        1 channel: u64,
        /// `shell`, `exec` or `subsystem`.
        2 program: Text,
        /// The command, masked, or the name of the subsystem.
        3 text: Text,
        /// The type of its terminal; empty where it has none.
        4 term: Text,
        /// The size of its terminal, in characters.
        5 columns: u64,
        /// As above.
        6 rows: u64,
        /// The variables that it gets from the client.
        7 environment: Vec<Variable>,
    }

    /// Another size of a terminal.
    WindowChange {
        /// Number of the channel.
        1 channel: u64,
        /// Characters in a row.
        2 columns: u64,
        /// Rows.
        3 rows: u64,
    }

    /// A line that was entered on a terminal.
    Line {
        /// Number of the channel.
        1 channel: u64,
        /// The line, masked.
        2 text: Text,
        /// Whether it was read from the screen: what the program made of it is not known.
        3 best_effort: bool,
    }

    /// A signal for a program.
    Signal {
        /// Number of the channel.
        1 channel: u64,
        /// Its name, without `SIG`.
        2 name: Text,
    }

    /// A connection that is forwarded, or an address that the target is to listen on for such.
    Forward {
        /// Number of the channel; 0 for an address to listen on.
        1 channel: u64,
        /// The kind, as RFC 4254 and OpenSSH spell it.
        2 forward: Text,
        /// The host, or the path of a socket.
        3 host: Text,
        /// The port.
        4 port: u64,
        /// Who connects.
        5 originator: Text,
    }

    /// The end of a channel.
    ChannelClosed {
        /// Number of the channel.
        1 channel: u64,
        /// What the program returned, when it ended so.
        2 exit_status: Option<u64>,
        /// The signal that ended it, when one did.
        3 exit_signal: Text,
        /// What the target says of it, or why it was refused.
        4 message: Text,
        /// The rule or plugin that refused it, when it was refused.
        5 denied_by: Text,
        /// The stable code of the refusal.
        6 denial: String,
        /// How long it was open, in microseconds.
        7 duration_us: u64,
        /// Bytes that went to the target.
        8 bytes_in: u64,
        /// Bytes that came from it.
        9 bytes_out: u64,
        /// How many of the bytes in the log holds, where it does not hold all.
        10 kept_in: Option<u64>,
        /// BLAKE3 of those that it does not hold, in hex.
        11 digest_in: String,
        /// How many of the bytes out the log holds, where it does not hold all.
        12 kept_out: Option<u64>,
        /// BLAKE3 of those that it does not hold, in hex.
        13 digest_out: String,
    }

    /// Something that is done with files.
    File {
        /// Number of the channel.
        1 channel: u64,
        /// Number on the channel.
        2 number: u64,
        /// What, for example `read` or `write`.
        3 operation: Text,
        /// The path, as the client gives it.
        4 path: Text,
        /// The other path, of a rename or a link.
        5 to: Text,
    }

    /// The end of something that was done with files.
    FileDone {
        /// Number of the channel.
        1 channel: u64,
        /// Number on the channel.
        2 number: u64,
        /// Bytes that were read.
        3 bytes_read: u64,
        /// Bytes that were written.
        4 bytes_written: u64,
        /// SHA-256 of the bytes in hex, where they were moved in order and without a gap.
        5 sha256: String,
        /// What the target says, where it did not work, or why it was refused.
        6 error: Text,
        /// The rule or plugin that refused it, when it was refused.
        7 denied_by: Text,
        /// The stable code of the refusal.
        8 denial: String,
        /// How many of the bytes read the log holds, where contents are kept.
        9 kept_read: Option<u64>,
        /// How many of the bytes written the log holds, where contents are kept.
        10 kept_written: Option<u64>,
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
        /// Programs that were started or refused.
        8 commands: u64,
        /// Bytes that programs wrote.
        9 output_bytes: u64,
        /// Bytes that programs were given to read.
        10 input_bytes: u64,
        /// Files that were read or written, and other things that were done with files.
        11 files: u64,
        /// Connections that were forwarded.
        12 forwards: u64,
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

/// What stands before the bytes of a program: number of the channel (4 bytes), stream (1 byte), flags (1 byte: 1 for a
/// terminal, 2 for hidden).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHead {
    /// Number of the channel.
    pub channel: u32,
    /// Which stream.
    pub stream: Stream,
    /// Whether it is that of a terminal.
    pub terminal: bool,
    /// Whether asterisks stand for the bytes, because they could be a secret.
    pub hidden: bool,
}

/// A stream of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// What it reads.
    Stdin,
    /// What it writes.
    Stdout,
    /// What it writes as errors.
    Stderr,
    /// A stream of a later version.
    Other,
}

impl StreamHead {
    /// Length of the encoded form.
    pub const LENGTH: usize = 6;

    /// The encoded form.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut out = [0; Self::LENGTH];
        out[..4].copy_from_slice(&self.channel.to_le_bytes());
        out[4] = match self.stream {
            Stream::Stdin => 0,
            Stream::Stdout => 1,
            Stream::Stderr => 2,
            Stream::Other => u8::MAX,
        };
        out[5] = u8::from(self.terminal) | u8::from(self.hidden) << 1;
        out
    }
}

/// What a program read or wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamBytes {
    /// Number of the channel.
    pub channel: u32,
    /// Which stream.
    pub stream: Stream,
    /// Whether it is that of a terminal.
    pub terminal: bool,
    /// Whether asterisks stand for the bytes, because they could be a secret.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// The bytes.
    pub bytes: Text,
}

impl StreamBytes {
    fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let (channel, rest) = payload.split_first_chunk::<4>().ok_or(Malformed)?;
        let (&[stream, flags], bytes) = rest.split_first_chunk::<2>().ok_or(Malformed)?;
        Ok(Self {
            channel: u32::from_le_bytes(*channel),
            stream: match stream {
                0 => Stream::Stdin,
                1 => Stream::Stdout,
                2 => Stream::Stderr,
                _ => Stream::Other,
            },
            terminal: flags & 1 != 0,
            hidden: flags & 2 != 0,
            bytes: Text(Bytes::copy_from_slice(bytes)),
        })
    }
}

/// What stands before the bytes of a file: number of the channel (4 bytes), number of the operation on it (8 bytes), whether they
/// are written to the file (1 byte), and their place in it (8 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHead {
    /// Number of the channel.
    pub channel: u32,
    /// Number on the channel.
    pub number: u64,
    /// Whether they are written to the file, or read from it.
    pub written: bool,
    /// Their place in the file.
    pub offset: u64,
}

impl FileHead {
    /// Length of the encoded form.
    pub const LENGTH: usize = 21;

    /// The encoded form.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut out = [0; Self::LENGTH];
        out[..4].copy_from_slice(&self.channel.to_le_bytes());
        out[4..12].copy_from_slice(&self.number.to_le_bytes());
        out[12] = u8::from(self.written);
        out[13..].copy_from_slice(&self.offset.to_le_bytes());
        out
    }
}

/// Bytes of a file. They are not shown among the events: [`files`](super::files) gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileBytes {
    /// Which, and where in it.
    pub head: FileHead,
    /// The bytes.
    pub bytes: Bytes,
}

impl FileBytes {
    fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let (channel, rest) = payload.split_first_chunk::<4>().ok_or(Malformed)?;
        let (number, rest) = rest.split_first_chunk::<8>().ok_or(Malformed)?;
        let (written, rest) = rest.split_first().ok_or(Malformed)?;
        let (offset, bytes) = rest.split_first_chunk::<8>().ok_or(Malformed)?;
        let head = FileHead {
            channel: u32::from_le_bytes(*channel),
            number: u64::from_le_bytes(*number),
            written: *written != 0,
            offset: u64::from_le_bytes(*offset),
        };
        Ok(Self { head, bytes: Bytes::copy_from_slice(bytes) })
    }
}

impl Serialize for FileBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct View {
            channel: u32,
            number: u64,
            written: bool,
            offset: u64,
            length: usize,
        }
        let FileHead { channel, number, written, offset } = self.head;
        View { channel, number, written, offset, length: self.bytes.len() }.serialize(serializer)
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
            Self::Checkpoint(_) => Kind::Checkpoint,
            Self::End(_) => Kind::End,
            Self::Seal(_) => Kind::Seal,
            Self::Unknown { .. } => return "unknown",
        }
        .as_str()
    }
}
