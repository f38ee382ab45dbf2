//! Text that is written with escapes, as it reads, and the way back to how it is written.

use std::ops::Range;

use memchr::{memchr, memchr2};

mod entities;

/// No character reference is longer, in bytes. Who writes a longer one hides something.
const MAX_REFERENCE: usize = 1 << 10;

/// A text as it reads, and where each of its bytes is written.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    text: Vec<u8>,
    runs: Vec<Run>,
    coded: usize,
    broken: bool,
}

/// A stretch of the text: byte for byte as it is written, or what an escape stands for.
#[derive(Debug, Clone)]
struct Run {
    text: usize,
    raw: Range<usize>,
    exact: bool,
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// As it reads.
    Plain,
    /// With the backslashes of JSON and JavaScript.
    Escapes,
    /// With the character references of HTML and XML.
    References,
    /// Percent-encoded, with `+` for a space ([URL Standard](https://url.spec.whatwg.org/#application/x-www-form-urlencoded)).
    Form,
    /// Percent-encoded.
    Percent,
}

/// What an escape is.
enum Escape {
    /// It stands for this, and takes so many bytes.
    For(Text, usize),
    /// It is none.
    None,
    /// It goes on after the last byte.
    Incomplete,
    /// It is longer than anything that has a purpose.
    TooLong,
}

/// What an escape stands for.
enum Text {
    Char(char),
    Chars(&'static str),
    Byte(u8),
    Nothing,
}

impl Reading {
    /// The text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// How many bytes are written as escapes.
    pub const fn coded(&self) -> usize {
        self.coded
    }

    /// Whether there was an escape that is too long to be followed.
    pub const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Adds text that is written as it reads, at this place.
    pub fn exact(&mut self, text: &[u8], at: usize) {
        if text.is_empty() {
            return;
        }
        match self.runs.last_mut().filter(|run| run.exact && run.raw.end == at) {
            Some(run) => run.raw.end += text.len(),
            None => self.runs.push(Run { text: self.text.len(), raw: at..at + text.len(), exact: true }),
        }
        self.text.extend_from_slice(text);
    }

    fn escape(&mut self, text: &Text, raw: Range<usize>) {
        let start = self.text.len();
        match text {
            Text::Char(char) => self.text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            Text::Chars(chars) => self.text.extend_from_slice(chars.as_bytes()),
            Text::Byte(byte) => self.text.push(*byte),
            Text::Nothing => {}
        }
        self.coded += raw.len();
        if self.text.len() > start {
            self.runs.push(Run { text: start, raw, exact: false });
        }
    }

    /// Reads bytes that are written at a place, and says how many. Unless they are the last, an escape at their end that may go
    /// on is left.
    pub fn read(&mut self, raw: &[u8], at: usize, coding: Coding, last: bool) -> usize {
        let mut place = 0;
        while let Some(rest) = raw.get(place..).filter(|rest| !rest.is_empty()) {
            let Some(plain) = coding.find(rest) else {
                self.exact(rest, at + place);
                return raw.len();
            };
            let (before, escaped) = rest.split_at(plain);
            self.exact(before, at + place);
            place += plain;
            match coding.escape(escaped, last) {
                Escape::For(text, len) => {
                    self.escape(&text, at + place..at + place + len);
                    place += len;
                }
                Escape::None => {
                    self.exact(escaped.get(..1).unwrap_or_default(), at + place);
                    place += 1;
                }
                Escape::Incomplete => return place,
                Escape::TooLong => {
                    self.broken = true;
                    return raw.len();
                }
            }
        }
        place
    }

    /// Where the byte of the text at this place is written; the end of what was read where there is none.
    pub fn place(&self, at: usize) -> usize {
        let run = self.runs.partition_point(|run| run.text <= at).checked_sub(1).and_then(|run| self.runs.get(run));
        match run {
            Some(run) if run.exact => (run.raw.start + (at - run.text)).min(run.raw.end),
            Some(run) if at < self.text.len() => run.raw.start,
            Some(run) => run.raw.end,
            None => 0,
        }
    }

    /// Where the bytes of a range of the text are written, in order. What lies between is not a part of the text.
    pub fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let first = self.runs.partition_point(|run| run.text <= range.start).saturating_sub(1);
        let ends = self.runs.iter().skip(first + 1).map(|run| run.text).chain([self.text.len()]);
        self.runs.iter().skip(first).zip(ends).take_while(move |(run, _)| run.text < range.end).map(
            move |(run, end)| match run.exact {
                true => {
                    let from = range.start.max(run.text) - run.text;
                    run.raw.start + from..run.raw.start + (range.end.min(end) - run.text)
                }
                false => run.raw.clone(),
            },
        )
    }

