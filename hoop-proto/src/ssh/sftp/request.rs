//! What a client asks.

use bytes::{BufMut, Bytes, BytesMut};

use super::fields::{Attributes, Fields};
use super::{HEAD, MAX_HANDLE, Need, SftpError, size};

pub(super) const INIT: u8 = 1;
const WRITE: u8 = 6;
const FSTAT: u8 = 8;

/// A request, named as in the draft, and OpenSSH's extensions by theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the draft: a path, a handle, attributes")]
pub enum Request {
    /// The greeting, with the highest version that the client knows.
    Init { version: u32 },
    /// Opens a file.
    Open { path: Bytes, flags: OpenFlags, attributes: Attributes },
    /// Closes a file or a folder.
    Close { handle: Bytes },
    /// Reads so many bytes at most, from an offset on.
    Read { handle: Bytes, offset: u64, length: u32 },
    /// Writes so many bytes, which follow, from an offset on.
    Write { handle: Bytes, offset: u64, length: u32 },
    /// The attributes of a path, or of the link that it is.
    Lstat { path: Bytes },
    /// The attributes of what is open.
    Fstat { handle: Bytes },
    /// Sets attributes of a path.
    Setstat { path: Bytes, attributes: Attributes },
    /// Sets attributes of what is open.
    Fsetstat { handle: Bytes, attributes: Attributes },
    /// Opens a folder, to list it.
    Opendir { path: Bytes },
    /// More of what is in a folder.
    Readdir { handle: Bytes },
    /// Removes a file.
    Remove { path: Bytes },
    /// Makes a folder.
    Mkdir { path: Bytes, attributes: Attributes },
    /// Removes a folder.
    Rmdir { path: Bytes },
    /// The full path.
    Realpath { path: Bytes },
    /// The attributes of a path, or of what the link leads to that it is.
    Stat { path: Bytes },
    /// Gives a file another name.
    Rename { from: Bytes, to: Bytes },
    /// Where a link leads.
    Readlink { path: Bytes },
    /// Makes a symbolic link. The order is OpenSSH's; the draft has it the other way round.
    Symlink { target: Bytes, link: Bytes },
    /// `posix-rename@openssh.com`: as rename, and replaces what has the name.
    PosixRename { from: Bytes, to: Bytes },
    /// `hardlink@openssh.com`.
    Hardlink { from: Bytes, to: Bytes },
    /// `statvfs@openssh.com`.
    Statvfs { path: Bytes },
    /// `fstatvfs@openssh.com`.
    Fstatvfs { handle: Bytes },
    /// `fsync@openssh.com`.
    Fsync { handle: Bytes },
    /// `lsetstat@openssh.com`: as setstat, and does not follow links.
    Lsetstat { path: Bytes, attributes: Attributes },
    /// `limits@openssh.com`.
    Limits,
    /// `expand-path@openssh.com`.
    ExpandPath { path: Bytes },
    /// `copy-data`: the server copies from one open file to another. A length of 0 means up to the end.
    CopyData { from: Bytes, from_offset: u64, length: u64, to: Bytes, to_offset: u64 },
    /// `home-directory`, of a user.
    HomeDirectory { user: Bytes },
    /// `users-groups-by-id@openssh.com`.
    UsersGroupsById { users: Bytes, groups: Bytes },
    /// An extension that is not known here.
    Unknown { name: Bytes },
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenFlags(pub u32);

impl OpenFlags {
    /// To be read; servers open a file for it too when it is not to be written.
    pub const fn reads(self) -> bool {
        self.0 & 1 != 0 || self.0 & 2 == 0
    }

    /// To be written, or made, or emptied.
    pub const fn writes(self) -> bool {
        self.0 & 0x3e != 0
    }

    /// Written at its end only, whatever the offset.
    pub const fn appends(self) -> bool {
        self.0 & 4 != 0
    }

