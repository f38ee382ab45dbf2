//! The thread of the control stream.
//!
//! An agent is a guest: its host's runtime may be busy, or stand still, for longer than a gateway waits for a word. So heartbeats are
//! no part of it.

use std::io;
use std::sync::mpsc::sync_channel;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tracing::instrument::WithSubscriber as _;

/// Runs `work`, and what it begins, on a thread that ends with it. What it logs goes where the caller's does.
///
/// # Errors
/// When the system gives no thread, or nothing to wait with.
pub(crate) fn start(work: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let work = work.with_current_subscriber();
    let (tell, told) = sync_channel(1);
    let run = move || match runtime() {
        Ok(runtime) => {
            let _ = tell.send(Ok(()));
            runtime.block_on(work);
        }
        Err(error) => drop(tell.send(Err(error))),
    };
    thread::Builder::new().name("hoop-agent".to_owned()).spawn(run)?;
    // It says so at once.
    told.recv().unwrap_or_else(|gone| Err(io::Error::other(gone)))
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(1).build()
}
