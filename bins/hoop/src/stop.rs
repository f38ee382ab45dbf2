//! What ends a command before it is done: Ctrl-C, a closed terminal, `--timeout`.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// From when it is made on, a signal ends nothing by itself any more.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    pub(crate) fn new() -> Result<Self, Failure> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self { interrupt: interrupt?, terminate: terminate?, hangup: hangup? })
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Interrupt,
            _ = self.terminate.recv() => Asked::Terminate,
            _ = self.hangup.recv() => Asked::Hangup,
        }
    }

    /// The next signal, or the end of the time, as the failure that it is.
    pub(crate) async fn any(&mut self, timeout: Option<Duration>) -> Failure {
        tokio::select! {
            asked = self.next() => match asked {
                Asked::Interrupt => Failure::new(Failure::INTERRUPTED, "interrupted"),
                Asked::Terminate => Failure::new(143, "terminated"),
                Asked::Hangup => Failure::new(129, "the terminal is gone"),
            },
            failure = over(timeout) => failure,
        }
    }
}

/// How the process is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Ctrl-C.
    Interrupt,
    /// `kill`.
    Terminate,
    /// The terminal is closed.
    Hangup,
}

/// The time is over; never, where there is no limit.
pub(crate) async fn over(timeout: Option<Duration>) -> Failure {
    match timeout {
        None => std::future::pending().await,
        Some(timeout) => {
            tokio::time::sleep(timeout).await;
            let text = format!("not done within {} ms", timeout.as_millis());
            Failure::new(Failure::TIMED_OUT, text).hint("allow more with --timeout")
        }
    }
}
