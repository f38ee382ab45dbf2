//! From the target to the client.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hoop_core::{ChannelEnd, Code, Denial, Interest, Output, OutputStream, Response};
use hoop_proto::tunnel::v1::{SshExitSignal, ssh_message};
use tokio::time::timeout;

use super::{Ended, Program, changed};
use crate::tunnel::{ChannelReceiver, Received};

/// When nothing more comes for this long, what a plugin has kept back of an output goes on.
const FLUSH_AFTER: Duration = Duration::from_millis(4);
/// A client that has sent everything closes a channel whose output has ended, and then hears of no exit status: that is told first,
/// unless the program goes on for longer than this without an output.
const EOF_AFTER: Duration = Duration::from_millis(300);
/// How long a program without a status waits for the end of its connection.
const NO_STATUS: Duration = Duration::from_millis(500);

impl Program<'_> {
    /// What takes much room is boxed, an output too: an idle channel has none of it, and a piece of memory is little beside the
    /// encryption.
    pub(super) async fn down(&self, receiver: &mut ChannelReceiver) -> Result<ChannelEnd, Ended> {
        let mut end = ChannelEnd::Closed;
        let (mut held_back, mut eof) = (false, false);
        loop {
            // There is no timer where nothing waits for one.
            let waits = if held_back { Some(FLUSH_AFTER) } else { eof.then_some(EOF_AFTER) };
            let received = match waits {
                None => Ok(receiver.receive().await),
                Some(waits) => timeout(waits, receiver.receive()).await,
            };
            let received = match received {
                Ok(received) => received,
                Err(_) if held_back => {
                    Box::pin(self.flush()).await?;
                    held_back = false;
                    continue;
                }
                Err(_) => {
                    Box::pin(self.client.eof()).await?;
                    eof = false;
                    continue;
                }
            };
            match received {
                Ok(Received::Data(bytes)) => held_back = Box::pin(self.output(OutputStream::Stdout, bytes)).await?,
                Ok(Received::Ssh(ssh_message::Body::ExtendedData(data))) => {
                    held_back = Box::pin(self.output(OutputStream::Stderr, data.data)).await?;
                }
                Ok(Received::Ssh(ssh_message::Body::Eof(_))) => {
                    Box::pin(self.flush()).await?;
                    (held_back, eof) = (false, true);
                }
                Ok(Received::Ssh(message)) => Box::pin(self.on_message(message, &mut end)).await?,
                Ok(Received::Closed) => {
                    Box::pin(self.flush()).await?;
                    // A program ends with a status. One that does not may be the first to hear that the connection is gone.
                    if matches!(end, ChannelEnd::Closed)
                        && timeout(NO_STATUS, self.shared.ending.cancelled()).await.is_ok()
                    {
                        return Err(Ended::Session);
                    }
                    return Ok(end);
                }
                Ok(Received::Http(_)) => return Err(self.fail(self.shared.violation())),
                Err(denial) => return Err(self.fail(denial)),
            }
        }
    }

    async fn on_message(&self, message: ssh_message::Body, end: &mut ChannelEnd) -> Result<(), Ended> {
        match message {
            ssh_message::Body::ExitStatus(exit) => {
                *end = ChannelEnd::ExitStatus(exit.status);
                Ok(())
            }
            ssh_message::Body::ExitSignal(SshExitSignal { name, core_dumped, message, .. }) => {
                *end = ChannelEnd::ExitSignal { name: name.into(), core_dumped, message: message.into() };
                Ok(())
            }
            // The client was told so when it asked; what the target does not do is said below.
            ssh_message::Body::Success(_) => Ok(()),
            ssh_message::Body::Failure(_) if self.started.get().is_none() => Ok(()),
            ssh_message::Body::Failure(_) => Err(Ended::Refused(
                Denial::new("target", Code::TargetUnavailable, "the SSH server does not start the program")
                    .hint("look into the server's log, or try another command"),
            )),
            _ => Err(self.fail(self.shared.violation())),
        }
    }

    /// Whether something is kept back of it.
    async fn output(&self, stream: OutputStream, bytes: Bytes) -> Result<bool, Ended> {
        self.bytes_out.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if let (OutputStream::Stdout, Some(files)) = (stream, self.files.get()) {
            let moved = Box::pin(async { self.moved(files.target(bytes, &self.shared.chain).await).await });
            return moved.await.map(|()| false);
        }
        if !self.shared.chain.wants(Interest::OUTPUT) {
            self.client.write(stream, bytes).await?;
            return Ok(false);
        }
        let terminal = self.client.is_terminal();
        let exact = self.started.get().is_some_and(|started| started.exact);
        let output = Output { channel: self.id, stream, bytes, terminal, exact, held_back: false };
        let response = self.shared.chain.response(Response::Output(output)).await;
        self.show(response.map_err(|denial| self.fail(denial))?).await
    }

    async fn flush(&self) -> Result<(), Ended> {
        let flushed = self.shared.chain.flush(self.id).await.map_err(|denial| self.fail(denial))?;
        for response in flushed {
            self.show(response).await?;
        }
        Ok(())
    }

    async fn show(&self, response: Response) -> Result<bool, Ended> {
        let Response::Output(Output { stream, bytes, held_back, .. }) = response else {
            return Err(self.fail(changed()));
        };
        if !bytes.is_empty() {
            self.client.write(stream, bytes).await?;
        }
        Ok(held_back)
    }
}
