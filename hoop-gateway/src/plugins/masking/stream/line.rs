//! The line that is being written, and what is let go of it.

use hoop_core::Hit;
use memchr::memmem;

use super::super::detect::Builtin;
use super::super::mask::Masker;
use super::MAX_HELD;
use super::edit::{Edits, Piece};
use super::view::{View, Views, views};

/// How a private key begins.
pub(in super::super) const KEY_BEGINS: &[u8] = b"-----BEGIN ";
pub(in super::super) const KEY_ENDS: &[u8] = b"-----END ";
/// How much may follow the first line of a private key, in bytes. None is longer, and a text that only quotes such a line does
/// not hide everything after it.
const MAX_KEY: usize = 64 << 10;
/// How far back a value with spaces in it may begin, in bytes.
const REACH: usize = 200;
/// How far back a vendor's own detector may find the beginning of a value in a line that is not whole, in bytes.
const CUSTOM_REACH: usize = 512;
/// How much is remembered of a line that was let go, in bytes.
const MEMORY: usize = 256;

/// What a value that has begun makes of what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// A value ended where the bytes did: it may go on.
    Value,
    /// The lines of a private key, at most so many bytes.
    Key(usize),
}

/// A line that is not whole yet, from some place in it on.
#[derive(Debug, Default)]
pub(super) struct Line {
    raw: Vec<u8>,
    /// How much of it was let go.
    shown: usize,
    /// Where the first byte lies that was not let go, in the stretch that is being masked.
    base: usize,
    /// Whether some of it was let go because it is an echo.
    echo: bool,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    pub(super) fn is_held(&self) -> bool {
        self.shown < self.raw.len()
    }

    pub(super) fn held(&self) -> &[u8] {
        self.raw.get(self.shown..).unwrap_or_default()
    }

    /// Another stretch begins, with what is held.
    pub(super) const fn next(&mut self) {
        self.base = 0;
    }

    /// It goes on.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
    }

    /// A line begins, at this place of the stretch.
    pub(super) fn begin(&mut self, bytes: &[u8], base: usize) {
        *self = Self { raw: bytes.to_vec(), shown: 0, base, echo: false };
    }

    /// It is whole.
    pub(super) fn finish(&mut self, run: &mut Option<Run>, masker: &Masker, edits: &mut Edits) {
        let line = std::mem::take(self);
        mask(line.piece(), run, masker, edits);
    }

    const fn piece(&self) -> Piece<'_> {
        Piece { raw: self.raw.as_slice(), shown: self.shown, base: self.base }
    }

    /// Lets go what cannot be a part of a value any more.
    pub(super) fn let_go(&mut self, run: &mut Option<Run>, masker: &Masker, edits: &mut Edits) {
        // A line of a key is looked at as a whole.
        if self.is_empty() || matches!(run, Some(Run::Key(_))) && self.held().len() <= MAX_HELD {
            return;
        }
        let views = views(&self.raw);
        let found = find(&views, masker);
        let mut end = tail(&views, masker).max(self.shown);
        while let Some(begin) = found.iter().find_map(|found| found.begin_over(end)).filter(|_| end > self.shown) {
            end = begin.max(self.shown);
        }
        if self.raw.len() - end > MAX_HELD {
            return self.let_all_go(run, masker, edits);
        }
        if end > self.shown {
            hide(&views, found, self.piece(), end, run, masker, edits);
            let places = places(&views);
            self.forget(&places, end);
        }
    }

    /// Lets go the echo of what was typed, as everything before it was.
    pub(super) fn let_echo_go(&mut self, run: &mut Option<Run>, masker: &Masker, edits: &mut Edits) {
        self.let_all_go(run, masker, edits);
        self.echo = true;
    }

    /// Whether some of it was let go because it is an echo.
    pub(super) const fn has_echo(&self) -> bool {
        self.echo
    }

    /// Lets everything go.
    pub(super) fn let_all_go(&mut self, run: &mut Option<Run>, masker: &Masker, edits: &mut Edits) {
        let end = self.raw.len();
        let views = views(&self.raw);
        if matches!(run, Some(Run::Key(_))) && is_of_key(&views.wire.text) {
            hide_line(&views.wire, self.piece(), edits);
        } else {
            hide(&views, find(&views, masker), self.piece(), end, run, masker, edits);
        }
        let places = places(&views);
        self.forget(&places, end);
    }

    /// It is let go up to `end`; of that, the last is remembered.
    fn forget(&mut self, places: &[usize], end: usize) {
        self.shown = end;
        let Some(excess) = end.checked_sub(MEMORY) else { return };
        // Not in the middle of a control sequence.
        let cut = places.iter().rev().find(|place| **place <= excess).copied();
        let cut = cut.unwrap_or(if self.raw.len() > 2 * MAX_HELD { end } else { 0 });
        if cut > 0 {
            self.raw = self.raw.split_off(cut);
            self.shown -= cut;
        }
    }
}

/// Where the last of the text's bytes lie.
fn places(views: &Views<'_>) -> Vec<usize> {
    let length = views.wire.text.len();
    views.wire.places(length.saturating_sub(MAX_HELD + 2 * MEMORY)..length).collect()
}

