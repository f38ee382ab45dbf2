//! The runtime that the stock programs work on.

use std::io;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};

/// A runtime with as many workers as `TOKIO_WORKER_THREADS` says, or else half of the machine's cores.
///
/// A worker that finds work wakes another one to look for more. Where a statement passes through on two cores, that is two
/// system calls and a change of the core for nothing: what the bytes cost is the kernel's work, which wants the other half.
///
/// # Errors
/// When the system has no more threads.
pub fn runtime() -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        builder.worker_threads(workers(available_parallelism().map_or(1, NonZero::get)));
    }
    builder.enable_all().build()
}

const fn workers(cores: usize) -> usize {
    if cores < 4 { 1 } else { cores / 2 }
}

#[cfg(test)]
mod tests {
    use super::workers;

    #[test]
    fn half_of_the_cores_and_never_none() {
        assert_eq!([1, 2, 3, 4, 5, 16].map(workers), [1, 1, 1, 2, 2, 8]);
    }
}
