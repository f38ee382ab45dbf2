//! What went wrong, and the exit code that says so to scripts.

use std::fmt;
use std::process::ExitCode;

use hoop_core::{Code, Fault};

use crate::output::printable_lines;

/// A command that did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    error: anyhow::Error,
    hint: Option<String>,
    /// What the gateway calls it, where it is the gateway's refusal.
    named: Option<Code>,
}

impl Failure {
    /// The command line asks for something that cannot be asked for.
    pub(crate) const USAGE: u8 = 2;
    /// Nobody is signed in.
    pub(crate) const NOT_SIGNED_IN: u8 = 3;
    /// The gateway refuses.
    pub(crate) const DENIED: u8 = 4;
    /// Somebody must agree first, and it is not waited for.
    pub(crate) const WAITING: u8 = 5;
    /// Somebody was asked to agree, and did not, or not in time.
    pub(crate) const NOT_AGREED: u8 = 6;
    /// A guardrail refuses a statement.
    pub(crate) const GUARDRAIL: u8 = 7;
    /// There is no such thing, or none that may be seen.
    pub(crate) const NOT_FOUND: u8 = 8;
    /// The gateway, an agent or a target is not there.
    pub(crate) const UNAVAILABLE: u8 = 9;
    /// `--timeout` is over.
    pub(crate) const TIMED_OUT: u8 = 124;
    /// Ctrl-C.
    pub(crate) const INTERRUPTED: u8 = 130;

    pub(crate) fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, error: anyhow::anyhow!(text.into()), hint: None, named: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit code of a refusal with this code.
    pub(crate) fn exit_code(code: Code) -> u8 {
        match code {
            Code::StatementDenied | Code::StatementUnparsable => Self::GUARDRAIL,
            Code::ReviewRequired => Self::WAITING,
            Code::ReviewDenied | Code::ReviewExpired => Self::NOT_AGREED,
            Code::LoginFailed | Code::Unauthenticated | Code::CredentialExpired | Code::CredentialRevoked => {
                Self::NOT_SIGNED_IN
            }
            Code::RoleNotFound | Code::NotFound => Self::NOT_FOUND,
            Code::ExpiredToken => Self::TIMED_OUT,
            Code::GatewayDraining | Code::StoreUnavailable => Self::UNAVAILABLE,
            other => match other.fault() {
                Fault::Policy => Self::DENIED,
                Fault::Target => Self::UNAVAILABLE,
                Fault::Client | Fault::Gateway => 1,
            },
        }
    }

    /// Adds what the gateway calls it.
    #[must_use]
    pub(crate) fn named(mut self, named: Option<Code>) -> Self {
        self.named = named;
        self
    }

    /// Whether the gateway calls it that.
    pub(crate) fn is(&self, named: Code) -> bool {
        self.named == Some(named)
    }

    /// What to do next, where that is known.
    pub(crate) fn next(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    pub(crate) const fn code(&self) -> u8 {
        self.code
    }

    pub(crate) const fn is_unavailable(&self) -> bool {
        self.code == Self::UNAVAILABLE
    }

    /// Whether there is no such thing.
    pub(crate) const fn is_not_found(&self) -> bool {
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
        // What is wrong may be told in the words of the gateway, of a target, or of an argument.
        eprintln!("hoop: {}", printable_lines(&self.to_string()));
        if let Some(hint) = &self.hint {
            eprintln!("hint: {}", printable_lines(hint));
        }
        ExitCode::from(self.code)
    }

    /// Whether whoever read the output has seen enough, as `head` does.
    pub(crate) fn is_reader_gone(&self) -> bool {
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
        Self { code: 1, error: error.into(), hint: None, named: None }
    }
}
