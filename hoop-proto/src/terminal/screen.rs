//! A screen that knows as little as is needed to read the line that the cursor is on: characters, no colours, and only the
//! rows around the cursor.

mod draw;
#[cfg(test)]
mod tests;

use super::lex::{Lexer, Token};

/// Most columns that are kept of a row.
pub const MAX_COLUMNS: u16 = 500;
/// Most rows that a screen may have.
pub const MAX_ROWS: u16 = 200;
/// How many rows above and below the cursor's are kept.
const AROUND: usize = 3;
/// How much is read of much that is written at once, in bytes.
const LAST_BYTES: usize = 4 << 10;
/// What an idle screen may keep for sequences and characters that are not whole, in bytes.
const MAX_REST: usize = 256;

/// The screen of a terminal. It takes at most 20 KiB of memory, whatever is written to it.
#[derive(Debug, Clone)]
pub struct Screen {
    lexer: Lexer,
    rest: Vec<u8>,
    columns: u16,
    rows: u16,
    /// The rows that are kept; `first` is the number of the first of them on the screen.
    lines: Vec<Row>,
    first: u16,
    row: u16,
    column: u16,
    /// The next character goes to the next row: the cursor stands behind the last column.
    wraps: bool,
    saved: (u16, u16),
    /// How many rows have left the screen at its top.
    scrolled: u64,
    alternate: bool,
}

#[derive(Debug, Clone, Default)]
struct Row {
    cells: Vec<char>,
    /// Whether it goes on in the next row.
    wrapped: bool,
}

/// A place on the screen that stays the same when it scrolls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    row: u64,
    column: u16,
}

impl Screen {
    /// An empty screen. A size that makes no sense is clamped.
    pub fn new(columns: u32, rows: u32) -> Self {
        let (columns, rows) = clamped(columns, rows);
        Self {
            lexer: Lexer::new(),
            rest: Vec::new(),
            columns,
            rows,
            lines: Vec::new(),
            first: 0,
            row: 0,
            column: 0,
            wraps: false,
            saved: (0, 0),
            scrolled: 0,
            alternate: false,
        }
    }

    /// The terminal has another size now.
    pub fn resize(&mut self, columns: u32, rows: u32) {
        (self.columns, self.rows) = clamped(columns, rows);
        let excess = self.row.saturating_sub(self.rows - 1);
        self.scroll(excess);
        self.row -= excess.min(self.row);
        self.column = self.column.min(self.columns - 1);
        self.wraps = false;
        self.trim();
    }

    /// Whether a program has the screen for itself, as editors do.
    pub const fn is_alternate(&self) -> bool {
        self.alternate
    }

    /// Where the cursor is.
    pub const fn cursor(&self) -> Place {
        Place { row: self.scrolled + self.row as u64, column: if self.wraps { self.columns } else { self.column } }
    }

