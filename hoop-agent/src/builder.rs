//! Building an agent.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use hoop_proto::dsn::Dsn;
use hoop_proto::tunnel::BusyPoll;
use rustls::RootCertStore;

use crate::agent::{Agent, Settings};
use crate::roots;
use crate::secret::SecretSources;
use crate::trace::ContinueTrace;

/// Builds an [`Agent`].
#[derive(Debug, Default)]
pub struct AgentBuilder {
    key: Option<String>,
    labels: BTreeMap<String, String>,
    secrets: SecretSources,
    targets: Vec<String>,
    ca_file: Option<PathBuf>,
    continue_trace: Option<ContinueTrace>,
    busy_poll: Option<BusyPoll>,
}

impl AgentBuilder {
    /// The agent's key, as the gateway showed it once.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Takes the key from the environment variable `HOOP_KEY`.
    #[must_use]
    pub fn key_from_env(mut self) -> Self {
        self.key = std::env::var("HOOP_KEY").ok().filter(|key| !key.is_empty());
        self
    }

    /// Adds a label, for people and rules to select by.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Where secrets may be read from.
    #[must_use]
    pub fn secrets(mut self, sources: SecretSources) -> Self {
        self.secrets = sources;
        self
    }

    /// Allows targets that match `host:port`, in which `*` stands for any run of characters; for a Unix-domain socket
    /// `folder:port`. Once one is given, no other target is ever dialled, whatever the gateway asks for.
    #[must_use]
    pub fn allow_target(mut self, pattern: impl Into<String>) -> Self {
        self.targets.push(pattern.into());
        self
    }

    /// The PEM file of the authorities that may vouch for the gateway; without it, those that browsers trust. No other is
    /// trusted then. A certificate that the key pins needs nobody to vouch for it.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Takes the [`ca_file`](Self::ca_file) from the environment variable `HOOP_CA_FILE`, where it is set.
    #[must_use]
    pub fn ca_file_from_env(mut self) -> Self {
        let named = std::env::var_os("HOOP_CA_FILE").filter(|path| !path.is_empty());
        self.ca_file = named.map(PathBuf::from).or(self.ca_file);
        self
    }

    /// What the agent does for a session goes on with the trace that the gateway names. Its spans have the target
    /// `hoop_trace`.
    #[must_use]
    pub fn continue_trace(mut self, with: ContinueTrace) -> Self {
        self.continue_trace = Some(with);
        self
    }

    /// Whether the agent looks for the next message for a while, in place of going to sleep at once. Nothing said: never, as
    /// the processor is its host's.
    #[must_use]
    pub const fn busy_poll(mut self, when: BusyPoll) -> Self {
        self.busy_poll = Some(when);
        self
    }

    /// The agent.
    ///
    /// # Errors
    /// [`BuildError`] with every problem at once.
    pub fn build(self) -> Result<Agent, BuildError> {
        let mut problems = Vec::new();
        let dsn = match self.key.as_deref().map(str::parse::<Dsn>) {
            Some(Ok(dsn)) => Some(dsn),
            Some(Err(error)) => {
                problems.push(Problem { what: error.to_string(), fix: "key" });
                None
            }
            None => {
                let what = "no key is given; set HOOP_KEY to what the gateway showed when the agent was registered";
                problems.push(Problem { what: what.to_owned(), fix: "key_from_env" });
                None
            }
        };
        for pattern in self.targets.iter().filter(|pattern| !pattern.contains(':') && *pattern != "*") {
            problems.push(Problem { what: format!("`{pattern}` is not of the form host:port"), fix: "allow_target" });
        }
        let roots = self.roots().unwrap_or_else(|what| {
            problems.push(Problem { what, fix: "ca_file" });
            RootCertStore::empty()
        });
        match dsn {
            Some(dsn) if problems.is_empty() => {
                let Self { labels, secrets, targets, continue_trace, busy_poll, .. } = self;
                let busy_poll = busy_poll.unwrap_or(BusyPoll::Off);
                Ok(Agent::new(Settings {
                    dsn,
                    labels,
                    secrets,
                    targets,
                    roots,
                    continue_trace,
                    busy_poll,
                    #[cfg(feature = "postgres")]
                    scram_keys: Default::default(),
                }))
            }
            _ => Err(BuildError { problems }),
        }
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let Some(path) = &self.ca_file else { return Ok(roots::public()) };
        let file = path.display().to_string();
        let pem = std::fs::read(path).map_err(|error| format!("{file} cannot be read: {error}"))?;
        roots::from_pem(&pem, &file)
    }
}

/// Everything that is wrong with an agent's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    /// One each.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What.
    pub what: String,
    /// The builder's method that puts it right.
    pub fix: &'static str,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for problem in &self.problems {
            write!(f, "{separator}{} (see AgentBuilder::{})", problem.what, problem.fix)?;
            separator = "; ";
        }
        Ok(())
    }
}

impl std::error::Error for BuildError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "no certificate").expect("written");
        for file in [empty, folder.path().join("missing.pem")] {
            let error = Agent::builder().ca_file(&file).build().expect_err("no authorities");
            let named = |problem: &&Problem| problem.what.contains(&file.display().to_string());
            assert_eq!(error.problems.iter().find(named).expect("named").fix, "ca_file", "{error}");
            assert_eq!(error.problems.len(), 2, "the missing key is named with it: {error}");
        }
    }
}
