//! A terminal that shows nothing of what is typed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

/// The terminal, silent until this is dropped.
pub(crate) struct Silent {
    terminal: File,
    before: Termios,
}

impl Silent {
    /// Asks a question of somebody at the terminal. It is silent before it asks: of what is typed ahead nothing is shown.
    ///
    /// # Errors
    /// When there is no terminal.
    pub(crate) fn ask(question: &str) -> io::Result<Self> {
        let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&terminal, SetArg::TCSANOW, &silent)?;
        let asked = terminal.write_all(question.as_bytes());
        let silent = Self { terminal, before };
        asked.map(|()| silent)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(&self.terminal, SetArg::TCSANOW, &self.before);
    }
}
