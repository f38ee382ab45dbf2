//! Commands as a POSIX shell splits them, as far as that is sure.
//!
//! Whoever decides about a command must see what the shell will run. So this reads the part of the language in which that
//! can be told from the text alone: simple commands, joined by `;`, `&`, `&&`, `||`, `|` and line ends, with quotes,
//! assignments and redirections, and commands within `$(…)` and backquotes. What depends on the machine (variables, patterns,
//! `~`) is a part of a word that is not known. Everything else, from `if` and functions to here-documents, is not read.
//!
//! ```
//! use hoop_proto::ssh::shell::{Command, commands};
//!
//! let commands = commands(b"systemctl status \"nginx\"; rm -rf $HOME").expect("two simple commands");
//! let [Command::Simple(status), Command::Simple(remove)] = &commands[..] else { panic!() };
//! assert_eq!(status.words[2].literal().as_deref(), Some(&b"nginx"[..]));
//! assert!(remove.words[2].literal().is_none(), "only the shell knows");
//! assert!(hoop_proto::ssh::shell::commands(b"if true; then reboot; fi").is_none(), "not surely");
//! ```

mod parse;

/// Longest text that is read, in bytes.
pub const MAX_TEXT: usize = 16 << 10;

/// Something that a shell does for a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// It runs a program.
    Simple(Simple),
    /// It opens a file for one, by this operator: `<`, `>`, `>>`, `<>`, `>|`, `&>` or `&>>`.
    Redirect(&'static str, Word),
}

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simple {
    /// Variables that are set for it, or for the shell where there are no words.
    pub assignments: Vec<Word>,
    /// The program and its arguments.
    pub words: Vec<Word>,
}

/// A word after the shell has removed the quotes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Word {
    /// Its parts, in order; a word of none is the empty one.
    pub parts: Vec<Part>,
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What stands there: what it is, or what is written for it.
    pub text: Vec<u8>,
    /// Whether it is what it says. Otherwise it may become any text, even several words.
    pub known: bool,
    /// Whether it chooses among the names of files (`*`, `?`, `[`).
    pub chooses: bool,
}

impl Word {
    /// The word, where all of it is known.
    pub fn literal(&self) -> Option<Vec<u8>> {
        let known = self.parts.iter().all(|part| part.known);
        known.then(|| self.parts.iter().flat_map(|part| part.text.iter().copied()).collect())
    }
}

/// What a shell does for this text; `None` where that is not sure. What stands in `$(…)` comes before what it stands in.
pub fn commands(text: &[u8]) -> Option<Vec<Command>> {
    if text.len() > MAX_TEXT {
        return None;
    }
    parse::all(text)
}

/// The words of a text that is one program with its arguments, and nothing else.
pub fn only_command(text: &[u8]) -> Option<Vec<Word>> {
    match commands(text)?.as_slice() {
        [Command::Simple(Simple { assignments, words })] if assignments.is_empty() => Some(words.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
