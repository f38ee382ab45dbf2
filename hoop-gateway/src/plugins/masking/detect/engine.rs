//! All detectors in one pass, over a value or over all bytes of a batch.

use std::cmp::Reverse;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use hoop_core::{Detector, Hit};

use super::Builtin;
use super::anchor::{self, Anchor, Anchors};
use super::fold::Folded;
use super::key::{self, Literals};
use super::text::Text;

static LITERALS: LazyLock<Literals> = LazyLock::new(key::literals);

/// A set of detectors that is run as one: what it finds is in order and does not overlap.
#[derive(Clone)]
pub struct Detectors {
    builtins: Vec<Builtin>,
    custom: Vec<Arc<dyn Detector>>,
    anchors: Anchors,
}

impl Detectors {
    /// These built-in detectors, and others of a vendor's own.
    pub fn new(
        builtins: impl IntoIterator<Item = Builtin>,
        custom: impl IntoIterator<Item = Arc<dyn Detector>>,
    ) -> Self {
        let mut builtins: Vec<_> = builtins.into_iter().collect();
        builtins.sort_unstable();
        builtins.dedup();
        let none = if builtins.is_empty() { Anchors::NONE } else { Anchors::NONE.with(Anchor::Fold) };
        let anchors = builtins.iter().fold(none, |all, builtin| all.with(builtin.anchor()));
        Self { builtins, custom: custom.into_iter().collect(), anchors }
    }

    /// All built-in detectors.
    pub fn all() -> Self {
        Self::new(Builtin::ALL, [])
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.builtins.is_empty() && self.custom.is_empty()
    }

    /// Whether a built-in detector is in the set.
    pub fn has(&self, builtin: Builtin) -> bool {
        self.builtins.contains(&builtin)
    }

    /// Whether every value must be looked at, because a detector of a vendor's own is in the set.
    pub(crate) fn needs_every_value(&self) -> bool {
        !self.custom.is_empty()
    }

    /// Appends what is found in a value, in order and without overlaps.
    pub fn find(&self, value: &[u8], hits: &mut Vec<Hit>) {
        let first = hits.len();
        let mut folds = false;
        anchor::scan(value, self.anchors, &LITERALS, &mut |at, anchor| match anchor {
            Anchor::Fold => folds = true,
            _ => self.verify(value, at, anchor, hits),
        });
        if folds {
            hits.truncate(first);
            self.find_folded(value, hits);
        }
        for detector in &self.custom {
            detector.find(value, hits);
        }
        settle(hits, first, value.len());
    }

    fn find_folded(&self, value: &[u8], hits: &mut Vec<Hit>) {
        let first = hits.len();
        let folded = Folded::new(value);
        anchor::scan(&folded.bytes, self.anchors, &LITERALS, &mut |at, anchor| {
            self.verify(&folded.bytes, at, anchor, hits)
        });
        for hit in hits.iter_mut().skip(first) {
            let Range { start, end } = folded.original(hit.start..hit.end);
            (hit.start, hit.end) = (start, end);
        }
    }

    fn verify(&self, value: &[u8], at: usize, anchor: Anchor, hits: &mut Vec<Hit>) {
        for builtin in self.builtins.iter().filter(|builtin| builtin.anchor() == anchor) {
            if let Some(Range { start, end }) = builtin.find_at(Text(value), at) {
                hits.push(Hit { start, end, label: builtin.label() });
            }
        }
    }

    /// Where in the bytes of a batch something may begin, in order. Backslashes are among them when `escapes` is set.
    pub(crate) fn candidates(&self, bytes: &[u8], escapes: bool, found: &mut Vec<(usize, Anchor)>) {
        let anchors = if escapes { self.anchors.with(Anchor::Escape) } else { self.anchors };
        found.clear();
        anchor::scan(bytes, anchors, &LITERALS, &mut |at, anchor| found.push((at, anchor)));
        found.sort_unstable();
    }

    /// Appends what is found in a cell at the candidates that lie in it; the same as [`find`](Self::find) finds there.
    pub(crate) fn find_at(&self, cell: &[u8], start: usize, candidates: &[(usize, Anchor)], hits: &mut Vec<Hit>) {
        if self.needs_every_value() || candidates.iter().any(|(_, anchor)| *anchor == Anchor::Fold) {
            return self.find(cell, hits);
        }
        let first = hits.len();
        for (at, anchor) in candidates {
            if let Some(at) = at.checked_sub(start).filter(|at| *at < cell.len()) {
                self.verify(cell, at, *anchor, hits);
            }
        }
        settle(hits, first, cell.len());
    }

    /// Runs the whole search over bytes in which cells lie at the given ranges, in order, and hands over the hits of each
    /// cell that has any, by the cell's number.
    pub fn find_in_cells(
        &self,
        bytes: &[u8],
        cells: impl IntoIterator<Item = Range<usize>>,
        mut found: impl FnMut(usize, &[Hit]),
    ) {
        let (mut candidates, mut hits) = (Vec::new(), Vec::new());
        self.candidates(bytes, false, &mut candidates);
        let mut left = candidates.as_slice();
        for (number, cell) in cells.into_iter().enumerate() {
            if left.is_empty() && !self.needs_every_value() {
                break;
            }
            if !self.needs_every_value() && left.first().is_some_and(|(at, _)| *at >= cell.end) {
                continue;
            }
            let before = left.iter().take_while(|(at, _)| *at < cell.start).count();
            let inside = left.iter().skip(before).take_while(|(at, _)| *at < cell.end).count();
            let (taken, rest) = left.split_at(before + inside);
            left = rest;
            if inside > 0 || self.needs_every_value() {
                let value = bytes.get(cell.clone()).unwrap_or_default();
                hits.clear();
                self.find_at(value, cell.start, taken.get(before..).unwrap_or_default(), &mut hits);
                if !hits.is_empty() {
                    found(number, &hits);
                }
            }
        }
    }
}

/// Puts hits in order; of two that overlap, the first is widened to cover both, so that nothing found is left out.
pub(crate) fn settle(hits: &mut Vec<Hit>, first: usize, len: usize) {
    let fresh = hits.len() - first;
    if fresh == 0 {
        return;
    }
    let mut all = hits.split_off(first);
    all.retain(|hit| hit.start < hit.end && hit.end <= len);
    all.sort_by_key(|hit| (hit.start, Reverse(hit.end)));
    for hit in all {
        match hits.get_mut(first..).and_then(|kept| kept.last_mut()).filter(|last| hit.start < last.end) {
            Some(last) => last.end = last.end.max(hit.end),
            None => hits.push(hit),
        }
    }
}

/// As one detector, for whoever takes detectors: one pass finds what all of them would.
impl Detector for Detectors {
    fn name(&self) -> &str {
        "detectors"
    }

    fn find(&self, value: &[u8], hits: &mut Vec<Hit>) {
        Self::find(self, value, hits);
    }
}

impl fmt::Debug for Detectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let custom = self.custom.iter().map(|detector| detector.name());
        f.debug_list().entries(self.builtins.iter().map(|builtin| builtin.as_str()).chain(custom)).finish()
    }
}
