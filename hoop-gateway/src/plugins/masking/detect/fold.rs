//! Characters that a reader takes for ASCII: full-width and Arabic digits, other dashes and spaces, and characters of no width:
//! marks on others, and what turns the direction of text or chooses between forms. They are the known way around a detector,
//! so a value that has them is read a second time without.

use std::ops::Range;

/// Whether these two bytes of UTF-8 may begin a character that is folded.
pub(crate) const fn may_begin(lead: u8, second: u8) -> bool {
    matches!(
        (lead, second),
        (0xC2, 0xA0 | 0xAD)
            | (0xD9, 0xA0..=0xA9)
            | (0xDB, 0xB0..=0xB9)
            | (0xCC, _)
            | (0xCD, 0x80..=0xAF)
            | (0xE2, 0x80 | 0x81 | 0x83 | 0x88)
            | (0xEF, 0xB8 | 0xBB..=0xBE)
            | (0xF3, 0xA0)
    )
}

/// A value with such characters replaced, and the way back to the original.
#[derive(Debug)]
pub(crate) struct Folded {
    /// The ASCII reading.
    pub(crate) bytes: Vec<u8>,
    /// For each byte of the reading, and for its end, where it comes from.
    origin: Vec<usize>,
}

impl Folded {
    pub(crate) fn new(value: &[u8]) -> Self {
        let mut folded = Self { bytes: Vec::with_capacity(value.len()), origin: Vec::with_capacity(value.len() + 1) };
        let mut at = 0;
        while let Some(byte) = value.get(at) {
            let (reading, len) = fold(value.get(at..).unwrap_or_default());
            match reading {
                Reading::As(ascii) => folded.push(ascii, at),
                Reading::Nothing => {}
                Reading::Itself => folded.push(*byte, at),
            }
            at += len;
        }
        folded.origin.push(value.len());
        folded
    }

    fn push(&mut self, byte: u8, at: usize) {
        self.bytes.push(byte);
        self.origin.push(at);
    }

    /// The bytes of the original that a range of the reading comes from.
    pub(crate) fn original(&self, range: Range<usize>) -> Range<usize> {
        let place = |at: usize| self.origin.get(at).copied().unwrap_or_default();
        place(range.start)..place(range.end)
    }
}

enum Reading {
    As(u8),
    Nothing,
    Itself,
}

/// How the first character is read, and how many bytes it takes.
fn fold(value: &[u8]) -> (Reading, usize) {
    match *value {
        [0xC2, 0xA0, ..] => (Reading::As(b' '), 2),
        [0xC2, 0xAD, ..] => (Reading::Nothing, 2),
        [0xD9, digit @ 0xA0..=0xA9, ..] => (Reading::As(b'0' + (digit - 0xA0)), 2),
        [0xDB, digit @ 0xB0..=0xB9, ..] => (Reading::As(b'0' + (digit - 0xB0)), 2),
        [0xE2, 0x80, 0x80..=0x8A | 0xAF, ..] => (Reading::As(b' '), 3),
        [0xE2, 0x80, 0x8B..=0x8F | 0xAA..=0xAE, ..] | [0xE2, 0x81, 0xA0..=0xAF, ..] | [0xEF, 0xBB, 0xBF, ..] => {
            (Reading::Nothing, 3)
        }
        // Marks on the character before, U+0300 to U+036F.
        [0xCC, 0x80..=0xBF, ..] | [0xCD, 0x80..=0xAF, ..] => (Reading::Nothing, 2),
        // Circles around it, choices between its forms, and the filler of Hangul.
        [0xE2, 0x83, 0x90..=0xB0, ..] | [0xEF, 0xB8, 0x80..=0x8F, ..] | [0xEF, 0xBE, 0xA0, ..] => (Reading::Nothing, 3),
        // Tags and more choices, U+E0000 to U+E0FFF.
        [0xF3, 0xA0, 0x80..=0xBF, 0x80..=0xBF, ..] => (Reading::Nothing, 4),
        [0xE2, 0x80, 0x90..=0x95, ..] | [0xE2, 0x88, 0x92, ..] => (Reading::As(b'-'), 3),
        [0xEF, 0xBC, low @ 0x81..=0xBF, ..] => (Reading::As(low - 0x81 + b'!'), 3),
        [0xEF, 0xBD, low @ 0x80..=0x9E, ..] => (Reading::As(low - 0x80 + b'`'), 3),
        _ => (Reading::Itself, 1),
    }
}
