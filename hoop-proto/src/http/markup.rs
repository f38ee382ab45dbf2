//! HTML and XML, cut into text, tags and what stands in them, as much of each as there is. Who reads on after the last byte of a
//! piece reads the same, wherever the pieces end. Nothing is refused: what is no markup is text.

use memchr::{memchr, memmem};

/// No name of an element is longer, in bytes; what follows is a part of its attributes.
const MAX_NAME: usize = 128;

/// Which of the two it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// [HTML](https://html.spec.whatwg.org/multipage/parsing.html#tokenization): scripts and styles have no tags in them.
    Html,
    /// [XML](https://www.w3.org/TR/xml/).
    Xml,
}

/// What some bytes are. Runs may come in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Text, with character references.
    Text,
    /// `<name` or `</name`.
    Open {
        /// Whether it is the tag that ends an element.
        closing: bool,
    },
    /// Names of attributes, values without quotes, and what is between.
    Inside,
    /// What is between the quotes of an attribute.
    Value,
    /// A quote.
    Quote,
    /// The `>` of a tag.
    Close {
        /// Whether the element is empty: `/>`.
        empty: bool,
    },
    /// The inside of a comment, a declaration or an instruction.
    Comment(Comment),
    /// The inside of a CDATA section.
    Cdata,
    /// A script or a style.
    Script,
    /// What begins and ends comments, declarations and sections.
    Mark,
}

