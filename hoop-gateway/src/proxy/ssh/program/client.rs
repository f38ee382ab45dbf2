//! The client's end of a channel.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use hoop_core::{ChannelEnd, Denial, OutputStream};
use russh::server::{Handle, Msg};
use russh::{ChannelWriteHalf, Sig};

use super::Ended;
use crate::proxy::ssh::words::{self, words};

/// The number of the standard error (RFC 4254 section 5.2).
const STDERR: u32 = 1;

/// The client's end of a channel.
pub(super) struct ToClient {
    write: ChannelWriteHalf<Msg>,
    handle: Handle,
    terminal: AtomicBool,
}

impl ToClient {
    pub(super) fn new(write: ChannelWriteHalf<Msg>, handle: Handle, terminal: bool) -> Self {
        Self { write, handle, terminal: AtomicBool::new(terminal) }
    }

    pub(super) fn has_terminal(&self) {
        self.terminal.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal.load(Ordering::Relaxed)
    }

    pub(super) async fn write(&self, stream: OutputStream, bytes: Bytes) -> Result<(), Ended> {
        let written = match stream {
            OutputStream::Stdout => self.write.data_bytes(bytes).await,
            OutputStream::Stderr => self.write.extended_data_bytes(STDERR, bytes).await,
        };
        written.map_err(|_| Ended::Client)
    }

    async fn err(&self, bytes: Bytes) -> Result<(), Ended> {
        self.write(OutputStream::Stderr, bytes).await
    }

    pub(super) async fn notice(&self, text: String) {
        let _ = self.err(words::notice(&text, self.is_terminal())).await;
    }

    pub(super) async fn eof(&self) -> Result<(), Ended> {
        self.write.eof().await.map_err(|_| Ended::Client)
    }

    pub(super) async fn refused(&self, why: &Denial) {
        self.told(why, words::exit_status(why)).await;
    }

    /// This is refused, and the session goes on.
    pub(super) async fn not_run(&self, why: &Denial) {
        self.told(why, words::refused_status(why)).await;
    }

    async fn told(&self, why: &Denial, status: u32) {
        let _ = self.err(words(why, self.is_terminal())).await;
        self.ended(ChannelEnd::ExitStatus(status)).await;
    }

    pub(super) async fn ended(&self, end: ChannelEnd) {
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

    pub(super) async fn close(&self) {
        let _ = self.write.close().await;
    }
}
