//! SFTP, version 3 ([draft-ietf-secsh-filexfer-02]) with OpenSSH's extensions ([PROTOCOL, section 4]).
//!
//! A packet is put together before it is read, except for the bytes of files: of a WRITE and of a DATA only what stands before
//! them is, and they follow as [`Part::Data`].
//!
//! ```
//! use bytes::Bytes;
//! use hoop_proto::ssh::sftp::{Part, Request, Requests};
//!
//! let mut requests = Requests::default();
//! requests.receive(Bytes::from_static(b"\0\0\0\x0d\x0d\0\0\0\x07\0\0\0\x04/tmp"));
//! let Some(Part::Packet { id: 7, packet: Request::Remove { path }, .. }) = requests.part()? else { panic!() };
//! assert_eq!(path, "/tmp");
//! assert!(requests.part()?.is_none());
//! # Ok::<(), hoop_proto::ssh::sftp::SftpError>(())
//! ```
//!
//! [draft-ietf-secsh-filexfer-02]: https://www.openssh.com/txt/draft-ietf-secsh-filexfer-02.txt
//! [PROTOCOL, section 4]: https://cvsweb.openbsd.org/src/usr.bin/ssh/PROTOCOL

mod fields;
mod reply;
mod request;

use bytes::Bytes;

pub use fields::Attributes;
pub use reply::{Reply, Status, write_status};
pub use request::{OpenFlags, Request, write_impossible, write_init};

use super::piece::{Inbox, Need};

/// The version that is spoken.
pub const VERSION: u32 = 3;
/// Longest packet, in bytes after its length: 256 KiB of a file and what stands before them.
pub const MAX_PACKET: usize = (256 << 10) + (1 << 10);
/// Longest handle, in bytes.
pub const MAX_HANDLE: usize = 256;
/// Longest path, in bytes.
pub const MAX_PATH: usize = 4 << 10;

/// Bytes of a packet's length, type and id.
const HEAD: usize = 9;

/// Bytes that are not SFTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SftpError {
    /// A packet's length that cannot be, or is above [`MAX_PACKET`].
    #[error("a packet of type {kind} says that it is {length} bytes long")]
    Length {
        /// The type.
        kind: u8,
        /// The length as it was sent.
        length: u32,
    },
    /// A packet of a type that does not belong here.
    #[error("a packet of type {0} has no place here")]
    Type(u8),
    /// A packet that is not of the documented form.
    #[error("a malformed packet of type {kind}: {what}")]
    Malformed {
        /// The type.
        kind: u8,
        /// What is wrong, as one clause.
        what: &'static str,
    },
}

/// A part of a stream of packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<P> {
    /// A packet. Of one that carries bytes of a file it is what stands before them.
    Packet {
        /// Its id; a greeting has none, and 0 here.
        id: u32,
        /// What it says.
        packet: P,
        /// The bytes as they were received, with the length.
        bytes: Bytes,
    },
    /// Bytes of a file, of the packet before it. It carries no empty ones.
    Data {
        /// The bytes.
        bytes: Bytes,
        /// How many follow in the packet.
        left: u32,
    },
}

/// What a client sends.
#[derive(Debug, Default)]
pub struct Requests(Packets);

/// What a server sends.
#[derive(Debug, Default)]
pub struct Replies(Packets);

impl Requests {
    /// Adds what was received.
    pub fn receive(&mut self, bytes: Bytes) {
        self.0.inbox.receive(bytes);
    }

    /// The next part that is there.
    ///
    /// # Errors
    /// [`SftpError`]; what is left is not to be read any more.
    pub fn part(&mut self) -> Result<Option<Part<Request>>, SftpError> {
        self.0.next(request::head, Request::parse, Request::data)
    }
}

impl Replies {
    /// Adds what was received.
    pub fn receive(&mut self, bytes: Bytes) {
        self.0.inbox.receive(bytes);
    }

    /// The next part that is there.
    ///
    /// # Errors
    /// [`SftpError`]; what is left is not to be read any more.
    pub fn part(&mut self) -> Result<Option<Part<Reply>>, SftpError> {
        self.0.next(reply::head, Reply::parse, Reply::data)
    }
}

/// Packets of one direction.
#[derive(Debug, Default)]
struct Packets {
    inbox: Inbox,
    /// Bytes of a file that are still to come in the packet.
    data: u32,
}

impl Packets {
    fn next<P>(
        &mut self,
        head: fn(u8, &[u8], usize) -> Need,
        parse: fn(u8, &Bytes) -> Result<P, SftpError>,
        data: fn(&P) -> u32,
    ) -> Result<Option<Part<P>>, SftpError> {
        if self.data > 0 {
            return Ok(self.inbox.some(self.data.into()).map(|bytes| {
                self.data = self.data.saturating_sub(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                Part::Data { bytes, left: self.data }
            }));
        }
        let Some(bytes) = self.inbox.whole(|there| need(there, head))? else { return Ok(None) };
        let (kind, length) = kind_and_length(&bytes).ok_or(SftpError::Type(0))?;
        let packet = parse(kind, &bytes)?;
        self.data = data(&packet);
        let carried = (bytes.len() - 4).saturating_add(size(self.data));
        if carried != size(length) {
            return Err(SftpError::Malformed { kind, what: "its length is not that of what it carries" });
        }
        let greets = kind == request::INIT || kind == reply::VERSION;
        let id = if greets { 0 } else { fields::id(&bytes) };
        Ok(Some(Part::Packet { id, packet, bytes }))
    }
}

/// How long the packet is that begins so, up to the bytes of a file.
fn need(there: &[u8], head: fn(u8, &[u8], usize) -> Need) -> Result<Need, SftpError> {
    let Some((kind, length)) = kind_and_length(there) else { return Ok(Need::More(HEAD)) };
    let whole = size(length);
    if !(HEAD - 4..=MAX_PACKET).contains(&whole) {
        return Err(SftpError::Length { kind, length });
    }
    Ok(match head(kind, there, whole + 4) {
        // A packet that ends within its head is taken as it is, and found to be malformed.
        Need::More(needed) if needed > whole + 4 => Need::Whole(whole + 4),
        Need::Whole(needed) => Need::Whole(needed.min(whole + 4)),
        more => more,
    })
}

fn kind_and_length(there: &[u8]) -> Option<(u8, u32)> {
    let (&[a, b, c, d, kind], _) = there.split_first_chunk::<5>()?;
    Some((kind, u32::from_be_bytes([a, b, c, d])))
}

fn size(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
