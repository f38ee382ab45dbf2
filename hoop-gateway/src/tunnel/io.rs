//! A channel that carries nothing but bytes, as a connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use hoop_proto::tunnel::v1::{carry_down, http_message};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::carry::{ChannelReceiver, ChannelSender, Received};

/// As much as is sent at once.
const PIECE: usize = 64 * 1024;

/// Reads what the target sends, writes what it gets.
pub(crate) struct ChannelIo {
    receiver: ChannelReceiver,
    sender: Option<ChannelSender>,
    unread: Bytes,
    ended: bool,
}

impl ChannelIo {
    pub(crate) const fn new(receiver: ChannelReceiver, sender: ChannelSender) -> Self {
        Self { receiver, sender: Some(sender), unread: Bytes::new(), ended: false }
    }
}

impl AsyncRead for ChannelIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() && !self.ended {
            match ready!(self.receiver.poll_receive(cx)) {
                Ok(Received::Data(data)) => self.unread = data,
                Ok(Received::Closed | Received::Http(http_message::Body::End(_))) => self.ended = true,
                Ok(_) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                Err(denial) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, denial))),
            }
        }
        let len = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..len]);
        self.unread.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ChannelIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let Some(sender) = &mut self.sender else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        let reset = |denial| io::Error::new(io::ErrorKind::ConnectionReset, denial);
        ready!(sender.poll_ready(cx)).map_err(reset)?;
        let piece = &data[..data.len().min(PIECE)];
        sender.start_send(carry_down::Body::Data(Bytes::copy_from_slice(piece))).map_err(reset)?;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The end of the stream is the end of the connection.
        self.sender = None;
        Poll::Ready(Ok(()))
    }
}
