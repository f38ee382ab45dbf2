//! The parser. It gives up (`None`) wherever a shell could read on otherwise.

use super::{Command, Part, Simple, Word};

/// Deepest `$(…)`.
const MAX_DEPTH: usize = 8;

/// Words that are no programs where one may stand.
const RESERVED: &[&str] = &[
    "!", "{", "}", "[[", "]]", "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if",
    "in", "select", "then", "time", "until", "while",
];

pub(super) fn all(text: &[u8]) -> Option<Vec<Command>> {
    let mut parser = Parser { text, at: 0, depth: 0, commands: Vec::new() };
    parser.list()?;
    (parser.at == text.len() && !parser.commands.is_empty()).then_some(parser.commands)
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    commands: Vec<Command>,
}

/// A word, and what must be known of how it was written.
#[derive(Default)]
struct Written {
    word: Word,
    /// Whether anything in it was quoted.
    quoted: bool,
    /// Whether it goes on with something that is written otherwise than it is.
    opaque: bool,
}

impl Written {
    fn known(&mut self, byte: u8) {
        if self.opaque {
            return self.unknown(&[byte], false);
        }
        match self.word.parts.last_mut() {
            Some(part) if part.known => part.text.push(byte),
            _ => self.word.parts.push(Part { text: vec![byte], known: true, chooses: false }),
        }
    }

    fn unknown(&mut self, text: &[u8], chooses: bool) {
        match self.word.parts.last_mut() {
            Some(part) if !part.known && part.chooses == chooses => part.text.extend_from_slice(text),
            _ => self.word.parts.push(Part { text: text.to_vec(), known: false, chooses }),
        }
    }

    fn is_number(&self) -> bool {
        !self.quoted
            && matches!(self.word.parts.as_slice(), [only] if only.known && only.text.iter().all(u8::is_ascii_digit))
    }

    fn is_reserved(&self) -> bool {
        !self.quoted
            && self.word.literal().is_some_and(|word| RESERVED.iter().any(|reserved| reserved.as_bytes() == word))
    }

    /// Whether only the shell knows if this is an assignment, as in `a[$b]=c`.
    fn may_be_assignment(&self) -> bool {
        self.word.literal().is_none() && self.word.parts.iter().any(|part| part.text.contains(&b'='))
    }

