//! What an agent really sends to a target: a tap on its connections.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Passes connections on to a server, and keeps what was sent to it. It ends with the test's process.
pub(super) struct Tap {
    pub(super) port: u16,
    connections: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A request as the target gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) method: String,
    pub(super) target: String,
    /// Names in lower case, in the order of the wire.
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The lines behind the body, in lower case.
    pub(super) trailers: Vec<String>,
    /// Whether all of it came.
    pub(super) is_whole: bool,
}

impl Received {
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str()).collect()
    }
}

impl Tap {
    pub(super) fn on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let tap = listener.local_addr().expect("a bound socket has an address").port();
        let connections: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let kept = Arc::clone(&connections);
        std::thread::spawn(move || {
            for agent in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
                let number = {
                    let mut kept = kept.lock().expect("nobody panics with it");
                    kept.push(Vec::new());
                    kept.len() - 1
                };
                let ends = |socket: &TcpStream| socket.try_clone().expect("a socket has two ends");
                let (mut up, mut down) = ((ends(&agent), ends(&server)), (server, agent));
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || {
                    pump(&mut up.0, &mut up.1, |bytes| {
                        kept.lock().expect("nobody panics with it")[number].extend_from_slice(bytes);
                    });
                });
                std::thread::spawn(move || pump(&mut down.0, &mut down.1, |_| {}));
            }
        });
        Self { port: tap, connections }
    }

    /// All requests of which this text is anywhere in the head or the body, in their order on each connection.
    ///
    /// # Panics
    /// When something that is no request, or could be read as another one, was sent.
    pub(super) fn requests(&self, with: &str) -> Vec<Received> {
        let connections = self.connections.lock().expect("nobody panics with it").clone();
        let all = connections.iter().flat_map(|sent| parse(sent));
        all.filter(|request| format!("{} {:?}", request.target, request.fields).contains(with)).collect()
    }
}

fn pump(from: &mut TcpStream, to: &mut TcpStream, mut seen: impl FnMut(&[u8])) {
    let mut bytes = [0; 16 << 10];
    while let Ok(read) = from.read(&mut bytes) {
        seen(&bytes[..read]);
        if read == 0 || to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    // The other direction may have closed it already.
    let _ = to.shutdown(Shutdown::Write);
}

/// Reads a stream as strictly as the documents say; the last request may be cut short.
fn parse(mut sent: &[u8]) -> Vec<Received> {
    let mut requests = Vec::new();
    while let Some(at) = sent.windows(4).position(|four| four == b"\r\n\r\n") {
        let (head, rest) = sent.split_at(at + 4);
        let head = std::str::from_utf8(&head[..at]).unwrap_or_else(|_| panic!("{}", head.escape_ascii()));
        assert!(!head.replace("\r\n", "").contains(['\r', '\n', '\0']), "stray line ends: {head:?}");
        let mut lines = head.split("\r\n");
        let line: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let [method, target, "HTTP/1.1"] = line[..] else { panic!("no request line: {head:?}") };
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").or_else(|| line.split_once(':')).expect("a field has a colon");
            assert!(!name.is_empty() && !name.contains([' ', '\t']), "{line:?}");
            (name.to_ascii_lowercase(), value.to_owned())
        };
        let fields = lines.map(field).collect();
        let mut request = Received {
            method: method.to_owned(),
            target: target.to_owned(),
            fields,
            body: Vec::new(),
            trailers: Vec::new(),
            is_whole: true,
        };
        sent = body(&mut request, rest);
        requests.push(request);
    }
    requests
}

/// What follows the body.
fn body<'a>(request: &mut Received, rest: &'a [u8]) -> &'a [u8] {
    let (lengths, codings) = (request.all("content-length"), request.all("transfer-encoding"));
    match (&lengths[..], &codings[..]) {
        ([], []) => rest,
        ([length], []) => {
            let length: usize = length.parse().expect("a length");
            let (body, after) = rest.split_at(length.min(rest.len()));
            request.is_whole = body.len() == length;
            request.body = body.to_vec();
            after
        }
        ([], ["chunked"]) => {
            let chunks = chunks(rest, &mut request.body, &mut request.trailers);
            request.is_whole = chunks.is_some();
            chunks.unwrap_or_default()
        }
        both => panic!("two lengths were sent to a target: {both:?}"),
    }
}

fn chunks<'a>(mut rest: &'a [u8], body: &mut Vec<u8>, trailers: &mut Vec<String>) -> Option<&'a [u8]> {
    loop {
        let (line, after) = rest.split_at(rest.windows(2).position(|two| two == b"\r\n")?);
        let size = usize::from_str_radix(std::str::from_utf8(line).expect("a size"), 16).expect("a size");
        rest = &after[2..];
        if size == 0 {
            break;
        }
        body.extend_from_slice(rest.get(..size)?);
        assert!(b"\r\n".starts_with(rest[size..].get(..2).unwrap_or_default()), "a chunk ends with a line's end");
        rest = rest.get(size + 2..)?;
    }
    loop {
        let (line, after) = rest.split_at(rest.windows(2).position(|two| two == b"\r\n")?);
        rest = &after[2..];
        if line.is_empty() {
            return Some(rest);
        }
        trailers.push(String::from_utf8_lossy(line).to_ascii_lowercase());
    }
}
