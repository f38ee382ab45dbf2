//! What a session does beside statements: programs that run on a machine, what goes in and comes out of them, the
//! connections that are forwarded, and the files that are moved. The words are those of SSH ([RFC 4254]); whatever runs a
//! terminal or a program uses them.
//!
//! [RFC 4254]: https://www.rfc-editor.org/rfc/rfc4254

use std::fmt;

use bytes::Bytes;

use crate::error::Denial;

/// Numbers the channels of a session, from 1 on. Channels run side by side; what happens on one comes in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ChannelId(pub u32);

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A program that is to be started.
#[derive(Debug, Clone)]
pub struct Command {
    /// Where. A channel has one program.
    pub channel: ChannelId,
    /// What kind of program.
    pub kind: CommandKind,
    /// The command for a shell to run, or the name of the subsystem; empty for a shell.
    pub text: Bytes,
    /// The terminal that it gets, where it gets one.
    pub terminal: Option<Terminal>,
    /// The variables that it gets from the client, beside the machine's own.
    pub environment: Vec<(Bytes, Bytes)>,
}

/// The kind of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandKind {
    /// The user's shell, in which anything may be typed.
    Shell,
    /// A command that the user's shell runs.
    Exec,
    /// A subsystem, such as `sftp`.
    Subsystem,
}

impl CommandKind {
    /// The name as recordings spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Exec => "exec",
            Self::Subsystem => "subsystem",
        }
    }
}

/// A terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// Its type, as in the variable `TERM`.
    pub term: Bytes,
    /// Its size.
    pub size: WindowSize,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WindowSize {
    /// Characters in a row.
    pub columns: u32,
    /// Rows.
    pub rows: u32,
}

/// A terminal has another size now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowChange {
    /// Where.
    pub channel: ChannelId,
    /// The size.
    pub size: WindowSize,
}

/// A signal for a program.
#[derive(Debug, Clone)]
pub struct Signal {
    /// Where.
    pub channel: ChannelId,
    /// Its name, without `SIG`.
    pub name: Bytes,
}

/// What a program reads.
#[derive(Debug, Clone)]
pub struct Input {
    /// Where.
    pub channel: ChannelId,
    /// The bytes. Where one piece ends means nothing.
    pub bytes: Bytes,
    /// Whether it is typed on a terminal.
    pub terminal: bool,
}

/// What a program writes.
#[derive(Debug, Clone)]
pub struct Output {
    /// Where.
    pub channel: ChannelId,
    /// As what.
    pub stream: OutputStream,
    /// The bytes. Where one piece ends means nothing.
    pub bytes: Bytes,
    /// Whether it is written on a terminal.
    pub terminal: bool,
    /// Whether it is a protocol between two programs that move files, as of rsync and git: nothing of it can be replaced.
    pub exact: bool,
    /// Set by a plugin that keeps a tail back, because it could be the beginning of something: who moves the bytes asks for
    /// it a few milliseconds later when nothing more came ([`SessionPlugin::on_flush`](crate::SessionPlugin::on_flush)).
    pub held_back: bool,
}

/// What a program writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Its standard output; with a terminal, everything.
    Stdout,
    /// Its standard error.
    Stderr,
}

impl OutputStream {
    /// The name as recordings spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A connection that is to be forwarded. Its bytes are not looked at; how many there were is told at its end.
#[derive(Debug, Clone)]
pub struct Forward {
    /// Where.
    pub channel: ChannelId,
    /// Which way.
    pub kind: ForwardKind,
    /// The host, or the path of a socket.
    pub host: Bytes,
    /// The port; 0 for a socket.
    pub port: u32,
    /// Who connects, as whoever accepted the connection says.
    pub originator: Bytes,
}

/// Which way a connection is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForwardKind {
    /// From the client to an address, as seen from the target.
    DirectTcpip,
    /// From the client to a socket on the target.
    DirectStreamlocal,
    /// From an address that the target listens on to the client. Asked once when it is to listen, on channel 0, and for each
    /// connection.
    ForwardedTcpip,
    /// From a socket that the target listens on to the client. Asked as `ForwardedTcpip` is.
    ForwardedStreamlocal,
    /// From the target to the client's SSH agent.
    Agent,
    /// From a program on the target to the client's display.
    X11,
}

