//! The command that starts `scp` at the other end.

use super::super::shell::{self, Word};

/// What a client has the target run: `scp -t PATH` to send files there, `scp -f PATH` to fetch them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Which way files go.
    pub direction: Direction,
    /// Folders with what is in them (`-r`).
    pub recursive: bool,
    /// The path is a folder (`-d`).
    pub is_directory: bool,
    /// Where files go; or, for files that are fetched, the folder that they are in, empty where that is not said or not known.
    pub path: Vec<u8>,
}

/// Which way files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the target, which is the sink.
    Upload,
    /// From the target, which is the source.
    Download,
}

impl Command {
    /// Reads a command; `None` where it is not surely `scp` as a client starts it, with one path that is known as it is written.
    /// What is fetched may be several paths, and such as only a shell knows: each file says its own name.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let words = shell::only_command(text)?;
        let (program, arguments) = words.split_first()?;
        if !is_scp(program) {
            return None;
        }
        let mut options = Options::default();
        let mut arguments = arguments.iter();
        let path = loop {
            let word = arguments.next()?;
            match word.literal().as_deref() {
                Some(b"--") => break arguments.next()?,
                Some([b'-', letters @ ..]) if !letters.is_empty() => options.add(letters)?,
                _ => break word,
            }
        };
        let more = arguments.as_slice();
        let direction = options.direction?;
        let path = match direction {
            Direction::Upload if more.is_empty() => place(path)?,
            Direction::Download if more.is_empty() => folder(path).unwrap_or_default(),
            Direction::Download if !more.iter().any(is_option) => Vec::new(),
            Direction::Upload | Direction::Download => return None,
        };
        Some(Self { direction, recursive: options.recursive, is_directory: options.is_directory, path })
    }

    /// Whether a program is surely `scp` that is told to be one end of a copy, in whatever form: options may stand behind paths.
    pub fn is_end(words: &[Word]) -> bool {
        let Some((program, arguments)) = words.split_first() else { return false };
        is_scp(program) && has_direction(arguments)
    }
}

/// Letters of `scp` that take what follows them, or the next word.
const WITH_VALUE: &[u8] = b"DFJMPSciloX";

/// Whether `-t` or `-f` is among the options.
fn has_direction(arguments: &[Word]) -> bool {
    let mut is_value = false;
    for word in arguments {
        if std::mem::take(&mut is_value) {
            continue;
        }
        let word = word.literal().unwrap_or_default();
        let Some(letters) = word.strip_prefix(b"-") else { continue };
        if letters == b"-" {
            return false;
        }
        let end = letters.iter().position(|letter| WITH_VALUE.contains(letter));
        if letters
            .get(..end.unwrap_or(letters.len()))
            .is_some_and(|plain| plain.iter().any(|letter| b"tf".contains(letter)))
        {
            return true;
        }
        is_value = end.is_some_and(|end| end + 1 == letters.len());
    }
    false
}

/// Whether a program is `scp`, wherever it lies.
fn is_scp(program: &Word) -> bool {
    program.literal().is_some_and(|program| program.rsplit(|byte| *byte == b'/').next() == Some(b"scp"))
}

fn is_option(word: &Word) -> bool {
    word.parts.first().is_some_and(|part| part.text.starts_with(b"-"))
}

#[derive(Default)]
struct Options {
    direction: Option<Direction>,
    recursive: bool,
    is_directory: bool,
}

impl Options {
    fn add(&mut self, letters: &[u8]) -> Option<()> {
        for letter in letters {
            match letter {
                b't' | b'f' if self.direction.is_some() => return None,
                b't' => self.direction = Some(Direction::Upload),
                b'f' => self.direction = Some(Direction::Download),
                b'r' => self.recursive = true,
                b'd' => self.is_directory = true,
                b'p' | b'v' | b'q' => {}
                _ => return None,
            }
        }
        Some(())
    }
}

/// A path that is known; `~` is left as it is written, since who reads it knows that it may be anywhere.
fn place(word: &Word) -> Option<Vec<u8>> {
    let mut path = Vec::new();
    for (at, part) in word.parts.iter().enumerate() {
        let is_home = at == 0 && part.text.starts_with(b"~");
        if !part.known && !is_home {
            return None;
        }
        path.extend_from_slice(&part.text);
    }
    (!path.is_empty()).then_some(path)
}

/// What stands before the last part, which may be unknown.
fn folder(word: &Word) -> Option<Vec<u8>> {
    let mut path = Vec::new();
    let mut is_known = true;
    for (at, part) in word.parts.iter().enumerate() {
        let is_home = at == 0 && part.text.starts_with(b"~");
        if !is_known && (memchr::memchr(b'/', &part.text).is_some() || is_home) {
            return None;
        }
        is_known &= part.known || is_home;
        if !part.known && !is_home && (!part.chooses || memchr::memchr(b'/', &part.text).is_some()) {
            return None;
        }
        path.extend_from_slice(&part.text);
    }
    let trimmed = path.iter().rposition(|byte| *byte != b'/')? + 1;
    path.truncate(trimmed);
    let end = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    path.truncate(end);
    Some(path)
}
