//! Taking out of inputs what is not to be recorded.

use std::sync::Arc;

use bytes::Bytes;
use hoop_core::{Detector, Hit};
use hoop_proto::http::reading::{Coding, Reading};
use memchr::memchr;

/// How many texts are remembered: a prepared statement is run again and again.
const REMEMBERED: usize = 8;
/// Longest text that is remembered, in bytes: an idle session must stay small.
const MAX_REMEMBERED_BYTES: usize = 2 << 10;

pub(super) struct Redactor(Vec<Arc<dyn Detector>>);

impl Redactor {
    pub(super) fn new(detectors: Vec<Arc<dyn Detector>>) -> Self {
        Self(detectors)
    }

    /// All finds, in order and without overlaps.
    fn find(&self, value: &[u8], hits: &mut Vec<Hit>) {
        hits.clear();
        for detector in &self.0 {
            detector.find(value, hits);
        }
        if self.0.len() > 1 {
            apart(hits);
        }
    }

    /// As [`find`](Self::find), also what is written with the escapes of JSON, character references or percent signs.
    fn find_written(&self, bytes: &[u8], hits: &mut Vec<Hit>) {
        self.find(bytes, hits);
        let mut more = Vec::new();
        for (mark, coding) in
            [(b'\\', Coding::Escapes), (b'&', Coding::References), (b'%', Coding::Form), (b'+', Coding::Form)]
        {
            // The fourth is read by the third already where there are both.
            if memchr(mark, bytes).is_none() || mark == b'+' && memchr(b'%', bytes).is_some() {
                continue;
            }
            let mut reading = Reading::default();
            reading.read(bytes, 0, coding, true);
            self.find(reading.text(), &mut more);
            hits.extend(more.drain(..).map(|hit| Hit {
                start: reading.place(hit.start),
                end: reading.pieces(hit.start..hit.end).map(|piece| piece.end).max().unwrap_or(0),
                label: hit.label,
            }));
        }
        apart(hits);
    }

    /// The text, each find replaced by its label in brackets.
    pub(super) fn text(&self, text: &Bytes, hits: &mut Vec<Hit>) -> Bytes {
        self.find(text, hits);
        if hits.is_empty() {
            return text.clone();
        }
        let mut out = Vec::with_capacity(text.len());
        let mut from = 0;
        for hit in hits {
            out.extend_from_slice(text.get(from..hit.start).unwrap_or_default());
            out.extend_from_slice(format!("[{}]", hit.label).as_bytes());
            from = hit.end;
        }
        out.extend_from_slice(text.get(from..).unwrap_or_default());
        out.into()
    }

    /// The bytes, each find overwritten by as many asterisks, so that the frames around them stay right.
    pub(super) fn framed(&self, bytes: &Bytes, hits: &mut Vec<Hit>) -> Bytes {
        self.find(bytes, hits);
        overwritten(bytes, hits)
    }

    /// As [`framed`](Self::framed), for what may be written with escapes.
    pub(super) fn written(&self, bytes: &Bytes, hits: &mut Vec<Hit>) -> Bytes {
        self.find_written(bytes, hits);
        overwritten(bytes, hits)
    }
}

fn overwritten(bytes: &Bytes, hits: &[Hit]) -> Bytes {
    if hits.is_empty() {
        return bytes.clone();
    }
    let mut out = bytes.to_vec();
    for hit in hits {
        out.get_mut(hit.start..hit.end).unwrap_or_default().fill(b'*');
    }
    out.into()
}

/// In order, and without overlaps.
fn apart(hits: &mut Vec<Hit>) {
    hits.sort_by_key(|hit| (hit.start, std::cmp::Reverse(hit.end)));
    let mut end = 0;
    hits.retain_mut(|hit| {
        hit.start = hit.start.max(end);
        let kept = hit.start < hit.end;
        end = end.max(hit.end);
        kept
    });
}

/// Redacted texts of statements that may come again.
#[derive(Default)]
pub(super) struct Memory {
    texts: Vec<(Bytes, Bytes)>,
    next: usize,
    pub hits: Vec<Hit>,
}

impl Memory {
    /// The redacted text of a prepared statement; from memory when it is the very bytes of a text that was seen.
    pub(super) fn text(&mut self, redactor: &Redactor, text: &Bytes) -> Bytes {
        // The memory keeps the bytes alive, so that the same address and length are the same text.
        let same = |seen: &Bytes| seen.as_ptr() == text.as_ptr() && seen.len() == text.len();
        if let Some((_, redacted)) = self.texts.iter().find(|(seen, _)| same(seen)) {
            return redacted.clone();
        }
        let redacted = redactor.text(text, &mut self.hits);
        if text.len() > MAX_REMEMBERED_BYTES {
            return redacted;
        }
        let entry = (text.clone(), redacted.clone());
        match self.texts.get_mut(self.next) {
            Some(place) => *place = entry,
            None => self.texts.push(entry),
        }
        self.next = (self.next + 1) % REMEMBERED;
        redacted
    }
}
