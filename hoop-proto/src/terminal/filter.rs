//! Lets through what draws on a terminal, and nothing that does anything else.
//!
//! Somebody who looks at a recording gives their terminal to whoever wrote the output then. So only what is known to draw goes
//! on: characters, the movements of the cursor, colours, erasing, scrolling, the alternate screen. Everything else is left out,
//! known or not: the clipboard (OSC 52), titles, hyperlinks, palettes, pictures and all other control strings; questions that
//! a terminal answers as if somebody typed (DA, DSR, DECRQSS, ENQ …); reports of mouse, focus and keys; window operations,
//! printing, and resets.

use super::lex::{Csi, Lexer, MAX_SEQUENCE_BYTES, Token};

/// Largest number in a sequence that goes on.
const MAX_NUMBER: u16 = 9_999;
/// How often a character may be repeated by one sequence.
const MAX_REPEAT: u16 = 1_000;
/// Private modes that only concern what is drawn: wrapping, cursor, alternate screen.
const MODES: [u16; 6] = [7, 25, 47, 1047, 1048, 1049];

/// The filter. Bytes may be cut anywhere between two calls.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    lexer: Lexer,
    /// The beginning of a sequence or of a character.
    rest: Vec<u8>,
    text: Vec<u8>,
    /// Whether the alternate screen is used, and whether only some rows scroll.
    alternate: bool,
    region: bool,
}

impl Filter {
    /// Nothing has come yet.
    pub const fn new() -> Self {
        Self { lexer: Lexer::new(), rest: Vec::new(), text: Vec::new(), alternate: false, region: false }
    }

    /// Appends to `out` what may go on of `bytes`: UTF-8.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.rest.is_empty() {
            let used = self.tokens(bytes, out);
            self.rest.extend_from_slice(bytes.get(used..).unwrap_or_default());
            return;
        }
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        let used = self.tokens(&all, out);
        self.rest = all.split_off(used);
        self.rest.shrink_to(MAX_SEQUENCE_BYTES);
    }

    /// What makes of a terminal again what it was before anything was let through: the screen, scrolling, colours, character
    /// sets, wrapping and the cursor. The cursor stays where it is.
    pub fn back(&self) -> Vec<u8> {
        let screen: &[u8] = if self.alternate { b"\x1b[?1049l" } else { b"" };
        // To let all rows scroll moves the cursor.
        let region: &[u8] = if self.region { b"\x1b7\x1b[r\x1b8" } else { b"" };
        [screen, region, b"\x1b[0m\x1b(B\x0f\x1b[?7h\x1b[4l\x1b[?25h"].concat()
    }

    /// Remembers what is to be put back.
    fn changes(&mut self, csi: Csi<'_>) {
        match (csi.private(), csi.action) {
            (Some(b'?'), b'h' | b'l') if csi.numbers().any(|mode| matches!(mode, 47 | 1047 | 1049)) => {
                self.alternate = csi.action == b'h';
            }
            (None, b'r') => self.region = true,
            _ => {}
        }
    }

    fn tokens(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let mut used = 0;
        while let Some((token, length)) = self.lexer.next(bytes.get(used..).unwrap_or_default()) {
            used += length;
            match token {
                Token::Text(text) => self.characters(text, out),
                Token::Control(byte) => {
                    self.broken(out);
                    control(byte, out);
                }
                Token::Escape(sequence) => {
                    self.broken(out);
                    escape(sequence, out);
                }
                Token::Csi(csi) => {
                    self.broken(out);
                    if draws(csi) {
                        self.changes(csi);
                        out.extend_from_slice(b"\x1b[");
                        out.extend_from_slice(csi.parameters);
                        out.push(csi.action);
                    }
                }
                Token::Begin(_) | Token::Payload(_) | Token::End | Token::Invalid => {}
            }
        }
        used
    }

    fn characters(&mut self, text: &[u8], out: &mut Vec<u8>) {
        if self.text.is_empty() {
            return self.text = valid(text, out);
        }
        let mut all = std::mem::take(&mut self.text);
        all.extend_from_slice(text);
        self.text = valid(&all, out);
    }

    /// A character that was broken off.
    fn broken(&mut self, out: &mut Vec<u8>) {
        if !self.text.is_empty() {
            self.text.clear();
            out.extend_from_slice(REPLACEMENT);
        }
    }
}

const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Appends the characters; what is none, and what turns the direction of a text, becomes U+FFFD. Gives the beginning of a
/// character that may go on.
fn valid(text: &[u8], out: &mut Vec<u8>) -> Vec<u8> {
    let mut chunks = text.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        let plain = chunk.valid();
        if plain.is_ascii() {
            out.extend_from_slice(plain.as_bytes());
        } else {
            plain.chars().for_each(|char| {
                let char = if is_shown(char) { char } else { char::REPLACEMENT_CHARACTER };
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            });
        }
        let invalid = chunk.invalid();
        let may_go_on =
            chunks.peek().is_none() && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        if may_go_on && !invalid.is_empty() {
            return invalid.to_vec();
        }
        if !invalid.is_empty() {
            out.extend_from_slice(REPLACEMENT);
        }
    }
    Vec::new()
}

