//! The echo of what is typed at a terminal.
//!
//! It tells its user nothing new, so it need not wait until it is known whether it begins a value. What is an echo is decided
//! narrowly: a piece that is, as a whole, what was typed next since the program wrote anything else. So what a program writes of its
//! own, a completion say, is held as ever, and of a value that it completes the rest is masked.
//!
//! Somebody could type a guess and have a program write a value in many small pieces: the pieces that were guessed would be
//! shown. For each such guess that is right, the value is found with its beginning shown; then the channel's echo is not believed any
//! more.

/// Most bytes that may wait for their echo.
const MOST: usize = 256;

/// What was typed, and has not been echoed.
#[derive(Debug, Default)]
pub(super) struct Echo {
    typed: Vec<u8>,
    disbelieved: bool,
}

impl Echo {
    /// Something is typed.
    pub(super) fn typed(&mut self, bytes: &[u8]) {
        match self.typed.len() + bytes.len() {
            ..=MOST if !self.disbelieved => self.typed.extend_from_slice(bytes),
            _ => self.typed = Vec::new(),
        }
    }

    /// Whether a piece of output is the echo of what was typed next, and nothing else. If it is not, nothing that was typed before
    /// is waited for any more.
    pub(super) fn is(&mut self, written: &[u8]) -> bool {
        let is_text = |byte: &u8| *byte >= b' ' && *byte != 0x7f;
        let is_echo = !written.is_empty() && self.typed.starts_with(written) && written.iter().all(is_text);
        match is_echo {
            true => drop(self.typed.drain(..written.len())),
            false => self.typed.clear(),
        }
        is_echo
    }

    /// Nothing is an echo from now on.
    pub(super) fn disbelieve(&mut self) {
        *self = Self { typed: Vec::new(), disbelieved: true };
    }
}
