//! The frame of a record; the table is in the documentation of [`record`](super).

/// First bytes of every log.
pub(super) const MAGIC: &[u8; 8] = b"HOOPLOG1";
/// Bytes before the payload.
pub(super) const HEAD: usize = 28;
/// Bytes of the chain, after the payload.
pub(super) const CHAIN: usize = 32;
/// Largest payload of one record, in bytes.
pub const MAX_PAYLOAD: usize = 1 << 20;

pub(super) type Chain = [u8; CHAIN];

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $value:literal $text:literal)*) => {
        /// What a record is. Kinds of later versions are read as [`Event::Unknown`](super::Event::Unknown).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $name = $value,)* }

        impl Kind {
            /// The kind with this number, when this version knows it.
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($value => Some(Self::$name),)* _ => None }
            }

            /// The number of the kind.
            pub const fn byte(self) -> u8 {
                match self { $(Self::$name => $value,)* }
            }

            /// The name as it is shown.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

kinds! {
    /// Who opened the session, to what, from where. Always the first.
    Header = 1 "session"
    /// A statement, in one of its phases.
    Statement = 2 "statement"
    /// The columns of a result.
    Columns = 3 "columns"
    /// Rows as they were shown.
    Rows = 4 "rows"
    /// Rows that the client sent.
    CopyIn = 5 "copy_in"
    /// The end of a statement that ran.
    Complete = 6 "complete"
    /// The end of a statement that failed or was refused.
    Failed = 7 "failed"
    /// A notice of the target.
    Notice = 8 "notice"
    /// An asynchronous notification.
    Notification = 9 "notification"
    /// The client asked to cancel what runs.
    Cancel = 10 "cancel"
    /// A call of a function by its number.
    Function = 11 "function"
    /// A program on its way to the target.
    Command = 12 "command"
    /// Another size of a terminal.
    WindowChange = 13 "window_change"
    /// What a program was given to read.
    Input = 14 "input"
    /// What a program wrote, as it was shown.
    Output = 15 "output"
    /// A signal for a program.
    Signal = 16 "signal"
    /// A connection that is forwarded.
    Forward = 17 "forward"
    /// The end of a channel.
    ChannelClosed = 18 "channel_closed"
    /// Something that is done with files.
    File = 19 "file"
    /// The end of something that was done with files.
    FileDone = 20 "file_done"
    /// A line that was entered on a terminal.
    Line = 21 "line"
    /// Bytes of a file, of which the contents are kept.
    FileBytes = 22 "file_bytes"
    /// The head of an HTTP request.
    HttpRequest = 23 "http_request"
    /// The head of an HTTP response, as it was shown.
    HttpResponse = 24 "http_response"
    /// A piece of a body.
    HttpBody = 25 "http_body"
    /// A message of a WebSocket or a gRPC call.
    HttpMessage = 26 "http_message"
    /// The end of an HTTP exchange.
    HttpDone = 27 "http_done"
    /// A step of what somebody must agree to.
    Review = 28 "review"
    /// A signed checkpoint inside the log.
    Checkpoint = 250 "checkpoint"
    /// How the session ended.
    End = 254 "end"
    /// The signed checkpoint after the end. Always the last.
    Seal = 255 "seal"
}

/// The chain before the first record.
pub(super) fn seed() -> Chain {
    *blake3::hash(b"hoop recording 1").as_bytes()
}

/// Appends a record; checksum and chain are left open for [`finish`].
pub(super) fn push(out: &mut Vec<u8>, kind: Kind, sequence: u64, time: i64, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.reserve(HEAD + length + CHAIN);
    out.extend_from_slice(&u32::try_from(length).expect("checked against MAX_PAYLOAD by the caller").to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[kind.byte(), 0, 0, 0]);
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&time.to_le_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(&[0; CHAIN]);
}

/// Fills in the checksums and chains of whole records made by [`push`]. Returns how many there were.
pub(super) fn finish(mut records: &mut [u8], chain: &mut Chain) -> u64 {
    let mut count = 0;
    while let Some(length) = records.first_chunk::<4>() {
        let end = HEAD + u32::from_le_bytes(*length) as usize;
        let (record, rest) = records.split_at_mut(end + CHAIN);
        let (body, link) = record.split_at_mut(end);
        let sum = checksum(body);
        body[4..8].copy_from_slice(&sum.to_le_bytes());
        *chain = next_chain(chain, body);
        link.copy_from_slice(chain);
        records = rest;
        count += 1;
    }
    count
}

/// The checksum of a record, given its head and payload.
pub(super) fn checksum(body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&body[..4]), &body[8..])
}

/// The chain after a record, given the one before and the record's head and payload.
pub(super) fn next_chain(chain: &Chain, body: &[u8]) -> Chain {
    *blake3::Hasher::new().update(chain).update(body).finalize().as_bytes()
}

/// The head of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub length: usize,
    pub checksum: u32,
    pub kind: u8,
    pub reserved: [u8; 3],
    pub sequence: u64,
    pub time: i64,
}

impl Head {
    pub(super) fn parse(bytes: &[u8; HEAD]) -> Self {
        let (length, rest) = bytes.split_first_chunk::<4>().expect("28 bytes");
        let (checksum, rest) = rest.split_first_chunk::<4>().expect("24 bytes");
        let (&[kind, a, b, c], rest) = rest.split_first_chunk::<4>().expect("20 bytes");
        let (sequence, rest) = rest.split_first_chunk::<8>().expect("16 bytes");
        let time = rest.first_chunk::<8>().expect("8 bytes");
        Self {
            length: u32::from_le_bytes(*length) as usize,
            checksum: u32::from_le_bytes(*checksum),
            kind,
            reserved: [a, b, c],
            sequence: u64::from_le_bytes(*sequence),
            time: i64::from_le_bytes(*time),
        }
    }
}
