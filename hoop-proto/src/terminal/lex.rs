//! Text and control sequences, told apart.

const ESCAPE: u8 = 0x1b;
const CANCEL: [u8; 2] = [0x18, 0x1a];
const DELETE: u8 = 0x7f;
/// The first byte, in UTF-8, of the controls U+0080 to U+009F.
const C1_LEAD: u8 = 0xc2;

/// Longest control sequence that is read as one, in bytes; what begins a longer one is [`Token::Invalid`].
pub const MAX_SEQUENCE_BYTES: usize = 128;

/// A piece of what was written to a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// Printable bytes, in whatever encoding. A character may begin in one piece and end in the next.
    Text(&'a [u8]),
    /// A control character that is no part of a sequence.
    Control(u8),
    /// A short sequence: what follows the escape character.
    Escape(&'a [u8]),
    /// A control sequence.
    Csi(Csi<'a>),
    /// A control string begins, such as that of a window's title: the character that says which.
    Begin(u8),
    /// A part of its contents.
    Payload(&'a [u8]),
    /// The control string has ended.
    End,
    /// A sequence that is broken off.
    Invalid,
}

/// A control sequence ([ECMA-48 §5.4]).
///
/// [ECMA-48 §5.4]: https://ecma-international.org/publications-and-standards/standards/ecma-48/
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Csi<'a> {
    /// Its parameters, with a private marker before them where there is one; as they came.
    pub parameters: &'a [u8],
    /// Bytes between parameters and action.
    pub intermediates: &'a [u8],
    /// The last byte, which says what is done.
    pub action: u8,
}

impl Csi<'_> {
    /// The marker of a sequence that is not the standard's: `<`, `=`, `>` or `?`.
    pub fn private(&self) -> Option<u8> {
        self.parameters.first().copied().filter(|byte| (b'<'..=b'?').contains(byte))
    }

    /// The numbers, one for each parameter: 0 where there is none, at most 65,535. What follows a colon is left out.
    pub fn numbers(&self) -> impl Iterator<Item = u16> {
        let digits = self.parameters.get(usize::from(self.private().is_some())..).unwrap_or_default();
        digits.split(|byte| *byte == b';').map(|number| {
            let whole = number.iter().take_while(|byte| byte.is_ascii_digit());
            whole.fold(0_u16, |sum, digit| sum.saturating_mul(10).saturating_add(u16::from(digit - b'0')))
        })
    }

    /// The first number, or 1 where it is 0 or none: how often something is done.
    pub fn count(&self) -> u16 {
        self.numbers().next().unwrap_or(0).max(1)
    }
}

/// Cuts what is written to a terminal into tokens. It remembers only whether a control string is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lexer {
    string: Option<u8>,
}

impl Lexer {
    /// Outside of any sequence.
    pub const fn new() -> Self {
        Self { string: None }
    }

    /// Whether a control string is open.
    pub const fn is_in_string(&self) -> bool {
        self.string.is_some()
    }

    /// The first token of `bytes`, and how many of them it takes. `None` when more must come before it can be told what they
    /// are; never for more than [`MAX_SEQUENCE_BYTES`].
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Option<(Token<'a>, usize)> {
        let first = *bytes.first()?;
        if let Some(kind) = self.string {
            return self.payload(kind, bytes);
        }
        match first {
            ESCAPE => self.escape(bytes),
            0..0x20 | DELETE => Some((Token::Control(first), 1)),
            _ => match text(bytes) {
                0 => self.c1(bytes),
                length => Some((Token::Text(bytes.get(..length)?), length)),
            },
        }
    }

    fn escape<'a>(&mut self, bytes: &'a [u8]) -> Option<(Token<'a>, usize)> {
        let second = *bytes.get(1)?;
        match second {
            b'[' => csi(bytes, 2),
            b'P' | b'X' | b']' | b'^' | b'_' => Some(self.begin(second, 2)),
            // What ends a string that was ended already.
            b'\\' => Some((Token::Escape(bytes.get(1..2)?), 2)),
            0x20..0x30 => {
                let between = bytes.iter().skip(1).take_while(|byte| (0x20..0x30).contains(*byte)).count();
                match bytes.get(1 + between) {
                    _ if between > MAX_SEQUENCE_BYTES => Some((Token::Invalid, 1 + between)),
                    Some(0x30..DELETE) => Some((Token::Escape(bytes.get(1..between + 2)?), between + 2)),
                    Some(_) => Some((Token::Invalid, 1 + between)),
                    None if between == MAX_SEQUENCE_BYTES => Some((Token::Invalid, 1 + between)),
                    None => None,
                }
            }
            0x30..DELETE => Some((Token::Escape(bytes.get(1..2)?), 2)),
            _ => Some((Token::Invalid, 1)),
        }
    }

    /// A control of which the 8-bit form came, in UTF-8.
    fn c1<'a>(&mut self, bytes: &'a [u8]) -> Option<(Token<'a>, usize)> {
        let second = *bytes.get(1)?;
        match second {
            0x9b => csi(bytes, 2),
            0x90 | 0x98 | 0x9d..=0x9f => Some(self.begin(second - 0x40, 2)),
            _ => Some((Token::Invalid, 2)),
        }
    }

    fn begin<'a>(&mut self, kind: u8, length: usize) -> (Token<'a>, usize) {
        self.string = Some(kind);
        (Token::Begin(kind), length)
    }

    fn payload<'a>(&mut self, kind: u8, bytes: &'a [u8]) -> Option<(Token<'a>, usize)> {
        match *bytes.first()? {
            0x07 => {
                // Only the title's kind of string ends so everywhere; the others do in some terminals.
                self.string = (kind != b']').then_some(kind);
                Some((if self.string.is_none() { Token::End } else { Token::Payload(bytes.get(..1)?) }, 1))
            }
            ESCAPE => {
                let second = *bytes.get(1)?;
                self.string = None;
                // Any other sequence breaks it off, and is itself.
                Some((Token::End, if second == b'\\' { 2 } else { 0 }))
            }
            byte if CANCEL.contains(&byte) => {
                self.string = None;
                Some((Token::End, 1))
            }
            C1_LEAD => match *bytes.get(1)? {
                0x9c => {
                    self.string = None;
                    Some((Token::End, 2))
                }
                _ => Some((Token::Payload(bytes.get(..1)?), 1)),
            },
            _ => {
                let may_end = |byte: &u8| matches!(*byte, ESCAPE | 0x07 | 0x18 | 0x1a | C1_LEAD);
                let length = bytes.iter().position(may_end).unwrap_or(bytes.len());
                Some((Token::Payload(bytes.get(..length)?), length))
            }
        }
    }
}

