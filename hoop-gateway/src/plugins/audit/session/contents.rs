//! The contents of files, where the role keeps them.

use std::collections::HashMap;

use hoop_core::{ChannelId, Denial, FileBytes, FileDone, FileKind, FileOperation};

use super::super::KeepFiles;
use super::SessionAudit;
use crate::plugins::guardrail::may_be;
use crate::record::event::FileHead;
use crate::record::{Kind, MAX_PAYLOAD};

/// What is kept of files that are open.
#[derive(Default)]
pub(super) struct Contents(HashMap<(ChannelId, u64), Kept>);

/// Bytes that are kept of one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kept {
    pub(super) read: u64,
    pub(super) written: u64,
}

impl Contents {
    pub(super) fn open(&mut self, keep: &KeepFiles, file: &FileOperation) {
        let moves = matches!(file.kind, FileKind::Read | FileKind::Write | FileKind::ReadWrite);
        let mut paths = std::iter::once(&file.path).chain(&file.to);
        if moves && paths.any(|path| keep.paths.iter().any(|pattern| may_be(pattern, path))) {
            self.0.insert((file.channel, file.id), Kept::default());
        }
    }

    /// How many of these bytes are kept, from the first on.
    fn add(&mut self, keep: &KeepFiles, piece: &FileBytes, written: bool) -> usize {
        let Some(kept) = self.0.get_mut(&(piece.channel, piece.id)) else { return 0 };
        let kept = if written { &mut kept.written } else { &mut kept.read };
        let room = keep.up_to_bytes.saturating_sub(piece.offset.max(*kept));
        let bytes = usize::try_from(room).unwrap_or(usize::MAX).min(piece.bytes.len());
        *kept += bytes as u64;
        bytes
    }

    pub(super) fn close(&mut self, done: &FileDone) -> Option<Kept> {
        self.0.remove(&(done.channel, done.id))
    }
}

impl SessionAudit {
    pub(super) fn file_bytes(&mut self, piece: &FileBytes, written: bool) -> Result<(), Denial> {
        let Some(keep) = &self.limits.files else { return Ok(()) };
        let bytes = self.contents.add(keep, piece, written);
        let mut head = FileHead { channel: piece.channel.0, number: piece.id, written, offset: piece.offset };
        for piece in piece.bytes.get(..bytes).unwrap_or_default().chunks(MAX_PAYLOAD - FileHead::LENGTH) {
            self.recording.add(Kind::FileBytes, &[&head.encode(), piece])?;
            head.offset += piece.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn as_much_is_kept_as_the_role_says_of_the_files_that_it_names() {
        let keep = KeepFiles { up_to_bytes: 10, paths: vec!["/srv/*".to_owned()] };
        let mut contents = Contents::default();
        let channel = ChannelId(1);
        let file = |id, kind, path: &'static str| FileOperation {
            channel,
            id,
            kind,
            path: Bytes::from_static(path.as_bytes()),
            to: None,
        };
        contents.open(&keep, &file(1, FileKind::Write, "/srv/a"));
        contents.open(&keep, &file(2, FileKind::Write, "/etc/a"));
        contents.open(&keep, &file(3, FileKind::Remove, "/srv/a"));
        let to = FileOperation { to: Some(Bytes::from_static(b"/srv/b")), ..file(4, FileKind::Read, "b") };
        contents.open(&keep, &to);
        let mut add = |id, offset, written| {
            contents.add(&keep, &FileBytes { channel, id, offset, bytes: Bytes::from_static(b"123456") }, written)
        };
        assert_eq!([add(1, 0, true), add(1, 6, true), add(1, 12, true), add(1, 0, true)], [6, 4, 0, 0]);
        assert_eq!([add(1, 8, false), add(1, 10, false), add(1, u64::MAX, false), add(1, 0, false)], [2, 0, 0, 6]);
        assert_eq!([add(2, 0, true), add(3, 0, true), add(4, 0, false)], [0, 0, 6]);
        let done =
            |id| FileDone { channel, id, bytes_read: 0, bytes_written: 0, sha256: None, error: None, denial: None };
        assert!(contents.close(&done(1)).is_some_and(|kept| (kept.written, kept.read) == (10, 8)));
        assert!(contents.close(&done(2)).is_none() && contents.close(&done(1)).is_none());
    }

    #[test]
    fn another_spelling_of_a_path_keeps_nothing_out() {
        let keep = |pattern: &str| KeepFiles { up_to_bytes: 10, paths: vec![pattern.to_owned()] };
        for (pattern, path, kept) in [
            ("/srv/*", "/srv/a", true),
            ("/srv/*", "//srv/./a", true),
            ("/srv/*", "/tmp/../srv/a", true),
            ("/srv/*", "../srv/a", true),
            ("/srv/*.key", "a.key", true),
            ("/srv/*.key", "a.txt", false),
            ("notes", "notes", true),
            ("*", "anything", true),
        ] {
            let (mut contents, path) = (Contents::default(), Bytes::from_static(path.as_bytes()));
            let file =
                FileOperation { channel: ChannelId(1), id: 1, kind: FileKind::Read, path: path.clone(), to: None };
            contents.open(&keep(pattern), &file);
            assert_eq!(!contents.0.is_empty(), kept, "{pattern} and {path:?}");
        }
    }
}