/// Masks a whole line.
pub(super) fn mask(line: Piece<'_>, run: &mut Option<Run>, masker: &Masker, edits: &mut Edits) {
    let views = views(line.raw);
    if let Some(Run::Key(left)) = *run {
        let ends = memmem::find(&views.wire.text, KEY_ENDS).is_some();
        if ends || is_of_key(&views.wire.text) {
            hide_line(&views.wire, line, edits);
            if !ends && !edits.is_terminal() {
                edits.drop(line, line.raw.trim_ascii_end().len()..line.raw.len());
            }
            *run = left.checked_sub(line.raw.len()).filter(|_| !ends).map(Run::Key);
            return;
        }
        *run = None;
    }
    hide(&views, find(&views, masker), line, line.raw.len(), run, masker, edits);
    // The line has ended, and so has every value but a key.
    *run = begins_key(&views.wire.text, masker).then_some(Run::Key(MAX_KEY));
}

/// Whether a private key begins in the line, and does not end there.
pub(in super::super) fn begins_key(text: &[u8], masker: &Masker) -> bool {
    let begin = memmem::find(text, KEY_BEGINS).filter(|_| masker.detectors.has(Builtin::CloudKey));
    let key = begin.and_then(|begin| text.get(begin..)).unwrap_or_default();
    memmem::find(key, b"PRIVATE KEY").is_some() && memmem::find(key, KEY_ENDS).is_none()
}

/// Hides the text of a line of a private key.
fn hide_line(text: &View<'_>, line: Piece<'_>, edits: &mut Edits) {
    let places = text.places(0..text.text.trim_ascii_end().len());
    match edits.is_terminal() {
        true => edits.blot(line, places),
        false => edits.drop(line, places),
    }
}

/// Whether a line can be one of a private key's: base64, or a header.
pub(in super::super) fn is_of_key(text: &[u8]) -> bool {
    const HEADERS: [&[u8]; 5] = [b"Proc-Type:", b"DEK-Info:", b"Version:", b"Comment:", b"Hash:"];
    let text = text.trim_ascii();
    HEADERS.iter().any(|header| text.starts_with(header))
        || text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

/// A value in one of the readings.
struct Found<'a> {
    view: &'a View<'a>,
    hit: Hit,
}

impl Found<'_> {
    fn places(&self) -> impl Iterator<Item = usize> + Clone {
        self.view.places(self.hit.start..self.hit.end)
    }

    /// Where it begins, when it lies on both sides of a place.
    fn begin_over(&self, place: usize) -> Option<usize> {
        let begin = self.places().min().filter(|begin| *begin < place)?;
        self.places().any(|at| at >= place).then_some(begin)
    }
}

fn find<'a>(views: &'a Views<'a>, masker: &Masker) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    for view in std::iter::once(&views.wire).chain(&views.others) {
        let mut hits = Vec::new();
        masker.detectors.find(&view.text, &mut hits);
        found.extend(hits.into_iter().map(|hit| Found { view, hit }));
    }
    found
}

/// Hides the values that lie before `end`.
fn hide(
    views: &Views<'_>,
    found: Vec<Found<'_>>,
    line: Piece<'_>,
    end: usize,
    run: &mut Option<Run>,
    masker: &Masker,
    edits: &mut Edits,
) {
    edits.next();
    let text = &views.wire.text;
    if *run == Some(Run::Value) {
        let first = (0..text.len()).find(|at| views.wire.place(*at).is_some_and(|place| place >= line.shown));
        let first = first.unwrap_or(text.len());
        let goes_on = text.iter().skip(first).take_while(|byte| may_go_on(**byte)).count();
        edits.blot(line, views.wire.places(first..first + goes_on));
        run.take_if(|_| first + goes_on < text.len());
    }
    for found in found {
        if found.places().all(|place| place < end) {
            edits.hide(masker, &found.hit.label, line, found.places());
        }
        if found.hit.end == found.view.text.len() && end == line.raw.len() {
            *run = Some(Run::Value);
        }
    }
}

const fn may_go_on(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'/' | b'=' | b'@') || byte >= 0x80
}

/// Where in the line the tail begins that could be the beginning of a value.
fn tail(views: &Views<'_>, masker: &Masker) -> usize {
    let text = &views.wire.text;
    let is_gap = |byte: &u8| byte.is_ascii_whitespace() || *byte < 0x20;
    let word = |end: usize| text.iter().take(end).rposition(is_gap).map_or(0, |gap| gap + 1);
    let reach = word(text.len().saturating_sub(REACH));
    let recent = text.get(reach..).unwrap_or_default();
    // Digits come in groups, names stand before what they name, and the first line of a key has words in it.
    let spaced = recent.iter().any(|byte| byte.is_ascii_digit() || *byte >= 0x80)
        || [&b"-----"[..], b"ecret", b"ECRET"].iter().any(|part| memmem::find(recent, part).is_some());
    let mut from = if spaced { reach } else { word(text.len()) };
    if masker.detectors.needs_every_value() {
        from = from.min(text.len().saturating_sub(CUSTOM_REACH));
    }
    let place = (from..text.len()).find_map(|at| views.wire.place(at));
    place.unwrap_or(views.whole).min(views.whole)
}