    /// Forgets the text before a place, and counts what is written from another.
    pub fn forget(&mut self, at: usize, raw: usize) {
        let first = self.runs.partition_point(|run| run.text <= at).saturating_sub(1);
        self.runs.drain(..first);
        self.text.drain(..at.min(self.text.len()));
        for run in &mut self.runs {
            let skipped = at.saturating_sub(run.text);
            if run.exact {
                run.raw.start += skipped;
            }
            run.text = run.text.saturating_sub(at);
            run.raw = run.raw.start.saturating_sub(raw)..run.raw.end.saturating_sub(raw);
        }
        if self.text.is_empty() {
            self.runs.clear();
        }
        self.coded = self.runs.iter().filter(|run| !run.exact).map(|run| run.raw.len()).sum();
    }
}

/// A text that is percent-encoded, where it is.
pub fn percent(text: &[u8]) -> Option<Reading> {
    memchr(b'%', text)?;
    let mut reading = Reading::default();
    reading.read(text, 0, Coding::Percent, true);
    (reading.coded > 0).then_some(reading)
}

impl Coding {
    /// Where an escape may begin.
    fn find(self, raw: &[u8]) -> Option<usize> {
        match self {
            Self::Plain => None,
            Self::Escapes => memchr(b'\\', raw),
            Self::References => memchr(b'&', raw),
            Self::Form => memchr2(b'%', b'+', raw),
            Self::Percent => memchr(b'%', raw),
        }
    }

    fn escape(self, raw: &[u8], last: bool) -> Escape {
        let escape = match self {
            Self::Plain => Escape::None,
            Self::Escapes => backslash(raw, last),
            Self::References => reference(raw, last),
            Self::Form if raw.first() == Some(&b'+') => Escape::For(Text::Byte(b' '), 1),
            Self::Form | Self::Percent => match raw.get(1..3).map(hex) {
                Some(Some(byte)) => Escape::For(Text::Byte(u8::try_from(byte).unwrap_or(0)), 3),
                Some(None) => Escape::None,
                None => Escape::Incomplete,
            },
        };
        match escape {
            Escape::Incomplete if last => Escape::None,
            escape => escape,
        }
    }

