//! A channel of a program: a shell, a command or a subsystem, with or without a terminal.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use hoop_core::{
    ChannelClosed, ChannelEnd, ChannelId, Code, Command, CommandKind, Denial, Fault, Input, Interest, Output,
    OutputStream, Request, Response, Signal, Terminal, WindowChange, WindowSize,
};
use hoop_proto::tunnel::v1::{
    SshAuthAgentReq, SshEnv, SshEof, SshExec, SshExitSignal, SshMessage, SshPtyReq, SshSession, SshShell, SshSignal,
    SshSubsystem, SshTerminalMode, SshWindowChange, SshX11Req, carry_down, ssh_channel, ssh_message,
};
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;

use super::files::{self, Files, Moved};
use super::session::{Opened, Shared};
use super::words::{self, no_zeros, words};
use crate::tunnel::{ChannelReceiver, ChannelSender, Received};

/// When nothing more comes for this long, what a plugin has kept back of an output goes on.
const FLUSH_AFTER: Duration = Duration::from_millis(4);
/// A client that has sent everything closes a channel whose output has ended, and then hears of no exit status: that is told first,
/// unless the program goes on for longer than this without an output.
const EOF_AFTER: Duration = Duration::from_millis(300);
/// How long a program without a status waits for the end of its connection.
const NO_STATUS: Duration = Duration::from_millis(500);
/// How long a client may take to take the last words of a channel.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a client may take to close a channel whose session has ended.
const FAREWELL: Duration = Duration::from_secs(1);
/// Most that is kept of what a client sends, in bytes and in messages, while its program waits for somebody's agreement.
const KEPT: usize = 256 << 10;
const MOST_KEPT: usize = 256;
/// What a terminal sends for Ctrl-C.
const CTRL_C: u8 = 0x03;
/// The number of the standard error (RFC 4254 section 5.2).
const STDERR: u32 = 1;
/// Most variables of one program, and their longest name and value together, in bytes.
const MOST_VARIABLES: usize = 64;
const LONGEST_VARIABLE: usize = 8 << 10;

/// Serves a channel from its opening to its end.
pub(super) async fn serve(shared: Arc<Shared>, id: ChannelId, channel: Channel<Msg>, reply: Opened) {
    let opened = shared.open(ssh_channel::Kind::Session(SshSession {})).await;
    let tunnel = match opened {
        Ok(tunnel) => tunnel,
        Err(denial) if matches!(reply, Opened::Begun(_)) => {
            return refuse(&shared.client, channel, &denial, false).await;
        }
        Err(denial) => return reply.reject(words::open_failure(&denial)).await,
    };
    let begun = reply.accept().await;
    let (mut read, write) = channel.split();
    let (mut receiver, sender) = tunnel.split();
    let client = ToClient { write, handle: shared.client.clone(), terminal: AtomicBool::new(false) };
    let program = Program {
        shared: &shared,
        id,
        client,
        sender: Mutex::new(Some(sender)),
        started: OnceLock::new(),
        files: OnceLock::new(),
        waits: Notify::new(),
        bytes_in: AtomicU64::new(0),
        bytes_out: AtomicU64::new(0),
    };
    let ended = tokio::select! {
        ended = program.up(begun, &mut read) => ended,
        ended = program.down(&mut receiver) => ended,
        () = shared.ending.cancelled() => Err(Ended::Session),
    };
    let (is_open, is_over) = (ended.is_err(), matches!(ended, Err(Ended::Session)));
    Box::pin(program.end(ended)).await;
    if is_over {
        // OpenSSH forgets what it has not shown yet when the end of the connection comes with it.
        let _ = timeout(FAREWELL, closed_by_client(&mut read)).await;
    }
    if is_open {
        // What the client has sent still goes to the target: the stream is not given up before it has ended there.
        drop(program.sender.lock().await.take());
        let _ = timeout(LAST_WORDS, ended_by_target(&mut receiver)).await;
    }
}

async fn closed_by_client(read: &mut ChannelReadHalf) {
    while !matches!(read.wait().await, None | Some(ChannelMsg::Close)) {}
}

async fn ended_by_target(receiver: &mut ChannelReceiver) {
    while let Ok(Received::Data(_) | Received::Ssh(_)) = receiver.receive().await {}
}

