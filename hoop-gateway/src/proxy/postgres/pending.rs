//! What the server has been asked and has not answered yet, in order.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hoop_core::{Column, Denial, StatementId};

use super::names::{Names, Undo};

/// Columns that a Describe of a portal will bring, or has brought.
pub(super) type Described = Arc<OnceLock<Arc<[Column]>>>;

/// What the server says of a COPY's columns before it runs. The protocol itself does not describe them.
#[derive(Debug, Clone, Default)]
pub(super) struct Probe {
    pub(super) columns: Described,
    /// Its error, which the COPY's own would have been.
    pub(super) failed: Arc<OnceLock<Vec<(u8, Bytes)>>>,
}

/// An answer that is expected.
#[derive(Debug)]
pub(super) enum Expected {
    /// The gateway's own question what a COPY will give, in front of it.
    Probe {
        probe: Probe,
        /// Whether it ends with a Sync of its own.
        has_sync: bool,
    },
    /// Query: results, then ReadyForQuery.
    Query {
        id: StatementId,
        text: Bytes,
        /// The refusal, when the server was sent something that fails in its place.
        denied: Option<Denial>,
        /// Results that have ended.
        results: usize,
        /// What was asked before it.
        probe: Option<Probe>,
    },
    /// FunctionCall: FunctionCallResponse, then ReadyForQuery.
    Function { id: StatementId, denied: Option<Denial> },
    /// Parse: ParseComplete.
    Parse { id: StatementId, denied: Option<Denial>, undo: Undo },
    /// Bind: BindComplete.
    Bind { undo: Undo },
    /// Describe: RowDescription or NoData, for a statement after ParameterDescription.
    Describe {
        columns: Option<Described>,
        /// The client did not ask, the gateway did.
        is_ours: bool,
    },
    /// Execute: rows, then CommandComplete, EmptyQueryResponse or PortalSuspended.
    Execute {
        id: StatementId,
        text: Bytes,
        portal: Bytes,
        columns: Option<Described>,
        begun: bool,
        denied: Option<Denial>,
        probe: Option<Probe>,
    },
    /// Close: CloseComplete.
    Close { undo: Undo },
    /// CopyDone or CopyFail that was sent before the server asked for the rows. It is not answered.
    CopyEnd,
    /// Sync: ReadyForQuery.
    Sync,
}

impl Expected {
    /// The statement that it is about.
    pub(super) const fn statement(&self) -> Option<StatementId> {
        match self {
            Self::Query { id, .. } | Self::Function { id, .. } | Self::Parse { id, .. } | Self::Execute { id, .. } => {
                Some(*id)
            }
            _ => None,
        }
    }

