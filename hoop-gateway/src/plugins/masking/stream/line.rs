//! The line that is being written, and what is let go of it.

use hoop_core::Hit;
use memchr::memmem;

use super::super::detect::Builtin;
use super::super::mask::Masker;
use super::MAX_HELD;
use super::edit::{Edits, Piece};
use super::moves::first_move;
use super::rest::{self, rest};
use super::view::{View, Views, views};

/// How a private key begins.
pub(in super::super) const KEY_BEGINS: &[u8] = b"-----BEGIN ";
pub(in super::super) const KEY_ENDS: &[u8] = b"-----END ";
/// How much may follow the first line of a private key, in bytes. None is longer, and a text that only quotes such a line does
/// not hide everything after it.
const MAX_KEY: usize = 64 << 10;
/// How much is remembered of a line that was let go, in characters of one byte. What is held looks back no further.
const MEMORY: usize = rest::REACH + 256;

/// What a value that has begun makes of what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// A value ended where the bytes did: it may go on.
    Value,
    /// The lines of a private key, at most so many bytes.
    Key(usize),
}

/// A line that is not whole yet, from some place in it on.
///
/// INVARIANT: what is let go of it, and what is remembered, depends on its bytes and not on the pieces they came in; but for
/// echoes, and for what nobody could wait for any longer.
#[derive(Debug, Default)]
pub(super) struct Line {
    raw: Vec<u8>,
    /// How much of it was let go.
    shown: usize,
    /// Where the first byte lies that was not let go, in the stretch that is being masked.
    base: usize,
    /// How many characters of its beginning are not remembered.
    lost: usize,
    /// Whether a cursor moves in it. From there on any character may yet come to stand next to any other.
    moved: bool,
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

    /// Another stretch begins, in which what was not let go begins at `base`.
    pub(super) const fn at(&mut self, base: usize) {
        self.base = base;
    }

    /// It goes on. What is too long to be held is cut at the byte that is too much.
    pub(super) fn extend(&mut self, mut bytes: &[u8], run: &mut Option<Run>, masker: &Masker, edits: &mut Edits) {
        while !bytes.is_empty() {
            let room = (MAX_HELD + 1).saturating_sub(self.held().len());
            let (now, later) = bytes.split_at(room.clamp(1, bytes.len()));
            self.append(now, run, masker, edits);
            if self.held().len() > MAX_HELD {
                self.let_go(run, masker, edits);
            }
            if self.held().len() > MAX_HELD {
                self.cut(run, masker, edits);
            }
            bytes = later;
        }
    }

    /// Where the cursor moves for the first time, what could be let go before is let go.
    fn append(&mut self, bytes: &[u8], run: &mut Option<Run>, masker: &Masker, edits: &mut Edits) {
        self.raw.extend_from_slice(bytes);
        let Some(at) = first_move(&self.raw).filter(|_| !self.moved) else { return };
        if at > self.shown {
            let later = self.raw.split_off(at);
            self.let_go(run, masker, edits);
            self.raw.extend(later);
        }
        self.moved = true;
    }

    /// It is whole.
    pub(super) fn finish(&mut self, run: &mut Option<Run>, masker: &Masker, edits: &mut Edits) {
        let mut line = std::mem::take(self);
        line.raw.push(b'\n');
        mask(line.piece(), line.lost, run, masker, edits);
    }