/// Tells a client why there is no session, on a channel of its own.
pub(super) async fn refuse(client: &Handle, channel: Channel<Msg>, why: &Denial, terminal: bool) {
    let (_, write) = channel.split();
    let client = ToClient { write, handle: client.clone(), terminal: AtomicBool::new(terminal) };
    let _ = timeout(LAST_WORDS, client.refused(why)).await;
}

/// Why a channel ends before the target has closed it.
enum Ended {
    /// The client closed it.
    Client,
    /// It is refused, and nothing else is.
    Refused(Denial),
    /// The session ends.
    Session,
}

struct Program<'a> {
    shared: &'a Shared,
    id: ChannelId,
    client: ToClient,
    sender: Mutex<Option<ChannelSender>>,
    /// What runs.
    started: OnceLock<Started>,
    /// Where it moves files.
    files: OnceLock<Files>,
    /// Told when it waits for somebody.
    waits: Notify,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// A program that was started, or refused.
struct Started {
    /// Whether what it writes is a protocol between two programs.
    exact: bool,
}

/// A terminal and variables, before there is a program that gets them.
#[derive(Default)]
struct Prepared {
    terminal: Option<Terminal>,
    environment: Vec<(Bytes, Bytes)>,
}

/// From the client to the target.
impl Program<'_> {
    async fn up(&self, begun: Vec<ChannelMsg>, read: &mut ChannelReadHalf) -> Result<ChannelEnd, Ended> {
        let (mut prepared, mut waiting) = (Prepared::default(), VecDeque::from(begun));
        loop {
            let message = match waiting.pop_front() {
                Some(message) => message,
                None => read.wait().await.ok_or(Ended::Client)?,
            };
            if !starts(&message) {
                self.take(&mut prepared, message).await?;
                continue;
            }
            // What the client says while somebody is asked is kept, but for its end.
            tokio::select! {
                biased;
                started = self.take(&mut prepared, message) => started?,
                ended = self.meanwhile(&mut waiting, read) => return Err(ended),
            }
        }
    }

    /// Keeps what the client says while its program waits, until it does not wait any longer. Cancel safe.
    async fn meanwhile(&self, waiting: &mut VecDeque<ChannelMsg>, read: &mut ChannelReadHalf) -> Ended {
        self.waits.notified().await;
        let mut kept = 0;
        loop {
            if kept >= KEPT || waiting.len() >= MOST_KEPT {
                // The client waits with what is more.
                std::future::pending::<()>().await;
            }
            let Some(message) = read.wait().await else { return Ended::Client };
            match &message {
                ChannelMsg::Close => return Ended::Client,
                ChannelMsg::Data { data } if self.client.is_terminal() && data.contains(&CTRL_C) => {
                    return self.enough();
                }
                ChannelMsg::Signal { signal: Sig::INT | Sig::TERM | Sig::HUP | Sig::QUIT | Sig::KILL } => {
                    return self.enough();
                }
                ChannelMsg::Data { data } => kept += data.len(),
                _ => {}
            }
            waiting.push_back(message);
        }
    }

    fn enough(&self) -> Ended {
        Ended::Refused(Denial::new("client", Code::Cancelled, "the program was not started: its user does not wait"))
    }

    /// What is rare, and takes much, is boxed: an idle channel has room for none of it.
    async fn take(&self, prepared: &mut Prepared, message: ChannelMsg) -> Result<(), Ended> {
        match message {
            ChannelMsg::Data { data } => self.input(data).await,
            ChannelMsg::Eof => self.say(ssh_message::Body::Eof(SshEof {})).await,
            ChannelMsg::Close => Err(Ended::Client),
            ChannelMsg::RequestPty { .. }
            | ChannelMsg::SetEnv { .. }
            | ChannelMsg::AgentForward { .. }
            | ChannelMsg::RequestX11 { .. } => Box::pin(self.prepare(prepared, message)).await,
            ChannelMsg::RequestShell { .. } => Box::pin(self.start(prepared, CommandKind::Shell, Bytes::new())).await,
            ChannelMsg::Exec { command, .. } => Box::pin(self.start(prepared, CommandKind::Exec, command.into())).await,
            ChannelMsg::RequestSubsystem { name, .. } => {
                Box::pin(self.start(prepared, CommandKind::Subsystem, name.into())).await
            }
            ChannelMsg::WindowChange { col_width, row_height, pix_width, pix_height } => {
                Box::pin(self.resize(prepared, col_width, row_height, pix_width, pix_height)).await
            }
            ChannelMsg::Signal { signal } => Box::pin(self.signal(&signal)).await,
            // The door has answered it already, or it says nothing to the target.
            _ => Ok(()),
        }
    }

    async fn prepare(&self, prepared: &mut Prepared, message: ChannelMsg) -> Result<(), Ended> {
        if self.started.get().is_some() {
            return Ok(());
        }
        match message {
            ChannelMsg::RequestPty { .. } if prepared.terminal.is_some() => {
                // OpenSSH's server ends the whole connection at a second one.
                let denial = Denial::new("gateway", Code::ProtocolViolation, "a channel has one terminal");
                Err(Ended::Refused(denial))
            }
            ChannelMsg::RequestPty { .. } if !self.shared.terminal => {
                let denial = Denial::new("gateway", Code::CommandDenied, "the certificate permits no terminal");
                Err(Ended::Refused(denial.hint("ask for none: ssh -T, or RequestTTY no")))
            }
            ChannelMsg::RequestPty { term, col_width, row_height, pix_width, pix_height, terminal_modes, .. } => {
                no_zeros("the name of a terminal", term.as_bytes()).map_err(Ended::Refused)?;
                let size = WindowSize { columns: col_width, rows: row_height };
                prepared.terminal = Some(Terminal { term: term.clone().into(), size });
                self.client.terminal.store(true, Ordering::Relaxed);
                let mode =
                    |(opcode, value): &(russh::Pty, u32)| SshTerminalMode { opcode: *opcode as u32, value: *value };
                self.say(ssh_message::Body::PtyReq(SshPtyReq {
                    term,
                    columns: col_width,
                    rows: row_height,
                    width_pixels: pix_width,
                    height_pixels: pix_height,
                    modes: terminal_modes.iter().map(mode).collect(),
                }))
                .await
            }
            ChannelMsg::SetEnv { variable_name: name, variable_value: value, .. } => {
                let small = name.len() + value.len() <= LONGEST_VARIABLE && prepared.environment.len() < MOST_VARIABLES;
                let is_text =
                    no_zeros("a variable", name.as_bytes()).and(no_zeros("a variable", value.as_bytes())).is_ok();
                if !small || !is_text || !self.shared.allow.allows_environment(&name) {
                    return Ok(());
                }
                prepared.environment.push((name.clone().into(), value.clone().into()));
                self.say(ssh_message::Body::Env(SshEnv { name, value })).await
            }
            ChannelMsg::AgentForward { .. } if self.shared.allow.agent_forwarding => {
                self.say(ssh_message::Body::AuthAgentReq(SshAuthAgentReq {})).await
            }
            ChannelMsg::RequestX11 {
                single_connection,
                x11_authentication_protocol: protocol,
                x11_authentication_cookie: cookie,
                x11_screen_number: screen,
                ..
            } if self.shared.allow.x11_forwarding => {
                let is_text = no_zeros("a cookie", protocol.as_bytes()).and(no_zeros("a cookie", cookie.as_bytes()));
                is_text.map_err(Ended::Refused)?;
                self.say(ssh_message::Body::X11Req(SshX11Req { single_connection, protocol, cookie, screen })).await
            }
            _ => Ok(()),
        }
    }

    /// A channel has one program.
    async fn start(&self, prepared: &mut Prepared, kind: CommandKind, text: Bytes) -> Result<(), Ended> {
        let Prepared { terminal, environment } = std::mem::take(prepared);
        let command = Command { channel: self.id, kind, text, terminal, environment };
        if self.started.set(Started { exact: files::is_exact(&command) }).is_err() {
            let denial = Denial::new("gateway", Code::ProtocolViolation, "a channel runs one program");
            return Err(Ended::Refused(denial));
        }
        // What the role does not allow is recorded as well.
        let allowed = self.allowed(&command);
        let command = match self.request(Interest::COMMANDS, Request::Command(command)).await? {
            Request::Command(command) => command,
            _ => return Err(self.fail(changed())),
        };
        allowed.map_err(Ended::Refused)?;
        if self.shared.chain.wants(Interest::FILES)
            && let Some(files) = Files::of(&command, self.id).map_err(Ended::Refused)?
        {
            let _ = self.files.set(files);
        }
        self.say(match kind {
            CommandKind::Shell => ssh_message::Body::Shell(SshShell {}),
            CommandKind::Exec => ssh_message::Body::Exec(SshExec { command: command.text }),
            CommandKind::Subsystem => {
                ssh_message::Body::Subsystem(SshSubsystem { name: String::from_utf8_lossy(&command.text).into_owned() })
            }
        })
        .await
    }

    fn allowed(&self, command: &Command) -> Result<(), Denial> {
        no_zeros("a command", &command.text)?;
        let allow = &self.shared.allow;
        let (allowed, what) = match command.kind {
            CommandKind::Shell => (allow.shell, "a shell".to_owned()),
            CommandKind::Exec => (allow.exec, "commands".to_owned()),
            CommandKind::Subsystem => {
                let name = String::from_utf8_lossy(&command.text);
                (allow.allows_subsystem(&name), format!("the subsystem {name}"))
            }
        };
        if allowed {
            return Ok(());
        }
        Err(Denial::new("gateway", Code::CommandDenied, format!("this role does not allow {what}"))
            .hint("ask an administrator for a role that does"))
    }

    async fn input(&self, bytes: Bytes) -> Result<(), Ended> {
        if self.started.get().is_none() {
            let denial = Denial::new("gateway", Code::ProtocolViolation, "input came before there was a program");
            return Err(Ended::Refused(denial));
        }
        self.bytes_in.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if let Some(files) = self.files.get() {
            return Box::pin(async { self.moved(files.client(bytes, &self.shared.chain).await).await }).await;
        }
        let input = Input { channel: self.id, bytes, terminal: self.client.is_terminal() };
        match self.request(Interest::INPUT, Request::Input(input)).await? {
            Request::Input(input) => self.data(input.bytes).await,
            _ => Err(self.fail(changed())),
        }
    }

    /// Passes on what was decoded.
    async fn moved(&self, moved: Result<Moved, Denial>) -> Result<(), Ended> {
        let Moved { to_target, to_client, .. } = moved.map_err(|denial| match denial.code.fault() {
            Fault::Gateway => self.fail(denial),
            Fault::Client | Fault::Policy | Fault::Target => Ended::Refused(denial),
        })?;
        for piece in to_target {
            self.data(piece).await?;
        }
        for piece in to_client {
            self.client.write(OutputStream::Stdout, piece).await?;
        }
        Ok(())
    }

    async fn resize(
        &self,
        prepared: &mut Prepared,
        columns: u32,
        rows: u32,
        width_pixels: u32,
        height_pixels: u32,
    ) -> Result<(), Ended> {
        let size = WindowSize { columns, rows };
        match &mut prepared.terminal {
            Some(terminal) => terminal.size = size,
            None => {
                let change = Request::WindowChange(WindowChange { channel: self.id, size });
                self.request(Interest::COMMANDS, change).await?;
            }
        }
        self.say(ssh_message::Body::WindowChange(SshWindowChange { columns, rows, width_pixels, height_pixels })).await
    }

    async fn signal(&self, signal: &Sig) -> Result<(), Ended> {
        let name = signal_name(signal);
        let request = Signal { channel: self.id, name: Bytes::copy_from_slice(name.as_bytes()) };
        self.request(Interest::COMMANDS, Request::Signal(request)).await?;
        self.say(ssh_message::Body::Signal(SshSignal { name: name.to_owned() })).await
    }

    /// Runs a request through the chain. A refusal by policy is that of this request; any other ends the session.
    async fn request(&self, kind: Interest, request: Request) -> Result<Request, Ended> {
        if !self.shared.chain.wants(kind) {
            return Ok(request);
        }
        let told = |text| {
            self.waits.notify_one();
            Box::pin(self.client.notice(text))
        };
        let asked = self.shared.chain.request(request, told).await;
        asked.map_err(|denial| self.refusal(denial))
    }

    fn refusal(&self, denial: Denial) -> Ended {
        match denial.code.fault() {
            Fault::Policy | Fault::Client => Ended::Refused(denial),
            Fault::Target | Fault::Gateway => self.fail(denial),
        }
    }

    fn fail(&self, denial: Denial) -> Ended {
        self.shared.fail(denial);
        Ended::Session
    }

    async fn data(&self, bytes: Bytes) -> Result<(), Ended> {
        self.send(carry_down::Body::Data(bytes)).await
    }

    async fn say(&self, body: ssh_message::Body) -> Result<(), Ended> {
        self.send(carry_down::Body::Ssh(SshMessage { body: Some(body) })).await
    }

    async fn send(&self, body: carry_down::Body) -> Result<(), Ended> {
        let mut sender = self.sender.lock().await;
        let Some(sender) = sender.as_mut() else { return Err(Ended::Client) };
        if sender.send(body).await.is_err() {
            // The other direction hears of the end, and of what was said last.
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// From the target to the client.
impl Program<'_> {
    async fn down(&self, receiver: &mut ChannelReceiver) -> Result<ChannelEnd, Ended> {
        let mut end = ChannelEnd::Closed;
        let (mut held_back, mut eof) = (false, false);
        loop {
            // There is no timer where nothing waits for one.
            let waits = if held_back { Some(FLUSH_AFTER) } else { eof.then_some(EOF_AFTER) };
            let received = match waits {
                None => Ok(receiver.receive().await),
                Some(waits) => timeout(waits, receiver.receive()).await,
            };
            let received = match received {
                Ok(received) => received,
                Err(_) if held_back => {
                    Box::pin(self.flush()).await?;
                    held_back = false;
                    continue;
                }
                Err(_) => {
                    self.client.eof().await?;
                    eof = false;
                    continue;
                }
            };
            match received {
                Ok(Received::Data(bytes)) => held_back = self.output(OutputStream::Stdout, bytes).await?,
                Ok(Received::Ssh(ssh_message::Body::ExtendedData(data))) => {
                    held_back = self.output(OutputStream::Stderr, data.data).await?;
                }
                Ok(Received::Ssh(ssh_message::Body::Eof(_))) => {
                    Box::pin(self.flush()).await?;
                    (held_back, eof) = (false, true);
                }
                Ok(Received::Ssh(message)) => Box::pin(self.on_message(message, &mut end)).await?,
                Ok(Received::Closed) => {
                    Box::pin(self.flush()).await?;
                    // A program ends with a status. One that does not may be the first to hear that the connection is gone.
                    if matches!(end, ChannelEnd::Closed)
                        && timeout(NO_STATUS, self.shared.ending.cancelled()).await.is_ok()
                    {
                        return Err(Ended::Session);
                    }
                    return Ok(end);
                }
                Ok(Received::Http(_)) => return Err(self.fail(self.shared.violation())),
                Err(denial) => return Err(self.fail(denial)),
            }
        }
    }

    async fn on_message(&self, message: ssh_message::Body, end: &mut ChannelEnd) -> Result<(), Ended> {
        match message {
            ssh_message::Body::ExitStatus(exit) => {
                *end = ChannelEnd::ExitStatus(exit.status);
                Ok(())
            }
            ssh_message::Body::ExitSignal(SshExitSignal { name, core_dumped, message, .. }) => {
                *end = ChannelEnd::ExitSignal { name: name.into(), core_dumped, message: message.into() };
                Ok(())
            }
            // The client was told so when it asked; what the target does not do is said below.
            ssh_message::Body::Success(_) => Ok(()),
            ssh_message::Body::Failure(_) if self.started.get().is_none() => Ok(()),
            ssh_message::Body::Failure(_) => Err(Ended::Refused(
                Denial::new("target", Code::TargetUnavailable, "the SSH server does not start the program")
                    .hint("look into the server's log, or try another command"),
            )),
            _ => Err(self.fail(self.shared.violation())),
        }
    }

    /// Whether something is kept back of it.
    async fn output(&self, stream: OutputStream, bytes: Bytes) -> Result<bool, Ended> {
        self.bytes_out.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if let (OutputStream::Stdout, Some(files)) = (stream, self.files.get()) {
            let moved = Box::pin(async { self.moved(files.target(bytes, &self.shared.chain).await).await });
            return moved.await.map(|()| false);
        }
        if !self.shared.chain.wants(Interest::OUTPUT) {
            self.client.write(stream, bytes).await?;
            return Ok(false);
        }
        let terminal = self.client.is_terminal();
        let exact = self.started.get().is_some_and(|started| started.exact);
        let output = Output { channel: self.id, stream, bytes, terminal, exact, held_back: false };
        let response = self.shared.chain.response(Response::Output(output)).await;
        self.show(response.map_err(|denial| self.fail(denial))?).await
    }

    async fn flush(&self) -> Result<(), Ended> {
        let flushed = self.shared.chain.flush(self.id).await.map_err(|denial| self.fail(denial))?;
        for response in flushed {
            self.show(response).await?;
        }
        Ok(())
    }

    async fn show(&self, response: Response) -> Result<bool, Ended> {
        let Response::Output(Output { stream, bytes, held_back, .. }) = response else {
            return Err(self.fail(changed()));
        };
        if !bytes.is_empty() {
            self.client.write(stream, bytes).await?;
        }
        Ok(held_back)
    }
}

/// The end.
impl Program<'_> {
    async fn end(&self, ended: Result<ChannelEnd, Ended>) {
        let end = match &ended {
            Ok(end) => end.clone(),
            Err(Ended::Refused(denial)) => ChannelEnd::Refused(denial.clone()),
            Err(Ended::Client | Ended::Session) => ChannelEnd::Closed,
        };
        let recorded = self.closed(end).await;
        let told = async {
            match (recorded, ended) {
                // In a strict session the end is shown when it is on disk.
                (Err(denial), _) => self.client.refused(&denial).await,
                (Ok(()), Ok(end)) => self.client.ended(end).await,
                (Ok(()), Err(Ended::Refused(denial))) => self.client.not_run(&denial).await,
                (Ok(()), Err(Ended::Client)) => self.client.close().await,
                (Ok(()), Err(Ended::Session)) => match self.shared.why() {
                    Some(why) => self.client.refused(why).await,
                    None => self.client.close().await,
                },
            }
        };
        let _ = timeout(LAST_WORDS, told).await;
    }

    async fn closed(&self, end: ChannelEnd) -> Result<(), Denial> {
        if let Some(files) = self.files.get() {
            files.close(&self.shared.chain).await.inspect_err(|denial| self.shared.fail(denial.clone()))?;
        }
        if !self.shared.chain.wants(Interest::COMMANDS) {
            return Ok(());
        }
        let (bytes_in, bytes_out) = (self.bytes_in.load(Ordering::Relaxed), self.bytes_out.load(Ordering::Relaxed));
        let closed = ChannelClosed { channel: self.id, end, bytes_in, bytes_out };
        let recorded = self.shared.chain.response(Response::ChannelClosed(closed)).await;
        recorded.map(drop).inspect_err(|denial| self.shared.fail(denial.clone()))
    }
}

