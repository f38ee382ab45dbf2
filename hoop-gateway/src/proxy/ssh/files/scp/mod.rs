//! `scp`: one end is the source and sends files, the other is the sink and answers each line. What the chain refuses is
//! answered here as a sink would, and the source goes on with the next.

mod place;
mod state;

use std::fmt::Display;

use bytes::Bytes;
use hoop_core::{ChannelId, Denial, FileDone};
use hoop_proto::ssh::scp::{Command, Direction};
use parking_lot::Mutex;

use super::{Moved, Piece, lost, operation, violation};
use crate::proxy::chain::SharedChain;
use state::{Asking, State};

pub(super) struct Scp {
    channel: ChannelId,
    direction: Direction,
    state: Mutex<State>,
}

/// What goes on from one end to the other, and what goes back to it.
#[derive(Default)]
struct Lines {
    on: Vec<Bytes>,
    back: Vec<Bytes>,
    /// Bytes of files among them, of which the chain has not heard yet.
    pieces: Vec<Piece>,
}

impl Scp {
    pub(super) fn new(command: Command, channel: ChannelId) -> Self {
        Self { channel, direction: command.direction, state: Mutex::new(State::new(command, channel)) }
    }

    pub(super) async fn client(&self, bytes: Bytes, chain: &SharedChain) -> Result<Moved, Denial> {
        let Lines { on, back, .. } = match self.direction {
            Direction::Upload => self.source(bytes, chain, |what| violation(what)).await?,
            Direction::Download => self.sink(bytes, chain, |what| violation(what)).await?,
        };
        Ok(Moved { to_target: on, to_client: back, ..Moved::default() })
    }

    pub(super) async fn target(&self, bytes: Bytes, chain: &SharedChain) -> Result<Moved, Denial> {
        let Lines { on, back, .. } = match self.direction {
            Direction::Upload => self.sink(bytes, chain, |what| lost(what)).await?,
            Direction::Download => self.source(bytes, chain, |what| lost(what)).await?,
        };
        Ok(Moved { to_target: back, to_client: on, ..Moved::default() })
    }

    /// What the source sent. `wrong` says whose mistake it is.
    async fn source(
        &self,
        bytes: Bytes,
        chain: &SharedChain,
        wrong: fn(&dyn Display) -> Denial,
    ) -> Result<Lines, Denial> {
        let mut lines = Lines::default();
        self.state.lock().source.receive(bytes);
        loop {
            let asking = self.state.lock().next_line(&mut lines, wrong)?;
            operation::keep(chain, self.channel, &mut lines.pieces).await?;
            let Some(Asking { bytes, operation, intent, asked }) = asking else { return Ok(lines) };
            match operation::ask(chain, self.channel, operation, vec![intent]).await? {
                None => {
                    self.state.lock().ask(asked);
                    lines.on.push(bytes);
                }
                Some(denial) => self.refuse(&denial, &mut lines),
            }
        }
    }

    /// A source is told by its sink. A sink is told by its source, and where the user is it, by us.
    fn refuse(&self, denial: &Denial, lines: &mut Lines) {
        self.state.lock().refuse();
        let line = Bytes::from(format!("\x01scp: {}\n", operation::text(denial)));
        if self.direction == Direction::Download {
            lines.on.push(line.clone());
        }
        lines.back.push(line);
    }

    /// What the sink sent. `wrong` says whose mistake it is.
    async fn sink(
        &self,
        bytes: Bytes,
        chain: &SharedChain,
        wrong: fn(&dyn Display) -> Denial,
    ) -> Result<Lines, Denial> {
        let mut lines = Lines::default();
        self.state.lock().sink.receive(bytes);
        loop {
            let done = self.state.lock().next_answer(&mut lines, wrong)?;
            let Some(done) = done else { return Ok(lines) };
            operation::tell(chain, vec![done]).await?;
        }
    }

    pub(super) fn close(&self) -> Vec<FileDone> {
        self.state.lock().close()
    }
}
