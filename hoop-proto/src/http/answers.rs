//! What a server of our own writes: how far it is with its answer.

use memchr::memchr;

/// Follows what a server writes to its client, to know when it has answered. The server is ours, so its answers are well-formed;
/// what is not never counts as an answer.
#[derive(Debug, Default)]
pub struct Answers {
    progress: Progress,
    at: At,
    line: Line,
    asked: Asked,
    head: Head,
}

/// How far the answer to the last request is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There was no request, or it is answered as a whole.
    #[default]
    Done,
    /// Nothing of it was written, but perhaps informational responses.
    Awaited,
    /// It is being written.
    Begun,
    /// It was that the protocol changes: what follows is not HTTP/1.
    Switched,
}

#[derive(Debug, Default, Clone, Copy)]
struct Asked {
    is_head: bool,
    upgrades: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum At {
    #[default]
    StatusLine,
    Fields,
    Length(u64),
    ChunkSize,
    Chunk(u64),
    Trailers,
    /// The body ends with the connection.
    Rest,
}

#[derive(Debug, Default, Clone, Copy)]
struct Head {
    status: u16,
    length: Option<u64>,
    is_chunked: bool,
}

impl Answers {
    /// The head of a request was passed on: whether its method is HEAD, and whether it asks for another protocol.
    pub fn asked(&mut self, is_head: bool, upgrades: bool) {
        *self = Self { progress: Progress::Awaited, asked: Asked { is_head, upgrades }, ..Self::default() };
    }

    /// How far the answer is.
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// The server has written this.
    pub fn wrote(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && matches!(self.progress, Progress::Awaited | Progress::Begun) {
            self.progress = Progress::Begun;
            let len = match self.at {
                At::Length(left) | At::Chunk(left) => self.skip(left, bytes),
                At::Rest => bytes.len(),
                At::StatusLine | At::Fields | At::ChunkSize | At::Trailers => self.read(bytes),
            };
            bytes = bytes.get(len..).unwrap_or_default();
        }
    }

    fn skip(&mut self, left: u64, bytes: &[u8]) -> usize {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left.saturating_sub(len as u64);
        match (self.at, left) {
            (At::Chunk(_), 0) => self.at = At::ChunkSize,
            (At::Chunk(_), _) => self.at = At::Chunk(left),
            (_, 0) => self.progress = Progress::Done,
            (..) => self.at = At::Length(left),
        }
        len
    }

    fn read(&mut self, bytes: &[u8]) -> usize {
        let Some(end) = memchr(b'\n', bytes) else {
            self.line.push(bytes);
            return bytes.len();
        };
        self.line.push(bytes.get(..end).unwrap_or_default());
        let line = std::mem::take(&mut self.line);
        self.end_of_line(line.text());
        end + 1
    }

    fn end_of_line(&mut self, text: &[u8]) {
        match self.at {
            At::StatusLine => {
                let status = text.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
                self.head = Head { status: status.unwrap_or_default(), ..Head::default() };
                self.at = if status.is_some() { At::Fields } else { At::Rest };
            }
            At::Fields if text.is_empty() => self.end_of_head(),
            At::Fields => self.head.field(text),
            At::ChunkSize => {
                let digits = text.split(|byte| *byte == b';').next().unwrap_or_default();
                let size = std::str::from_utf8(digits).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
                self.at = match size {
                    None => At::Rest,
                    Some(0) => At::Trailers,
                    Some(size) => At::Chunk(size.saturating_add(2)),
                };
            }
            At::Trailers if text.is_empty() => self.progress = Progress::Done,
            At::Trailers | At::Length(_) | At::Chunk(_) | At::Rest => {}
        }
    }

    fn end_of_head(&mut self) {
        let Head { status, length, is_chunked } = self.head;
        self.at = At::StatusLine;
        match (status, length) {
            (101, _) if self.asked.upgrades => self.progress = Progress::Switched,
            (100..=199, _) => self.progress = Progress::Awaited,
            (204 | 304, _) => self.progress = Progress::Done,
            _ if self.asked.is_head => self.progress = Progress::Done,
            _ if is_chunked => self.at = At::ChunkSize,
            (_, Some(0)) => self.progress = Progress::Done,
            (_, Some(length)) => self.at = At::Length(length),
            (_, None) => self.at = At::Rest,
        }
    }
}

impl Head {
    fn field(&mut self, text: &[u8]) {
        let Some((name, value)) = memchr(b':', text).and_then(|at| text.split_at_checked(at)) else { return };
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            self.length = std::str::from_utf8(value).ok().and_then(|length| length.parse().ok());
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.is_chunked = value.eq_ignore_ascii_case(b"chunked");
        }
    }
}

/// The beginning of a line that comes in pieces: as much of it as those that matter have.
#[derive(Debug)]
struct Line {
    bytes: [u8; 48],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; 48], len: 0 }
    }
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let len = room.len().min(bytes.len());
        room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.len += len;
    }

    /// It, without CR.
    fn text(&self) -> &[u8] {
        let text = self.bytes.get(..self.len).unwrap_or_default();
        text.strip_suffix(b"\r").unwrap_or(text)
    }
}
