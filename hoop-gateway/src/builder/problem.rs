//! Why a gateway cannot be built.

use std::error::Error;
use std::fmt;

use crate::auth::PasswordError;
use crate::data::DataError;
use crate::listen::TlsError;
use crate::record::{KeyError, RecordError};

/// One thing that keeps a gateway from being built, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildProblem {
    /// The data folder.
    #[error(transparent)]
    Data(DataError),
    /// The store.
    #[error("check `store.url`, or give another store to GatewayBuilder::store")]
    Store(#[source] DataError),
    /// The certificate.
    #[error("check `tls.certificate` and `tls.key`")]
    Tls(#[source] TlsError),
    /// The operator's key.
    #[error("check `secrets.key_file`, or make a key: hoop-gateway secrets new-key FILE")]
    OperatorKey(#[source] KeyError),
    /// The recordings.
    #[error("sessions cannot be recorded; check `record.folder`")]
    Record(#[source] RecordError),
    /// Two doors on one address.
    #[error("`{setting}` is the address of `{other}`, too; give each its own")]
    SameAddress {
        /// The setting.
        setting: &'static str,
        /// The one before it.
        other: &'static str,
    },
    /// Two plugins of one name.
    #[error(
        "two plugins are called {name}, and a role's settings would not tell them apart; give yours another name, or take the stock ones out with GatewayBuilder::without_stock_plugins"
    )]
    SamePlugin {
        /// The name.
        name: String,
    },
    /// An address that others are to use is none.
    #[error("`{setting}` is `{value}`, which is not of the form host:port")]
    Public {
        /// The setting.
        setting: &'static str,
        /// What it says.
        value: String,
    },
    /// A URL that others are to use is none.
    #[error("`{setting}` is `{value}`, which is no URL of the form https://apps.example.com")]
    PublicUrl {
        /// The setting.
        setting: &'static str,
        /// What it says.
        value: String,
    },
    /// An authority of SSH certificates is none.
    #[error("`listen.ssh.user_authorities` has `{line}`, which is no public key as in a .pub file")]
    SshAuthority {
        /// What it says.
        line: String,
    },
    /// Passwords cannot be hashed on this machine.
    #[error("passwords cannot be hashed")]
    Passwords(#[source] PasswordError),
    /// The registry of metrics cannot be made.
    #[error("metrics cannot be kept")]
    Telemetry(#[source] Box<dyn Error + Send + Sync>),
}

/// A gateway cannot be built. Its text has every problem with what is behind it.
#[derive(Debug)]
pub struct BuildError {
    pub(super) problems: Vec<BuildProblem>,
}

impl BuildError {
    /// Every problem.
    pub fn problems(&self) -> &[BuildProblem] {
        &self.problems
    }
}

impl From<BuildProblem> for BuildError {
    fn from(problem: BuildProblem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the gateway cannot be built")?;
        for problem in &self.problems {
            write!(f, "\n  - {problem}")?;
            let mut source = problem.source();
            while let Some(error) = source {
                write!(f, ": {error}")?;
                source = error.source();
            }
        }
        Ok(())
    }
}

impl Error for BuildError {}

/// Problems as they are found.
#[derive(Default)]
pub(super) struct Problems(pub(super) Vec<BuildProblem>);

impl Problems {
    /// What there is; a failure is noted.
    pub(super) fn note<T>(&mut self, result: Result<T, BuildProblem>) -> Option<T> {
        result.map_err(|problem| self.0.push(problem)).ok()
    }
}
