//! Records of statements and their results.

use bytes::Bytes;
use serde::Serialize;

use super::super::fields::{self, Field, Item, Malformed};
use super::payload::payloads;
use super::text::Text;

payloads! {
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
    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
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
