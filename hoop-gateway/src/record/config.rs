//! Settings of the recorder.

use std::path::PathBuf;
use std::time::Duration;

use ed25519_dalek::SigningKey;

/// Settings of a [`Recorder`](super::Recorder).
#[derive(Clone)]
pub struct RecorderConfig {
    /// The folder of the recordings; made when missing. One gateway at a time writes to it.
    pub folder: PathBuf,
    /// The gateway's key, which signs checkpoints.
    pub key: SigningKey,
    /// How long what was recorded may stay in memory.
    pub window: Duration,
    /// How long what was written may stay out of the disk, in sessions that do not wait for it.
    pub sync_every: Duration,
    /// How often a running log gets a signed checkpoint while it grows.
    pub checkpoint_every: Duration,
    /// How much one session may have in memory before it has to wait, in bytes.
    pub max_buffered_bytes: usize,
    /// How large the shared write-ahead log grows before the next one is begun, in bytes.
    pub max_wal_bytes: u64,
    /// What must be free on the disk.
    pub space: Space,
}

impl RecorderConfig {
    /// The default settings for this folder and key.
    pub fn new(folder: impl Into<PathBuf>, key: SigningKey) -> Self {
        Self {
            folder: folder.into(),
            key,
            window: Duration::from_millis(200),
            sync_every: Duration::from_millis(800),
            checkpoint_every: Duration::from_secs(10),
            max_buffered_bytes: 4 << 20,
            max_wal_bytes: 64 << 20,
            space: Space::default(),
        }
    }
}

impl std::fmt::Debug for RecorderConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecorderConfig")
            .field("folder", &self.folder)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// What must be free on the disk of the recordings, in percent as df(1) counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Below this, strict sessions are refused; 0: never.
    pub strict_percent: u8,
    /// Below this, every session is refused or ended; 0: never. What is left serves the records of their ends.
    pub all_percent: u8,
}

impl Default for Space {
    fn default() -> Self {
        Self { strict_percent: 10, all_percent: 3 }
    }
}
