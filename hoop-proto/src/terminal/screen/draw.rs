//! What characters and control sequences do to a screen.

use super::super::lex::Csi;
use super::{AROUND, Row, Screen, ZERO_WIDTH, is_alternate_screen};

impl Screen {
    pub(super) fn put(&mut self, char: char) {
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

    pub(super) fn control(&mut self, byte: u8, line: &mut impl FnMut(&Self)) {
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

    pub(super) fn escape(&mut self, sequence: &[u8]) {
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

    pub(super) fn csi(&mut self, csi: Csi<'_>) {
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

    pub(super) fn move_to(&mut self, row: u16, column: u16) {
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
    pub(super) fn scroll(&mut self, rows: u16) {
        self.scrolled += u64::from(rows);
        let kept = rows.saturating_sub(self.first);
        self.first = self.first.saturating_sub(rows);
        drop(self.lines.drain(..usize::from(kept).min(self.lines.len())));
    }

    /// Forgets the rows that are far from the cursor.
    pub(super) fn trim(&mut self) {
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
    pub(super) fn line_at(&self, row: u64) -> Option<&Row> {
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

/// Cells grow a few at a time: most rows are short.
fn push(cells: &mut Vec<char>, char: char) {
    if cells.len() == cells.capacity() {
        cells.reserve_exact((cells.len() / 4).max(16));
    }
    cells.push(char);
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