/// How many printable bytes come first. The first byte of a C1 control is none, nor is what could be one at the end.
fn text(bytes: &[u8]) -> usize {
    let mut from = 0;
    loop {
        let rest = bytes.get(from..).unwrap_or_default();
        let Some(at) = rest.iter().position(|byte| *byte < 0x20 || *byte == DELETE || *byte == C1_LEAD) else {
            return bytes.len();
        };
        let is_text =
            rest.get(at) == Some(&C1_LEAD) && rest.get(at + 1).is_some_and(|next| !(0x80..0xa0).contains(next));
        if !is_text {
            return from + at;
        }
        from += at + 1;
    }
}

/// The control sequence that begins at the first byte and has its parameters from `start` on.
fn csi(bytes: &[u8], start: usize) -> Option<(Token<'_>, usize)> {
    let body = bytes.get(start..)?;
    let parameters = body.iter().take_while(|byte| (0x30..0x40).contains(*byte)).count();
    let rest = body.get(parameters..)?;
    let intermediates = rest.iter().take_while(|byte| (0x20..0x30).contains(*byte)).count();
    let length = start + parameters + intermediates;
    if length > MAX_SEQUENCE_BYTES {
        return Some((Token::Invalid, length));
    }
    match rest.get(intermediates) {
        Some(action @ 0x40..DELETE) => {
            let parameters = body.get(..parameters)?;
            let csi = Csi { parameters, intermediates: rest.get(..intermediates)?, action: *action };
            Some((Token::Csi(csi), length + 1))
        }
        Some(_) => Some((Token::Invalid, length)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(bytes: &[u8]) -> (Vec<Token<'_>>, usize) {
        let (mut lexer, mut tokens, mut at) = (Lexer::new(), Vec::new(), 0);
        while let Some((token, length)) = lexer.next(&bytes[at..]) {
            tokens.push(token);
            at += length;
        }
        (tokens, bytes.len() - at)
    }

    fn csi<'a>(parameters: &'a str, action: u8) -> Token<'a> {
        Token::Csi(Csi { parameters: parameters.as_bytes(), intermediates: b"", action })
    }

    #[test]
    fn text_and_sequences_are_told_apart() {
        let (found, left) = tokens(b"a\xc3\xa9\x1b[1;31mred\x1b[0m\r\n\x1b7\x1b(B\x1b]0;title\x07x");
        let expected = [
            Token::Text("aé".as_bytes()),
            csi("1;31", b'm'),
            Token::Text(b"red"),
            csi("0", b'm'),
            Token::Control(b'\r'),
            Token::Control(b'\n'),
            Token::Escape(b"7"),
            Token::Escape(b"(B"),
            Token::Begin(b']'),
            Token::Payload(b"0;title"),
            Token::End,
            Token::Text(b"x"),
        ];
        assert_eq!((found.as_slice(), left), (&expected[..], 0));
    }

    #[test]
    fn what_is_not_whole_waits() {
        for (bytes, left) in [(&b"a\x1b"[..], 1), (b"a\x1b[1;3", 5), (b"\x1b(", 2), (b"a\xc2", 1), (b"\x1b]0;a\x1b", 1)]
        {
            assert_eq!(tokens(bytes).1, left, "{}", bytes.escape_ascii());
        }
        let endless = [b"\x1b[".as_slice(), &[b'1'; 500]].concat();
        assert_eq!(tokens(&endless), (vec![Token::Invalid], 0));
    }

    #[test]
    fn the_8_bit_forms_are_controls_too() {
        assert_eq!(tokens("\u{9b}31m".as_bytes()).0, [csi("31", b'm')]);
        assert_eq!(tokens("\u{9d}0;t\u{9c}x".as_bytes()).0.len(), 4);
        assert_eq!(tokens("\u{a0}x\u{85}".as_bytes()).0, [Token::Text("\u{a0}x".as_bytes()), Token::Invalid]);
    }

    #[test]
    fn strings_end_where_terminals_end_them() {
        let kinds = |bytes: &'static [u8]| tokens(bytes).0;
        assert_eq!(kinds(b"\x1bPq\x07r\x1b\\x").last(), Some(&Token::Text(b"x")));
        assert_eq!(kinds(b"\x1b]0;a\x1b[mx")[2..], [Token::End, csi("", b'm'), Token::Text(b"x")]);
        assert_eq!(kinds(b"\x1b_a\x18x").last(), Some(&Token::Text(b"x")));
    }

    #[test]
    fn numbers() {
        let all = |parameters: &str| match csi(parameters, b'm') {
            Token::Csi(csi) => csi.numbers().collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        assert_eq!(all("?25;1049"), [25, 1049]);
        assert_eq!(all("38:2:1;;99999999"), [38, 0, u16::MAX]);
    }
}
