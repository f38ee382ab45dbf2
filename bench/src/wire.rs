//! A client that adds as little as it can: one system call to send, and large reads.

use std::io::{Error, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use hoop_testkit::wire::{Wire, message};

/// How long a reply may take to go on.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection after its login.
pub(crate) struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(url: &str) -> Result<Self> {
        let Wire { socket } = Wire::login(url)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, buffer: vec![0; 256 << 10] })
    }

    /// Sends a simple query and reads everything up to ReadyForQuery; gives how many bytes that was.
    pub(crate) fn query(&mut self, sql: &str) -> Result<u64> {
        let query = message(b'Q', &[sql.as_bytes(), b"\0"].concat());
        self.send(&query)
    }

    /// As [`query`](Self::query), with a message that was made before.
    pub(crate) fn send(&mut self, query: &[u8]) -> Result<u64> {
        self.socket.write_all(query)?;
        let mut reply = Reply::default();
        while !reply.is_complete() {
            match self.socket.read(&mut self.buffer)? {
                0 => return Err(Error::other("the server closed the connection")),
                count => reply.take(self.buffer.get(..count).unwrap_or_default()),
            }
        }
        if reply.failed { Err(Error::other("the server refused the query")) } else { Ok(reply.bytes) }
    }
}

/// What was read of a reply.
#[derive(Debug, Default)]
struct Reply {
    bytes: u64,
    /// Type and length of the message that is being read, as far as they have come.
    head: Vec<u8>,
    /// What is missing of its body.
    body: usize,
    ready: bool,
    failed: bool,
}

impl Reply {
    const fn is_complete(&self) -> bool {
        self.ready && self.body == 0
    }

    fn take(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let skipped = self.body.min(bytes.len());
            self.body -= skipped;
            let (head, rest) = bytes[skipped..].split_at((5 - self.head.len()).min(bytes.len() - skipped));
            bytes = rest;
            self.head.extend_from_slice(head);
            if let [kind, a, b, c, d] = *self.head {
                self.ready = kind == b'Z';
                self.failed |= kind == b'E';
                self.body = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(4);
                self.head.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Reply, message};

    #[test]
    fn a_reply_is_the_same_however_it_is_split() {
        let reply = [message(b'D', b"some row"), message(b'C', b""), message(b'Z', b"I")].concat();
        for size in 1..=reply.len() {
            let mut read = Reply::default();
            let mut pieces = reply.chunks(size).peekable();
            while let Some(piece) = pieces.next() {
                assert!(!read.is_complete());
                read.take(piece);
                assert_eq!(read.is_complete(), pieces.peek().is_none(), "in pieces of {size}");
            }
            assert!(!read.failed && read.bytes == reply.len() as u64);
        }
        let mut read = Reply::default();
        read.take(&[message(b'E', b"no"), message(b'Z', b"I")].concat());
        assert!(read.is_complete() && read.failed);
    }
}
