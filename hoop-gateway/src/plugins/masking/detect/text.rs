//! What the detectors share: looking at single bytes of a value without ever stepping out of it.

/// A value under the eyes of a detector.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a>(pub(super) &'a [u8]);

impl<'a> Text<'a> {
    /// The byte at a place, 0 where there is none.
    pub(super) fn at(self, place: usize) -> u8 {
        self.0.get(place).copied().unwrap_or(0)
    }

    /// The byte before a place, 0 where there is none.
    pub(super) fn before(self, place: usize) -> u8 {
        place.checked_sub(1).map_or(0, |place| self.at(place))
    }

    pub(super) fn slice(self, start: usize, end: usize) -> &'a [u8] {
        self.0.get(start..end).unwrap_or_default()
    }

    /// How many bytes from a place on are in a class, at most `limit`.
    pub(super) fn run(self, start: usize, limit: usize, class: impl Fn(u8) -> bool) -> usize {
        self.0.get(start..).unwrap_or_default().iter().take(limit).take_while(|byte| class(**byte)).count()
    }

    /// How many bytes before a place are in a class, at most `limit`.
    pub(super) fn run_before(self, end: usize, limit: usize, class: impl Fn(u8) -> bool) -> usize {
        self.0.get(..end).unwrap_or_default().iter().rev().take(limit).take_while(|byte| class(**byte)).count()
    }

    /// Whether a number may end before this place: what follows is neither a part of a word nor a fraction.
    pub(super) fn ends(self, place: usize) -> bool {
        let next = self.at(place);
        !(is_word(next) || next == b'.' && self.at(place + 1).is_ascii_digit())
    }

    /// Whether a number may begin here: it is not the rest of a word or a fraction.
    pub(super) fn begins(self, place: usize) -> bool {
        let before = self.before(place);
        !(is_word(before) || before == b'.' && self.before(place - 1).is_ascii_digit())
    }
}

/// A letter, a digit or `_`.
pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
