//! A client that adds as little as it can: one connection, one system call to send, and large reads.

use std::io::{Error, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::answer::Answer;
use super::stand::Peer;

/// How long an answer may take to go on.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection that stays.
pub(super) struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(super) fn open(peer: &Peer) -> Result<Self> {
        let socket = TcpStream::connect(("127.0.0.1", peer.port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, buffer: Vec::new() })
    }

    /// Sends a request without a body, and reads the answer.
    pub(super) fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.socket.write_all(request)?;
        self.answer()
    }

    /// Sends a request with a body of so many bytes, and reads the answer.
    pub(super) fn send(&mut self, request: &[u8], bytes: u64) -> Result<Answer> {
        const PIECE: &[u8] = &[b'x'; 64 << 10];
        self.socket.write_all(request)?;
        let mut left = bytes;
        while left > 0 {
            let piece = &PIECE[..usize::try_from(left).unwrap_or(usize::MAX).min(PIECE.len())];
            self.socket.write_all(piece)?;
            left -= piece.len() as u64;
        }
        self.answer()
    }

    fn answer(&mut self) -> Result<Answer> {
        self.buffer.resize(256 << 10, 0);
        let mut answer = Answer::new();
        while !answer.is_complete() {
            let count = self.socket.read(&mut self.buffer)?;
            if count == 0 {
                return Err(Error::other(format!("the connection was closed; so far {answer:?}")));
            }
            answer.take(&self.buffer[..count]).map_err(Error::other)?;
        }
        Ok(answer)
    }

    /// One that rests, for which no memory is kept here.
    pub(super) fn resting(self) -> TcpStream {
        self.socket
    }
}

impl Peer {
    /// The head of a request.
    pub(super) fn request(&self, method: &str, path: &str, fields: &str) -> Vec<u8> {
        let token = self.token.as_ref().map(|token| format!("Hoop-Token: {token}\r\n")).unwrap_or_default();
        format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{token}{fields}\r\n", self.port).into_bytes()
    }

    /// Asks for something once, on a connection of its own.
    ///
    /// # Panics
    /// When the answer is no success.
    pub(super) fn get(&self, path: &str) -> Answer {
        let asked = Client::open(self).and_then(|mut client| client.ask(&self.request("GET", path, "")));
        let answer = asked.unwrap_or_else(|error| panic!("{path} through {}: {error}", self.name));
        assert_eq!(answer.status, 200, "{path} through {}: {}", self.name, String::from_utf8_lossy(&answer.text));
        answer
    }
}
