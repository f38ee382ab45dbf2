//! One end of a connection.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::net::TcpSocket;

use super::cipher::{Cipher, open, seal};
use super::exchange;
use super::payload::{Payload, kind};

/// No answer of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// What each end lets the other send on a channel.
const WINDOW: u32 = 1 << 30;
const PACKET: u32 = 32 << 10;
/// What is kept of what was heard, in bytes.
const KEPT: usize = 64 << 10;

/// Which end it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that has dialled.
    Client,
    /// The one that was dialled.
    Server,
}

/// One end of a connection. It reads and sends with a deadline, after which that fails.
#[derive(Debug)]
pub struct SshPeer {
    socket: TcpStream,
    pub(super) side: Side,
    pub(super) host_key: Arc<Ed25519KeyPair>,
    pub(super) own_id: Vec<u8>,
    pub(super) their_id: Vec<u8>,
    pub(super) session: Option<Vec<u8>>,
    pub(super) inward: Option<Cipher>,
    pub(super) outward: Option<Cipher>,
    channels: u32,
}

impl SshPeer {
    /// Connects to a port of this machine, from one of its own addresses: who guesses there slows down nobody else.
    ///
    /// # Errors
    /// When nobody listens.
    ///
    /// # Panics
    /// When the system has no more sockets.
    pub fn dial(from: Ipv4Addr, port: u16) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let socket = runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((from, 0)))?;
            socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?.into_std()
        })?;
        socket.set_nonblocking(false)?;
        let key = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).expect("32 bytes are a seed");
        Self::new(socket, Side::Client, Arc::new(key))
    }

    pub(super) fn new(socket: TcpStream, side: Side, host_key: Arc<Ed25519KeyPair>) -> Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let (own_id, their_id) = (b"SSH-2.0-hostile".to_vec(), Vec::new());
        Ok(Self { socket, side, host_key, own_id, their_id, session: None, inward: None, outward: None, channels: 0 })
    }

    /// Sends bytes, whatever they are.
    ///
    /// # Errors
    /// When the other end is gone, or takes nothing.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.write_all(bytes)
    }

    /// Sends a payload as a packet.
    ///
    /// # Errors
    /// As of [`raw`](Self::raw).
    pub fn send(&mut self, payload: impl AsRef<[u8]>) -> Result<()> {
        let packet = seal(self.outward.as_mut(), payload.as_ref());
        self.raw(&packet)
    }

    /// The next payload, whatever it is.
    ///
    /// # Errors
    /// When the other end is gone, or silent.
    pub fn receive(&mut self) -> Result<Vec<u8>> {
        open(self.inward.as_mut(), &mut self.socket)
    }

    /// The next payload of one of these numbers; what comes before is dropped.
    ///
    /// # Errors
    /// When another end comes first.
    pub fn expect(&mut self, kinds: &[u8]) -> Result<Vec<u8>> {
        loop {
            let payload = self.receive()?;
            match payload.first() {
                Some(first) if kinds.contains(first) => return Ok(payload),
                Some(&kind::DISCONNECT) => {
                    return Err(Error::new(ErrorKind::ConnectionAborted, String::from_utf8_lossy(&payload[9..])));
                }
                _ => {}
            }
        }
    }

    /// Whether the other end hangs up in time; what it still says is dropped.
    pub fn is_cut(&mut self) -> bool {
        let (mut bytes, deadline) = ([0; 4096], Instant::now() + PATIENCE);
        while Instant::now() < deadline {
            match self.socket.read(&mut bytes) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return !is_late(&error),
            }
        }
        false
    }

    /// What is not taken within a second, is not sent any more.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn patience_is_short(&mut self) -> Result<()> {
        self.socket.set_write_timeout(Some(Duration::from_secs(1)))
    }

    /// Hangs up, in one direction or both.
    pub fn hang_up(&mut self, how: Shutdown) {
        // The other end may have been faster.
        let _ = self.socket.shutdown(how);
    }

    /// The public half of our host key.
    pub fn public_key(&self) -> &[u8] {
        self.host_key.public_key().as_ref()
    }

    /// What we call ourselves.
    pub fn own_id_is(&mut self, id: &[u8]) {
        id.clone_into(&mut self.own_id);
    }

    /// Tells who we are, and hears who they are.
    ///
    /// # Errors
    /// As of [`raw`](Self::raw) and [`receive`](Self::receive).
    pub fn identify(&mut self) -> Result<()> {
        let line = [&self.own_id[..], b"\r\n"].concat();
        self.raw(&line)?;
        let (mut line, mut byte) = (Vec::new(), [0]);
        while byte != *b"\n" {
            self.socket.read_exact(&mut byte)?;
            line.extend(byte);
        }
        self.their_id = line.trim_ascii_end().to_vec();
        Ok(())
    }

    /// Identification and key exchange.
    ///
    /// # Errors
    /// When the other end does not go along.
    pub fn greet(&mut self) -> Result<()> {
        self.identify()?;
        self.exchange()
    }

    /// Exchanges keys, for the first time or once more. Between two exchanges, what the other end says is dropped.
    ///
    /// # Errors
    /// When the other end does not go along.
    pub fn exchange(&mut self) -> Result<()> {
        self.send(exchange::own_init())?;
        let theirs = self.expect(&[kind::KEXINIT])?;
        exchange::run(self, &theirs)
    }

    /// A KEXINIT as ours would be.
    pub fn init() -> Vec<u8> {
        exchange::own_init()
    }

    /// A KEXINIT with these algorithms: key exchange, host key, cipher, authentication of messages.
    pub fn init_of(kex: &str, host_key: &str, cipher: &str, mac: &str) -> Vec<u8> {
        exchange::init(kex, host_key, cipher, mac)
    }

    /// Asks for the service of logins.
    ///
    /// # Errors
    /// When it is not given.
    pub fn ask_service(&mut self) -> Result<()> {
        self.send(Payload::of(kind::SERVICE_REQUEST).string("ssh-userauth"))?;
        self.expect(&[kind::SERVICE_ACCEPT]).map(drop)
    }

    /// Greets, and logs in with a password.
    ///
    /// # Errors
    /// When it is refused.
    pub fn log_in(&mut self, user: &str, password: &str) -> Result<()> {
        self.greet()?;
        self.ask_service()?;
        self.send(Self::password(user, password))?;
        match self.expect(&[kind::USERAUTH_SUCCESS, kind::USERAUTH_FAILURE])?[0] {
            kind::USERAUTH_SUCCESS => Ok(()),
            _ => Err(Error::other("the login is refused")),
        }
    }

    /// A login with a password.
    pub fn password(user: &str, password: &str) -> Payload {
        let ask = Payload::of(kind::USERAUTH_REQUEST).string(user).string("ssh-connection").string("password");
        ask.byte(0).string(password)
    }

    /// Opens a channel for a program. Gives the other end's number; ours is the same as of the channels before, and one more.
    ///
    /// # Errors
    /// When it is refused.
    pub fn channel(&mut self) -> Result<u32> {
        self.channel_with(WINDOW, PACKET)
    }

    /// As [`channel`](Self::channel), with another window and longest packet.
    ///
    /// # Errors
    /// When it is refused.
    pub fn channel_with(&mut self, window: u32, packet: u32) -> Result<u32> {
        let own = self.channels;
        self.channels += 1;
        let open = Payload::of(kind::CHANNEL_OPEN).string("session").number(own).number(window).number(packet);
        self.send(open)?;
        let wanted = [kind::CHANNEL_OPEN_CONFIRMATION, kind::CHANNEL_OPEN_FAILURE];
        loop {
            let answer = self.expect(&wanted)?;
            match answer.get(1..5).map(|number| number == own.to_be_bytes()) {
                Some(true) if answer[0] == kind::CHANNEL_OPEN_CONFIRMATION => {
                    return Ok(u32::from_be_bytes(answer[5..9].try_into().expect("4 bytes")));
                }
                Some(true) => {
                    let reason = String::from_utf8_lossy(answer.get(13..).unwrap_or_default()).into_owned();
                    return Err(Error::other(reason));
                }
                _ => {}
            }
        }
    }

    /// A request on a channel; `rest` is what belongs to its kind.
    pub fn request(channel: u32, name: &str, rest: Payload) -> Payload {
        Payload::of(kind::CHANNEL_REQUEST).number(channel).string(name).byte(1).raw(rest)
    }

    /// Data on a channel.
    pub fn data(channel: u32, data: impl AsRef<[u8]>) -> Payload {
        Payload::of(kind::CHANNEL_DATA).number(channel).string(data)
    }

    /// Opens a channel and starts a command on it. Gives the channel.
    ///
    /// # Errors
    /// When the channel is refused.
    pub fn exec(&mut self, command: impl AsRef<[u8]>) -> Result<u32> {
        let channel = self.channel()?;
        self.send(Self::request(channel, "exec", Payload::empty().string(command)))?;
        Ok(channel)
    }

    /// Reads until programs have written this text, on whatever channel.
    ///
    /// # Errors
    /// When the connection ends first.
    pub fn hear(&mut self, text: &str) -> Result<()> {
        let mut heard = Vec::new();
        loop {
            let payload = self.expect(&[kind::CHANNEL_DATA, kind::CHANNEL_EXTENDED_DATA])?;
            if is_heard(&mut heard, &payload, text) {
                return Ok(());
            }
        }
    }

    /// Reads until programs have written this text, or until a channel is closed, or the connection. Gives the last of what was
    /// written.
    ///
    /// # Errors
    /// When nothing of that happens.
    pub fn to_end(&mut self, text: &str) -> Result<Vec<u8>> {
        let mut heard = Vec::new();
        loop {
            match self.receive() {
                Ok(payload) if matches!(payload[0], kind::CHANNEL_CLOSE | kind::DISCONNECT) => return Ok(heard),
                Ok(payload) if is_heard(&mut heard, &payload, text) => return Ok(heard),
                Ok(_) => {}
                Err(error) if is_late(&error) => return Err(error),
                Err(_) => return Ok(heard),
            }
        }
    }

    /// Lets a client in that has been greeted, however it logs in.
    ///
    /// # Errors
    /// When it goes away.
    pub fn let_in(&mut self) -> Result<()> {
        self.serve_logins()?;
        self.expect(&[kind::USERAUTH_REQUEST])?;
        self.send(Payload::of(kind::USERAUTH_SUCCESS))
    }

    /// Gives the service of logins.
    ///
    /// # Errors
    /// When the client goes away.
    pub fn serve_logins(&mut self) -> Result<()> {
        self.expect(&[kind::SERVICE_REQUEST])?;
        self.send(Payload::of(kind::SERVICE_ACCEPT).string("ssh-userauth"))
    }

    /// Takes the next channel that a client opens, and says yes to its next request. Gives the client's number; ours is the same.
    ///
    /// # Errors
    /// When it goes away.
    pub fn take_program(&mut self) -> Result<u32> {
        let channel = self.take_channel()?;
        self.expect(&[kind::CHANNEL_REQUEST])?;
        self.send(Payload::of(kind::CHANNEL_SUCCESS).number(channel))?;
        Ok(channel)
    }

    /// Takes the next channel that a client opens.
    ///
    /// # Errors
    /// When it goes away.
    pub fn take_channel(&mut self) -> Result<u32> {
        let channel = self.asked_channel()?;
        let confirm = Payload::of(kind::CHANNEL_OPEN_CONFIRMATION).number(channel).number(channel);
        self.send(confirm.number(WINDOW).number(PACKET))?;
        Ok(channel)
    }

    /// The client's number of the next channel that it opens.
    ///
    /// # Errors
    /// When it goes away.
    pub fn asked_channel(&mut self) -> Result<u32> {
        let open = self.expect(&[kind::CHANNEL_OPEN])?;
        let at = 5 + open.get(4).map_or(0, |length| usize::from(*length));
        let number = open.get(at..at + 4).ok_or_else(|| Error::other("a short message"))?;
        Ok(u32::from_be_bytes(number.try_into().expect("4 bytes")))
    }
}

/// Whether something did not happen in time, and nothing else went wrong.
pub fn is_late(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Whether a text has come with this message. Of what was heard before, the last is kept.
fn is_heard(heard: &mut Vec<u8>, payload: &[u8], text: &str) -> bool {
    let from = heard.len().saturating_sub(text.len());
    heard.extend_from_slice(written(payload));
    let is_heard = heard[from..].windows(text.len()).any(|window| window == text.as_bytes());
    heard.drain(..heard.len().saturating_sub(KEPT));
    is_heard
}

/// What a message has of a program's output.
fn written(payload: &[u8]) -> &[u8] {
    let start = match payload.first() {
        Some(&kind::CHANNEL_DATA) => 9,
        Some(&kind::CHANNEL_EXTENDED_DATA) => 13,
        _ => return &[],
    };
    payload.get(start..).unwrap_or_default()
}
