//! The fields of packets. Every read is checked; none copies.

use bytes::{Buf, Bytes};

use super::{HEAD, MAX_HANDLE, MAX_PATH, SftpError, size};

/// Longest name, text or list within a packet, in bytes.
const MAX_TEXT: usize = 64 << 10;

const SIZE: u32 = 1;
const UID_GID: u32 = 1 << 1;
const PERMISSIONS: u32 = 1 << 2;
const ACCESS_TIMES: u32 = 1 << 3;
const EXTENDED: u32 = 1 << 31;

/// The attributes of a file that are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Its size, in bytes. Giving another one cuts or extends the file.
    pub size: Option<u64>,
    /// Its user and group.
    pub owner: Option<(u32, u32)>,
    /// Its permissions, as in `st_mode`.
    pub permissions: Option<u32>,
    /// When it was read and changed last, in seconds since 1970.
    pub times: Option<(u32, u32)>,
    /// Whether there are others, of which only the server knows what they mean.
    pub extended: bool,
}

/// The id of a packet that has one.
pub(super) fn id(packet: &[u8]) -> u32 {
    packet.get(5..HEAD).and_then(|id| id.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Reads a packet from behind its id to its end.
pub(super) struct Fields {
    kind: u8,
    rest: Bytes,
}

impl Fields {
    pub(super) fn of(kind: u8, packet: &Bytes) -> Self {
        Self { kind, rest: packet.slice(HEAD.min(packet.len())..) }
    }

    pub(super) const fn malformed(&self, what: &'static str) -> SftpError {
        SftpError::Malformed { kind: self.kind, what }
    }

    pub(super) fn u32(&mut self) -> Result<u32, SftpError> {
        self.rest.try_get_u32().map_err(|_| self.malformed("it ends early"))
    }

    pub(super) fn u64(&mut self) -> Result<u64, SftpError> {
        self.rest.try_get_u64().map_err(|_| self.malformed("it ends early"))
    }

    fn bytes(&mut self, limit: usize, too_long: &'static str) -> Result<Bytes, SftpError> {
        let len = size(self.u32()?);
        if len > limit {
            return Err(self.malformed(too_long));
        }
        if len > self.rest.len() {
            return Err(self.malformed("a value longer than the packet"));
        }
        Ok(self.rest.split_to(len))
    }

    pub(super) fn handle(&mut self) -> Result<Bytes, SftpError> {
        self.bytes(MAX_HANDLE, "a handle that is too long")
    }

    /// A path. One with a zero is one path to some servers, and another to others.
    pub(super) fn path(&mut self) -> Result<Bytes, SftpError> {
        let path = self.bytes(MAX_PATH, "a path that is too long")?;
        if memchr::memchr(0, &path).is_some() { Err(self.malformed("a path with a zero")) } else { Ok(path) }
    }

    pub(super) fn text(&mut self) -> Result<Bytes, SftpError> {
        self.bytes(MAX_TEXT, "a text that is too long")
    }

    pub(super) fn attributes(&mut self) -> Result<Attributes, SftpError> {
        let flags = self.u32()?;
        if flags & !(SIZE | UID_GID | PERMISSIONS | ACCESS_TIMES | EXTENDED) != 0 {
            return Err(self.malformed("attributes that are not there in version 3"));
        }
        let has = |flag| flags & flag != 0;
        let attributes = Attributes {
            size: if has(SIZE) { Some(self.u64()?) } else { None },
            owner: if has(UID_GID) { Some((self.u32()?, self.u32()?)) } else { None },
            permissions: if has(PERMISSIONS) { Some(self.u32()?) } else { None },
            times: if has(ACCESS_TIMES) { Some((self.u32()?, self.u32()?)) } else { None },
            extended: has(EXTENDED),
        };
        if attributes.extended {
            for _ in 0..self.u32()? {
                self.text()?;
                self.text()?;
            }
        }
        Ok(attributes)
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Names and values up to the end.
    pub(super) fn pairs(mut self) -> Result<(), SftpError> {
        while !self.is_at_end() {
            self.text()?;
            self.text()?;
        }
        Ok(())
    }

    pub(super) fn end<T>(self, read: T) -> Result<T, SftpError> {
        if self.is_at_end() { Ok(read) } else { Err(self.malformed("bytes after its end")) }
    }
}
