//! What went wrong, and the exit code that says so to scripts.

use std::fmt;
use std::process::ExitCode;

/// A command that did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// Nobody is signed in.
    pub(crate) const NOT_SIGNED_IN: u8 = 3;
    /// The gateway refuses.
    pub(crate) const DENIED: u8 = 4;
    /// There is no such thing, or none that may be seen.
    pub(crate) const NOT_FOUND: u8 = 8;
    /// The gateway, an agent or a target is not there.
    pub(crate) const UNAVAILABLE: u8 = 9;

    pub(crate) fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, error: anyhow::anyhow!(text.into()) }
    }

    pub(crate) fn is_unavailable(&self) -> bool {
        self.code == Self::UNAVAILABLE
    }

    /// Whether there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code == Self::NOT_FOUND
    }

    /// Whether the gateway refuses.
    pub(crate) fn is_denied(&self) -> bool {
        self.code == Self::DENIED
    }

    /// Tells people, and gives the code for scripts.
    pub(crate) fn print(&self) -> ExitCode {
        if self.is_reader_gone() {
            return ExitCode::SUCCESS;
        }
        eprintln!("hoop: {self}");
        ExitCode::from(self.code)
    }

    /// Whether whoever read the output has seen enough, as `head` does.
    fn is_reader_gone(&self) -> bool {
        let error = self.error.downcast_ref::<std::io::Error>();
        error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: 1, error: error.into() }
    }
}
