//! Building an agent.

use std::collections::BTreeMap;
use std::fmt;

use hoop_proto::dsn::Dsn;

use crate::agent::{Agent, Settings};
use crate::secret::SecretSources;

/// Builds an [`Agent`].
#[derive(Debug, Default)]
pub struct AgentBuilder {
    key: Option<String>,
    labels: BTreeMap<String, String>,
    secrets: SecretSources,
    targets: Vec<String>,
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
        match dsn {
            Some(dsn) if problems.is_empty() => {
                Ok(Agent::new(Settings { dsn, labels: self.labels, secrets: self.secrets, targets: self.targets }))
            }
            _ => Err(BuildError { problems }),
        }
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
