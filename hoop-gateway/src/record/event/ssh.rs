//! Records of an SSH connection: programs, their terminals, forwarded connections, files.

use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::super::fields::{self, Field, Item, Malformed};
use super::payload::payloads;
use super::text::Text;

payloads! {
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
    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
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

/// Bytes of a file. They are not shown among the events: [`files`](crate::record::files) gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileBytes {
    /// Which, and where in it.
    pub head: FileHead,
    /// The bytes.
    pub bytes: Bytes,
}

impl FileBytes {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
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
