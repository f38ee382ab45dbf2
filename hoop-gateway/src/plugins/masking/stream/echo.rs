//! The echo of what is typed at a terminal.
//!
//! It tells its user nothing new, so it need not wait until it is known whether it begins a value. What is an echo is decided
//! narrowly: a piece that is, as a whole, what was typed next since the program wrote anything else. So what a program writes of its
//! own, a completion say, is held as ever, and of a value that it completes the rest is masked. What answers a key by moving the
//! cursor and erasing, and by no character, is an echo too: there is nothing in it to read.
//!
//! Somebody could type a guess and have a program write a value in many small pieces: the pieces that were guessed would be
//! shown. For each such guess that is right, the value is found with its beginning shown; then the channel's echo is not believed any
//! more.

use hoop_proto::terminal::lex::{Lexer, Token};

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
        let only_moves = !self.typed.is_empty() && only_moves(written);
        match is_echo {
            true => drop(self.typed.drain(..written.len())),
            false => self.typed.clear(),
        }
        is_echo || only_moves
    }

    /// Nothing is an echo from now on.
    pub(super) fn disbelieve(&mut self) {
        *self = Self { typed: Vec::new(), disbelieved: true };
    }
}

/// Whether bytes move the cursor first, and show no character; a line feed is none of them, it ends a value.
fn only_moves(written: &[u8]) -> bool {
    let (mut lexer, mut at) = (Lexer::new(), 0);
    while let Some((token, length)) = lexer.next(written.get(at..).unwrap_or_default()) {
        let moves = match token {
            Token::Control(byte) => byte != b'\n',
            Token::Csi(_) => true,
            Token::Text(text) => at > 0 && text.iter().all(|byte| *byte == b' '),
            _ => false,
        };
        if !moves {
            return false;
        }
        at += length;
    }
    at > 0 && at == written.len()
}
