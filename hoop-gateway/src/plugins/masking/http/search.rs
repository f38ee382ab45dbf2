//! What is looked for in a text, and what is written in the place of what is found.

use std::ops::Range;

use hoop_core::{Format, Hit, Label};
use hoop_proto::http::reading::{Coding, Reading, percent};

use super::super::detect::settle;
use super::super::mask::Masker;
use super::super::types::Shape;
use super::rules::{FieldMask, Fields};

/// Why something cannot be read, as a clause for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(pub(super) &'static str);

/// The detectors and rules of a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) masker: &'a Masker,
    pub(super) fields: &'a Fields,
}

impl Search<'_> {
    /// Appends what is found in a text, also where it is percent-encoded, as in an address.
    pub(super) fn find(self, text: &[u8], hits: &mut Vec<Hit>) {
        let first = hits.len();
        self.masker.detectors.find(text, hits);
        let Some(decoded) = percent(text) else { return };
        let mut more = Vec::new();
        self.masker.detectors.find(decoded.text(), &mut more);
        if more.is_empty() {
            return;
        }
        hits.extend(more.into_iter().map(|hit| Hit {
            start: decoded.place(hit.start),
            end: decoded.pieces(hit.start..hit.end).map(|piece| piece.end).max().unwrap_or(0),
            label: hit.label,
        }));
        settle(hits, first, text.len());
    }

    /// A text, masked; nothing where nothing is found.
    pub(super) fn text(self, text: &[u8]) -> Option<Vec<u8>> {
        let mut hits = Vec::new();
        self.find(text, &mut hits);
        if hits.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(text.len());
        let mut kept = 0;
        for hit in &hits {
            out.extend_from_slice(text.get(kept..hit.start).unwrap_or_default());
            out.extend(self.shown(&hit.label, text.get(hit.start..hit.end).unwrap_or_default()));
            kept = hit.end;
        }
        out.extend_from_slice(text.get(kept..).unwrap_or_default());
        Some(out)
    }

    /// What stands for a value that was found.
    pub(super) fn shown(self, label: &Label, value: &[u8]) -> Vec<u8> {
        match percent(value) {
            Some(decoded) => self.masker.shown_in_text(label, decoded.text()),
            None => self.masker.shown_in_text(label, value),
        }
    }

    /// What stands for the value of a field that a rule names; nothing for null.
    pub(super) fn whole(self, value: &[u8], mask: &FieldMask) -> Option<Vec<u8>> {
        let shown = self.masker.whole(value, mask.action, &mask.label, Shape::Text, 25, Format::Text);
        shown.map(|shown| shown.to_vec())
    }

    /// Writes bytes with what was found in their reading replaced, up to a place.
    pub(super) fn replace(
        self,
        raw: &[u8],
        reading: &Reading,
        hits: &[Hit],
        coding: Coding,
        end: usize,
        out: &mut Vec<u8>,
    ) {
        let mut kept = 0;
        for hit in hits {
            let value = reading.text().get(hit.start..hit.end).unwrap_or_default();
            let shown = self.shown(&hit.label, value);
            put(raw, reading.pieces(hit.start..hit.end), &shown, coding, &mut kept, out);
        }
        out.extend_from_slice(raw.get(kept..end).unwrap_or_default());
    }
}

/// Writes what comes before some pieces of `raw`, and a text in their place.
pub(super) fn put(
    raw: &[u8],
    pieces: impl Iterator<Item = Range<usize>>,
    shown: &[u8],
    coding: Coding,
    kept: &mut usize,
    out: &mut Vec<u8>,
) {
    let mut shown = Some(shown);
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        out.extend_from_slice(raw.get(*kept..piece.start).unwrap_or_default());
        if let Some(shown) = shown.take() {
            coding.write(shown, out);
        }
        *kept = piece.end.max(*kept);
    }
}
