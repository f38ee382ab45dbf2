//! The exchanges of a recorded session as an HTTP archive ([HAR 1.2]), written as a stream.
//!
//! What was not recorded is not in it: cookies and other secrets, bodies and messages that the role does not keep, the version of
//! HTTP, and sizes of heads. What concerns the session alone has a name that begins with `_`, as the format has it:
//!
//! | name | what |
//! | --- | --- |
//! | `_channel` | number of the exchange's channel |
//! | `_webSocketMessages` | the messages of a WebSocket, as browsers write them |
//! | `_grpcMessages` | those of a gRPC call, alike, each in base64 |
//! | `_error` | why there is no whole response: the refusal, or that the exchange did not end |
//! | `_truncated` | how many bytes there were, where not all were kept |
//! | `_encoding` | `base64` where the body of a request is no text |
//!
//! **Memory** is flat: bodies and messages of an exchange are held while they are small; of an exchange with more of them the log
//! is read again from where it began.
//!
//! [HAR 1.2]: http://www.softwareishard.com/blog/har-12-spec/

mod content;
mod entry;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use bytes::Bytes;

use super::event::{Event, HttpMessage, HttpRequest, HttpResponse};
use super::reader::{Mark, ReadError, Reader, read_from};
use super::view::EventView;
use content::Utf8;

/// How much of the bodies and messages of one exchange is held, in bytes.
const MOST_HELD: usize = 64 << 10;

/// Opens a log from a byte on.
pub type Source<'a> = dyn FnMut(u64) -> io::Result<Box<dyn Read + Send>> + 'a;

/// An archive cannot be written.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum HarError {
    /// The log cannot be read.
    #[error("the recording cannot be read")]
    Log(#[from] ReadError),
    /// The archive cannot be written, or the log not be opened again.
    #[error("the archive cannot be written")]
    Io(#[from] io::Error),
}

/// Writes the archive of a log; errors name the log `path`.
///
/// # Errors
/// When the log cannot be read, or the archive not be written.
pub fn write(source: &mut Source<'_>, path: PathBuf, out: &mut dyn Write) -> Result<(), HarError> {
    let mut log = read_from(source(0)?, path.clone());
    let mut archive = Archive { source, path, out, role: String::new(), open: BTreeMap::new(), entries: 0 };
    archive.begin()?;
    while let Some(event) = log.next() {
        let EventView { time, event, .. } = event?;
        archive.take(time, event, &log)?;
    }
    // What had not ended when the recording did.
    for (_, open) in std::mem::take(&mut archive.open) {
        archive.entry(&open, None)?;
    }
    Ok(archive.out.write_all(b"\n]}}\n")?)
}

struct Archive<'a, 'b> {
    source: &'a mut Source<'b>,
    path: PathBuf,
    out: &'a mut dyn Write,
    role: String,
    open: BTreeMap<u64, Open>,
    entries: u64,
}

/// An exchange that has not ended.
struct Open {
    time: i64,
    request: HttpRequest,
    response: Option<HttpResponse>,
    /// Where the log goes on after the head of the request.
    mark: Mark,
    sent: Content,
    shown: Content,
    /// How many messages there are.
    messages: u64,
    /// What was kept, in the order of the log; `None` where it is too much to be held.
    held: Option<Vec<Piece>>,
    held_bytes: usize,
}

/// What was kept of a body.
#[derive(Default)]
struct Content {
    bytes: u64,
    utf8: Utf8,
}

/// A piece of what was kept.
enum Piece {
    Body { from_target: bool, bytes: Bytes },
    Message { time: i64, message: HttpMessage },
}

impl Archive<'_, '_> {
    fn begin(&mut self) -> io::Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        write!(
            self.out,
            "{{\"log\":{{\"version\":\"1.2\",\"creator\":{{\"name\":\"hoop\",\"version\":\"{version}\"}},"
        )?;
        self.out.write_all(b"\"entries\":[")
    }

    fn take(&mut self, time: i64, event: Event, log: &Reader) -> Result<(), HarError> {
        match event {
            Event::Header(header) => self.role = header.role_name.to_string(),
            Event::HttpRequest(request) => {
                self.open.insert(request.channel, Open::new(time, request, log.mark()));
            }
            Event::HttpResponse(response) => {
                if let Some(open) = self.open.get_mut(&response.channel) {
                    open.response = Some(response);
                }
            }
            Event::HttpBody(body) => {
                if let Some(open) = self.open.get_mut(&u64::from(body.channel)) {
                    open.add(Piece::Body { from_target: body.from_target, bytes: body.bytes.0 });
                }
            }
            Event::HttpMessage(message) => {
                if let Some(open) = self.open.get_mut(&message.channel) {
                    open.add(Piece::Message { time, message });
                }
            }
            Event::HttpDone(done) => {
                if let Some(open) = self.open.remove(&done.channel) {
                    self.entry(&open, Some(&done))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Tells all pieces of an exchange, in order.
    fn pieces(&mut self, open: &Open, told: &mut PieceTo<'_>) -> Result<(), HarError> {
        if let Some(held) = &open.held {
            return Ok(held.iter().try_for_each(|piece| told(self.out, piece))?);
        }
        let from = (self.source)(open.mark.offset())?;
        for event in Reader::at(&open.mark, from, self.path.clone()) {
            let EventView { time, event, .. } = event?;
            match event {
                Event::HttpBody(body) if u64::from(body.channel) == open.request.channel => {
                    told(self.out, &Piece::Body { from_target: body.from_target, bytes: body.bytes.0 })?;
                }
                Event::HttpMessage(message) if message.channel == open.request.channel => {
                    told(self.out, &Piece::Message { time, message })?;
                }
                Event::HttpDone(done) if done.channel == open.request.channel => break,
                _ => {}
            }
        }
        Ok(())
    }
}

/// What is done with a piece.
type PieceTo<'a> = dyn FnMut(&mut dyn Write, &Piece) -> io::Result<()> + 'a;

impl Open {
    fn new(time: i64, request: HttpRequest, mark: Mark) -> Self {
        Self {
            time,
            request,
            response: None,
            mark,
            sent: Content::default(),
            shown: Content::default(),
            messages: 0,
            held: Some(Vec::new()),
            held_bytes: 0,
        }
    }

    fn add(&mut self, piece: Piece) {
        let length = match &piece {
            Piece::Body { from_target, bytes } => {
                let content = if *from_target { &mut self.shown } else { &mut self.sent };
                content.bytes += bytes.len() as u64;
                content.utf8.push(bytes);
                bytes.len()
            }
            Piece::Message { message, .. } => {
                self.messages += 1;
                message.bytes.0.len()
            }
        };
        // A piece without bytes takes room, too.
        self.held_bytes += length + 128;
        match &mut self.held {
            Some(held) if self.held_bytes <= MOST_HELD => held.push(piece),
            held => *held = None,
        }
    }
}
