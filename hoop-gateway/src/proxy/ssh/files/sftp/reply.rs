//! The server's direction.

use bytes::Bytes;
use hoop_core::{Denial, FileDone};
use hoop_proto::ssh::sftp::{Part, Reply, Status, VERSION};

use super::super::operation::over;
use super::super::{Moved, Piece, lost};
use super::state::{Answer, Greeting, Open, Pending, Place, State};

impl State {
    /// Reads what is there of the server, up to the next reply with which something is done.
    pub(super) fn next_reply(&mut self, moved: &mut Moved) -> Result<Option<Vec<FileDone>>, Denial> {
        while let Some(part) = self.replies.part().map_err(lost)? {
            let mut done = Vec::new();
            let shown = match part {
                Part::Data { bytes, .. } => {
                    self.arrived(&bytes, moved);
                    bytes
                }
                Part::Packet { packet: Reply::Version { version }, bytes, .. } => {
                    self.version(version)?;
                    bytes
                }
                Part::Packet { id, packet, bytes } => {
                    let pending = self.answered(id)?;
                    match (pending, packet) {
                        (Pending::Refused(refusal), Reply::Status { .. } | Reply::Attrs) => refusal,
                        (pending, packet) => {
                            done = self.reply(pending, packet)?;
                            bytes
                        }
                    }
                }
            };
            moved.to_client.push(shown);
            if !done.is_empty() {
                return Ok(Some(done));
            }
        }
        Ok(None)
    }

    fn arrived(&mut self, bytes: &Bytes, moved: &mut Moved) {
        let Some(reading) = &mut self.reading else { return };
        let Place { operation, offset } = reading.pass(bytes);
        if let Some(open) = self.open.get_mut(&operation) {
            open.transfer.read.add(bytes);
            open.transfer.read.arrived(bytes.len() as u64);
        }
        moved.pieces.push(Piece { operation, written: false, offset, bytes: bytes.clone() });
    }

    fn version(&mut self, version: u32) -> Result<(), Denial> {
        if self.greeting != Greeting::Init {
            return Err(lost("it greets when nobody has"));
        }
        if version != VERSION {
            return Err(lost(format_args!("it speaks version {version} of SFTP, and {VERSION} was asked for")));
        }
        self.greeting = Greeting::Version;
        Ok(())
    }

    fn answered(&mut self, id: u32) -> Result<Pending, Denial> {
        if self.greeting != Greeting::Version {
            return Err(lost("it answers before it greets"));
        }
        self.pending.remove(&id).ok_or_else(|| lost("it answers what nobody asks"))
    }

    fn reply(&mut self, pending: Pending, reply: Reply) -> Result<Vec<FileDone>, Denial> {
        let unfit = || lost("its answer does not fit what was asked");
        match (pending, reply) {
            (Pending::Open { operation, open }, reply) => {
                self.opening = self.opening.saturating_sub(1);
                match reply {
                    Reply::Handle { handle } => self.opened(operation, *open, &handle).map(|()| Vec::new()),
                    Reply::Status { status, message } if status != Status::OK => {
                        Ok(vec![self.ended(operation, status, &message)])
                    }
                    _ => Err(unfit()),
                }
            }
            (Pending::Close { operation, handle }, Reply::Status { status, message }) => {
                self.handles.remove(&handle);
                let Some(Open { transfer, error, .. }) = self.open.remove(&operation) else { return Err(unfit()) };
                let ended = transfer.done(self.ended(operation, status, &message));
                let error = error.or(ended.error);
                Ok(vec![FileDone { sha256: ended.sha256.filter(|_| error.is_none()), error, ..ended }])
            }
            (Pending::Read { operation, offset, length }, Reply::Data { length: given }) if given <= length => {
                self.reading = Some(Place { operation, offset });
                if let Some(open) = self.open.get_mut(&operation) {
                    open.transfer.read.seek(offset);
                }
                Ok(Vec::new())
            }
            (Pending::Read { operation, offset, .. }, Reply::Status { status, message }) if status != Status::OK => {
                match self.open.get_mut(&operation) {
                    Some(open) if status == Status::EOF => open.transfer.read.end_at(offset),
                    Some(open) => open.fail(status, &message),
                    None => {}
                }
                Ok(Vec::new())
            }
            (Pending::Write { operation, length }, Reply::Status { status, message }) => {
                match self.open.get_mut(&operation) {
                    Some(open) if status == Status::OK => open.transfer.written.arrived(length.into()),
                    Some(open) => open.fail(status, &message),
                    None => {}
                }
                Ok(Vec::new())
            }
            (Pending::Readdir { .. }, Reply::Name { .. }) => Ok(Vec::new()),
            (Pending::Readdir { operation }, Reply::Status { status, message }) if status != Status::OK => {
                if let Some(open) = self.open.get_mut(&operation).filter(|_| status != Status::EOF) {
                    open.fail(status, &message);
                }
                Ok(Vec::new())
            }
            (Pending::Operations { first, count }, Reply::Status { status, message }) => {
                Ok((first..first + count).map(|operation| self.ended(operation, status, &message)).collect())
            }
            (Pending::Question(_), Reply::Status { .. })
            | (Pending::Question(Answer::Name), Reply::Name { .. })
            | (Pending::Question(Answer::Attrs), Reply::Attrs)
            | (Pending::Question(Answer::Extended), Reply::Extended) => Ok(Vec::new()),
            _ => Err(unfit()),
        }
    }

    fn opened(&mut self, operation: u64, open: Open, handle: &Bytes) -> Result<(), Denial> {
        if self.handles.contains_key(handle) {
            return Err(lost("it gives a handle to two files"));
        }
        self.handles.insert(Bytes::copy_from_slice(handle), operation);
        self.open.insert(operation, open);
        Ok(())
    }

    fn ended(&self, operation: u64, status: Status, message: &Bytes) -> FileDone {
        let error = (status != Status::OK).then(|| error(status, message));
        FileDone { error, ..over(self.channel, operation) }
    }
}

impl Open {
    fn fail(&mut self, status: Status, message: &Bytes) {
        self.error.get_or_insert_with(|| error(status, message));
    }
}

/// What the server says, or the number of what it means.
fn error(status: Status, message: &Bytes) -> Bytes {
    if message.is_empty() { format!("status {}", status.0).into() } else { Bytes::copy_from_slice(message) }
}
