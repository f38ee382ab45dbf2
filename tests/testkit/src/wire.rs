//! The PostgreSQL protocol by hand, for what no client would do: a cleartext or SCRAM login, frames as they come.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

use url::Url;

/// A connection that speaks what it is told to.
#[derive(Debug)]
pub struct Wire {
    /// The socket.
    pub socket: TcpStream,
}

/// A message from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its type byte.
    pub kind: u8,
    /// What follows the length.
    pub body: Vec<u8>,
}

impl Message {
    /// A field of an ErrorResponse or NoticeResponse.
    pub fn field(&self, name: u8) -> String {
        let fields = self.body.split(|byte| *byte == 0);
        let found = fields.filter_map(|field| field.split_first()).find(|(kind, _)| **kind == name);
        found.map(|(_, text)| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
    }
}

/// A packet without a type: length, code, rest.
pub fn startup(code: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    for (name, value) in parameters {
        for text in [name, value] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
    }
    if !parameters.is_empty() {
        body.push(0);
    }
    prefixed(&body)
}

/// A message with a type.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(prefixed(body));
    bytes
}

fn prefixed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("tests send small messages");
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// Protocol 3.0.
pub const VERSION_3: u32 = 196_608;

impl Wire {
    /// Connects, with a deadline of a minute for every read.
    ///
    /// # Errors
    /// As of the socket.
    pub fn connect(address: &str) -> Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        socket.set_nodelay(true)?;
        Ok(Self { socket })
    }

    /// Connects and logs in with a URL's user and password, up to ReadyForQuery.
    ///
    /// # Errors
    /// As of the socket, and the text of an ErrorResponse.
    pub fn login(url: &str) -> Result<Self> {
        Self::login_with(url, VERSION_3, &[]).map(|(wire, _)| wire)
    }

    /// [`login`](Self::login) with a protocol version and more parameters; gives all messages from AuthenticationOk to ReadyForQuery.
    ///
    /// # Errors
    /// As of the socket, and the text of an ErrorResponse.
    pub fn login_with(url: &str, version: u32, more: &[(&str, &str)]) -> Result<(Self, Vec<Message>)> {
        let url = Url::parse(url).map_err(Error::other)?;
        let host = url.host_str().unwrap_or("127.0.0.1");
        let mut wire = Self::connect(&format!("{host}:{}", url.port().unwrap_or(5432)))?;
        let database = url.path().trim_start_matches('/');
        let parameters = [&[("user", url.username()), ("database", database)], more].concat();
        wire.send(&startup(version, &parameters))?;
        let mut scram = crate::scram::Exchange::new(url.password().unwrap_or_default());
        let mut rest = Vec::new();
        loop {
            let message = wire.read()?;
            match message.kind {
                b'E' => return Err(Error::other(format!("{}: {}", message.field(b'C'), message.field(b'M')))),
                b'R' => {
                    if let Some(answer) = scram.answer(&message.body)? {
                        wire.send(&answer)?;
                    }
                }
                b'Z' => {
                    rest.push(message);
                    return Ok((wire, rest));
                }
                _ => rest.push(message),
            }
        }
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// As of the socket.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.write_all(bytes)
    }

    /// Sends a simple query.
    ///
    /// # Errors
    /// As of the socket.
    pub fn query(&mut self, sql: &str) -> Result<()> {
        let mut body = sql.as_bytes().to_vec();
        body.push(0);
        self.send(&message(b'Q', &body))
    }

    /// The next message.
    ///
    /// # Errors
    /// As of the socket; `UnexpectedEof` when the server closed it.
    pub fn read(&mut self) -> Result<Message> {
        let mut head = [0; 5];
        self.socket.read_exact(&mut head)?;
        let [kind, a, b, c, d] = head;
        let length = u32::from_be_bytes([a, b, c, d]);
        let length = length.checked_sub(4).ok_or_else(|| Error::new(ErrorKind::InvalidData, "a length below four"))?;
        let mut body = vec![0; usize::try_from(length).map_err(Error::other)?];
        self.socket.read_exact(&mut body)?;
        Ok(Message { kind, body })
    }

    /// Everything up to and with the next ReadyForQuery, or up to the end of the connection.
    pub fn read_all(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Ok(message) = self.read() {
            let ready = message.kind == b'Z';
            messages.push(message);
            if ready {
                break;
            }
        }
        messages
    }

    /// What comes until the server closes the connection, or `None` when it does not within the deadline of a read.
    pub fn read_to_end(&mut self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Some(bytes),
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Some(bytes),
                Err(_) => return None,
            }
        }
    }
}
