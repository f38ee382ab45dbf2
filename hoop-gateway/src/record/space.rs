//! How much of the disk is free.

use std::io;
use std::path::Path;

/// Free for us, in percent of what is used and what is free for us: 100 less what df(1) shows as `Use%`, so that
/// operators see the number that counts. What is there and given to nobody (blocks kept for root, a quota) is neither.
pub(super) fn free_percent(folder: &Path) -> io::Result<f64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(percent(disk.f_blocks, disk.f_bfree, disk.f_bavail))
}

/// Of blocks in all, those that are free, and those that are free for us.
fn percent(all: u64, free: u64, ours: u64) -> f64 {
    let used = all.saturating_sub(free);
    if used == 0 && ours == 0 {
        // A file system that does not count, such as some network ones.
        return 100.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a percentage needs no more than 52 bits")]
    return ours as f64 * 100.0 / (used as f64 + ours as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_to_nobody_is_neither_used_nor_free() {
        for (all, free, ours, expected) in [
            (1000, 950, 150, 75.0),
            (1000, 50, 50, 5.0),
            (1000, 50, 0, 0.0),
            (1000, 1000, 1000, 100.0),
            (0, 0, 0, 100.0),
        ] {
            let percent = percent(all, free, ours);
            assert!((percent - expected).abs() < 1e-9, "{percent} of {all}, {free}, {ours}");
        }
    }
}
