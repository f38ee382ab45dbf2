//! The viewer's terminal, while something recorded is shown on it. Only what draws gets there, and it is put back when this
//! is dropped, whatever happens.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};

use hoop_proto::terminal::filter::Filter;
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};

/// Standard output, and where keys are taken, the terminal that they come from.
pub(super) struct Stage {
    out: BufWriter<Stdout>,
    filter: Filter,
    filtered: Vec<u8>,
    is_terminal: bool,
    /// The terminal, and how it was.
    keys: Option<(File, Termios)>,
}

impl Stage {
    /// Only for output.
    pub(super) fn of_output() -> Self {
        let out = io::stdout();
        let is_terminal = out.is_terminal();
        Self { out: BufWriter::new(out), filter: Filter::new(), filtered: Vec::new(), is_terminal, keys: None }
    }

    /// With keys that come one by one and do not appear; without, where there is no terminal for them.
    pub(super) fn with_keys() -> Self {
        let mut stage = Self::of_output();
        stage.keys = quiet().ok();
        stage
    }

    /// Where keys come from.
    pub(super) fn keys(&self) -> Option<io::Result<File>> {
        self.keys.as_ref().map(|(terminal, _)| terminal.try_clone())
    }

    /// Shows what was recorded.
    pub(super) fn write(&mut self, recorded: &[u8]) -> io::Result<()> {
        self.filtered.clear();
        self.filter.push(recorded, &mut self.filtered);
        self.out.write_all(&self.filtered)
    }

    /// Clears the screen, and shows this.
    pub(super) fn redraw(&mut self, drawn: &[u8]) -> io::Result<()> {
        self.out.write_all(&self.filter.back())?;
        self.filter = Filter::new();
        self.out.write_all(b"\x1b[H\x1b[2J")?;
        self.write(drawn)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The terminal, from which keys come as they are struck. Ctrl-C still interrupts; it cannot be put aside, since nobody would
/// put it back then.
fn quiet() -> io::Result<(File, Termios)> {
    let terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let mut quiet = before.clone();
    quiet.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON);
    if let Some(suspend) = quiet.control_chars.get_mut(SpecialCharacterIndices::VSUSP as usize) {
        *suspend = 0;
    }
    tcsetattr(&terminal, SetArg::TCSANOW, &quiet)?;
    Ok((terminal, before))
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        if self.is_terminal {
            let _ = self.out.write_all(&self.filter.back()).and_then(|()| self.out.write_all(b"\r\n"));
        }
        let _ = self.out.flush();
        if let Some((terminal, before)) = &self.keys {
            let _ = tcsetattr(terminal, SetArg::TCSANOW, before);
        }
    }
}
