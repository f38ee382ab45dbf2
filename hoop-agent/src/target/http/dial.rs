//! Connections to a service: TCP or Unix-domain, plain or TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use hoop_core::Code;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::tls::{Offer, Tls};
use crate::error::TargetFailure;

/// How long a connection may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a service is, and how to reach it.
pub(super) struct Dialer {
    pub(super) host: String,
    pub(super) port: u16,
    /// The Unix-domain socket that is connected to in the place of host and port; empty: none.
    pub(super) socket: String,
    pub(super) tls: Option<Tls>,
    /// The connection that has shown that the service is there, until the first request takes it.
    first: Mutex<Option<(Offer, Stream)>>,
}

impl Dialer {
    pub(super) fn new(host: String, port: u16, socket: String, tls: Option<Tls>) -> Self {
        Self { host, port, socket, tls, first: Mutex::default() }
    }

    /// Connects, and keeps the connection for the first request.
    pub(super) async fn dial_first(&self, offer: Offer) -> Result<(), TargetFailure> {
        let stream = self.dial_anew(offer).await?;
        *self.first.lock() = Some((offer, stream));
        Ok(())
    }

    /// The connection that was made first, or a new one.
    pub(super) async fn dial(&self, offer: Offer) -> Result<Stream, TargetFailure> {
        match self.take_first(offer) {
            Some(stream) => Ok(stream),
            None => self.dial_anew(offer).await,
        }
    }

    fn take_first(&self, offer: Offer) -> Option<Stream> {
        let fits = |(offered, _): &mut (Offer, Stream)| self.tls.is_none() || *offered == offer;
        let (_, mut stream) = self.first.lock().take_if(fits)?;
        // Whether the service still waits for a request, and has said nothing: nothing can be read then.
        stream.read(&mut [0]).now_or_never().is_none().then_some(stream)
    }

    async fn dial_anew(&self, offer: Offer) -> Result<Stream, TargetFailure> {
        timeout(CONNECT_TIMEOUT, self.connect(offer)).await.unwrap_or_else(|_| {
            let reason = format!("{} does not answer in {CONNECT_TIMEOUT:?}", self.name());
            Err(TargetFailure::new(Code::TargetTimeout, reason).hint(UNREACHABLE))
        })
    }

    async fn connect(&self, offer: Offer) -> Result<Stream, TargetFailure> {
        let unreachable = |error: io::Error| {
            let reason = format!("the agent cannot reach {}: {error}", self.name());
            TargetFailure::new(Code::TargetUnavailable, reason).hint(UNREACHABLE)
        };
        if !self.socket.is_empty() {
            return self.over(UnixStream::connect(&self.socket).await.map_err(unreachable)?, offer).await;
        }
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        self.over(tcp, offer).await
    }

    async fn over<I: Io + 'static>(&self, io: I, offer: Offer) -> Result<Stream, TargetFailure> {
        let Some(tls) = &self.tls else { return Ok(Stream::new(Box::new(io), false)) };
        let io = tls.handshake(&self.host, io, offer).await?;
        let http2 = io.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Stream::new(Box::new(io), http2))
    }

    fn name(&self) -> String {
        if self.socket.is_empty() { format!("{}:{}", self.host, self.port) } else { self.socket.clone() }
    }
}

const UNREACHABLE: &str = "check that the service runs, and the role's URL";

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection on which HTTP comes next.
pub(super) struct Stream {
    io: Box<dyn Io>,
    /// Whether HTTP/2 was agreed on.
    http2: bool,
    /// The service reads no more. It may have answered before, with the request half sent: reading tells.
    deaf: bool,
}

impl Stream {
    fn new(io: Box<dyn Io>, http2: bool) -> Self {
        Self { io, http2, deaf: false }
    }

    /// What was written, where a service over HTTP/1.1 that has gone takes everything: the library would give up with the answer
    /// unread.
    fn written(&mut self, written: io::Result<usize>, all: usize) -> io::Result<usize> {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        let is_gone = |error: &io::Error| matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset);
        self.deaf |= !self.http2 && written.as_ref().is_err_and(is_gone);
        if self.deaf { Ok(all) } else { written }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        if self.http2 { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes));
        Poll::Ready(self.written(written, bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = slices.iter().map(|slice| slice.len()).sum();
        if self.deaf {
            return Poll::Ready(Ok(all));
        }
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices));
        Poll::Ready(self.written(written, all))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Dials for a pool. Whatever host a request names, it goes to the service.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) dialer: Arc<Dialer>,
    pub(super) offer: Offer,
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = TargetFailure;
    type Future = BoxFuture<'static, Result<TokioIo<Stream>, TargetFailure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TargetFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { dialer, offer } = self.clone();
        async move { dialer.dial(offer).await.map(TokioIo::new) }.boxed()
    }
}
