//! Why something could not be recorded.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why something could not be recorded. A session that meets one of these does not go on.
#[non_exhaustive]
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordError {
    /// A write or a sync failed; the recorder stays failed until it is opened again.
    #[error("the recorder has failed: {what}")]
    Failed {
        /// What was tried.
        what: Arc<str>,
        /// Why it failed.
        #[source]
        source: Arc<io::Error>,
    },
    /// The recorder is shut down, or the log has ended.
    #[error("the recorder is shut down")]
    ShutDown,
    /// The disk of the recordings is full, or as good as.
    #[error("the disk of the recordings is almost full")]
    NoSpace,
    /// The disk of the recordings has too little space for a strict session; others are recorded.
    #[error("the disk of the recordings has little space left")]
    LittleSpace,
    /// One record is larger than [`MAX_PAYLOAD`](super::MAX_PAYLOAD).
    #[error("a record of {bytes} bytes is larger than allowed")]
    TooLong {
        /// Its payload, in bytes.
        bytes: usize,
    },
    /// A file or folder cannot be made, read or written.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Arc<io::Error>,
    },
    /// Another gateway writes to the folder.
    #[error("the recordings in {} are in use by another gateway", .0.display())]
    Locked(PathBuf),
}

impl RecordError {
    pub(super) fn file(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source: Arc::new(source) }
    }
}
