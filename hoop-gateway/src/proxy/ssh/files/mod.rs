//! Channels that move files: SFTP, and `scp` as it was before. What is done with files is decoded, so that the chain sees it
//! before the target does; the bytes of files pass as they come.
//!
//! What cannot be decoded ends its channel: nobody can record what nobody can read.

mod operation;
mod scp;
mod sftp;
#[cfg(test)]
mod tests;
mod transfer;

use bytes::Bytes;
use hoop_core::{ChannelId, Code, Command, CommandKind, Denial};
use hoop_proto::ssh::{scp::Command as ScpCommand, shell};

use crate::proxy::chain::SharedChain;

/// The relay of one channel that moves files. Each direction is one task's; they may run side by side.
pub(crate) struct Files(Protocol);

enum Protocol {
    Sftp(sftp::Sftp),
    Scp(scp::Scp),
}

/// What goes on, in order. Each end is written to by one direction at a time: with SFTP only ever by the other end's, with
/// `scp` because each waits for the other.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    /// To the target.
    pub(crate) to_target: Vec<Bytes>,
    /// To the client.
    pub(crate) to_client: Vec<Bytes>,
    /// Bytes of files among them, of which the chain has not heard yet.
    pieces: Vec<Piece>,
}

/// Bytes of an open file.
#[derive(Debug)]
struct Piece {
    operation: u64,
    written: bool,
    offset: u64,
    bytes: Bytes,
}

impl Files {
    /// For the subsystem `sftp`, and for a command that is surely `scp` or `sftp-server`. `None` where the channel is that of
    /// an ordinary program.
    ///
    /// # Errors
    /// The refusal of one of these in a form that is not decoded: beside other commands or a redirection, with options that no
    /// client gives, or on a terminal. A client chooses what a terminal does to bytes: to none of them, and files move as well as
    /// without; to some, and what is read here is not what the other end reads.
    pub(crate) fn of(command: &Command, channel: ChannelId) -> Result<Option<Self>, Denial> {
        let protocol = match command.kind {
            CommandKind::Subsystem if command.text == "sftp" => Protocol::Sftp(sftp::Sftp::new(channel)),
            CommandKind::Exec if is_sftp_server(&command.text) => Protocol::Sftp(sftp::Sftp::new(channel)),
            CommandKind::Exec => match ScpCommand::parse(&command.text) {
                Some(command) => Protocol::Scp(scp::Scp::new(command, channel)),
                None if moves_files(&command.text) => {
                    let reason =
                        "scp and sftp-server are run alone, and as clients start them, or their files are not seen";
                    return Err(Denial::new("gateway", Code::CommandDenied, reason)
                        .hint("write the path out, without other commands, redirections and options beside it"));
                }
                None => return Ok(None),
            },
            CommandKind::Shell | CommandKind::Subsystem => return Ok(None),
        };
        if command.terminal.is_some() {
            return Err(Denial::new("gateway", Code::CommandDenied, "no files are moved on a terminal")
                .hint("ask for none: ssh -T, or RequestTTY no"));
        }
        Ok(Some(Self(protocol)))
    }

    /// What the client sent: gives what goes on to the target, and what the client is answered at once.
    ///
    /// # Errors
    /// The refusal that ends the channel; [`close`](Self::close) comes after it all the same.
    pub(crate) async fn client(&self, bytes: Bytes, chain: &SharedChain) -> Result<Moved, Denial> {
        match &self.0 {
            Protocol::Sftp(sftp) => sftp.client(bytes, chain).await,
            Protocol::Scp(scp) => scp.client(bytes, chain).await,
        }
    }

    /// What the target sent: gives what goes on to the client, and what the target is answered at once.
    ///
    /// # Errors
    /// As [`client`](Self::client).
    pub(crate) async fn target(&self, bytes: Bytes, chain: &SharedChain) -> Result<Moved, Denial> {
        match &self.0 {
            Protocol::Sftp(sftp) => sftp.target(bytes, chain).await,
            Protocol::Scp(scp) => scp.target(bytes, chain).await,
        }
    }

    /// The channel ends: what is not done is told to be over, with what was moved so far.
    ///
    /// # Errors
    /// The refusal, where that could not be recorded.
    pub(crate) async fn close(&self, chain: &SharedChain) -> Result<(), Denial> {
        let left = match &self.0 {
            Protocol::Sftp(sftp) => sftp.close(),
            Protocol::Scp(scp) => scp.close(),
        };
        operation::tell(chain, left).await
    }
}

/// Whether a command is surely one with which another program moves files, in a protocol of their own that is not decoded:
/// rsync and git.
pub(super) fn is_exact(command: &Command) -> bool {
    if command.kind != CommandKind::Exec || command.terminal.is_some() {
        return false;
    }
    let Some(words) = shell::only_command(&command.text) else { return false };
    let words: Vec<_> = words.iter().map(shell::Word::literal).collect();
    let word = |at: usize| words.get(at).and_then(Option::as_deref);
    match word(0) {
        Some(b"rsync") => word(1) == Some(b"--server"),
        Some(b"git-upload-pack" | b"git-receive-pack" | b"git-upload-archive") => true,
        Some(b"git") => matches!(word(1), Some(b"upload-pack" | b"receive-pack" | b"upload-archive")),
        _ => false,
    }
}

/// Whether a command is a server of SFTP, and nothing else.
fn is_sftp_server(text: &[u8]) -> bool {
    shell::only_command(text)
        .is_some_and(|words| serves_sftp(&words) && words.iter().all(|word| word.literal().is_some()))
}

/// Whether a program is a server of SFTP, wherever it lies.
fn serves_sftp(words: &[shell::Word]) -> bool {
    let words: Vec<_> = words.iter().map(|word| word.literal().unwrap_or_default()).collect();
    let Some((program, options)) = words.split_first() else { return false };
    // `-Q` prints what the server can, and `-h` how it is called.
    let serves = !options.iter().any(|option| option.starts_with(b"-Q") || option.starts_with(b"-h"));
    serves && program.rsplit(|byte| *byte == b'/').next() == Some(b"sftp-server")
}

/// Whether any program of a command surely moves files.
fn moves_files(text: &[u8]) -> bool {
    shell::commands(text).into_iter().flatten().any(|command| match command {
        shell::Command::Simple(simple) => ScpCommand::is_end(&simple.words) || serves_sftp(&simple.words),
        shell::Command::Redirect(..) => false,
    })
}

/// The client sent something that it should not have.
fn violation(what: impl std::fmt::Display) -> Denial {
    Denial::new(
        "gateway",
        Code::ProtocolViolation,
        format!("the client does not keep to the protocol of files: {what}"),
    )
}

/// The target sent something that nobody expects, or that cannot be read.
fn lost(what: impl std::fmt::Display) -> Denial {
    Denial::new("gateway", Code::TargetLost, format!("the target does not keep to the protocol of files: {what}"))
}
