//! What is known of the statements that run.

use std::collections::VecDeque;
use std::time::Instant;

use hoop_core::StatementId;

use crate::record::event::Shown;

/// Most statements of one session that are followed at once; of a client that pipelines more, the oldest are recorded
/// without their duration.
const MOST: usize = 4_096;

/// Statements that have been sent, oldest first.
#[derive(Default)]
pub(super) struct Running(VecDeque<Statement>);

pub(super) struct Statement {
    pub id: StatementId,
    /// When it was sent, or when the one before it in the same text ended.
    pub since: Instant,
    pub shown: Sum,
    pub sent: Sum,
}

impl Running {
    pub(super) fn begin(&mut self, id: StatementId, now: Instant) {
        if self.0.back().is_some_and(|last| last.id == id) {
            return;
        }
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(Statement { id, since: now, shown: Sum::default(), sent: Sum::default() });
    }

    /// The statement that is answered. Answers come in the order of the statements, so those before it are over.
    pub(super) fn answered(&mut self, id: StatementId, now: Instant) -> &mut Statement {
        while self.0.front().is_some_and(|first| first.id < id) {
            self.0.pop_front();
        }
        if self.0.front().is_none_or(|first| first.id != id) {
            self.0.push_front(Statement { id, since: now, shown: Sum::default(), sent: Sum::default() });
        }
        self.0.front_mut().expect("just made sure of")
    }

    /// The statement that was sent last, when it is this one.
    pub(super) fn sending(&mut self, id: StatementId, now: Instant) -> &mut Statement {
        self.begin(id, now);
        self.0.back_mut().expect("just made sure of")
    }

    /// The oldest statement that has not been answered in full, as far as is known.
    pub(super) fn oldest(&self) -> Option<StatementId> {
        self.0.front().map(|first| first.id)
    }
}

/// Rows in one direction.
#[derive(Default)]
pub(super) struct Sum {
    rows: u64,
    bytes: u64,
    kept: u64,
    /// Kept over all results of the statement's text.
    kept_before: u64,
    beyond: Option<Box<blake3::Hasher>>,
}

impl Sum {
    /// Counts; returns how many of the bytes are to be kept: all, or those up to the limit, or none.
    pub(super) fn add(&mut self, rows: u64, bytes: &[u8], limit: u64) -> usize {
        self.rows += rows;
        self.bytes += bytes.len() as u64;
        let room = match self.beyond {
            // Only what is kept from the start can be read back.
            Some(_) => 0,
            None => limit.saturating_sub(self.kept_before + self.kept),
        };
        let keep = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        self.kept += keep as u64;
        if keep < bytes.len() {
            self.beyond.get_or_insert_default().update(bytes.get(keep..).unwrap_or_default());
        }
        keep
    }

    /// The sum so far, and begins a new one. `None` when there was nothing.
    pub(super) fn take(&mut self) -> Option<Shown> {
        let sum = std::mem::replace(self, Self { kept_before: self.kept_before + self.kept, ..Self::default() });
        (sum.bytes > 0).then(|| Shown {
            rows: sum.rows,
            bytes: sum.bytes,
            kept: sum.kept,
            digest: sum.beyond.map(|hasher| hasher.finalize().to_hex().to_string()).unwrap_or_default(),
        })
    }
}
