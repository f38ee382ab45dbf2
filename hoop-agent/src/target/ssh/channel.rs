//! A channel: what is said on it goes up to the gateway and down to the server, each in its order.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt as _};
use hoop_core::Code;
use hoop_proto::tunnel::v1::{
    Closed, SshEof, SshExitSignal, SshExitStatus, SshExtendedData, SshFailure, SshMessage, SshSuccess, carry_down,
    carry_up, ssh_message,
};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Pty, Sig};
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::transport::Busy;
use crate::error::TargetFailure;
use crate::target::{Ended, Sink};

/// The number of the standard error (RFC 4254 section 5.2).
const STDERR: u32 = 1;

/// Both directions of a channel. It has its place on the transport until both have ended.
pub(super) fn halves(
    channel: Channel<Msg>,
    busy: Busy,
    connection: Arc<Connection>,
) -> (BoxStream<'static, carry_up::Body>, Down) {
    let (read, write) = channel.split();
    let (closed, busy) = (CancellationToken::new(), Arc::new(busy));
    let up = Up { read, closed: closed.clone(), ended: false, _busy: Arc::clone(&busy) };
    let up = stream::unfold(up, |mut up| async move { Some((up.next().await?, up)) }).boxed();
    (up, Down::Channel(Box::new(Writer { write, closed, connection, _busy: busy })))
}

struct Up {
    read: ChannelReadHalf,
    /// Cancelled when the server has closed the channel: then nothing more is written to it.
    closed: CancellationToken,
    ended: bool,
    _busy: Arc<Busy>,
}

impl Up {
    async fn next(&mut self) -> Option<carry_up::Body> {
        while !self.ended {
            let body = match self.read.wait().await {
                Some(ChannelMsg::Data { data }) => return Some(carry_up::Body::Data(data)),
                Some(ChannelMsg::Close) => return Some(self.end(None)),
                None => return Some(self.end(Some(lost()))),
                Some(message) => said(message),
            };
            if let Some(body) = body {
                return Some(carry_up::Body::Ssh(SshMessage { body: Some(body) }));
            }
        }
        None
    }

    fn end(&mut self, failure: Option<TargetFailure>) -> carry_up::Body {
        self.ended = true;
        self.closed.cancel();
        carry_up::Body::Closed(Closed { failure: failure.map(TargetFailure::into_wire) })
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

fn lost() -> TargetFailure {
    TargetFailure::new(Code::TargetLost, "the SSH server ended the connection")
}

/// What a server says beside data; what has no meaning for a client of a program is left out.
fn said(message: ChannelMsg) -> Option<ssh_message::Body> {
    Some(match message {
        ChannelMsg::ExtendedData { data, ext: STDERR } => {
            ssh_message::Body::ExtendedData(SshExtendedData { data_type: STDERR, data })
        }
        ChannelMsg::Eof => ssh_message::Body::Eof(SshEof {}),
        ChannelMsg::Success => ssh_message::Body::Success(SshSuccess {}),
        ChannelMsg::Failure => ssh_message::Body::Failure(SshFailure {}),
        ChannelMsg::ExitStatus { exit_status } => ssh_message::Body::ExitStatus(SshExitStatus { status: exit_status }),
        ChannelMsg::ExitSignal { signal_name, core_dumped, error_message, lang_tag } => {
            ssh_message::Body::ExitSignal(SshExitSignal {
                name: signal_name_of(&signal_name).to_owned(),
                core_dumped,
                message: error_message,
                language: lang_tag,
            })
        }
        _ => return None,
    })
}

/// What goes down to a server.
pub(crate) enum Down {
    /// On a connection.
    Connection(Arc<Connection>),
    /// On a channel.
    Channel(Box<Writer>),
}

/// The way to a server on one channel.
pub(crate) struct Writer {
    write: ChannelWriteHalf<Msg>,
    closed: CancellationToken,
    connection: Arc<Connection>,
    _busy: Arc<Busy>,
}

impl Sink for Down {
    /// What takes much room is boxed, data too: an idle channel has none of it, and a piece of memory is little beside the encryption.
    async fn take(&mut self, body: carry_down::Body) -> Result<(), Ended> {
        match (self, body) {
            (Self::Connection(connection), carry_down::Body::Ssh(SshMessage { body: Some(body) })) => {
                Box::pin(connection.take(body)).await;
                Ok(())
            }
            (Self::Connection(_), _)
            | (_, carry_down::Body::Ssh(SshMessage { body: None }) | carry_down::Body::Http(_)) => Ok(()),
            (Self::Channel(writer), carry_down::Body::Data(data)) => {
                tokio::select! {
                    written = Box::pin(writer.write.data_bytes(data)) => written.map_err(|_| Ended),
                    () = writer.closed.cancelled() => Err(Ended),
                }
            }
            (Self::Channel(writer), carry_down::Body::Ssh(SshMessage { body: Some(body) })) => {
                Box::pin(writer.say(body)).await
            }
        }
    }

    async fn end(&mut self) {
        match self {
            Self::Connection(connection) => connection.end().await,
            Self::Channel(writer) => drop(writer.write.close().await),
        }
    }
}

impl Writer {
    async fn say(&self, body: ssh_message::Body) -> Result<(), Ended> {
        let write = &self.write;
        let said = match body {
            ssh_message::Body::Eof(_) => write.eof().await,
            ssh_message::Body::PtyReq(pty) => {
                let mode = |mode: &hoop_proto::tunnel::v1::SshTerminalMode| {
                    Some((Pty::from_u8(u8::try_from(mode.opcode).ok()?)?, mode.value))
                };
                let modes: Vec<_> = pty.modes.iter().filter_map(mode).collect();
                let (width, height) = (pty.width_pixels, pty.height_pixels);
                write.request_pty(true, &pty.term, pty.columns, pty.rows, width, height, &modes).await
            }
            // What the server does not do of these changes nothing about the program: an answer would be taken for the program's.
            ssh_message::Body::Env(env) => write.set_env(false, env.name, env.value).await,
            ssh_message::Body::Shell(_) => write.request_shell(true).await,
            ssh_message::Body::Exec(exec) => write.exec(true, exec.command).await,
            ssh_message::Body::Subsystem(subsystem) => write.request_subsystem(true, subsystem.name).await,
            ssh_message::Body::AuthAgentReq(_) => {
                self.connection.lend_agent();
                write.agent_forward(false).await
            }
            ssh_message::Body::X11Req(x11) => {
                self.connection.lend_display();
                write.request_x11(false, x11.single_connection, x11.protocol, x11.cookie, x11.screen).await
            }
            ssh_message::Body::WindowChange(w) => {
                write.window_change(w.columns, w.rows, w.width_pixels, w.height_pixels).await
            }
            ssh_message::Body::Signal(signal) => write.signal(signal_named(&signal.name)).await,
            _ => Ok(()),
        };
        said.map_err(|_| Ended)
    }
}

fn signal_named(name: &str) -> Sig {
    match name {
        "ABRT" => Sig::ABRT,
        "ALRM" => Sig::ALRM,
        "FPE" => Sig::FPE,
        "HUP" => Sig::HUP,
        "ILL" => Sig::ILL,
        "INT" => Sig::INT,
        "KILL" => Sig::KILL,
        "PIPE" => Sig::PIPE,
        "QUIT" => Sig::QUIT,
        "SEGV" => Sig::SEGV,
        "TERM" => Sig::TERM,
        "USR1" => Sig::USR1,
        other => Sig::Custom(other.to_owned()),
    }
}

fn signal_name_of(signal: &Sig) -> &str {
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
