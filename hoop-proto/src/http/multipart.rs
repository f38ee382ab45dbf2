//! The parts of a multipart body ([RFC 2046 §5.1](https://www.rfc-editor.org/rfc/rfc2046#section-5.1)).

use memchr::memmem;

/// No part has more bytes of fields.
const MAX_FIELDS: usize = 16 << 10;
/// Nothing more than this follows a boundary in its line.
const MAX_PADDING: usize = 256;

/// What some bytes are. Runs may come in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// What is before the first part or after the last: nobody reads it.
    Around,
    /// A line with the boundary, with the end of the line before. A part has ended where one had begun.
    Boundary,
    /// The fields of a part, with the empty line after them.
    Fields,
    /// What is in the part.
    Content,
}

/// Bytes that are no multipart body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes that are no parts of a multipart body")]
pub struct NotParts;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Around,
    Fields,
    Content,
    After,
}

/// Cuts a body into its parts.
#[derive(Debug, Clone)]
pub struct Splitter {
    delimiter: Vec<u8>,
    state: State,
    /// Whether a line begins.
    line: bool,
}

impl Splitter {
    /// At the beginning of a body with this boundary.
    pub fn new(boundary: &str) -> Self {
        Self { delimiter: format!("--{boundary}").into_bytes(), state: State::Around, line: true }
    }

    /// What the first bytes are, and how many: nothing where more must come first.
    ///
    /// # Errors
    /// [`NotParts`] for a part with too many fields.
    pub fn next(&mut self, rest: &[u8], last: bool) -> Result<Option<(Token, usize)>, NotParts> {
        if rest.is_empty() {
            return Ok(None);
        }
        match self.state {
            State::Around => Ok(self.run(rest, Token::Around, last)),
            State::Content => Ok(self.run(rest, Token::Content, last)),
            State::Fields => self.fields(rest, last),
            State::After => Ok(Some((Token::Around, rest.len()))),
        }
    }

    fn run(&mut self, rest: &[u8], token: Token, last: bool) -> Option<(Token, usize)> {
        let mut from = 0;
        while let Some(at) = self.find(rest, from) {
            let before = rest.get(..at).unwrap_or_default();
            if !(before.ends_with(b"\n") || at == 0 && self.line) {
                from = at + 1;
                continue;
            }
            let after = rest.get(at + self.delimiter.len()..).unwrap_or_default();
            if after.is_empty() && !last {
                return self.up_to(rest, at, token);
            }
            if !after.first().is_none_or(|byte| matches!(byte, b'\r' | b'\n' | b'-' | b' ' | b'\t')) {
                from = at + 1;
                continue;
            }
            let content = before.strip_suffix(b"\r\n").or(before.strip_suffix(b"\n")).unwrap_or(before).len();
            if content > 0 {
                return self.shown(token, content);
            }
            return self.boundary(rest, at, last);
        }
        let len = if last { rest.len() } else { rest.len().saturating_sub(self.delimiter.len() + 2) };
        self.shown(token, len)
    }

    fn find(&self, rest: &[u8], from: usize) -> Option<usize> {
        memmem::find(rest.get(from..)?, &self.delimiter).map(|at| from + at)
    }

    fn shown(&mut self, token: Token, len: usize) -> Option<(Token, usize)> {
        self.line &= len == 0;
        (len > 0).then_some((token, len))
    }

    /// What is certainly before a boundary that may be at a place.
    fn up_to(&mut self, rest: &[u8], at: usize, token: Token) -> Option<(Token, usize)> {
        let before = rest.get(..at).unwrap_or_default();
        let len = before.strip_suffix(b"\r\n").or(before.strip_suffix(b"\n")).unwrap_or(before).len();
        self.shown(token, len)
    }

    fn boundary(&mut self, rest: &[u8], at: usize, last: bool) -> Option<(Token, usize)> {
        let after_at = at + self.delimiter.len();
        let after = rest.get(after_at..).unwrap_or_default();
        let feed = after.iter().take(MAX_PADDING).position(|byte| *byte == b'\n').map(|feed| feed + 1);
        if feed.is_none() && after.len() < MAX_PADDING && !last {
            return None;
        }
        self.state = if after.starts_with(b"--") { State::After } else { State::Fields };
        Some((Token::Boundary, after_at + feed.unwrap_or(after.len().min(MAX_PADDING))))
    }

    fn fields(&mut self, rest: &[u8], last: bool) -> Result<Option<(Token, usize)>, NotParts> {
        let head = rest.get(..MAX_FIELDS).unwrap_or(rest);
        let empty = [&b"\r\n"[..], b"\n"].into_iter().find(|feed| head.starts_with(feed)).map(<[u8]>::len);
        let ends = [&b"\r\n\r\n"[..], b"\n\n", b"\n\r\n"]
            .into_iter()
            .filter_map(|end| memmem::find(head, end).map(|at| at + end.len()))
            .min();
        let len = match empty.or(ends) {
            Some(len) => len,
            None if rest.len() >= MAX_FIELDS => return Err(NotParts),
            None if last => rest.len(),
            None => return Ok(None),
        };
        (self.state, self.line) = (State::Content, true);
        Ok(Some((Token::Fields, len)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut() {
        let text = "x\r\n--b\r\nA: 1\r\n\r\none\r\n--bx\r\n--b\r\n\r\n\r\n--b--\r\nend";
        for longest in 1..text.len() {
            let (mut splitter, mut held, mut tokens) =
                (Splitter::new("b"), String::new(), Vec::<(Token, String)>::new());
            let chunks: Vec<_> = text.as_bytes().chunks(longest).collect();
            for (at, chunk) in chunks.iter().enumerate() {
                held.push_str(std::str::from_utf8(chunk).expect("ascii"));
                while let Some((token, len)) = splitter.next(held.as_bytes(), at + 1 == chunks.len()).expect("parts") {
                    let text: String = held.drain(..len).collect();
                    match tokens.last_mut().filter(|(last, _)| *last == token && token != Token::Boundary) {
                        Some((_, before)) => before.push_str(&text),
                        None => tokens.push((token, text)),
                    }
                }
            }
            let contents: Vec<_> =
                tokens.iter().filter(|(token, _)| *token == Token::Content).map(|(_, text)| text.as_str()).collect();
            assert_eq!(contents, ["one\r\n--bx"], "{longest}: {tokens:?}");
            assert_eq!(tokens.iter().filter(|(token, _)| *token == Token::Boundary).count(), 3, "{tokens:?}");
        }
    }
}
