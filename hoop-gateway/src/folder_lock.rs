//! A folder that one gateway uses at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The lock of a folder, held until it is dropped, or its process is gone.
#[derive(Debug)]
pub(crate) struct FolderLock(File);

impl FolderLock {
    /// The file that is locked.
    pub(crate) fn file(folder: &Path) -> PathBuf {
        folder.join("lock")
    }

    /// Takes it; `None` when somebody else has it.
    pub(crate) fn take(folder: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(Self::file(folder))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // A program that this process is just starting has the file, too, until it begins: to close it would not be enough.
        let _ = self.0.unlock();
    }
}
