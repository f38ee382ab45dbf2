//! The client's direction.

use bytes::Bytes;
use hoop_core::{Code, Denial, FileKind};
use hoop_proto::ssh::sftp::{
    Attributes, OpenFlags, Part, Request, Status, VERSION, write_impossible, write_init, write_status,
};

use super::super::operation::Intent;
use super::super::transfer::{Track, Transfer};
use super::super::{Moved, Piece, violation};
use super::state::{Answer, Greeting, Open, Pending, Place, State};
use super::{MAX_OPEN, MAX_PENDING};

/// A request about which the chain is asked.
pub(super) struct Asking {
    pub(super) id: u32,
    pub(super) bytes: Bytes,
    /// The number of the first operation.
    pub(super) first: u64,
    pub(super) intents: Vec<Intent>,
    pub(super) pending: Pending,
}

/// What becomes of a request.
enum Next {
    /// It goes on.
    Pass(Pending),
    /// It does not.
    Refuse(Status, &'static str),
    /// The chain is asked about so much. The number is that of the first operation.
    Ask(Vec<Intent>, Box<dyn FnOnce(u64) -> Pending + Send>),
}

impl State {
    /// Reads what is there of the client, up to the next request about which the chain is asked.
    pub(super) fn next_request(&mut self, moved: &mut Moved) -> Result<Option<Asking>, Denial> {
        while let Some(part) = self.requests.part().map_err(violation)? {
            match part {
                Part::Data { bytes, .. } => self.data(bytes, moved),
                Part::Packet { packet: Request::Init { version }, bytes, .. } => self.init(version, bytes, moved)?,
                Part::Packet { id, packet, bytes } => {
                    self.admit(id)?;
                    match self.request(packet) {
                        Next::Refuse(status, message) => self.refuse(id, status, message, moved),
                        Next::Pass(pending) => {
                            self.expect(id, pending);
                            moved.to_target.push(bytes);
                        }
                        Next::Ask(intents, pending) => return Ok(Some(self.asking(id, bytes, intents, pending))),
                    }
                }
            }
        }
        Ok(None)
    }

    fn asking(
        &mut self,
        id: u32,
        bytes: Bytes,
        intents: Vec<Intent>,
        pending: Box<dyn FnOnce(u64) -> Pending + Send>,
    ) -> Asking {
        let first = self.operations + 1;
        self.operations += intents.len() as u64;
        Asking { id, bytes, first, intents, pending: pending(first) }
    }

    /// A request goes to the server.
    pub(super) fn expect(&mut self, id: u32, pending: Pending) {
        self.opening += usize::from(matches!(pending, Pending::Open { .. }));
        self.pending.insert(id, pending);
    }

    /// The server is asked something else in its place.
    pub(super) fn refuse(&mut self, id: u32, status: Status, message: &str, moved: &mut Moved) {
        self.expect(id, Pending::Refused(write_status(id, status, message)));
        moved.to_target.push(write_impossible(id));
    }

    fn init(&mut self, version: u32, bytes: Bytes, moved: &mut Moved) -> Result<(), Denial> {
        if self.greeting != Greeting::Nothing {
            return Err(violation("it greets twice"));
        }
        if version < VERSION {
            let reason = format!("version {version} of SFTP is not served");
            return Err(Denial::new("gateway", Code::Unsupported, reason).hint("use a client that knows version 3"));
        }
        self.greeting = Greeting::Init;
        // A server that knows a later version than is read here must not choose it.
        moved.to_target.push(if version > VERSION { write_init(VERSION) } else { bytes });
        Ok(())
    }

    fn admit(&self, id: u32) -> Result<(), Denial> {
        if self.greeting == Greeting::Nothing {
            return Err(violation("it asks before it greets"));
        }
        if self.pending.contains_key(&id) {
            return Err(violation("it uses an id for two requests at a time"));
        }
        if self.pending.len() >= MAX_PENDING {
            let reason = format!("more than {MAX_PENDING} requests of SFTP are under way");
            return Err(Denial::new("gateway", Code::LimitExceeded, reason));
        }
        Ok(())
    }

    fn data(&mut self, bytes: Bytes, moved: &mut Moved) {
        let Some(writing) = &mut self.writing else { return };
        let Place { operation, offset } = writing.pass(&bytes);
        if let Some(open) = self.open.get_mut(&operation) {
            open.transfer.written.add(&bytes);
        }
        moved.pieces.push(Piece { operation, written: true, offset, bytes: bytes.clone() });
        moved.to_target.push(bytes);
    }

