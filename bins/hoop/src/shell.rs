//! What surrounds a command: where data and talk go, who may be asked, and which gateway it is for.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use hoop_core::Secret;

use crate::api::Api;
use crate::failure::Failure;
use crate::files::Files;
use crate::gateway::{self, Choice, Gateway, Remote};
use crate::output::Format;
use crate::silent::Silent;

/// It is given to every command.
pub(crate) struct Shell {
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    /// Whether nobody may be asked anything.
    pub(crate) no_input: bool,
    /// Whether colours are not wanted.
    pub(crate) no_color: bool,
    /// How long the command may take.
    pub(crate) timeout: Option<Duration>,
    pub(crate) choice: Choice,
    pub(crate) files: Files,
}

/// A variable of the environment that is set to something.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Shell {
    /// Says something to people; data goes to standard output.
    pub(crate) fn tell(&self, text: impl AsRef<str>) {
        if !self.quiet {
            eprintln!("{}", text.as_ref());
        }
    }

    /// The gateway that the command is for.
    pub(crate) fn gateway(&self) -> Result<Gateway, Failure> {
        gateway::find(&self.choice, &self.files, &variable)
    }

    /// Its API, signed in.
    pub(crate) async fn api(&self) -> Result<Api, Failure> {
        self.api_of(&self.gateway()?).await
    }

    pub(crate) async fn api_of(&self, gateway: &Gateway) -> Result<Api, Failure> {
        let api = match gateway {
            Gateway::Dev { place, .. } => Api::of(place).await?,
            Gateway::Remote(remote) => Api::of_remote(remote)?,
        };
        Ok(api.verbose(self.verbose))
    }

    /// The gateway that somebody signed in to, which a `hoop dev` is not.
    pub(crate) fn remote(&self) -> Result<Remote, Failure> {
        match self.gateway()? {
            Gateway::Remote(remote) => Ok(remote),
            Gateway::Dev { .. } => {
                let text = "not signed in to a gateway; this folder is that of a hoop dev, which needs no login";
                Err(Failure::new(Failure::NOT_SIGNED_IN, text))
            }
        }
    }

    /// Asks for a line.
    pub(crate) fn ask(&self, what: &str, else_say: &str) -> Result<String, Failure> {
        self.may_ask(what, else_say)?;
        eprint!("{what}: ");
        io::stderr().flush()?;
        line()
    }

    /// Asks for something that is not to be seen.
    pub(crate) fn ask_secret(&self, what: &str, else_say: &str) -> Result<Secret<String>, Failure> {
        self.may_ask(what, else_say)?;
        let _silent = Silent::ask(&format!("{what}: "))?;
        Ok(Secret::new(rpassword::read_password()?))
    }

    pub(crate) fn may_ask(&self, what: &str, else_say: &str) -> Result<(), Failure> {
        if !self.no_input && io::stdin().is_terminal() && io::stderr().is_terminal() {
            return Ok(());
        }
        let what = what.to_lowercase();
        Err(Failure::new(Failure::USAGE, format!("nobody can be asked here: {what}")).hint(else_say))
    }
}

/// A line of standard input, without its end.
pub(crate) fn line() -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