    /// The text that is run.
    pub(super) const fn text(&self) -> Option<&Bytes> {
        match self {
            Self::Query { text, .. } | Self::Execute { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The refusal, when the server was made to fail in its place.
    pub(super) fn take_denied(&mut self) -> Option<Denial> {
        match self {
            Self::Query { denied, .. }
            | Self::Function { denied, .. }
            | Self::Parse { denied, .. }
            | Self::Execute { denied, .. } => denied.take(),
            _ => None,
        }
    }

    /// The server was made to fail in its place.
    pub(super) fn deny(&mut self, denial: Denial) {
        match self {
            Self::Query { denied, .. }
            | Self::Function { denied, .. }
            | Self::Parse { denied, .. }
            | Self::Execute { denied, .. } => *denied = Some(denial),
            _ => {}
        }
    }

    /// Whether the server was made to fail in its place.
    pub(super) const fn is_denied(&self) -> bool {
        match self {
            Self::Query { denied, .. }
            | Self::Function { denied, .. }
            | Self::Parse { denied, .. }
            | Self::Execute { denied, .. } => denied.is_some(),
            _ => false,
        }
    }

    fn undo(self) -> Undo {
        match self {
            Self::Parse { undo, .. } | Self::Bind { undo } | Self::Close { undo } => undo,
            _ => Undo::Nothing,
        }
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Pending {
    queue: VecDeque<Expected>,
    /// After an error the server ignores everything up to the next Sync.
    skipping: bool,
}

impl Pending {
    /// Whether the server ignores what is sent now.
    pub(super) const fn is_skipping(&self) -> bool {
        self.skipping
    }

    pub(super) fn push(&mut self, expected: Expected) {
        if self.skipping {
            // Only Sync ends it; nothing else is answered.
            if !matches!(expected, Expected::Sync) {
                return;
            }
            self.skipping = false;
        }
        self.queue.push_back(expected);
    }

    pub(super) fn front(&self) -> Option<&Expected> {
        self.queue.front()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut Expected> {
        self.queue.front_mut()
    }

    pub(super) fn second(&self) -> Option<&Expected> {
        self.queue.get(1)
    }

    pub(super) fn pop(&mut self) -> Option<Expected> {
        let front = self.queue.pop_front();
        if self.queue.is_empty() && self.queue.capacity() > 256 {
            self.queue = VecDeque::new();
        }
        front
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the server is between two batches once it has answered everything.
    pub(super) fn is_at_boundary(&self) -> bool {
        let back = self.queue.back();
        !self.skipping
            && back
                .is_none_or(|back| matches!(back, Expected::Query { .. } | Expected::Function { .. } | Expected::Sync))
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The statement that was sent last and may be asked for rows.
    pub(super) fn last_statement(&self) -> Option<StatementId> {
        self.queue.iter().rev().find_map(Expected::statement)
    }

    /// A message of the extended protocol failed: the server ignores everything up to the next Sync, so what was ahead
    /// of it in `names` has not happened.
    pub(super) fn fail_up_to_sync(&mut self, names: &mut Names) {
        let sync = self.queue.iter().position(|expected| matches!(expected, Expected::Sync));
        self.skipping = sync.is_none();
        let failed: Vec<_> = self.queue.drain(..sync.unwrap_or(self.queue.len())).collect();
        for expected in failed.into_iter().rev() {
            names.undo(expected.undo());
        }
    }

    /// The server takes rows now, and with them swallows every Sync up to the end of the rows. Says whether that end has
    /// been sent already.
    pub(super) fn copy_in_begins(&mut self) -> bool {
        while let Some(Expected::Sync) = self.queue.get(1) {
            self.queue.remove(1);
        }
        let ended = matches!(self.queue.get(1), Some(Expected::CopyEnd));
        if ended {
            self.queue.remove(1);
        }
        ended
    }

    /// An end of rows that the server did not ask for is ignored.
    pub(super) fn drop_copy_ends(&mut self) {
        while let Some(Expected::CopyEnd) = self.queue.front() {
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(names: &mut Names, text: &'static str) -> Expected {
        let undo = names.prepare(&Bytes::from_static(b"s"), &Bytes::from_static(text.as_bytes())).expect("few");
        Expected::Parse { id: StatementId(1), denied: None, undo }
    }

    #[test]
    fn an_error_takes_back_everything_up_to_the_next_sync() {
        let (mut pending, mut names) = (Pending::default(), Names::default());
        for text in ["select 1", "select 2"] {
            let expected = parse(&mut names, text);
            pending.push(expected);
        }
        pending.push(Expected::Sync);
        let after = parse(&mut names, "select 3");
        pending.push(after);
        pending.fail_up_to_sync(&mut names);
        assert!(matches!(pending.front(), Some(Expected::Sync)) && !pending.is_skipping());
        pending.pop();
        pending.fail_up_to_sync(&mut names);
        assert!(pending.is_empty() && pending.is_skipping());
        pending.push(Expected::CopyEnd);
        assert!(pending.is_empty(), "ignored, so not answered");
        pending.push(Expected::Sync);
        assert!(pending.len() == 1 && !pending.is_skipping());
    }

    #[test]
    fn a_sync_within_the_rows_of_a_copy_is_not_answered() {
        let mut pending = Pending::default();
        let execute = || Expected::Execute {
            id: StatementId(1),
            text: Bytes::new(),
            portal: Bytes::new(),
            columns: None,
            begun: false,
            denied: None,
            probe: None,
        };
        pending.push(execute());
        pending.push(Expected::Sync);
        assert!(!pending.copy_in_begins());
        assert_eq!(pending.len(), 1);
        pending.push(Expected::CopyEnd);
        pending.push(Expected::Sync);
        assert!(pending.copy_in_begins());
        assert_eq!(pending.len(), 2);
    }
}