    fn request(&mut self, request: Request) -> Next {
        match request {
            Request::Init { .. } => Next::Refuse(Status::FAILURE, "a greeting is no request"),
            Request::Unknown { .. } => {
                Next::Refuse(Status::OP_UNSUPPORTED, "the gateway does not know this extension, and cannot record it")
            }
            Request::Open { path, flags, .. } => self.open(&path, flags),
            Request::Opendir { path } => self.opening(Intent::new(FileKind::List, &path), None, Transfer::default()),
            Request::Close { handle } => self.with(handle, |open, operation, handle| {
                open.closing = true;
                Pending::Close { operation, handle }
            }),
            Request::Read { handle, offset, length } => {
                self.with(handle, |_, operation, _| Pending::Read { operation, offset, length })
            }
            Request::Write { handle, offset, length } => self.write(handle, offset, length),
            Request::Readdir { handle } => self.with(handle, |_, operation, _| Pending::Readdir { operation }),
            Request::Fstat { handle } => self.with(handle, |_, _, _| Pending::Question(Answer::Attrs)),
            Request::Fstatvfs { handle } => self.with(handle, |_, _, _| Pending::Question(Answer::Extended)),
            Request::Fsync { handle } => self.with(handle, |_, _, _| Pending::Question(Answer::Status)),
            Request::Fsetstat { handle, attributes } => self.fsetstat(handle, attributes),
            Request::CopyData { from, to, .. } => self.copy_data(from, to),
            Request::Lstat { .. } | Request::Stat { .. } => Next::Pass(Pending::Question(Answer::Attrs)),
            Request::Realpath { .. }
            | Request::Readlink { .. }
            | Request::ExpandPath { .. }
            | Request::HomeDirectory { .. } => Next::Pass(Pending::Question(Answer::Name)),
            Request::Statvfs { .. } | Request::Limits | Request::UsersGroupsById { .. } => {
                Next::Pass(Pending::Question(Answer::Extended))
            }
            Request::Setstat { path, attributes } | Request::Lsetstat { path, attributes } => {
                operations(set(&path, attributes, false))
            }
            Request::Remove { path } => operations(vec![Intent::new(FileKind::Remove, &path)]),
            Request::Mkdir { path, .. } => operations(vec![Intent::new(FileKind::MakeDirectory, &path)]),
            Request::Rmdir { path } => operations(vec![Intent::new(FileKind::RemoveDirectory, &path)]),
            Request::Rename { from, to } | Request::PosixRename { from, to } => {
                operations(vec![Intent::new(FileKind::Rename, &from).to(&to)])
            }
            Request::Symlink { target: from, link: to } | Request::Hardlink { from, to } => {
                operations(vec![Intent::new(FileKind::Link, &from).to(&to)])
            }
        }
    }

    fn open(&mut self, path: &[u8], flags: OpenFlags) -> Next {
        let kind = match (flags.reads(), flags.writes()) {
            (true, true) => FileKind::ReadWrite,
            (_, true) => FileKind::Write,
            (_, false) => FileKind::Read,
        };
        // What lay in a file before is not known; neither is where it is written that is only appended to.
        let begins_empty = flags.begins_empty() && !flags.appends();
        let written = if begins_empty { Track::from_the_beginning() } else { Track::default() };
        let transfer = Transfer { read: Track::from_the_beginning(), written };
        self.opening(Intent::new(kind, path), flags.appends().then_some(0), transfer)
    }

    fn opening(&mut self, intent: Intent, appended: Option<u64>, transfer: Transfer) -> Next {
        if self.open.len() + self.opening >= MAX_OPEN {
            return Next::Refuse(Status::FAILURE, "too many files are open");
        }
        let writes = !matches!(intent.kind, FileKind::Read | FileKind::List);
        let path = intent.path.clone();
        let open = Box::new(Open { path, writes, appended, transfer, error: None, closing: false });
        Next::Ask(vec![intent], Box::new(|operation| Pending::Open { operation, open }))
    }

    /// Something with what is open; a handle that nobody has goes no further.
    fn with(&mut self, handle: Bytes, pending: impl FnOnce(&mut Open, u64, Bytes) -> Pending) -> Next {
        let operation = self.handles.get(&handle).copied();
        let open = operation.and_then(|operation| Some((operation, self.open.get_mut(&operation)?)));
        match open {
            Some((operation, open)) if !open.closing => {
                Next::Pass(pending(open, operation, Bytes::copy_from_slice(&handle)))
            }
            _ => Next::Refuse(Status::FAILURE, "no such handle"),
        }
    }

    fn write(&mut self, handle: Bytes, offset: u64, length: u32) -> Next {
        let mut writing = None;
        let next = self.with(handle, |open, operation, _| {
            let offset = open.appended.unwrap_or(offset);
            open.appended = open.appended.map(|appended| appended.saturating_add(length.into()));
            open.transfer.written.seek(offset);
            writing = Some(Place { operation, offset });
            Pending::Write { operation, length }
        });
        self.writing = writing;
        next
    }

    fn fsetstat(&mut self, handle: Bytes, attributes: Attributes) -> Next {
        let mut intents = Vec::new();
        let next = self.with(handle, |open, _, _| {
            intents = set(&open.path, attributes, open.writes);
            if let Some(size) = attributes.size {
                open.transfer.written.resize(size);
            }
            Pending::Question(Answer::Status)
        });
        if intents.is_empty() { next } else { operations(intents) }
    }

    fn copy_data(&mut self, from: Bytes, to: Bytes) -> Next {
        match self.with(from, |_, _, _| Pending::Question(Answer::Status)) {
            Next::Pass(_) => self.with(to, |open, _, _| {
                open.transfer.written.disturb();
                Pending::Question(Answer::Status)
            }),
            answered => answered,
        }
    }
}

/// Operations that end with their answer.
fn operations(intents: Vec<Intent>) -> Next {
    let count = intents.len() as u64;
    Next::Ask(intents, Box::new(move |first| Pending::Operations { first, count }))
}

/// Setting a size writes a file; a file that is open to be written may be given one.
fn set(path: &[u8], attributes: Attributes, may_write: bool) -> Vec<Intent> {
    let Attributes { size, owner, permissions, times, extended } = attributes;
    let writes = size.is_some();
    let sets = owner.is_some() || permissions.is_some() || times.is_some() || extended || !writes;
    let write = (writes && !may_write).then(|| Intent::new(FileKind::Write, path));
    let set = sets.then(|| Intent::new(FileKind::SetAttributes, path));
    write.into_iter().chain(set).collect()
}