    /// Whether it is empty when it is open: emptied, or made anew.
    pub const fn begins_empty(self) -> bool {
        self.0 & 0x10 != 0 || self.0 & 0x28 == 0x28
    }
}

/// How long the packet is up to the bytes of a file.
pub(super) fn head(kind: u8, there: &[u8], whole: usize) -> Need {
    if kind != WRITE {
        return Need::Whole(whole);
    }
    let Some(length) = there.get(HEAD..HEAD + 4).and_then(|length| length.try_into().ok()) else {
        return Need::More(HEAD + 4);
    };
    // A handle that is too long is found when it is read; nothing is put together for it.
    let handle = size(u32::from_be_bytes(length)).min(MAX_HANDLE);
    Need::Whole(HEAD + 4 + handle + 8 + 4)
}

impl Request {
    pub(super) fn parse(kind: u8, packet: &Bytes) -> Result<Self, SftpError> {
        let mut fields = Fields::of(kind, packet);
        let f = &mut fields;
        let request = match kind {
            INIT => {
                let version = super::fields::id(packet);
                return fields.pairs().map(|()| Self::Init { version });
            }
            3 => Self::Open { path: f.path()?, flags: OpenFlags(f.u32()?), attributes: f.attributes()? },
            4 => Self::Close { handle: f.handle()? },
            5 => Self::Read { handle: f.handle()?, offset: f.u64()?, length: f.u32()? },
            WRITE => Self::Write { handle: f.handle()?, offset: f.u64()?, length: f.u32()? },
            7 => Self::Lstat { path: f.path()? },
            FSTAT => Self::Fstat { handle: f.handle()? },
            9 => Self::Setstat { path: f.path()?, attributes: f.attributes()? },
            10 => Self::Fsetstat { handle: f.handle()?, attributes: f.attributes()? },
            11 => Self::Opendir { path: f.path()? },
            12 => Self::Readdir { handle: f.handle()? },
            13 => Self::Remove { path: f.path()? },
            14 => Self::Mkdir { path: f.path()?, attributes: f.attributes()? },
            15 => Self::Rmdir { path: f.path()? },
            16 => Self::Realpath { path: f.path()? },
            17 => Self::Stat { path: f.path()? },
            18 => Self::Rename { from: f.path()?, to: f.path()? },
            19 => Self::Readlink { path: f.path()? },
            20 => Self::Symlink { target: f.path()?, link: f.path()? },
            200 => return Self::extended(fields),
            other => return Err(SftpError::Type(other)),
        };
        fields.end(request)
    }

    fn extended(mut fields: Fields) -> Result<Self, SftpError> {
        let f = &mut fields;
        let name = f.text()?;
        let request = match &name[..] {
            b"posix-rename@openssh.com" => Self::PosixRename { from: f.path()?, to: f.path()? },
            b"hardlink@openssh.com" => Self::Hardlink { from: f.path()?, to: f.path()? },
            b"statvfs@openssh.com" => Self::Statvfs { path: f.path()? },
            b"fstatvfs@openssh.com" => Self::Fstatvfs { handle: f.handle()? },
            b"fsync@openssh.com" => Self::Fsync { handle: f.handle()? },
            b"lsetstat@openssh.com" => Self::Lsetstat { path: f.path()?, attributes: f.attributes()? },
            b"limits@openssh.com" => Self::Limits,
            b"expand-path@openssh.com" => Self::ExpandPath { path: f.path()? },
            b"copy-data" => Self::CopyData {
                from: f.handle()?,
                from_offset: f.u64()?,
                length: f.u64()?,
                to: f.handle()?,
                to_offset: f.u64()?,
            },
            b"home-directory" => Self::HomeDirectory { user: f.path()? },
            b"users-groups-by-id@openssh.com" => Self::UsersGroupsById { users: f.text()?, groups: f.text()? },
            // What follows its name is known to the server alone.
            _ => return Ok(Self::Unknown { name }),
        };
        fields.end(request)
    }

    pub(super) const fn data(&self) -> u32 {
        match self {
            Self::Write { length, .. } => *length,
            _ => 0,
        }
    }
}

/// The greeting of a client that knows this version and no extensions.
pub fn write_init(version: u32) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD);
    out.put_u32(5);
    out.put_u8(INIT);
    out.put_u32(version);
    out.freeze()
}

/// A request that every server answers and none does anything for: the attributes of a handle that it never gave.
pub fn write_impossible(id: u32) -> Bytes {
    const HANDLE: &[u8] = b"refused by the gateway";
    let handle = u32::try_from(HANDLE.len()).unwrap_or(0);
    let mut out = BytesMut::with_capacity(HEAD + 4 + HANDLE.len());
    out.put_u32(5 + 4 + handle);
    out.put_u8(FSTAT);
    out.put_u32(id);
    out.put_u32(handle);
    out.put_slice(HANDLE);
    out.freeze()
}