    /// A name and `=` at the beginning.
    fn is_assignment(&self) -> bool {
        let Some(first) = self.word.parts.first().filter(|first| first.known) else { return false };
        let Some(end) = memchr::memchr(b'=', &first.text) else { return false };
        let name = first.text.get(..end).unwrap_or_default();
        let name = name.strip_suffix(b"+").unwrap_or(name);
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    }
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn since(&self, start: usize) -> &[u8] {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn eat(&mut self, text: &[u8]) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    /// Commands up to the end, or up to the `)` of the substitution that they are in.
    fn list(&mut self) -> Option<()> {
        let mut expects_command = false;
        loop {
            self.blanks();
            match self.peek() {
                None => break,
                Some(b')') if self.depth > 0 => break,
                Some(b'\n') if !expects_command => {
                    self.at += 1;
                    continue;
                }
                _ => self.simple()?,
            }
            self.blanks();
            expects_command = false;
            if self.eat(b"&&") || self.eat(b"||") || (!self.rest().starts_with(b"|&") && self.eat(b"|")) {
                expects_command = true;
                while self.eat(b"\n") || self.eat(b" ") || self.eat(b"\t") {}
            } else if self.eat(b";") || (!self.rest().starts_with(b"&>") && self.eat(b"&")) || self.eat(b"\n") {
                // `;;` belongs to `case`.
                if self.peek() == Some(b';') {
                    return None;
                }
            } else if !matches!(self.peek(), None | Some(b')')) {
                return None;
            }
        }
        (!expects_command).then_some(())
    }

    fn blanks(&mut self) {
        while self.eat(b" ") || self.eat(b"\t") || self.eat(b"\\\n") {}
    }

    fn simple(&mut self) -> Option<()> {
        let mut simple = Simple::default();
        let mut redirects = 0;
        // Some shells read `a &>b` as `a & >b`, and a program in what follows.
        let mut is_over = false;
        loop {
            self.blanks();
            match self.peek() {
                None | Some(b'\n' | b';' | b'|' | b')') => break,
                Some(b'&') if !self.rest().starts_with(b"&>") => break,
                Some(b'(' | b'#') => return None,
                Some(b'<' | b'>' | b'&') => {
                    is_over |= self.peek() == Some(b'&');
                    self.redirect()?;
                    redirects += 1;
                    continue;
                }
                _ => {}
            }
            let written = self.word()?;
            if is_over {
                return None;
            }
            if written.is_number() && matches!(self.peek(), Some(b'<' | b'>')) {
                continue;
            }
            if simple.words.is_empty() && (written.is_reserved() || self.peek() == Some(b'(')) {
                return None;
            }
            if simple.words.is_empty() && written.is_assignment() {
                simple.assignments.push(written.word);
            } else if simple.words.is_empty() && written.may_be_assignment() {
                return None;
            } else {
                simple.words.push(written.word);
            }
        }
        let is_empty = simple.words.is_empty() && simple.assignments.is_empty();
        if is_empty && redirects == 0 {
            return None;
        }
        if !is_empty {
            self.commands.push(Command::Simple(simple));
        }
        Some(())
    }

    fn redirect(&mut self) -> Option<()> {
        const OPERATORS: [&str; 9] = ["&>>", "&>", ">>", ">|", ">&", "<&", "<>", "<", ">"];
        if self.rest().starts_with(b"<<") || self.rest().starts_with(b"<(") || self.rest().starts_with(b">(") {
            return None;
        }
        let operator = OPERATORS.into_iter().find(|operator| self.eat(operator.as_bytes()))?;
        self.blanks();
        if matches!(self.peek()?, b'\n' | b';' | b'|' | b'&' | b'<' | b'>' | b'(' | b')') {
            return None;
        }
        let word = self.word()?.word;
        let duplicates = operator == ">&" || operator == "<&";
        match word.literal() {
            Some(number) if duplicates && (number == b"-" || number.iter().all(u8::is_ascii_digit)) => {}
            _ if operator == "<&" => return None,
            _ => self.commands.push(Command::Redirect(if duplicates { "&>" } else { operator }, word)),
        }
        Some(())
    }

    /// A word, of which there is at least one byte.
    fn word(&mut self) -> Option<Written> {
        let mut written = Written::default();
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => break,
                b'\'' => self.single_quoted(&mut written)?,
                b'"' => self.double_quoted(&mut written)?,
                b'\\' => self.escaped(&mut written)?,
                b'$' => self.dollar(&mut written, false)?,
                b'`' => self.backquoted(&mut written)?,
                b'=' if self.at == start => self.home(&mut written),
                b'~' if self.at == start || matches!(self.text.get(self.at - 1), Some(b'=' | b':')) => {
                    self.home(&mut written);
                }
                b'*' | b'?' | b'[' => {
                    written.unknown(&[byte], true);
                    self.at += 1;
                }
                // Braces, and what some shells read as more than a character.
                b'{' | b'}' | b'^' if !(self.at == start && self.is_single(byte)) => {
                    written.opaque = true;
                    written.unknown(&[byte], false);
                    self.at += 1;
                }
                b'!' if !self.is_single(byte) => return None,
                0..0x20 | 0x7f => return None,
                _ => {
                    written.known(byte);
                    self.at += 1;
                }
            }
        }
        (self.at > start).then_some(written)
    }

    /// Whether the byte is a word of its own.
    fn is_single(&self, byte: u8) -> bool {
        self.rest().first() == Some(&byte)
            && self.rest().get(1).is_none_or(|next| matches!(next, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b')'))
    }

    /// `~` and a user's name: a home.
    fn home(&mut self, written: &mut Written) {
        let end = self.rest().iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"~=._-+".contains(byte));
        let start = self.at;
        self.at += end.unwrap_or(self.rest().len());
        written.unknown(self.since(start), false);
    }

    fn single_quoted(&mut self, written: &mut Written) -> Option<()> {
        written.quoted = true;
        self.at += 1;
        let end = memchr::memchr(b'\'', self.rest())?;
        self.literal(end, written)?;
        self.at += 1;
        Some(())
    }

    /// So many bytes as they are.
    fn literal(&mut self, len: usize, written: &mut Written) -> Option<()> {
        let text = self.text.get(self.at..self.at + len)?;
        if text.contains(&0) {
            return None;
        }
        if text.is_empty() && written.word.parts.is_empty() {
            written.word.parts.push(Part { text: Vec::new(), known: true, chooses: false });
        }
        text.iter().for_each(|byte| written.known(*byte));
        self.at += len;
        Some(())
    }

    fn double_quoted(&mut self, written: &mut Written) -> Option<()> {
        written.quoted = true;
        self.at += 1;
        self.literal(0, written)?;
        loop {
            match self.peek()? {
                b'"' => break,
                b'$' => self.dollar(written, true)?,
                b'`' => self.backquoted(written)?,
                b'\\' => match self.text.get(self.at + 1)? {
                    b'\n' => self.at += 2,
                    b'$' | b'`' | b'"' | b'\\' => {
                        self.at += 1;
                        self.literal(1, written)?;
                    }
                    _ => self.literal(1, written)?,
                },
                b'!' => return None,
                _ => self.literal(1, written)?,
            }
        }
        self.at += 1;
        Some(())
    }

    fn escaped(&mut self, written: &mut Written) -> Option<()> {
        written.quoted = true;
        self.at += 1;
        if self.eat(b"\n") { Some(()) } else { self.literal(1, written) }
    }

    fn dollar(&mut self, written: &mut Written, in_quotes: bool) -> Option<()> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'(') if self.rest().starts_with(b"((") => return None,
            Some(b'(') => {
                self.at += 1;
                self.substitution()?;
            }
            Some(b'{' | b'[') => return None,
            // `$'…'` and `$"…"`; within quotes the quote ends them.
            Some(b'\'' | b'"') if !in_quotes => return None,
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                    self.at += 1;
                }
            }
            Some(b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!') => self.at += 1,
            _ => {}
        }
        written.unknown(self.since(start), false);
        Some(())
    }

    /// The commands of `$(…)`, behind its parenthesis.
    fn substitution(&mut self) -> Option<()> {
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        self.list()?;
        self.depth -= 1;
        self.eat(b")").then_some(())
    }

    /// The commands between backquotes. A backslash in them means something else to each level.
    fn backquoted(&mut self, written: &mut Written) -> Option<()> {
        let start = self.at;
        self.at += 1;
        let end = memchr::memchr(b'`', self.rest())?;
        let inner = self.rest().get(..end)?;
        if memchr::memchr(b'\\', inner).is_some() {
            return None;
        }
        self.commands.append(&mut all(inner)?);
        self.at += end + 1;
        written.unknown(self.since(start), false);
        Some(())
    }
}