/// What is no text and no tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comment {
    /// `<!-- … -->`
    Comment,
    /// `<!DOCTYPE …>`
    Declaration,
    /// `<?xml … ?>`
    Instruction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    Tag { equals: bool, slash: bool, script: Option<&'static [u8]> },
    Value { quote: u8, script: Option<&'static [u8]> },
    Comment(Comment),
    Cdata,
    Script(&'static [u8]),
}

/// Cuts a document.
#[derive(Debug, Clone)]
pub struct Lexer {
    dialect: Dialect,
    state: State,
}

/// Elements in which there are no tags.
const SCRIPTS: [&[u8]; 2] = [b"script", b"style"];

impl Lexer {
    /// At the beginning of a document.
    pub const fn new(dialect: Dialect) -> Self {
        Self { dialect, state: State::Text }
    }

    /// What the first bytes are, and how many: nothing where more must come first.
    pub fn next(&mut self, rest: &[u8], last: bool) -> Option<(Token, usize)> {
        if rest.is_empty() {
            return None;
        }
        match self.state {
            State::Text => self.text(rest, last),
            State::Tag { equals, slash, script } => Some(self.tag(rest, equals, slash, script)),
            State::Value { quote, script } => Some(match memchr(quote, rest) {
                Some(0) => {
                    self.state = State::Tag { equals: false, slash: false, script };
                    (Token::Quote, 1)
                }
                end => (Token::Value, end.unwrap_or(rest.len())),
            }),
            State::Comment(comment) => {
                let ends: &[u8] = match (comment, self.dialect) {
                    (Comment::Comment, _) => b"-->",
                    (Comment::Instruction, Dialect::Xml) => b"?>",
                    _ => b">",
                };
                self.until(rest, ends, Token::Comment(comment), last)
            }
            State::Cdata => self.until(rest, b"]]>", Token::Cdata, last),
            State::Script(name) => self.script(rest, name, last),
        }
    }

    fn text(&mut self, rest: &[u8], last: bool) -> Option<(Token, usize)> {
        match memchr(b'<', rest) {
            Some(0) => {}
            end => return Some((Token::Text, end.unwrap_or(rest.len()))),
        }
        let starts = |mark: &[u8]| rest.starts_with(mark);
        let may_start = |mark: &[u8]| rest.len() < mark.len() && mark.starts_with(rest) && !last;
        let abrupt: &[&[u8]] = if self.dialect == Dialect::Html { &[b"<!-->", b"<!--->"] } else { &[] };
        if rest.len() < 2 && !last || may_start(b"<!--") || abrupt.iter().any(|mark| may_start(mark)) {
            return None;
        }
        if let Some(mark) = abrupt.iter().find(|mark| starts(mark)) {
            return Some((Token::Mark, mark.len()));
        }
        if starts(b"<!--") {
            return Some(self.enter(State::Comment(Comment::Comment), 4));
        }
        if self.dialect == Dialect::Xml && (starts(b"<![CDATA[") || may_start(b"<![CDATA[")) {
            return starts(b"<![CDATA[").then(|| self.enter(State::Cdata, 9));
        }
        let closing = rest.get(1) == Some(&b'/');
        let name_at = 1 + usize::from(closing);
        match rest.get(1..).unwrap_or_default() {
            [b'!', ..] => Some(self.enter(State::Comment(Comment::Declaration), 2)),
            [b'?', ..] => Some(self.enter(State::Comment(Comment::Instruction), 2)),
            [b'/'] if !last => None,
            _ => match rest.get(name_at) {
                Some(first) if first.is_ascii_alphabetic() || *first >= 0x80 || matches!(first, b'_' | b':') => {
                    self.open(rest, name_at, closing, last)
                }
                Some(_) if closing => Some(self.enter(State::Comment(Comment::Declaration), 2)),
                _ => Some((Token::Text, 1)),
            },
        }
    }

    fn enter(&mut self, state: State, len: usize) -> (Token, usize) {
        self.state = state;
        (Token::Mark, len)
    }

    fn open(&mut self, rest: &[u8], name_at: usize, closing: bool, last: bool) -> Option<(Token, usize)> {
        let name = rest.get(name_at..).unwrap_or_default();
        let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>');
        let len = match name.iter().take(MAX_NAME).position(is_end) {
            Some(len) => len,
            None if name.len() >= MAX_NAME => MAX_NAME,
            None if last => name.len(),
            None => return None,
        };
        let name = name.get(..len).unwrap_or_default();
        let is_script =
            |script: &&&[u8]| self.dialect == Dialect::Html && !closing && name.eq_ignore_ascii_case(script);
        let script = SCRIPTS.iter().find(is_script).copied();
        self.state = State::Tag { equals: false, slash: false, script };
        Some((Token::Open { closing }, name_at + len))
    }

    fn tag(&mut self, rest: &[u8], mut equals: bool, mut slash: bool, script: Option<&'static [u8]>) -> (Token, usize) {
        for (at, byte) in rest.iter().enumerate() {
            let ends = *byte == b'>' || equals && matches!(byte, b'"' | b'\'');
            match (ends, at, byte) {
                (true, 0, b'>') => {
                    self.state = script.map_or(State::Text, State::Script);
                    return (Token::Close { empty: slash }, 1);
                }
                (true, 0, quote) => {
                    self.state = State::Value { quote: *quote, script };
                    return (Token::Quote, 1);
                }
                (true, ..) => {
                    self.state = State::Tag { equals, slash, script };
                    return (Token::Inside, at);
                }
                _ => {}
            }
            slash = *byte == b'/';
            equals = *byte == b'=' || equals && byte.is_ascii_whitespace();
        }
        self.state = State::Tag { equals, slash, script };
        (Token::Inside, rest.len())
    }

    fn until(&mut self, rest: &[u8], ends: &[u8], token: Token, last: bool) -> Option<(Token, usize)> {
        match memmem::find(rest, ends) {
            Some(0) => {
                self.state = State::Text;
                Some((Token::Mark, ends.len()))
            }
            Some(end) => Some((token, end)),
            None => {
                let kept = (1..ends.len()).rev().find(|len| rest.ends_with(ends.get(..*len).unwrap_or_default()));
                let len = rest.len() - kept.filter(|_| !last).unwrap_or(0);
                (len > 0).then_some((token, len))
            }
        }
    }

    fn script(&mut self, rest: &[u8], name: &[u8], last: bool) -> Option<(Token, usize)> {
        let mut at = 0;
        while let Some(begin) = rest.get(at..).and_then(|rest| memchr(b'<', rest)).map(|begin| at + begin) {
            let tag = rest.get(begin..).unwrap_or_default();
            let whole = name.len() + 2;
            let head = tag.get(..tag.len().min(whole)).unwrap_or_default();
            let matches = head.iter().zip(b"</".iter().chain(name)).all(|(a, b)| a.eq_ignore_ascii_case(b));
            if matches && (head.len() == whole || !last) {
                return match begin {
                    0 if head.len() == whole => {
                        self.state = State::Text;
                        self.next(rest, last)
                    }
                    0 => None,
                    begin => Some((Token::Script, begin)),
                };
            }
            at = begin + 1;
        }
        Some((Token::Script, rest.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, dialect: Dialect) -> Vec<(Token, &str)> {
        let (mut lexer, mut at, mut tokens) = (Lexer::new(dialect), 0, Vec::new());
        while let Some((token, len)) = lexer.next(&text.as_bytes()[at..], true) {
            tokens.push((token, &text[at..at + len]));
            at += len;
        }
        assert_eq!(at, text.len());
        tokens
    }

    #[test]
    fn html_is_cut() {
        let text = "a<b class=\"x>y\" id=z>t</b><!-- c --><SCRIPT>if (a<b) '</s'</script>1 < 2";
        let tokens: Vec<_> = cut(text, Dialect::Html);
        let of = |token| tokens.iter().filter(|(is, _)| *is == token).map(|(_, text)| *text).collect::<Vec<_>>();
        assert_eq!(of(Token::Text), ["a", "t", "1 ", "<", " 2"]);
        assert_eq!(of(Token::Value), ["x>y"]);
        assert_eq!(of(Token::Script), ["if (a<b) '</s'"]);
        assert_eq!(of(Token::Comment(Comment::Comment)), [" c "]);
        assert_eq!(of(Token::Inside), [" class=", " id=z"]);
    }

    #[test]
    fn xml_is_cut() {
        let text = "<?xml version='1.0'?><a:b c='d'/><![CDATA[x < ]] y]]>z";
        let tokens = cut(text, Dialect::Xml);
        assert!(tokens.contains(&(Token::Cdata, "x < ]] y")), "{tokens:?}");
        assert!(tokens.contains(&(Token::Close { empty: true }, ">")), "{tokens:?}");
        assert_eq!(tokens.last(), Some(&(Token::Text, "z")));
    }
}
