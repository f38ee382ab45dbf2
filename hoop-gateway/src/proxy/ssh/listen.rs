//! Where the target listens for a client: `ssh -R`.

use hoop_core::{Code, Denial, ForwardKind, SshAllow};
use hoop_proto::tunnel::v1::{SshStreamlocalForward, SshTcpipForward, ssh_message};
use tokio::sync::oneshot;

use super::forward;
use super::words::no_zeros;

/// Who is told whether the target listens.
pub(crate) enum Answer {
    /// The client, which waits and says nothing else meanwhile. Dropped, it is refused.
    Owed(oneshot::Sender<Option<u32>>),
    /// The client has been told that it does: its session could not be opened yet, and everything else of it would have waited.
    Promised,
}

impl Answer {
    /// Whether the client has given up waiting: it takes it for refused.
    pub(super) fn is_late(&self) -> bool {
        matches!(self, Self::Owed(answer) if answer.is_closed())
    }

    /// The target listens on this port; gives whether that is too late.
    pub(crate) fn tell(self, port: u32) -> bool {
        match self {
            Self::Owed(answer) => answer.send(Some(port)).is_err(),
            Self::Promised => false,
        }
    }
}

/// Where the target is to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    /// On an address.
    Tcpip { host: String, port: u32 },
    /// On a socket.
    Streamlocal { path: String },
}

impl Listen {
    /// The host or the path, as the client says it.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Tcpip { host, .. } => host,
            Self::Streamlocal { path } => path,
        }
    }

    pub(super) const fn kind(&self) -> ForwardKind {
        match self {
            Self::Tcpip { .. } => ForwardKind::ForwardedTcpip,
            Self::Streamlocal { .. } => ForwardKind::ForwardedStreamlocal,
        }
    }

    /// Its port; 0 for a socket.
    pub(crate) const fn port(&self) -> u32 {
        match self {
            Self::Tcpip { port, .. } => *port,
            Self::Streamlocal { .. } => 0,
        }
    }

    /// Whether the role allows it.
    ///
    /// # Errors
    /// [`Code::ChannelDenied`], or [`Code::ProtocolViolation`] for what is no address.
    pub(crate) fn allowed(&self, allow: &SshAllow) -> Result<(), Denial> {
        no_zeros("an address", self.text().as_bytes())?;
        let allowed = match self {
            Self::Tcpip { port, .. } => allow.allows_tcpip_forward(self.named(), *port),
            Self::Streamlocal { path } => allow.allows_streamlocal_forward(path),
        };
        if allowed { Ok(()) } else { Err(forward::not_allowed(self.kind(), &self.shown())) }
    }

    /// The host or the path; `*` for what OpenSSH's client sends for `-R 8080:…`, where no address is named.
    fn named(&self) -> &str {
        if self.text().is_empty() { "*" } else { self.text() }
    }

    fn shown(&self) -> String {
        match self {
            Self::Tcpip { port, .. } => format!("{}:{port}", self.named()),
            Self::Streamlocal { path } => path.clone(),
        }
    }

    /// The port that the server chooses is asked for.
    pub(crate) const fn is_any(&self) -> bool {
        matches!(self, Self::Tcpip { port: 0, .. })
    }

    /// The same on this port, which the server has chosen.
    pub(super) fn on(self, port: u32) -> Self {
        match self {
            Self::Tcpip { host, .. } => Self::Tcpip { host, port },
            socket @ Self::Streamlocal { .. } => socket,
        }
    }

    pub(super) fn request(self) -> ssh_message::Body {
        match self {
            Self::Tcpip { host, port } => ssh_message::Body::TcpipForward(SshTcpipForward { host, port }),
            Self::Streamlocal { path } => ssh_message::Body::StreamlocalForward(SshStreamlocalForward { path }),
        }
    }

    pub(super) fn cancel(self) -> ssh_message::Body {
        match self {
            Self::Tcpip { host, port } => ssh_message::Body::CancelTcpipForward(SshTcpipForward { host, port }),
            Self::Streamlocal { path } => ssh_message::Body::CancelStreamlocalForward(SshStreamlocalForward { path }),
        }
    }
}

/// What the server was asked.
pub(super) enum Question {
    Listen(Listen, Answer),
    Cancel(oneshot::Sender<Option<u32>>),
}

/// The server does not do what it was asked.
pub(super) fn no_listener(at: &Listen) -> Denial {
    Denial::new("target", Code::TargetUnavailable, format!("the SSH server does not listen on {}", at.shown()))
        .hint("connect again and forward something else; what is in use there, or not permitted, its log says")
}
