//! One-time tickets: the proof that a `Carry` stream answers an `Open`.

use std::collections::HashMap;

use hoop_proto::tunnel::v1::Failure;
use parking_lot::Mutex;
use rand::RngExt as _;
use tokio::sync::oneshot;

use super::carry::Dialled;

/// 256 random bits.
pub(super) type Ticket = [u8; 32];

/// Where a dialled stream, or the agent's refusal, arrives.
type Arrival = Result<Dialled, Failure>;

/// The tickets of one attachment that have not been used yet.
#[derive(Default)]
pub(super) struct Tickets {
    pending: Mutex<HashMap<Ticket, Pending>>,
}

struct Pending {
    channel: u64,
    dialled: oneshot::Sender<Arrival>,
}

impl Tickets {
    /// A new ticket for this channel, and where its `Carry` stream, or the agent's refusal, will arrive.
    pub(super) fn issue(&self, channel: u64) -> (Ticket, oneshot::Receiver<Arrival>) {
        let ticket: Ticket = rand::rng().random();
        let (dialled, arrives) = oneshot::channel();
        self.pending.lock().insert(ticket, Pending { channel, dialled });
        (ticket, arrives)
    }

    /// Hands a `Carry` stream over to the session that waits for it. `Err` when nobody does (any more): the ticket is
    /// unknown, used, or its session gave up.
    pub(super) fn redeem(&self, ticket: &[u8], dialled: Dialled) -> Result<(), UnknownTicket> {
        let ticket: Ticket = ticket.try_into().map_err(|_| UnknownTicket)?;
        let pending = self.pending.lock().remove(&ticket).ok_or(UnknownTicket)?;
        pending.dialled.send(Ok(dialled)).map_err(|_| UnknownTicket)
    }

    /// Whether the ticket is one of these.
    pub(super) fn knows(&self, ticket: &[u8]) -> bool {
        self.pending.lock().keys().any(|known| known == ticket)
    }

    /// The agent refuses to open the channel.
    pub(super) fn refuse(&self, channel: u64, failure: Failure) {
        let mut pending = self.pending.lock();
        let found = pending.iter().find(|(_, pending)| pending.channel == channel).map(|(ticket, _)| *ticket);
        if let Some(pending) = found.and_then(|ticket| pending.remove(&ticket)) {
            // The session may have given up in the meantime.
            let _ = pending.dialled.send(Err(failure));
        }
    }

    /// Nobody waits for this ticket any more.
    pub(super) fn revoke(&self, ticket: &Ticket) {
        self.pending.lock().remove(ticket);
    }
}

/// The ticket is unknown, used or no longer waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnknownTicket;
