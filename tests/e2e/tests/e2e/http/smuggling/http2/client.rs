//! A client of HTTP/2 ([RFC 9113]) that checks nothing of what it sends, and keeps no tables ([RFC 7541]).
//!
//! [RFC 9113]: https://www.rfc-editor.org/rfc/rfc9113
//! [RFC 7541]: https://www.rfc-editor.org/rfc/rfc7541

use std::collections::VecDeque;
use std::io::{Error, Read as _, Result, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// The largest payload of a frame that any server takes.
const MAX_FRAME: usize = 16 << 10;

/// A connection.
pub(super) struct Http2 {
    stream: TcpStream,
    last: u32,
    /// What came while an answer to a ping was waited for.
    early: VecDeque<Frame>,
}

/// How a stream has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Answer {
        status: u16,
        body: String,
    },
    Reset,
    /// The connection is over.
    Gone,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Http2 {
    pub(super) fn dial(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the door is open");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket takes a deadline");
        let mut client = Self { stream, last: 0, early: VecDeque::new() };
        client.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        // No table for what the server encodes: each of its fields says itself what it is.
        client.frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]);
        client
    }

    /// Sends a request as a stream of its own, each piece of its body when the server has seen what is before it.
    pub(super) fn ask(
        &mut self,
        fields: &[(Vec<u8>, Vec<u8>)],
        body: &[Vec<u8>],
        trailers: &[(Vec<u8>, Vec<u8>)],
    ) -> u32 {
        let stream = if self.last == 0 { 1 } else { self.last + 2 };
        self.last = stream;
        let (has_body, has_trailers) = (!body.is_empty(), !trailers.is_empty());
        self.headers(stream, fields, !has_body && !has_trailers);
        for (at, piece) in body.iter().enumerate() {
            let is_last = at + 1 == body.len() && !has_trailers;
            self.ping();
            self.frame(DATA, if is_last { END_STREAM } else { 0 }, stream, piece);
        }
        if has_trailers {
            self.headers(stream, trailers, true);
        }
        stream
    }

    fn headers(&mut self, stream: u32, fields: &[(Vec<u8>, Vec<u8>)], is_last: bool) {
        let mut block = Vec::new();
        for (name, value) in fields {
            // A literal that is in no table, with a new name.
            block.push(0);
            for text in [name, value] {
                integer(&mut block, text.len());
                block.extend_from_slice(text);
            }
        }
        let mut pieces = block.chunks(MAX_FRAME).peekable();
        let mut kind = HEADERS;
        while let Some(piece) = pieces.next() {
            let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            let last = if is_last && kind == HEADERS { END_STREAM } else { 0 };
            self.frame(kind, end | last, stream, piece);
            kind = CONTINUATION;
        }
    }

    /// Returns when the server has read everything up to here, or is gone.
    fn ping(&mut self) {
        self.frame(PING, 0, 0, &[0; 8]);
        while let Ok(frame) = self.read() {
            if frame.kind == PING && frame.flags & ACK != 0 {
                return;
            }
            self.early.push_back(frame);
        }
    }

    /// How a stream ends.
    pub(super) fn end(&mut self, stream: u32) -> End {
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let Some(frame) = self.early.pop_front().or_else(|| self.read().ok()) else { return End::Gone };
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]),
                PING if frame.flags & ACK == 0 => self.frame(PING, ACK, 0, &frame.payload),
                GOAWAY => return End::Gone,
                RST_STREAM if frame.stream == stream && status == 0 => return End::Reset,
                HEADERS if frame.stream == stream && status < 200 => status = status_of(&frame.payload),
                DATA if frame.stream == stream => body.extend_from_slice(&frame.payload),
                _ => {}
            }
            let ends = matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0;
            if frame.stream == stream && (ends || frame.kind == RST_STREAM) {
                return End::Answer { status, body: String::from_utf8_lossy(&body).into_owned() };
            }
        }
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let len = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
        let mut frame = vec![len[1], len[2], len[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.write(&frame);
    }

    /// A server that has ended the connection is seen when its answer is read.
    fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    fn read(&mut self) -> Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let len = u32::from_be_bytes([0, a, b, c]);
        let mut payload = vec![0; usize::try_from(len).map_err(Error::other)?];
        self.stream.read_exact(&mut payload)?;
        Ok(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }
}

/// An integer with a prefix of 7 bits ([RFC 7541 §5.1](https://www.rfc-editor.org/rfc/rfc7541#section-5.1)).
fn integer(block: &mut Vec<u8>, value: usize) {
    const PREFIX: usize = 127;
    let byte = |value: usize| u8::try_from(value).expect("seven bits");
    let Some(mut rest) = value.checked_sub(PREFIX) else { return block.push(byte(value)) };
    block.push(byte(PREFIX));
    while rest >= 128 {
        block.push(byte(rest % 128) | 128);
        rest /= 128;
    }
    block.push(byte(rest));
}

/// The status, which is the first field of an answer.
fn status_of(block: &[u8]) -> u16 {
    // The table's size may be said before.
    let block = match block {
        [0x20, rest @ ..] => rest,
        block => block,
    };
    match block {
        [indexed @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        // A literal with the name of an entry of the static table, and as its value three digits, or their Huffman codes.
        [0x08 | 0x18 | 0x48, 3, digits @ ..] => {
            std::str::from_utf8(&digits[..3]).ok().and_then(|text| text.parse().ok()).expect("three digits")
        }
        [0x08 | 0x18 | 0x48, len @ 0x82..=0x83, code @ ..] => huffman(&code[..usize::from(len & 0x7f)]),
        other => panic!("no status: {other:?}"),
    }
}

/// A number in Huffman's codes ([RFC 7541, appendix B](https://www.rfc-editor.org/rfc/rfc7541#appendix-B)).
fn huffman(code: &[u8]) -> u16 {
    let bits = code.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (32 - 8 * code.len());
    let (mut bits, mut number) = (bits, 0);
    for _ in 0..3 {
        let (digit, len) = match bits >> 27 {
            short @ 0..=2 => (short, 5),
            _ => ((bits >> 26) - 0x19 + 3, 6),
        };
        number = number * 10 + digit;
        bits <<= len;
    }
    u16::try_from(number).expect("three digits")
}