impl ForwardKind {
    /// The name as RFC 4254 and OpenSSH spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DirectTcpip => "direct-tcpip",
            Self::DirectStreamlocal => "direct-streamlocal@openssh.com",
            Self::ForwardedTcpip => "forwarded-tcpip",
            Self::ForwardedStreamlocal => "forwarded-streamlocal@openssh.com",
            Self::Agent => "auth-agent@openssh.com",
            Self::X11 => "x11",
        }
    }
}

/// A channel has ended.
#[derive(Debug, Clone)]
pub struct ChannelClosed {
    /// Which.
    pub channel: ChannelId,
    /// How.
    pub end: ChannelEnd,
    /// Bytes that went to the target.
    pub bytes_in: u64,
    /// Bytes that came from it.
    pub bytes_out: u64,
}

/// How a channel ended.
#[derive(Debug, Clone)]
pub enum ChannelEnd {
    /// The program ended with this status.
    ExitStatus(u32),
    /// The program was ended by a signal.
    ExitSignal {
        /// Its name, without `SIG`.
        name: Bytes,
        /// Whether it left a core.
        core_dumped: bool,
        /// What the target says of it.
        message: Bytes,
    },
    /// It was refused: by a plugin, by the role, or by the target.
    Refused(Denial),
    /// An exchange whose response went to the client as a whole, with this status.
    Answered(http::StatusCode),
    /// Without a word: a forwarded connection, a client that went away.
    Closed,
}

/// Something that is done with files.
#[derive(Debug, Clone)]
pub struct FileOperation {
    /// Where.
    pub channel: ChannelId,
    /// Its number on the channel, from 1 on.
    pub id: u64,
    /// What.
    pub kind: FileKind,
    /// The path, as the client gives it. Of a link it is where that leads.
    pub path: Bytes,
    /// The other path, of a rename or a link. With `scp`, where a file goes or a folder is made if `path` is a folder: which
    /// of both it is, only the target knows.
    pub to: Option<Bytes>,
}

/// What is done with files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// It is read: a download.
    Read,
    /// It is written: an upload.
    Write,
    /// It is read and written.
    ReadWrite,
    /// A folder is listed.
    List,
    /// It is removed.
    Remove,
    /// A folder is made.
    MakeDirectory,
    /// A folder is removed.
    RemoveDirectory,
    /// It gets another name.
    Rename,
    /// A link to it is made.
    Link,
    /// Its owner, permissions or times are changed.
    SetAttributes,
}

impl FileKind {
    /// The name as recordings spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::ReadWrite => "read-write",
            Self::List => "list",
            Self::Remove => "remove",
            Self::MakeDirectory => "make-directory",
            Self::RemoveDirectory => "remove-directory",
            Self::Rename => "rename",
            Self::Link => "link",
            Self::SetAttributes => "set-attributes",
        }
    }
}

/// Bytes of an open file on their way, to keep and not to change.
#[derive(Debug, Clone)]
pub struct FileBytes {
    /// Where.
    pub channel: ChannelId,
    /// Which operation.
    pub id: u64,
    /// Their place in the file.
    pub offset: u64,
    /// The bytes. Where one piece ends means nothing.
    pub bytes: Bytes,
}

/// The end of something that was done with files.
#[derive(Debug, Clone)]
pub struct FileDone {
    /// Where.
    pub channel: ChannelId,
    /// Which.
    pub id: u64,
    /// Bytes that were read from the file.
    pub bytes_read: u64,
    /// Bytes that were written to it.
    pub bytes_written: u64,
    /// SHA-256 of the bytes in their order, where they were moved from the beginning to the end without a gap.
    pub sha256: Option<[u8; 32]>,
    /// What the target says, where it did not work.
    pub error: Option<Bytes>,
    /// The refusal, where it was refused.
    pub denial: Option<Denial>,
}
