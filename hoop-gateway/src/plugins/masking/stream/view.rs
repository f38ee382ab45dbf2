//! A line as it is read: without control sequences, and as it was edited.

use std::borrow::Cow;

use hoop_proto::terminal::lex::{Csi, Token};
use memchr::memchr_iter;

use super::moves::{each_token, is_end};

/// Text, and where each of its bytes lies in the line.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) text: Cow<'a, [u8]>,
    /// Nothing where the text is the line itself.
    origin: Option<Vec<usize>>,
}

/// Stands for a byte that is nowhere in the line: a gap, or a border that no value goes over.
const NOWHERE: usize = usize::MAX;
/// Most columns that a cursor moves over.
const MAX_COLUMNS: usize = 1_024;

impl View<'_> {
    /// Where in the line a byte of the text lies.
    pub(super) fn place(&self, at: usize) -> Option<usize> {
        match &self.origin {
            None => Some(at),
            Some(origin) => origin.get(at).copied().filter(|place| *place != NOWHERE),
        }
    }

    /// Where in the line the bytes of a range lie.
    pub(super) fn places(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = usize> + Clone {
        range.filter_map(|at| self.place(at))
    }
}

/// The readings of a line.
#[derive(Debug)]
pub(super) struct Views<'a> {
    /// As it is written.
    pub(super) wire: View<'a>,
    /// What control strings hold, how it goes on from one row to the next, and how it stands afterwards; where these are other texts.
    pub(super) others: Vec<View<'a>>,
    /// Where a sequence or a control string begins that is not whole; the line's length where none does.
    pub(super) whole: usize,
}

/// Whether bytes are their own text: neither control sequences nor a cursor that moves back. They are whole lines.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    let next = |at: usize| bytes.get(at + 1).copied();
    let is_control = |byte: u8| (byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')) || byte == 0x7f;
    // Without a way out in the middle, many bytes are looked at together.
    let has_control = |bytes: &[u8]| bytes.iter().fold(false, |any, byte| any | is_control(*byte));
    !bytes.chunks(256).any(has_control)
        && memchr_iter(b'\r', bytes).all(|at| matches!(next(at), Some(b'\n') | None))
        && memchr_iter(0xc2, bytes).all(|at| !matches!(next(at), Some(0x80..0xa0) | None))
}

/// Reads a line before which so many characters of the row are not there any more.
pub(super) fn views(line: &[u8], lost: usize) -> Views<'_> {
    if is_plain(line) {
        return Views { wire: View { text: line.into(), origin: None }, others: Vec::new(), whole: line.len() };
    }
    let mut reading = Reading::of(line, lost);
    let mut open = None;
    let whole = each_token(line, |token, at| {
        match token {
            Token::Begin(_) => open = Some(at),
            Token::End => open = None,
            _ => {}
        }
        reading.token(token, at);
        false
    });
    let edited = reading.moved.then_some(reading.edited);
    let strings = Some(reading.strings).filter(|strings| !strings.text.is_empty());
    let others = strings.into_iter().chain(reading.joined).chain(edited).map(View::from);
    Views { wire: reading.wire.into(), others: others.collect(), whole: open.unwrap_or(whole) }
}

#[derive(Debug, Clone, Default)]
struct Cells {
    text: Vec<u8>,
    origin: Vec<usize>,
}

impl Cells {
    fn push(&mut self, byte: u8, place: usize) {
        self.text.push(byte);
        self.origin.push(place);
    }

    fn truncate(&mut self, length: usize) {
        self.text.truncate(length);
        self.origin.truncate(length);
    }
}

impl From<Cells> for View<'_> {
    fn from(cells: Cells) -> Self {
        Self { text: cells.text.into(), origin: Some(cells.origin) }
    }
}

struct Reading<'a> {
    line: &'a [u8],
    wire: Cells,
    /// What is in control strings.
    strings: Cells,
    /// As `wire`, with words put together that go on in the next row; where there are any.
    joined: Option<Cells>,
    edited: Cells,
    /// Where in the edited text the row begins.
    start: usize,
    /// Where in the row the cursor is.
    cursor: usize,
    moved: bool,
}

impl<'a> Reading<'a> {
    fn of(line: &'a [u8], lost: usize) -> Self {
        let (none, lost) = (Cells::default, lost.min(MAX_COLUMNS));
        let edited = Cells { text: vec![b'\n'; lost], origin: vec![NOWHERE; lost] };
        Self { line, wire: none(), strings: none(), joined: None, edited, start: 0, cursor: lost, moved: false }
    }

    fn wire(&mut self, byte: u8, place: usize) {
        self.wire.push(byte, place);
        if let Some(joined) = &mut self.joined {
            joined.push(byte, place);
        }
    }

