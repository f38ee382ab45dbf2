//! What is under way on a channel.

use std::collections::HashMap;

use bytes::Bytes;
use hoop_core::{ChannelId, FileDone};
use hoop_proto::ssh::sftp::{Replies, Requests};

use super::super::operation::cut_off;
use super::super::transfer::Transfer;

pub(super) struct State {
    pub(super) channel: ChannelId,
    pub(super) requests: Requests,
    pub(super) replies: Replies,
    pub(super) greeting: Greeting,
    /// Requests that the server has not answered, by id.
    pub(super) pending: HashMap<u32, Pending>,
    /// Operations by the handles that stand for them.
    pub(super) handles: HashMap<Bytes, u64>,
    /// Files and folders that are open, by operation.
    pub(super) open: HashMap<u64, Open>,
    /// Requests to open one that are not answered.
    pub(super) opening: usize,
    /// Operations so far.
    pub(super) operations: u64,
    /// Where the bytes of a WRITE go to; none where it was answered here.
    pub(super) writing: Option<Place>,
    /// Where the bytes of a DATA are from.
    pub(super) reading: Option<Place>,
}

/// A place in an open file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) operation: u64,
    pub(super) offset: u64,
}

impl Place {
    /// Gives the place of these bytes; the next ones come behind them.
    pub(super) const fn pass(&mut self, bytes: &Bytes) -> Self {
        let place = *self;
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        place
    }
}

/// How far both have come in greeting each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greeting {
    Nothing,
    Init,
    Version,
}

/// A file or folder that is open.
pub(super) struct Open {
    pub(super) path: Bytes,
    pub(super) writes: bool,
    /// So many bytes were sent to be written at its end, where the server looks at no offset.
    pub(super) appended: Option<u64>,
    pub(super) transfer: Transfer,
    /// The first error that the server answered a read or a write with.
    pub(super) error: Option<Bytes>,
    /// It is asked to be closed; nothing more is done with it.
    pub(super) closing: bool,
}

/// A request that the server has not answered.
pub(super) enum Pending {
    /// Something that leads to a handle.
    Open {
        operation: u64,
        open: Box<Open>,
    },
    Close {
        operation: u64,
        handle: Bytes,
    },
    Read {
        operation: u64,
        offset: u64,
        length: u32,
    },
    Write {
        operation: u64,
        length: u32,
    },
    Readdir {
        operation: u64,
    },
    /// So many operations, from this one on, which end with the answer.
    Operations {
        first: u64,
        count: u64,
    },
    /// Something that is no operation.
    Question(Answer),
    /// Something else in the place of a request that is refused. The client gets this.
    Refused(Bytes),
}

/// What answers a question, beside a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Status,
    Name,
    Attrs,
    Extended,
}

impl State {
    pub(super) fn new(channel: ChannelId) -> Self {
        Self {
            channel,
            requests: Requests::default(),
            replies: Replies::default(),
            greeting: Greeting::Nothing,
            pending: HashMap::new(),
            handles: HashMap::new(),
            open: HashMap::new(),
            opening: 0,
            operations: 0,
            writing: None,
            reading: None,
        }
    }

    /// What is not done, in its order.
    pub(super) fn close(&mut self) -> Vec<FileDone> {
        let channel = self.channel;
        let mut left: Vec<_> =
            self.open.drain().map(|(operation, open)| open.transfer.so_far(cut_off(channel, operation))).collect();
        self.handles.clear();
        for (_, pending) in self.pending.drain() {
            match pending {
                Pending::Open { operation, .. } => left.push(cut_off(channel, operation)),
                Pending::Operations { first, count } => {
                    left.extend((first..first + count).map(|operation| cut_off(channel, operation)));
                }
                _ => {}
            }
        }
        left.sort_by_key(|done| done.id);
        left
    }
}
