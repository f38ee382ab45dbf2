//! A screen that knows as little as is needed to read the line that the cursor is on: characters, no colours, and only the
//! rows around the cursor.

use super::lex::{Csi, Lexer, Token};

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

    fn put(&mut self, char: char) {
        let width = width(char);
        if width == 0 {
            return;
        }
        if self.wraps || self.column + width > self.columns {
            self.line_mut().wrapped = true;
            self.line_feed();
            self.column = 0;
        }
        self.wraps = false;
        let column = usize::from(self.column);
        let line = self.line_mut();
        if line.cells.len() < column {
            line.cells.resize(column, ' ');
        }
        match line.cells.get_mut(column) {
            Some(cell) => *cell = char,
            None => push(&mut line.cells, char),
        }
        if width == 2 {
            // A wide character is one character in two places; the second holds nothing.
            match line.cells.get_mut(column + 1) {
                Some(cell) => *cell = ZERO_WIDTH,
                None => push(&mut line.cells, ZERO_WIDTH),
            }
        }
        self.column += width;
        if self.column >= self.columns {
            self.column = self.columns - 1;
            self.wraps = true;
        }
    }

    fn control(&mut self, byte: u8, line: &mut impl FnMut(&Self)) {
        match byte {
            0x08 => self.move_to(self.row, self.column.saturating_sub(1)),
            b'\t' => self.move_to(self.row, ((self.column / 8) + 1).saturating_mul(8)),
            b'\n' | 0x0b | 0x0c => {
                line(self);
                self.line_feed();
            }
            b'\r' => self.move_to(self.row, 0),
            _ => {}
        }
    }

    fn escape(&mut self, sequence: &[u8]) {
        match sequence {
            b"7" => self.saved = (self.row, self.column),
            b"8" => self.move_to(self.saved.0, self.saved.1),
            b"D" => self.line_feed(),
            b"E" => {
                self.line_feed();
                self.column = 0;
            }
            b"M" => self.move_to(self.row.saturating_sub(1), self.column),
            b"c" => *self = Self { scrolled: self.scrolled, ..Self::new(self.columns.into(), self.rows.into()) },
            _ => {}
        }
    }

    fn csi(&mut self, csi: Csi<'_>) {
        let (count, (row, column)) = (csi.count(), (self.row, self.column));
        match (csi.private(), csi.action) {
            (Some(b'?'), b'h' | b'l') if csi.numbers().any(is_alternate_screen) => {
                self.alternate = csi.action == b'h';
                self.lines.clear();
            }
            (Some(_), _) => {}
            (None, b'A' | b'F') => self.move_to(row.saturating_sub(count), if csi.action == b'F' { 0 } else { column }),
            (None, b'B' | b'E' | b'e') => {
                self.move_to(row.saturating_add(count), if csi.action == b'E' { 0 } else { column });
            }
            (None, b'C' | b'a') => self.move_to(row, column.saturating_add(count)),
            (None, b'D') => self.move_to(row, column.saturating_sub(count)),
            (None, b'G' | b'`') => self.move_to(row, count - 1),
            (None, b'd') => self.move_to(count - 1, column),
            (None, b'H' | b'f') => self.move_to(count - 1, csi.numbers().nth(1).unwrap_or(0).max(1) - 1),
            (None, b's') => self.saved = (row, column),
            (None, b'u') => self.move_to(self.saved.0, self.saved.1),
            (None, b'J') => self.erase_screen(csi.numbers().next().unwrap_or(0)),
            (None, b'K') => self.erase_line(csi.numbers().next().unwrap_or(0)),
            (None, b'@' | b'P' | b'X') => self.edit(csi.action, count),
            _ => {}
        }
    }

    fn erase_screen(&mut self, which: u16) {
        let row = usize::from(self.row);
        match which {
            0 => {
                self.erase_line(0);
                let below = (row + 1).saturating_sub(self.first.into());
                self.lines.truncate(below);
            }
            1 => self.erase_line(1),
            _ => self.lines.clear(),
        }
    }

    fn erase_line(&mut self, which: u16) {
        let column = usize::from(self.column);
        let line = self.line_mut();
        match which {
            0 => {
                line.cells.truncate(column);
                line.wrapped = false;
            }
            1 => line.cells.iter_mut().take(column + 1).for_each(|cell| *cell = ' '),
            _ => *line = Row::default(),
        }
    }

    /// Inserts blanks, takes characters out, or makes them blank.
    fn edit(&mut self, action: u8, count: u16) {
        let (column, columns) = (usize::from(self.column), usize::from(self.columns));
        let cells = &mut self.line_mut().cells;
        let end = cells.len().min(column.saturating_add(count.into()));
        if column >= cells.len() {
            return;
        }
        match action {
            b'@' => {
                let blanks = usize::from(count).min(columns.saturating_sub(column));
                cells.truncate((columns - blanks).max(column));
                cells.splice(column..column, std::iter::repeat_n(' ', blanks));
            }
            b'P' => drop(cells.drain(column..end)),
            _ => cells.iter_mut().take(end).skip(column).for_each(|cell| *cell = ' '),
        }
    }

    fn move_to(&mut self, row: u16, column: u16) {
        self.row = row.min(self.rows - 1);
        self.column = column.min(self.columns - 1);
        self.wraps = false;
        self.trim();
    }

    fn line_feed(&mut self) {
        self.wraps = false;
        if self.row + 1 < self.rows {
            self.row += 1;
        } else {
            self.scroll(1);
        }
        self.trim();
    }

    /// The rows leave the screen at its top.
    fn scroll(&mut self, rows: u16) {
        self.scrolled += u64::from(rows);
        let kept = rows.saturating_sub(self.first);
        self.first = self.first.saturating_sub(rows);
        drop(self.lines.drain(..usize::from(kept).min(self.lines.len())));
    }

    /// Forgets the rows that are far from the cursor.
    fn trim(&mut self) {
        let row = usize::from(self.row);
        let lowest = row.saturating_sub(AROUND);
        let gone = lowest.saturating_sub(self.first.into()).min(self.lines.len());
        drop(self.lines.drain(..gone));
        if self.lines.is_empty() || usize::from(self.first) + gone > row + AROUND {
            self.lines.clear();
            self.first = self.row;
        } else {
            self.first += u16::try_from(gone).unwrap_or(0);
            self.lines.truncate((row + AROUND + 1).saturating_sub(self.first.into()));
        }
    }

    /// The row with this number on the screen, where it is kept.
    fn line_at(&self, row: u64) -> Option<&Row> {
        self.lines.get(usize::try_from(row.checked_sub(self.first.into())?).ok()?)
    }

    /// The cursor's row.
    fn line_mut(&mut self) -> &mut Row {
        if self.row < self.first {
            let missing = usize::from(self.first - self.row);
            self.lines.splice(0..0, std::iter::repeat_n(Row::default(), missing));
            self.first = self.row;
        }
        let at = usize::from(self.row - self.first);
        if self.lines.len() <= at {
            self.lines.resize(at + 1, Row::default());
        }
        &mut self.lines[at]
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

/// Cells grow a few at a time: most rows are short.
fn push(cells: &mut Vec<char>, char: char) {
    if cells.len() == cells.capacity() {
        cells.reserve_exact((cells.len() / 4).max(16));
    }
    cells.push(char);
}

fn clamped(columns: u32, rows: u32) -> (u16, u16) {
    let clamp = |size: u32, usual: u16, most: u16| match u16::try_from(size) {
        Ok(0) => usual,
        Ok(size) => size.min(most),
        Err(_) => most,
    };
    // One column could hold no wide character.
    (clamp(columns, 80, MAX_COLUMNS).max(2), clamp(rows, 24, MAX_ROWS))
}

/// How many columns a character takes. Who counts otherwise, reads a line with a character more or less in it.
const fn width(char: char) -> u16 {
    match char {
        '\u{300}'..='\u{36f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(columns: u32, text: &str) -> Screen {
        let mut screen = Screen::new(columns, 24);
        screen.write(text.as_bytes(), |_| {});
        screen
    }

    #[test]
    fn a_line_is_read_as_it_was_edited() {
        for (text, line) in [
            ("$ ls -l", "$ ls -l"),
            ("$ lx\x08s", "$ ls"),
            ("$ lsx\x08\x1b[K", "$ ls"),
            ("$ lsxx\x08 \x08\x08 \x08", "$ ls"),
            ("$ ls\x1b[D\x1b[D\x1b[1@e\x1b[2C!", "$ els!"),
            ("$ xls\x1b[3D\x1b[P", "$ ls"),
            ("\x1b[32m$\x1b[0m caf\u{e9} \u{6f22}x", "$ caf\u{e9} \u{6f22}x"),
            ("old\r\x1b[K$ new", "$ new"),
        ] {
            assert_eq!(written(80, text).line(), line, "{text:?}");
        }
    }

    #[test]
    fn a_line_goes_on_over_rows_and_while_it_scrolls() {
        let mut screen = written(10, &"\r\n".repeat(30));
        screen.write(b"$ ", |_| {});
        let from = screen.cursor();
        screen.write(b"0123456789abcdef", |_| {});
        assert_eq!(screen.line_from(from), "0123456789abcdef");
        assert_eq!(screen.line(), "$ 0123456789abcdef");
        screen.write(b"\r\n\r\n", |_| {});
        assert_eq!(screen.line_from(from), "0123456789abcdef", "still near");
        screen.write(&b"\r\n".repeat(30), |_| {});
        assert_eq!(screen.line_from(from), "", "gone");
    }

    #[test]
    fn a_line_feed_is_told_before_it_happens() {
        let mut lines = Vec::new();
        Screen::new(80, 24).write(b"one\r\ntwo\nthree", |screen| lines.push(screen.line()));
        assert_eq!(lines, ["one", "two"], "the second begins where the first did: after a carriage return");
    }

    #[test]
    fn the_alternate_screen_is_known() {
        let mut screen = written(80, "\x1b[?1049h");
        assert!(screen.is_alternate());
        screen.write(b"\x1b[?1049l", |_| {});
        assert!(!screen.is_alternate());
    }

    #[test]
    fn of_much_at_once_the_end_is_read() {
        let mut screen = written(80, "");
        screen.write_end(format!("\x1b[?1049h{}\r\n\x1b[?1049l{0}\r\n$ ls", "x".repeat(9_000)).as_bytes());
        assert_eq!((screen.line().as_str(), screen.is_alternate()), ("$ ls", false));
        screen.write_end(format!("\x1b[?1049h\n{}", "x\r\n".repeat(9_000)).as_bytes());
        assert!(screen.is_alternate());
    }

    #[test]
    fn an_idle_terminal_is_small() {
        let mut usual = written(80, &"x".repeat(80).repeat(100));
        assert!(usual.size() < 4 << 10, "{} bytes", usual.size());
        usual.resize(u32::MAX, u32::MAX);
        usual.write(&b"x".repeat(100_000), |_| {});
        assert!(usual.size() < 20 << 10, "{} bytes", usual.size());
    }
}
