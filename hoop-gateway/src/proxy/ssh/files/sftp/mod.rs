//! SFTP. Of a request that the chain refuses the server never hears: it gets one in its place that fails, and the answer to
//! that is replaced by the refusal. So it is the server's direction alone that writes to the client, and nothing gets between
//! the pieces of a packet.

mod reply;
mod request;
mod state;

use bytes::Bytes;
use hoop_core::{ChannelId, Denial, FileDone};
use hoop_proto::ssh::sftp::Status;
use parking_lot::Mutex;

use super::{Moved, operation};
use crate::proxy::chain::SharedChain;
use request::Asking;
use state::State;

/// Most requests that a client may have under way.
const MAX_PENDING: usize = 4096;
/// Most files and folders that may be open.
const MAX_OPEN: usize = 1024;

pub(super) struct Sftp {
    channel: ChannelId,
    state: Mutex<State>,
}

impl Sftp {
    pub(super) fn new(channel: ChannelId) -> Self {
        Self { channel, state: Mutex::new(State::new(channel)) }
    }

    pub(super) async fn client(&self, bytes: Bytes, chain: &SharedChain) -> Result<Moved, Denial> {
        let mut moved = Moved::default();
        self.state.lock().requests.receive(bytes);
        loop {
            let asking = self.state.lock().next_request(&mut moved)?;
            operation::keep(chain, self.channel, &mut moved.pieces).await?;
            let Some(asking) = asking else { return Ok(moved) };
            self.ask(asking, chain, &mut moved).await?;
        }
    }

    async fn ask(&self, asking: Asking, chain: &SharedChain, moved: &mut Moved) -> Result<(), Denial> {
        let Asking { id, bytes, first, intents, pending } = asking;
        match operation::ask(chain, self.channel, first, intents).await? {
            Some(denial) => {
                let text = operation::text(&denial);
                self.state.lock().refuse(id, Status::PERMISSION_DENIED, &text, moved);
            }
            None => {
                self.state.lock().expect(id, pending);
                moved.to_target.push(bytes);
            }
        }
        Ok(())
    }

    pub(super) async fn target(&self, bytes: Bytes, chain: &SharedChain) -> Result<Moved, Denial> {
        let mut moved = Moved::default();
        self.state.lock().replies.receive(bytes);
        loop {
            // Told before it is shown: an error leaves the client without what `moved` holds.
            let done = self.state.lock().next_reply(&mut moved)?;
            operation::keep(chain, self.channel, &mut moved.pieces).await?;
            let Some(done) = done else { return Ok(moved) };
            operation::tell(chain, done).await?;
        }
    }

    pub(super) fn close(&self) -> Vec<FileDone> {
        self.state.lock().close()
    }
}
