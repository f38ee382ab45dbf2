//! Where the files of `scp` are.

use bytes::Bytes;
use hoop_core::FileKind;
use hoop_proto::ssh::scp::{Command, Direction};

use super::super::operation::Intent;

/// Longest path that is followed, in bytes, and deepest.
const MAX_PATH: usize = 4 << 10;

/// A folder, as the command and the lines since then say it.
pub(super) struct Place {
    path: Vec<u8>,
    /// Whether only the target knows if the command's path is the folder that files go to, or the name that the first gets.
    is_open: bool,
    names: Vec<Bytes>,
}

impl Place {
    pub(super) fn new(command: Command) -> Self {
        let Command { direction, is_directory, path, .. } = command;
        let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let says_so = matches!(last, b"" | b"." | b".." | b"~");
        Self { is_open: direction == Direction::Upload && !is_directory && !says_so, path, names: Vec::new() }
    }

    pub(super) const fn is_outermost(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn enter(&mut self, name: Bytes) {
        self.names.push(Bytes::copy_from_slice(&name));
    }

    pub(super) fn leave(&mut self) {
        self.names.pop();
    }

    /// What is done with this name here; none where its path is too long. Where only the target knows which, it is two paths.
    pub(super) fn intent(&self, kind: FileKind, name: &[u8]) -> Option<Intent> {
        let names: Vec<&[u8]> = self.names.iter().map(|name| &name[..]).chain([name]).collect();
        let within = self.below(&names)?;
        if !self.is_open {
            return Some(Intent::new(kind, &within));
        }
        let itself = self.below(names.get(1..).unwrap_or_default())?;
        Some(Intent::new(kind, &itself).to(&within))
    }

    fn below(&self, names: &[&[u8]]) -> Option<Vec<u8>> {
        let mut path = self.path.clone();
        for name in names {
            if !path.is_empty() && !path.ends_with(b"/") {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
        (path.len() <= MAX_PATH).then_some(path)
    }
}