    fn token(&mut self, token: Token<'_>, at: usize) {
        match token {
            Token::Text(text) => text.iter().zip(at..).for_each(|(byte, place)| {
                self.wire(*byte, place);
                self.put(*byte, place);
            }),
            Token::Payload(text) => text.iter().zip(at..).for_each(|(byte, place)| self.strings.push(*byte, place)),
            Token::Control(byte) => self.control(byte, at),
            Token::Csi(csi) => self.csi(csi),
            Token::Escape([b'7' | b'8' | b'D' | b'E' | b'M' | b'c']) => self.leave(),
            Token::End => self.strings.push(b'\n', NOWHERE),
            Token::Begin(_) | Token::Escape(_) | Token::Invalid => {}
        }
    }

    fn put(&mut self, byte: u8, place: usize) {
        let at = self.start + self.cursor;
        match (self.edited.text.get_mut(at), self.edited.origin.get_mut(at)) {
            (Some(cell), Some(origin)) => (*cell, *origin) = (byte, place),
            _ => self.edited.push(byte, place),
        }
        self.cursor += 1;
    }

    fn control(&mut self, byte: u8, at: usize) {
        match byte {
            b'\n' => {
                self.wire(byte, at);
                self.edited.push(byte, at);
            }
            b'\t' => {
                self.wire(byte, at);
                match self.start + self.cursor < self.edited.text.len() {
                    true => self.move_to((self.cursor / 8 + 1) * 8),
                    false => self.put(byte, at),
                }
            }
            b'\r' if is_end(self.line.get(at + 1..).unwrap_or_default()) => {
                self.wire(byte, at);
                self.moved |= !self.line.ends_with(b"\n");
                self.cursor = 0;
            }
            b'\r' => {
                // A space and a carriage return is how a line editor goes to the next row in the middle of a word.
                let mut joined = self.joined.take().unwrap_or_else(|| self.wire.clone());
                self.wire(b'\n', NOWHERE);
                match joined.text.last() {
                    Some(b' ') => joined.truncate(joined.text.len() - 1),
                    _ => joined.push(b'\n', NOWHERE),
                }
                self.joined = Some(joined);
                self.move_to(0);
            }
            0x08 => {
                self.wire(b'\n', NOWHERE);
                self.move_to(self.cursor.saturating_sub(1));
            }
            _ => {}
        }
    }

    fn csi(&mut self, csi: Csi<'_>) {
        if csi.private().is_some() || !csi.intermediates.is_empty() {
            return;
        }
        let count = usize::from(csi.count());
        match csi.action {
            b'D' => self.go(self.cursor.saturating_sub(count)),
            b'C' | b'a' => self.go(self.cursor + count),
            b'G' | b'`' => self.go(count - 1),
            b'K' => self.erase(csi.numbers().next().unwrap_or(0)),
            b'P' | b'@' | b'X' => self.change(csi.action, count),
            b'A' | b'B' | b'E' | b'F' | b'H' | b'J' | b'L' | b'M' | b'S' | b'T' | b'd'..=b'f' | b's' | b'u' => {
                self.leave()
            }
            _ => {}
        }
    }

    fn go(&mut self, to: usize) {
        self.wire(b'\n', NOWHERE);
        self.move_to(to);
    }

    /// The cursor goes somewhere in the row.
    fn move_to(&mut self, to: usize) {
        self.moved = true;
        let end = self.edited.text.len() - self.start;
        self.cursor = to.min(end.max(MAX_COLUMNS));
        for _ in end..self.cursor {
            self.edited.push(b' ', NOWHERE);
        }
    }

    /// The cursor goes to another row.
    fn leave(&mut self) {
        self.moved = true;
        self.wire(b'\n', NOWHERE);
        self.edited.push(b'\n', NOWHERE);
        (self.start, self.cursor) = (self.edited.text.len(), 0);
    }

    fn erase(&mut self, which: u16) {
        self.moved |= which != 0;
        let at = self.start + self.cursor;
        match which {
            0 => self.edited.truncate(at),
            1 => self.blank(self.start..at + 1),
            _ => self.blank(self.start..usize::MAX),
        }
    }

    fn blank(&mut self, range: std::ops::Range<usize>) {
        let places = self.edited.text.iter_mut().zip(&mut self.edited.origin).take(range.end).skip(range.start);
        places.for_each(|(cell, origin)| (*cell, *origin) = (b' ', NOWHERE));
    }

    /// Takes characters out, puts blanks in, or makes characters blank.
    fn change(&mut self, action: u8, count: usize) {
        let (at, end) = (self.start + self.cursor, self.edited.text.len());
        if end - self.start > 4 * MAX_COLUMNS || at > end {
            return self.leave();
        }
        self.moved = true;
        match action {
            b'X' => self.blank(at..at + count),
            b'P' => {
                let gone = at..end.min(at + count);
                drop(self.edited.text.drain(gone.clone()));
                drop(self.edited.origin.drain(gone));
            }
            _ => {
                let blanks = count.min(MAX_COLUMNS);
                drop(self.edited.text.splice(at..at, std::iter::repeat_n(b' ', blanks)));
                drop(self.edited.origin.splice(at..at, std::iter::repeat_n(NOWHERE, blanks)));
            }
        }
    }
}
