//! Ends: of statements, of what was prepared, of everything that was asked.

use std::sync::Arc;

use bytes::Bytes;
use hoop_core::{Completion, CompletionKind, Interest, Response};
use hoop_proto::postgres::Frame;
use hoop_proto::postgres::backend::{self, TransactionStatus};

use super::super::names::Undo;
use super::super::pending::Expected;
use super::super::{FromTarget, PostgresRelay, target_error, violation};
use super::Then;
use crate::proxy::Stop;

impl FromTarget {
    /// Remembers what the portal gave, if it has more.
    fn remember_suspended(&mut self, kind: CompletionKind, ended: Option<Expected>) {
        let Some(Expected::Execute { portal, columns: Some(columns), .. }) = ended else { return };
        match columns.get() {
            Some(columns) if kind == CompletionKind::Suspended => {
                self.suspended.insert(portal, Arc::clone(columns));
            }
            _ => drop(self.suspended.remove(&portal)),
        }
    }
}

impl PostgresRelay {
    pub(super) fn command_complete(&mut self, frame: &Frame) -> Result<(), Stop> {
        let tag = backend::command_tag(frame).map_err(|error| target_error(&error))?;
        self.ended(frame, CompletionKind::Done, tag)
    }

    pub(super) fn ended(&mut self, frame: &Frame, kind: CompletionKind, tag: Bytes) -> Result<(), Stop> {
        let statement = self.row_statement()?;
        match self.pending.front_mut() {
            Some(Expected::Query { results, .. }) => *results += 1,
            _ => {
                let ended = self.pending.pop();
                self.target.remember_suspended(kind, ended);
            }
        }
        self.result_ends();
        let rows = backend::rows_of_tag(&tag);
        self.complete(frame, Completion { statement, kind, tag, rows })
    }

    pub(super) fn result_ends(&mut self) {
        self.target.columns = None;
        self.target.copy_out = None;
        self.target.copies_both = false;
        self.client.copy_in = None;
        self.client.drops_rows = false;
    }

    pub(super) fn parse_complete(&mut self, frame: &Frame) -> Result<(), Stop> {
        let Some(Expected::Parse { id, denied: None, .. }) = self.pending.pop() else {
            return Err(violation("a statement was prepared that nothing asks for").into());
        };
        let prepared = Completion { statement: id, kind: CompletionKind::Prepared, tag: Bytes::new(), rows: None };
        self.complete(frame, prepared)
    }

    fn complete(&mut self, frame: &Frame, completion: Completion) -> Result<(), Stop> {
        if !self.wants(Interest::COMPLETIONS) {
            return self.keep_answer(frame);
        }
        self.through(Response::Complete(completion), Then::Emit(frame.bytes().clone()))
    }

    pub(super) fn answers(&mut self, frame: &Frame, is_right: impl FnOnce(&Expected) -> bool) -> Result<(), Stop> {
        match self.pending.pop() {
            Some(expected) if is_right(&expected) => {
                if let Expected::Bind { undo: Undo::Portal(name, _) }
                | Expected::Close { undo: Undo::Portal(name, _) } = expected
                {
                    self.target.suspended.remove(&name);
                }
                self.keep_answer(frame)
            }
            _ => Err(violation("an answer to another question").into()),
        }
    }

    pub(super) fn ready_for_query(&mut self, frame: &Frame) -> Result<(), Stop> {
        let status = TransactionStatus::parse(frame).map_err(|error| target_error(&error))?;
        match self.pending.pop() {
            Some(expected @ (Expected::Query { .. } | Expected::Function { .. } | Expected::Sync))
                if !expected.is_denied() => {}
            _ => return Err(violation("it is ready for a query before it has answered the last one").into()),
        }
        if status == TransactionStatus::Idle {
            self.target.suspended.clear();
        }
        if self.pending.is_empty() {
            // What the settings are now, it has said before this.
            self.client.unsettled = false;
            if status == TransactionStatus::Idle {
                self.names.forget_portals();
            }
        }
        self.result_ends();
        if let Some(key) = self.target.key.take() {
            // As on the server, it is the last thing before the first ReadyForQuery.
            self.target.cut.flush(&mut self.to_client);
            self.to_client.push(key);
        }
        self.keep_answer(frame)
    }
}
