//! The socket to a server: TCP or Unix-domain, plain or TLS.

use std::str::FromStr;

use bytes::BytesMut;
use hoop_core::Code;
use hoop_proto::postgres::startup;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::Address;
use crate::error::TargetFailure;

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl FromStr for SslMode {
    type Err = TargetFailure;

    fn from_str(text: &str) -> Result<Self, TargetFailure> {
        Ok(match text {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            // What is not said is the safest.
            "verify-full" | "" => Self::VerifyFull,
            _ => return Err(TargetFailure::new(Code::TargetTls, format!("`{text}` is no sslmode"))),
        })
    }
}

pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection on which the startup message comes next.
pub(super) struct Socket {
    pub(super) io: Box<dyn Io>,
    /// Whether nobody in between can read along: TLS, or the same machine.
    pub(super) private: bool,
    /// The hash of the server's certificate that SCRAM binds to; `None` without TLS.
    pub(super) end_point: Option<Vec<u8>>,
}

impl Address {
    /// Connects, and negotiates TLS as `sslmode` says.
    pub(super) async fn connect(&self) -> Result<Socket, TargetFailure> {
        if self.host.starts_with('/') {
            let path = format!("{}/.s.PGSQL.{}", self.host.trim_end_matches('/'), self.port);
            let io = UnixStream::connect(&path).await.map_err(|error| unreachable(&path, &error))?;
            return Ok(Socket { io: Box::new(io), private: true, end_point: None });
        }
        let name = format!("{}:{}", self.host, self.port);
        let tcp =
            TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| unreachable(&name, &error))?;
        tcp.set_nodelay(true).map_err(|error| unreachable(&name, &error))?;
        let local = tcp.peer_addr().is_ok_and(|address| address.ip().is_loopback());
        self.negotiate(tcp, local).await
    }

    async fn negotiate(&self, mut tcp: TcpStream, local: bool) -> Result<Socket, TargetFailure> {
        let plain = |tcp| Socket { io: Box::new(tcp), private: local, end_point: None };
        let Some(tls) = self.tls.as_ref().filter(|_| self.sslmode > SslMode::Allow) else { return Ok(plain(tcp)) };
        let mut request = BytesMut::new();
        startup::write_ssl_request(&mut request);
        tcp.write_all(&request).await.map_err(|error| broken(&error))?;
        // Exactly one byte is read: anything after it that came unencrypted is seen by TLS, which refuses it.
        match tcp.read_u8().await.map_err(|error| broken(&error))? {
            b'S' => {
                let (io, end_point) = tls.handshake(&self.host, tcp).await?;
                Ok(Socket { io: Box::new(io), private: true, end_point: Some(end_point) })
            }
            b'N' if self.sslmode == SslMode::Prefer => Ok(plain(tcp)),
            b'N' => Err(TargetFailure::new(Code::TargetTls, "the server does not offer TLS, and the role asks for it")
                .hint("switch TLS on at the server, or lower the role's sslmode")),
            _ => Err(TargetFailure::new(
                Code::TargetTls,
                "the server answers the request for TLS with neither yes nor no",
            )),
        }
    }
}

fn unreachable(address: &str, error: &std::io::Error) -> TargetFailure {
    TargetFailure::new(Code::TargetUnavailable, format!("the agent cannot reach {address}: {error}"))
        .hint("check that the server runs, and the role's host and port")
}

pub(super) fn broken(error: &std::io::Error) -> TargetFailure {
    TargetFailure::new(Code::TargetUnavailable, format!("the server ended the connection during the login: {error}"))
}