    /// Writes a text that stands in the place of another.
    pub fn write(self, text: &[u8], out: &mut Vec<u8>) {
        for byte in text {
            match (self, byte) {
                (Self::Escapes, b'"' | b'\\' | b'\'') => out.extend([b'\\', *byte]),
                (Self::Escapes, 0..0x20) => out.extend(format!("\\u{byte:04x}").bytes()),
                (Self::References, b'<' | b'>' | b'&' | b'"' | b'\'') => out.extend(format!("&#{byte};").bytes()),
                (Self::Form, b' ') => out.push(b'+'),
                (Self::Form, byte) if !byte.is_ascii_alphanumeric() && !b"*-._".contains(byte) => {
                    out.extend(format!("%{byte:02X}").bytes());
                }
                _ => out.push(*byte),
            }
        }
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    number(digits, 16)
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let digit = |byte: &u8| char::from(*byte).to_digit(radix);
    digits.iter().try_fold(0_u32, |number, byte| Some(number.saturating_mul(radix).saturating_add(digit(byte)?)))
}

fn char(number: u32) -> Text {
    Text::Char(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// An escape of JSON ([RFC 8259 §7](https://www.rfc-editor.org/rfc/rfc8259#section-7)), or another of JavaScript.
fn backslash(raw: &[u8], last: bool) -> Escape {
    let Some(kind) = raw.get(1) else { return Escape::Incomplete };
    let digits = |from: usize, len: usize| raw.get(from..from + len).map(hex);
    match kind {
        b'u' if raw.get(2) == Some(&b'{') => braced(raw),
        b'u' => match digits(2, 4) {
            Some(Some(high @ 0xD800..0xDC00)) => surrogates(raw, high, last),
            Some(Some(unit)) => Escape::For(char(unit), 6),
            Some(None) => Escape::None,
            None => Escape::Incomplete,
        },
        b'x' => match digits(2, 2) {
            Some(Some(unit)) => Escape::For(char(unit), 4),
            Some(None) => Escape::None,
            None => Escape::Incomplete,
        },
        b'0'..=b'7' => octal(raw),
        b'n' => Escape::For(Text::Byte(b'\n'), 2),
        b'r' => Escape::For(Text::Byte(b'\r'), 2),
        b't' => Escape::For(Text::Byte(b'\t'), 2),
        b'b' => Escape::For(Text::Byte(8), 2),
        b'f' => Escape::For(Text::Byte(12), 2),
        b'\n' => Escape::For(Text::Nothing, 2),
        other => Escape::For(Text::Byte(*other), 2),
    }
}

fn surrogates(raw: &[u8], high: u32, last: bool) -> Escape {
    let follows = raw.get(6..8).is_some_and(|head| head == b"\\u");
    match raw.get(8..12).map(hex) {
        Some(Some(low @ 0xDC00..0xE000)) if follows => {
            Escape::For(char(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 12)
        }
        None if !last && (follows || raw.len() < 8) => Escape::Incomplete,
        _ => Escape::For(char(high), 6),
    }
}

fn braced(raw: &[u8]) -> Escape {
    let digits = raw.get(3..).unwrap_or_default();
    match digits.iter().take(MAX_REFERENCE).position(|byte| !byte.is_ascii_hexdigit()) {
        Some(end) if end > 0 && digits.get(end) == Some(&b'}') => {
            Escape::For(char(hex(digits.get(..end).unwrap_or_default()).unwrap_or(0)), end + 4)
        }
        Some(_) => Escape::None,
        None if digits.len() >= MAX_REFERENCE => Escape::TooLong,
        None => Escape::Incomplete,
    }
}

fn octal(raw: &[u8]) -> Escape {
    let digits = raw.get(1..).unwrap_or_default();
    let most = if matches!(digits.first(), Some(b'0'..=b'3')) { 3 } else { 2 };
    let len = digits.iter().take(most).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    match len == digits.len() && len < most {
        true => Escape::Incomplete,
        false => Escape::For(char(number(digits.get(..len).unwrap_or_default(), 8).unwrap_or(0)), len + 1),
    }
}

/// A character reference ([HTML §13.5](https://html.spec.whatwg.org/multipage/named-characters.html)): a number, or a name of a
/// character that could be a part of a value.
fn reference(raw: &[u8], last: bool) -> Escape {
    let (from, radix) = match raw.get(1..3) {
        Some([b'#', b'x' | b'X']) => (3, 16),
        Some([b'#', _]) => (2, 10),
        Some(_) => return named(raw, last),
        None => return Escape::Incomplete,
    };
    let digits = raw.get(from..).unwrap_or_default();
    let len = digits.iter().take(MAX_REFERENCE).take_while(|byte| char::from(**byte).is_digit(radix)).count();
    match digits.get(len) {
        _ if len >= MAX_REFERENCE => Escape::TooLong,
        None if !last => Escape::Incomplete,
        _ if len == 0 => Escape::None,
        next => {
            let number = number(digits.get(..len).unwrap_or_default(), radix).unwrap_or(0);
            Escape::For(char(entities::meant(number)), from + len + usize::from(next == Some(&b';')))
        }
    }
}

fn named(raw: &[u8], last: bool) -> Escape {
    let letters = raw.get(1..).unwrap_or_default();
    let len = letters.iter().take(entities::LONGEST + 1).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    if len == letters.len() && !last && len <= entities::LONGEST {
        return Escape::Incomplete;
    }
    let name = letters.get(..len).unwrap_or_default();
    match letters.get(len) {
        Some(b';') => entities::find(name).map_or(Escape::None, |text| Escape::For(Text::Chars(text), len + 2)),
        _ => entities::find_legacy(name).map_or(Escape::None, |(text, len)| Escape::For(Text::Chars(text), len + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str, coding: Coding) -> String {
        let mut reading = Reading::default();
        reading.read(raw.as_bytes(), 0, coding, true);
        String::from_utf8_lossy(reading.text()).into_owned()
    }

    #[test]
    fn escapes_are_read() {
        for (raw, text) in [
            (r"ada\u0040example\u002ecom", "ada@example.com"),
            (r"a\x40b \100 \u{40}\u{1F600}", "a@b @ @\u{1F600}"),
            (r#"\ud83d\ude00 \"\\\/\n"#, "\u{1F600} \"\\/\n"),
            (r"\ud83d x \u12", "\u{FFFD} x \\u12"),
        ] {
            assert_eq!(read(raw, Coding::Escapes), text, "{raw}");
        }
        for (raw, text) in [
            ("ada&#64;example&period;com", "ada@example.com"),
            ("&#x40;&#X40 &#0000064;&commat;&amp;amp;", "@@ @@&amp;"),
            ("&nbsp;&nbspx&unknown; & &#; &ampx", "\u{a0}\u{a0}x&unknown; & &#; &x"),
        ] {
            assert_eq!(read(raw, Coding::References), text, "{raw}");
        }
        assert_eq!(read("ada%40example.com+%zz%4", Coding::Form), "ada@example.com %zz%4");
    }

    #[test]
    fn the_way_back_leads_to_what_is_written() {
        let raw = r"x\u0040y\n";
        let mut reading = Reading::default();
        reading.read(raw.as_bytes(), 10, Coding::Escapes, true);
        let pieces = |range| reading.pieces(range).collect::<Vec<_>>();
        assert_eq!(pieces(0..3), [10..11, 11..17, 17..18]);
        assert_eq!(pieces(2..4), [17..18, 18..20]);
        assert_eq!((reading.place(1), reading.place(2), reading.place(4)), (11, 17, 20));
        let mut rest = reading.clone();
        rest.forget(2, 17);
        assert_eq!((rest.text(), rest.pieces(0..2).collect::<Vec<_>>()), (&b"y\n"[..], vec![0..1, 1..3]));
    }

    #[test]
    fn a_reference_without_end_breaks_the_reading() {
        let mut reading = Reading::default();
        reading.read(format!("&#{}64;", "0".repeat(MAX_REFERENCE)).as_bytes(), 0, Coding::References, false);
        assert!(reading.is_broken());
    }
}