    const fn piece(&self) -> Piece<'_> {
        Piece { raw: self.raw.as_slice(), shown: self.shown, base: self.base }
    }

    /// Lets go what cannot be a part of a value any more.
    pub(super) fn let_go(&mut self, run: &mut Option<Run>, masker: &Masker, edits: &mut Edits) {
        // A line of a key is looked at as a whole.
        if self.moved || self.is_empty() || matches!(run, Some(Run::Key(_))) {
            return;
        }
        // Whether these move the cursor, what comes next decides.
        let returns = self.raw.iter().rev().take_while(|byte| **byte == b'\r').count();
        let raw = self.raw.get(..self.raw.len() - returns).unwrap_or_default();
        let views = views(raw, self.lost);
        let found = find(&views, masker);
        let end = before_values(&found, rest(&views, masker), self.shown);
        if end > self.shown {
            hide(&views, found, Piece { raw, ..self.piece() }, end, run, masker, edits);
            let forgotten = forgotten(&views.wire, end);
            self.forget(forgotten, end);
        }
    }

    /// Lets go what is too long to be held: all but the end, or all of it where it is one value.
    fn cut(&mut self, run: &mut Option<Run>, masker: &Masker, edits: &mut Edits) {
        if matches!(run, Some(Run::Key(_))) {
            return self.let_all_go(run, masker, edits);
        }
        let views = views(&self.raw, self.lost);
        let mut found = unfinished(&views.wire, masker);
        found.extend(find(&views, masker));
        let far = views.wire.text.len().saturating_sub(rest::REACH);
        let place = (far..views.wire.text.len()).find_map(|at| views.wire.place(at));
        let end = match before_values(&found, place.unwrap_or(self.shown), self.shown) {
            end if end > self.shown => end,
            _ => self.raw.len(),
        };
        hide(&views, found, self.piece(), end, run, masker, edits);
        let forgotten = forgotten(&views.wire, end);
        self.forget(forgotten, end);
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
        let views = views(&self.raw, self.lost);
        if matches!(run, Some(Run::Key(_))) && is_of_key(&views.wire.text) {
            hide_line(&views, self.piece(), edits);
        } else {
            hide(&views, find(&views, masker), self.piece(), end, run, masker, edits);
        }
        let forgotten = forgotten(&views.wire, end);
        self.forget(forgotten, end);
    }

    /// It is let go up to `end`; of that, so many characters that end before this place are not remembered.
    fn forget(&mut self, (characters, place): (usize, usize), end: usize) {
        self.base += end - self.shown;
        self.shown = end;
        // That many control sequences are not kept.
        let is_too_long = place == 0 && self.raw.len() > 2 * MAX_HELD;
        let cut = if is_too_long { end.saturating_sub(MEMORY) } else { place };
        self.lost += characters;
        self.raw.drain(..cut);
        self.shown -= cut;
    }
}

/// Of what was let go up to `end`, how many characters need not be remembered, and where those begin that must be.
fn forgotten(wire: &View<'_>, end: usize) -> (usize, usize) {
    let before = |at: &usize| wire.place(*at).is_some_and(|place| place < end);
    let mut remembered = (0..wire.text.len()).rev().filter(before).skip(MEMORY - 1);
    let first = remembered.next().unwrap_or(0);
    (first, wire.place(first).filter(|_| first > 0).unwrap_or(0))
}

/// Masks a whole line, of which so many characters are not there any more.
fn mask(line: Piece<'_>, lost: usize, run: &mut Option<Run>, masker: &Masker, edits: &mut Edits) {
    let views = views(line.raw, lost);
    if let Some(Run::Key(left)) = *run {
        let ends = memmem::find(&views.wire.text, KEY_ENDS).is_some();
        if ends || is_of_key(&views.wire.text) {
            hide_line(&views, line, edits);
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
    masker.detectors.has(Builtin::CloudKey) && rest::begins_key(text)
}

/// Hides the text of a line of a private key.
fn hide_line(views: &Views<'_>, line: Piece<'_>, edits: &mut Edits) {
    for view in std::iter::once(&views.wire).chain(&views.others) {
        let places = view.places(0..view.text.trim_ascii_end().len());
        match edits.is_terminal() {
            true => edits.blot(line, places),
            false => edits.drop(line, places),
        }
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

    /// Where it begins, when it begins before a place, and lies behind it too or may go on there.
    fn begin_over(&self, place: usize) -> Option<usize> {
        let begin = self.places().min().filter(|begin| *begin < place)?;
        (self.hit.end == self.view.text.len() || self.places().any(|at| at >= place)).then_some(begin)
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

/// What is no value yet, but is one when its second part ends: a web token, of any length.
fn unfinished<'a>(view: &'a View<'a>, masker: &Masker) -> Vec<Found<'a>> {
    let end = view.text.len();
    let mut hits = Vec::new();
    masker.detectors.find(&[view.text.as_ref(), b"."].concat(), &mut hits);
    hits.into_iter().filter(|hit| hit.end > end).map(|hit| Found { view, hit: Hit { end, ..hit } }).collect()
}

/// The last place up to `end` that lies in no value; not before what was shown.
fn before_values(found: &[Found<'_>], end: usize, shown: usize) -> usize {
    let mut end = end.max(shown);
    while let Some(begin) = found.iter().find_map(|found| found.begin_over(end)).filter(|_| end > shown) {
        end = begin.max(shown);
    }
    end
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