    /// What stands from this place to the end of the line, over the rows that it fills. Empty when the place is gone.
    pub fn line_from(&self, from: Place) -> String {
        let mut text = String::new();
        let mut row = from.row;
        let mut column = usize::from(from.column);
        while let Some(line) = row.checked_sub(self.scrolled).and_then(|row| self.line_at(row)) {
            text.extend(line.cells.iter().skip(column).filter(|cell| **cell != ZERO_WIDTH));
            if !line.wrapped {
                break;
            }
            (row, column) = (row + 1, 0);
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// The whole line that the cursor is on, over the rows that it fills.
    pub fn line(&self) -> String {
        let mut row = self.scrolled + u64::from(self.row);
        let is_wrapped =
            |row: u64| row.checked_sub(self.scrolled).and_then(|row| self.line_at(row)).is_some_and(|row| row.wrapped);
        while row.checked_sub(1).is_some_and(is_wrapped) {
            row -= 1;
        }
        self.line_from(Place { row, column: 0 })
    }

    /// What is written. `line` is called before each line feed, with the screen as it is then.
    pub fn write(&mut self, bytes: &[u8], mut line: impl FnMut(&Self)) {
        if self.rest.is_empty() {
            let used = self.tokens(bytes, &mut line);
            self.keep(bytes.get(used..).unwrap_or_default());
            return;
        }
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        let used = self.tokens(&all, &mut line);
        self.keep(all.get(used..).unwrap_or_default());
    }

    /// As [`write`](Self::write) for much at once, of which only the last lines matter. Places from before are gone.
    pub fn write_end(&mut self, bytes: &[u8]) {
        let end = bytes.len().saturating_sub(LAST_BYTES);
        let Some(feed) = memchr::memrchr(b'\n', bytes.get(..end).unwrap_or_default()) else {
            return self.write(bytes, |_| {});
        };
        let (gone, last) = bytes.split_at(feed + 1);
        if let Some(switched) = alternate(gone) {
            self.alternate = switched;
        }
        self.lexer = Lexer::new();
        self.rest.clear();
        self.scroll(self.rows);
        self.lines.clear();
        self.move_to(self.rows - 1, 0);
        self.write(last, |_| {});
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        let cells: usize = self.lines.iter().map(|row| row.cells.capacity() * size_of::<char>()).sum();
        size_of::<Self>() + self.rest.capacity() + self.lines.capacity() * size_of::<Row>() + cells
    }

    fn keep(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.rest = rest.get(..rest.len().min(MAX_REST)).unwrap_or_default().to_vec();
        }
    }

    fn tokens(&mut self, bytes: &[u8], line: &mut impl FnMut(&Self)) -> usize {
        let (mut used, mut lexer) = (0, self.lexer);
        while let Some((token, length)) = lexer.next(bytes.get(used..).unwrap_or_default()) {
            match token {
                Token::Text(text) => {
                    let is_last = used + length == bytes.len();
                    let taken = self.text(text, is_last);
                    if taken < length {
                        used += taken;
                        break;
                    }
                }
                Token::Control(byte) => self.control(byte, line),
                Token::Escape(sequence) => self.escape(sequence),
                Token::Csi(csi) => self.csi(csi),
                Token::Begin(_) | Token::Payload(_) | Token::End | Token::Invalid => {}
            }
            used += length;
        }
        self.lexer = lexer;
        used
    }

    /// Puts the characters down. A last one that is not whole is left, where more may come.
    fn text(&mut self, text: &[u8], is_last: bool) -> usize {
        let mut taken = 0;
        for chunk in text.utf8_chunks() {
            chunk.valid().chars().for_each(|char| self.put(char));
            taken += chunk.valid().len();
            let goes_on = std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
            if is_last && goes_on && taken + chunk.invalid().len() == text.len() {
                return taken;
            }
            taken += chunk.invalid().len();
            if !chunk.invalid().is_empty() {
                self.put(char::REPLACEMENT_CHARACTER);
            }
        }
        taken
    }
}

const fn is_alternate_screen(mode: u16) -> bool {
    matches!(mode, 47 | 1047 | 1049)
}

/// Whether the last that is said of the alternate screen is that it is used.
fn alternate(bytes: &[u8]) -> Option<bool> {
    let of = |at: usize| {
        let Some((Token::Csi(csi), _)) = Lexer::new().next(bytes.get(at..)?) else { return None };
        (csi.numbers().any(is_alternate_screen) && matches!(csi.action, b'h' | b'l')).then_some(csi.action == b'h')
    };
    memchr::memmem::rfind_iter(bytes, b"\x1b[?").find_map(of)
}

/// Stands in the second place of a wide character.
const ZERO_WIDTH: char = '\u{200b}';

fn clamped(columns: u32, rows: u32) -> (u16, u16) {
    let clamp = |size: u32, usual: u16, most: u16| match u16::try_from(size) {
        Ok(0) => usual,
        Ok(size) => size.min(most),
        Err(_) => most,
    };
    // One column could hold no wide character.
    (clamp(columns, 80, MAX_COLUMNS).max(2), clamp(rows, 24, MAX_ROWS))
}