/// The client's end of a channel.
struct ToClient {
    write: ChannelWriteHalf<Msg>,
    handle: Handle,
    terminal: AtomicBool,
}

impl ToClient {
    fn is_terminal(&self) -> bool {
        self.terminal.load(Ordering::Relaxed)
    }

    async fn write(&self, stream: OutputStream, bytes: Bytes) -> Result<(), Ended> {
        let written = match stream {
            OutputStream::Stdout => self.write.data_bytes(bytes).await,
            OutputStream::Stderr => self.write.extended_data_bytes(STDERR, bytes).await,
        };
        written.map_err(|_| Ended::Client)
    }

    async fn err(&self, bytes: Bytes) -> Result<(), Ended> {
        self.write(OutputStream::Stderr, bytes).await
    }

    async fn notice(&self, text: String) {
        let _ = self.err(words::notice(&text, self.is_terminal())).await;
    }

    async fn eof(&self) -> Result<(), Ended> {
        self.write.eof().await.map_err(|_| Ended::Client)
    }

    async fn refused(&self, why: &Denial) {
        self.told(why, words::exit_status(why)).await;
    }

    /// This is refused, and the session goes on.
    async fn not_run(&self, why: &Denial) {
        self.told(why, words::refused_status(why)).await;
    }

    async fn told(&self, why: &Denial, status: u32) {
        let _ = self.err(words(why, self.is_terminal())).await;
        self.ended(ChannelEnd::ExitStatus(status)).await;
    }

    async fn ended(&self, end: ChannelEnd) {
        let id = self.write.id();
        let _ = match end {
            ChannelEnd::ExitStatus(status) => self.handle.exit_status_request(id, status).await,
            ChannelEnd::ExitSignal { name, core_dumped, message } => {
                let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
                let signal = Sig::Custom(text(&name));
                self.handle.exit_signal_request(id, signal, core_dumped, text(&message), String::new()).await
            }
            ChannelEnd::Refused(_) | ChannelEnd::Answered(_) | ChannelEnd::Closed => Ok(()),
        };
        self.close().await;
    }

    async fn close(&self) {
        let _ = self.write.close().await;
    }
}

const fn starts(message: &ChannelMsg) -> bool {
    matches!(message, ChannelMsg::RequestShell { .. } | ChannelMsg::Exec { .. } | ChannelMsg::RequestSubsystem { .. })
}

fn signal_name(signal: &Sig) -> &str {
    match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => name,
    }
}

/// A plugin made something else of a request or a response.
fn changed() -> Denial {
    Denial::new("gateway", Code::PluginFailed, "a plugin changed a message into one of another kind")
}
