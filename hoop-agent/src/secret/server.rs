//! A server for tests, which answers what it was told to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use parking_lot::Mutex;

/// An HTTP server on this machine. It ends with the test's process.
pub(super) struct Server {
    pub(super) address: String,
    /// What was asked: line and headers of each request.
    pub(super) asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` gives status and headers, and the body, for line and headers of a request.
    pub(super) fn start(answer: impl Fn(&str) -> (String, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&asked);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let head = request(&connection);
                let (status, body) = answer(&head);
                kept.lock().push(head);
                let length = body.len();
                let text = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
                // Who has gone away needs no answer.
                let _ = (&connection).write_all(text.as_bytes());
            }
        });
        Self { address, asked }
    }
}

/// Line and headers of a request, whose body is read and left.
fn request(connection: &TcpStream) -> String {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    while reader.read_line(&mut head).is_ok_and(|read| read > 0) && !head.ends_with("\r\n\r\n") {}
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.trim().parse().expect("a number")];
    reader.read_exact(&mut body).expect("a body");
    head
}
