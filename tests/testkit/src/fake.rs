//! A server that keeps to no protocol.

use std::io::{Error, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use crate::wire::{Message, message};

/// The code of a StartupMessage of protocol 3.0, as of [`VERSION_3`](crate::wire::VERSION_3).
const STARTUP: [u8; 4] = crate::wire::VERSION_3.to_be_bytes();

/// What a server says to a message, and whether it goes on listening.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Bytes, as they are sent.
    pub bytes: Vec<u8>,
    /// Whether it closes the connection then.
    pub closes: bool,
}

type Answers = dyn Fn(&Message) -> Answer + Send + Sync;

/// A PostgreSQL server that lets everybody in and then says what it was told to, whatever that is. It ends with the
/// test's process.
#[derive(Debug)]
pub struct FakePostgres {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl FakePostgres {
    /// Starts one. `greeting` is what it says between the login and the first ReadyForQuery, `answers` what it says to
    /// each message.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start(greeting: Vec<u8>, answers: impl Fn(&Message) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let said: Arc<Answers> = Arc::new(answers);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (greeting, said) = (greeting.clone(), Arc::clone(&said));
                // It ends with its connection, and what went wrong shows at the client.
                std::thread::spawn(move || serve(socket, &greeting, &*said));
            }
        });
        Self { port }
    }
}

fn serve(mut socket: TcpStream, greeting: &[u8], said: &Answers) -> Result<()> {
    if !read_body(&mut socket)?.starts_with(&STARTUP) {
        return Ok(());
    }
    let let_in = [message(b'R', &[0; 4]), greeting.to_vec(), message(b'Z', b"I")].concat();
    socket.write_all(&let_in)?;
    loop {
        let mut kind = [0];
        socket.read_exact(&mut kind)?;
        let answer = said(&Message { kind: kind[0], body: read_body(&mut socket)? });
        socket.write_all(&answer.bytes)?;
        if answer.closes {
            return Ok(());
        }
    }
}

/// What follows a length that counts itself.
fn read_body(socket: &mut TcpStream) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length).checked_sub(4).ok_or_else(|| Error::other("an impossible length"))?;
    let mut body = vec![0; usize::try_from(length).map_err(Error::other)?];
    socket.read_exact(&mut body)?;
    Ok(body)
}