const fn is_shown(char: char) -> bool {
    !matches!(char, '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

fn control(byte: u8, out: &mut Vec<u8>) {
    match byte {
        // Backspace, tab, line feed, carriage return, and the two character sets of line drawings.
        0x08..=0x0a | 0x0d..=0x0f => out.push(byte),
        0x0b | 0x0c => out.push(b'\n'),
        _ => {}
    }
}

fn escape(sequence: &[u8], out: &mut Vec<u8>) {
    let draws = match sequence {
        // Cursor saved and restored, down, next line, tab stop, up.
        [b'7' | b'8' | b'D' | b'E' | b'H' | b'M'] => true,
        // ASCII, British and line drawings as character sets.
        [b'(' | b')', b'0' | b'A' | b'B'] => true,
        _ => false,
    };
    if draws {
        out.push(0x1b);
        out.extend_from_slice(sequence);
    }
}

fn draws(csi: Csi<'_>) -> bool {
    let private = csi.private();
    let parameters = csi.parameters.get(usize::from(private.is_some())..).unwrap_or_default();
    // Colours alone have parts after a colon.
    let plain =
        parameters.iter().all(|byte| byte.is_ascii_digit() || *byte == b';' || *byte == b':' && csi.action == b'm');
    if !plain || !csi.intermediates.is_empty() || csi.numbers().any(|number| number > MAX_NUMBER) {
        return false;
    }
    match (private, csi.action) {
        (None, b'@' | b'A'..=b'I' | b'K'..=b'M' | b'P' | b'S' | b'X' | b'Z' | b'`' | b'a' | b'd'..=b'g') => true,
        (None, b'm' | b'r' | b's' | b'u') => true,
        // One number scrolls; five begin the tracking of a mouse.
        (None, b'T') => csi.numbers().count() == 1,
        // What was scrolled away is the viewer's own.
        (None, b'J') => csi.numbers().all(|number| number < 3),
        (None, b'b') => csi.count() <= MAX_REPEAT,
        (None, b'h' | b'l') => csi.numbers().all(|mode| mode == 4),
        (Some(b'?'), b'h' | b'l') => csi.numbers().all(|mode| MODES.contains(&mode)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(written: &[u8]) -> String {
        let (mut filter, mut out) = (Filter::new(), Vec::new());
        filter.push(written, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn what_draws_goes_on() {
        for kept in [
            "plain caf\u{e9} \u{6f22}\r\n\t\u{8}",
            "\x1b[1;38;5;196mred\x1b[0m",
            "\x1b[38:2:1:2:3m",
            "\x1b[H\x1b[2J\x1b[10;20H\x1b[K\x1b[3A\x1b[1P\x1b[4@",
            "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?1049l\x1b[?25h",
            "\x1b7\x1b8\x1b(0qqq\x1b(B\x0e\x0f\x1bM\x1b[1;20r\x1b[10b",
        ] {
            assert_eq!(filtered(kept.as_bytes()), kept);
        }
    }

    /// What a recording may not do to the terminal of who looks at it, and what is left of it.
    const CORPUS: [(&str, &str); 64] = [
        // The clipboard: written and read.
        ("a\x1b]52;c;cm0gLXJmIC8K\x07b", "ab"),
        ("a\x1b]52;c;cm0gLXJmIC8K\x1b\\b", "ab"),
        ("a\x1b]52;c;?\x07b", "ab"),
        ("a\u{9d}52;c;cm0=\u{9c}b", "ab"),
        ("a\x1b]5522;type=write\x1b\\b", "ab"),
        // Titles and icons, which some terminals can be asked to type.
        ("a\x1b]0;rm -rf /\x07b", "ab"),
        ("a\x1b]1;x\x07b", "ab"),
        ("a\x1b]2;x\x1b\\b", "ab"),
        ("a\x1b[21tb", "ab"),
        ("a\x1b[20tb", "ab"),
        ("a\x1bkname\x1b\\b", "anameb"),
        // Hyperlinks: the text stays, where they lead does not.
        ("\x1b]8;;file:///etc/passwd\x07link\x1b]8;;\x07", "link"),
        ("\x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]8;;https://example.com\x07link\x1b]8;;\x07", "link"),
        // Colours, palettes, the working directory, notifications, programs' own.
        ("a\x1b]4;1;?\x07b", "ab"),
        ("a\x1b]10;?\x07b", "ab"),
        ("a\x1b]11;#000000\x07b", "ab"),
        ("a\x1b]104\x07b", "ab"),
        ("a\x1b]7;file://host/tmp\x07b", "ab"),
        ("a\x1b]9;message\x07b", "ab"),
        ("a\x1b]777;notify;t;m\x07b", "ab"),
        ("a\x1b]133;A\x07b", "ab"),
        ("a\x1b]1337;File=name=eA==;inline=1:eA==\x07b", "ab"),
        ("a\x1b]50;font\x07b", "ab"),
        ("a\x1b]46;/tmp/log\x07b", "ab"),
        ("a\x1b]P0000000\x1b\\b", "ab"),
        // Questions that are answered as if somebody typed.
        ("a\x1b[cb", "ab"),
        ("a\x1b[0cb", "ab"),
        ("a\x1b[>cb", "ab"),
        ("a\x1b[=cb", "ab"),
        ("a\x1b[>qb", "ab"),
        ("a\x1b[5nb", "ab"),
        ("a\x1b[6nb", "ab"),
        ("a\x1b[?6nb", "ab"),
        ("a\x1b[xb", "ab"),
        ("a\x1b[?1049$pb", "ab"),
        ("a\x1b[18tb", "ab"),
        ("a\x1bZb", "ab"),
        ("a\x05b", "ab"),
        ("a\x1bP$qm\x1b\\b", "ab"),
        ("a\x1bP$q\"p\x1b\\b", "ab"),
        ("a\x1bP+q544e\x1b\\b", "ab"),
        ("a\x1b[?ub", "ab"),
        ("a\x1b[1;1;1;1;1;1*yb", "ab"),
        // Keys defined, pictures, and other strings.
        ("a\x1bP0;1|17/6c73\x1b\\b", "ab"),
        ("a\x1bPq#0;2;0;0;0#0~~\x1b\\b", "ab"),
        ("a\x1b_Gf=24,s=1,v=1;AAAA\x1b\\b", "ab"),
        ("a\x1b^private\x1b\\b", "ab"),
        ("a\x1bXstring\x1b\\b", "ab"),
        // Reports of mouse, focus, pastes and keys.
        ("a\x1b[?1000h\x1b[?1003h\x1b[?1006hb", "ab"),
        ("a\x1b[?1004hb", "ab"),
        ("a\x1b[?2004hb", "ab"),
        ("a\x1b[?1h\x1b=b", "ab"),
        ("a\x1b[>4;2m\x1b[>1ub", "ab"),
        // Windows, printing, resets, sizes, lights, bells.
        ("a\x1b[8;1;1t\x1b[3;0;0tb", "ab"),
        ("a\x1b[5i\x1b[4i\x1b[ib", "ab"),
        ("a\x1bc\x1b[!pb", "ab"),
        ("a\x1b[?3h\x1b[?5h\x1b[2hb", "ab"),
        ("a\x1b[3Jb", "ab"),
        ("a\x1b[1q\x1b[2 qb", "ab"),
        ("a\x07\x07b", "ab"),
        // Much from little, and what is hidden in what is not text.
        ("a\x1b[2147483647bb", "ab"),
        ("\u{202e}txt.exe\u{2066}", "\u{fffd}txt.exe\u{fffd}"),
        ("a\u{90}q\u{9c}\u{9b}6n\u{85}b", "ab"),
    ];

    #[test]
    fn what_does_anything_else_is_left_out() {
        for (written, left) in CORPUS {
            assert_eq!(filtered(written.as_bytes()), left, "{written:?}");
        }
    }

    #[test]
    fn nothing_gets_through_in_pieces_or_damaged() {
        for (written, _) in CORPUS {
            let bytes = written.as_bytes();
            for at in 0..bytes.len() {
                let (mut filter, mut out) = (Filter::new(), Vec::new());
                filter.push(&bytes[..at], &mut out);
                filter.push(&bytes[at..], &mut out);
                assert_eq!(out, filtered(bytes).as_bytes(), "{written:?} at {at}");
                let damaged = [&bytes[..at], b"\x1b", &bytes[at..]].concat();
                let left = filtered(&damaged);
                assert!(
                    !left.contains("\x1b]") && !left.contains("\x1bP") && !left.contains(['\u{5}', '\u{7}']),
                    "{left:?}"
                );
            }
        }
    }

    #[test]
    fn a_terminal_is_put_back() {
        let back = |written: &[u8]| {
            let mut filter = Filter::new();
            filter.push(written, &mut Vec::new());
            String::from_utf8(filter.back()).expect("UTF-8")
        };
        let always = "\x1b[0m\x1b(B\x0f\x1b[?7h\x1b[4l\x1b[?25h";
        assert_eq!(back(b"plain"), always);
        assert_eq!(back(b"\x1b[?1049h\x1b[2;5r"), format!("\x1b[?1049l\x1b7\x1b[r\x1b8{always}"));
        assert_eq!(back(b"\x1b[?1049h\x1b[?1049l"), always);
    }

    #[test]
    fn bytes_that_are_no_characters_are_replaced() {
        assert_eq!(filtered(b"a\xffb\xe6\xbc\x1b[m\xc3"), "a\u{fffd}b\u{fffd}\x1b[m");
    }
}
