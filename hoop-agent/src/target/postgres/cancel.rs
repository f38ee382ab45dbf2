//! CancelRequest: on a connection of its own, encrypted as the session's is.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hoop_proto::postgres::startup::CancelRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::Address;

/// How to cancel what runs on a session.
pub(crate) struct Cancel {
    pub(super) address: Arc<Address>,
    pub(super) process: i32,
    pub(super) key: Bytes,
}

impl Cancel {
    /// Sends the request. Best effort, as on the server itself: nobody ever learns whether it found something.
    pub(crate) async fn send(&self) {
        if self.key.is_empty() {
            return;
        }
        if timeout(Duration::from_secs(10), self.try_send()).await.is_err() {
            tracing::warn!("cancel request timed out");
        }
    }

    async fn try_send(&self) {
        let mut socket = match self.address.connect().await {
            Ok(socket) => socket,
            Err(failure) => {
                tracing::warn!(reason = failure.reason, "cancel request could not be sent");
                return;
            }
        };
        let mut out = BytesMut::new();
        CancelRequest { process: self.process, key: self.key.clone() }.write(&mut out);
        if socket.io.write_all(&out).await.is_ok() && socket.io.flush().await.is_ok() {
            // The server closes the connection once it has acted; waiting for it keeps cancels in order.
            let _ = socket.io.read(&mut [0]).await;
        }
    }
}
