//! What is shown in the place of bytes of a stream.

use bytes::Bytes;
use hoop_core::Label;

use super::super::mask::Masker;

/// What becomes of a byte.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Edit {
    As(u8),
    Text(Vec<u8>),
    Nothing,
}

/// A line, or several, in a stretch of a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) raw: &'a [u8],
    /// How much of it was shown already.
    pub(super) shown: usize,
    /// Where in the stretch what was not shown begins.
    pub(super) base: usize,
}

/// Changes to a stretch of a stream. Its places are counted from the first byte that was not shown before.
#[derive(Debug)]
pub(super) struct Edits {
    terminal: bool,
    edits: Vec<(usize, Edit)>,
    /// How many there were when the piece began.
    before: usize,
    /// Whether a value was found of which the beginning was shown.
    completed: bool,
}

impl Edits {
    pub(super) const fn new(terminal: bool) -> Self {
        Self { terminal, edits: Vec::new(), before: 0, completed: false }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    pub(super) const fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether a value was found of which the beginning was shown.
    pub(super) const fn has_completed(&self) -> bool {
        self.completed
    }

    /// Another piece begins.
    pub(super) const fn next(&mut self) {
        self.before = self.edits.len();
    }

    /// Puts a replacement in the place of a value that lies at these places of the piece.
    pub(super) fn hide(
        &mut self,
        masker: &Masker,
        label: &Label,
        piece: Piece<'_>,
        places: impl Iterator<Item = usize> + Clone,
    ) {
        let unseen = places.clone().filter(|place| *place >= piece.shown);
        let at = |place: usize| piece.base + place - piece.shown;
        let known = self.edits.get(self.before..).unwrap_or_default();
        // In two readings of a line the same is found.
        if unseen.clone().all(|place| known.iter().any(|(known, _)| *known == at(place))) {
            return;
        }
        if places.clone().count() > unseen.clone().count() {
            // The rest of a value of which the beginning was shown.
            masker.counts.add(label);
            self.completed = true;
            return self.blot(piece, unseen);
        }
        let value = |place: usize| piece.raw.get(place).copied().unwrap_or(0);
        let shown = masker.shown_in_text(label, &places.map(value).collect::<Vec<_>>());
        if !self.terminal {
            let texts = std::iter::once(Edit::Text(shown)).chain(std::iter::repeat(Edit::Nothing));
            self.edits.extend(unseen.map(at).zip(texts));
            return;
        }
        let mut shown = shown.into_iter();
        for (number, place) in unseen.enumerate() {
            if let Some(edit) = in_place(value(place), number == 0, || shown.next().unwrap_or(b'*')) {
                self.edits.push((at(place), edit));
            }
        }
    }

    /// Makes characters unreadable.
    pub(super) fn blot(&mut self, piece: Piece<'_>, places: impl Iterator<Item = usize>) {
        for (number, place) in places.filter(|place| *place >= piece.shown).enumerate() {
            let byte = piece.raw.get(place).copied().unwrap_or(0);
            if let Some(edit) = in_place(byte, number == 0, || b'*') {
                self.edits.push((piece.base + place - piece.shown, edit));
            }
        }
    }

    /// Leaves bytes out.
    pub(super) fn drop(&mut self, piece: Piece<'_>, places: impl Iterator<Item = usize>) {
        let unseen = places.filter(|place| *place >= piece.shown);
        self.edits.extend(unseen.map(|place| (piece.base + place - piece.shown, Edit::Nothing)));
    }

    /// The first `shown` bytes of the parts, changed.
    pub(super) fn apply(mut self, parts: &[&[u8]], shown: usize) -> Bytes {
        self.edits.sort_by_key(|(place, _)| *place);
        self.edits.dedup_by_key(|(place, _)| *place);
        let raw = parts.concat();
        let mut out = Vec::with_capacity(shown);
        let mut kept = 0;
        for (place, edit) in self.edits.into_iter().filter(|(place, _)| *place < shown) {
            out.extend_from_slice(raw.get(kept..place).unwrap_or_default());
            match edit {
                Edit::As(byte) => out.push(byte),
                Edit::Text(text) => out.extend_from_slice(&text),
                Edit::Nothing => {}
            }
            kept = place + 1;
        }
        out.extend_from_slice(raw.get(kept..shown).unwrap_or_default());
        out.into()
    }
}

/// What becomes of a byte so that everything after it keeps its column: a character of one byte takes the place of each.
fn in_place(byte: u8, is_first: bool, mut shown: impl FnMut() -> u8) -> Option<Edit> {
    match byte {
        0..0x20 | 0x7f => None,
        0x80..0xc0 if !is_first => Some(Edit::Nothing),
        _ => Some(Edit::As(shown())),
    }
}
