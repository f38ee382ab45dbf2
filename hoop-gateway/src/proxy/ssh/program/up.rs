//! From the client to the target.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use hoop_core::{
    ChannelEnd, Code, Command, CommandKind, Denial, Fault, Input, Interest, Request, Signal, Terminal, WindowChange,
    WindowSize,
};
use hoop_proto::tunnel::v1::{
    SshAuthAgentReq, SshEnv, SshEof, SshExec, SshMessage, SshPtyReq, SshShell, SshSignal, SshSubsystem,
    SshTerminalMode, SshWindowChange, SshX11Req, carry_down, ssh_message,
};
use russh::{ChannelMsg, ChannelReadHalf, Sig};

use super::{Ended, Program, Started, changed};
use crate::proxy::ssh::files::{self, Files};
use crate::proxy::ssh::words::no_zeros;

/// Most that is kept of what a client sends, in bytes and in messages, while its program waits for somebody's agreement.
const KEPT: usize = 256 << 10;
const MOST_KEPT: usize = 256;
/// What a terminal sends for Ctrl-C.
const CTRL_C: u8 = 0x03;
/// Most variables of one program, and their longest name and value together, in bytes.
const MOST_VARIABLES: usize = 64;
const LONGEST_VARIABLE: usize = 8 << 10;

/// A terminal and variables, before there is a program that gets them.
#[derive(Default)]
struct Prepared {
    terminal: Option<Terminal>,
    environment: Vec<(Bytes, Bytes)>,
}

impl Program<'_> {
    pub(super) async fn up(&self, begun: Vec<ChannelMsg>, read: &mut ChannelReadHalf) -> Result<ChannelEnd, Ended> {
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

    /// What takes much room is boxed, an input too: an idle channel has none of it, and a piece of memory is little beside the encryption.
    async fn take(&self, prepared: &mut Prepared, message: ChannelMsg) -> Result<(), Ended> {
        match message {
            ChannelMsg::Data { data } => Box::pin(self.input(data)).await,
            ChannelMsg::Eof => Box::pin(self.say(ssh_message::Body::Eof(SshEof {}))).await,
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
                self.client.has_terminal();
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

    pub(super) async fn data(&self, bytes: Bytes) -> Result<(), Ended> {
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
