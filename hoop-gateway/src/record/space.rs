//! How much of the disk is free.

use std::io;
use std::path::Path;

/// Free for us, in percent of the whole.
pub(super) fn free_percent(folder: &Path) -> io::Result<f64> {
    let disk = rustix::fs::statvfs(folder)?;
    if disk.f_blocks == 0 {
        return Ok(100.0);
    }
    #[expect(clippy::cast_precision_loss, reason = "a percentage needs no more than 52 bits")]
    Ok(disk.f_bavail as f64 * 100.0 / disk.f_blocks as f64)
}
