//! A client that sends what it is told, and reads answers as strictly as they are to be written.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Longer than anything here takes, so that a test that waits in vain says for what.
const DEADLINE: Duration = Duration::from_secs(60);

/// A connection to the gateway's door.
pub(super) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub(super) fn dial(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the door is open");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket takes a deadline");
        stream.set_nodelay(true).expect("a socket does not wait");
        Self { stream, received: Vec::new() }
    }

    /// Sends bytes, in pieces of at most so many. Whoever was refused may have closed the connection by then.
    pub(super) fn send(&mut self, bytes: &[u8], piece: usize) {
        for piece in bytes.chunks(piece) {
            if self.stream.write_all(piece).is_err() {
                return;
            }
        }
    }

    /// The next answer that is final, to a request with this method; `None` at the end of the stream.
    ///
    /// # Errors
    /// What comes is no answer, or ends within one.
    pub(super) fn reply(&mut self, is_head: bool) -> Result<Option<Reply>> {
        loop {
            let Some(head) = self.head()? else { return Ok(None) };
            let mut lines = head.split("\r\n");
            let status_line = lines.next().unwrap_or_default();
            let status = status_line.strip_prefix("HTTP/1.1 ").or_else(|| status_line.strip_prefix("HTTP/1.0 "));
            let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
            let status: u16 = status.ok_or_else(|| Error::other(format!("no status line: {status_line:?}")))?;
            let field = |line: &str| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_ascii_lowercase(), value.trim().to_owned()))
            };
            let fields = lines.map(|line| field(line).ok_or_else(|| Error::other(format!("no field: {line:?}"))));
            let mut reply = Reply { status, fields: fields.collect::<Result<_>>()?, body: String::new() };
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            if !is_head && !matches!(status, 101 | 204 | 304) {
                reply.body = self.body(&reply)?;
            }
            return Ok(Some(reply));
        }
    }

    /// Whether the stream ends here.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.received.is_empty() && self.more().is_ok_and(|more| !more)
    }

    /// The next bytes, so many.
    pub(super) fn take(&mut self, len: usize) -> Result<Vec<u8>> {
        while self.received.len() < len {
            self.need_more()?;
        }
        Ok(self.received.drain(..len).collect())
    }

    fn head(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(at) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.take(at + 4)?;
                let head = String::from_utf8_lossy(&head[..at]).into_owned();
                return if head.contains('\0') || head.replace("\r\n", "").contains(['\r', '\n']) {
                    Err(Error::other(format!("a head with stray line ends: {head:?}")))
                } else {
                    Ok(Some(head))
                };
            }
            if !self.more()? {
                return if self.received.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    fn body(&mut self, reply: &Reply) -> Result<String> {
        let bytes = match (reply.field("content-length"), reply.field("transfer-encoding")) {
            (Some(length), None) => {
                let length = length.parse().map_err(|_| Error::other(format!("a length of {length:?}")))?;
                self.take(length)?
            }
            (None, Some("chunked")) => self.chunks()?,
            (None, None) => {
                while self.more()? {}
                std::mem::take(&mut self.received)
            }
            both => return Err(Error::other(format!("an answer framed by {both:?}"))),
        };
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(&line, 16).map_err(|_| Error::other(format!("a chunk of {line:?}")))?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size)?);
            if !self.line()?.is_empty() {
                return Err(Error::other("a chunk without its end"));
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        loop {
            if let Some(at) = self.received.windows(2).position(|two| two == b"\r\n") {
                let line = self.take(at + 2)?;
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.need_more()?;
        }
    }

    fn need_more(&mut self) -> Result<()> {
        if self.more()? { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    /// Whether anything came before the end.
    fn more(&mut self) -> Result<bool> {
        let mut bytes = [0; 16 << 10];
        let read = match self.stream.read(&mut bytes) {
            // The other end has not read all that was sent, and has gone.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            read => read?,
        };
        self.received.extend_from_slice(&bytes[..read]);
        Ok(read > 0)
    }
}
