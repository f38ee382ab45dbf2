//! A text that comes in pieces, with what stands in it and is no text.
//!
//! What is let go depends on the text alone and not on the pieces: after [`WINDOW`] bytes of text all but the last [`HELD`] go on, and
//! a value that lies over that border is not cut.

use hoop_core::{Hit, Label};
use hoop_proto::http::reading::{Coding, Reading};
use memchr::memmem;

use super::rules::FieldMask;
use super::search::{Search, Unreadable, put};

/// How much text is looked at at once, in bytes.
pub(super) const WINDOW: usize = 64 << 10;
/// How much of it is kept for what comes next. A longer value is found only where it lies in one window.
const HELD: usize = 8 << 10;
/// How many bytes a window may be written in.
const MAX_RAW: usize = 8 * WINDOW;
/// How far back a value with spaces in it may begin, in bytes.
const REACH: usize = 200;
/// How far a border is moved to come to lie between two words, in bytes.
const WORD: usize = 512;

/// The text.
#[derive(Debug)]
pub(super) struct Flow {
    raw: Vec<u8>,
    /// How much of it is read.
    read: usize,
    reading: Reading,
    coding: Coding,
    /// What a rule does with all of it.
    mask: Option<FieldMask>,
    /// Whether it is left out, since a value in it is longer than a window.
    pub(super) hidden: bool,
}

impl Default for Flow {
    fn default() -> Self {
        let reading = Reading::default();
        Self { raw: Vec::new(), read: 0, reading, coding: Coding::Plain, mask: None, hidden: false }
    }
}

impl Flow {
    pub(super) fn text(&self) -> &[u8] {
        self.reading.text()
    }

    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub(super) fn is_empty(&self) -> bool {
        self.raw.is_empty() && !self.hidden
    }

    /// From here to the end, a rule is for it.
    pub(super) fn mask(&mut self, mask: Option<FieldMask>) {
        self.mask = mask;
    }

    /// Adds text.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        coding: Coding,
        search: Search<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unreadable> {
        if coding != self.coding {
            self.complete()?;
            self.coding = coding;
        }
        let mut rest = bytes;
        while !rest.is_empty() && !self.hidden {
            // Byte by byte where an escape is not whole, so that windows end where they end in any case.
            let room = if self.read < self.raw.len() { 1 } else { WINDOW.saturating_sub(self.text().len()).max(1) };
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.raw.extend_from_slice(now);
            rest = later;
            self.advance(false)?;
            self.keep_small(search, out)?;
        }
        Ok(())
    }

    /// Adds what is no text.
    pub(super) fn other(&mut self, bytes: &[u8], search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        if self.hidden || self.raw.is_empty() {
            out.extend_from_slice(bytes);
            return Ok(());
        }
        self.complete()?;
        self.raw.extend_from_slice(bytes);
        self.read = self.raw.len();
        self.keep_small(search, out)
    }

    /// The text has ended.
    pub(super) fn finish(&mut self, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        self.complete()?;
        let mask = self.mask.take();
        if !self.raw.is_empty() {
            match mask.filter(|_| !self.text().trim_ascii().is_empty()) {
                Some(mask) => self.replace_whole(&mask, search, out),
                None => {
                    let mut hits = Vec::new();
                    search.find(self.text(), &mut hits);
                    search.replace(&self.raw, &self.reading, &hits, self.coding, self.raw.len(), out);
                }
            }
        }
        *self = Self { raw: std::mem::take(&mut self.raw), ..Self::default() };
        self.raw.clear();
        Ok(())
    }

    fn replace_whole(&self, mask: &FieldMask, search: Search<'_>, out: &mut Vec<u8>) {
        let text = self.text();
        let shown = search.whole(text.trim_ascii(), mask).unwrap_or_default();
        let mut kept = 0;
        put(&self.raw, self.reading.pieces(0..text.len()), &shown, self.coding, &mut kept, out);
        out.extend_from_slice(self.raw.get(kept..).unwrap_or_default());
    }

    /// Nothing more comes for a while: what cannot be a part of a value any more goes on.
    pub(super) fn let_go(&mut self, search: Search<'_>, out: &mut Vec<u8>) {
        if self.mask.is_some() || self.hidden || self.raw.is_empty() {
            return;
        }
        let cut = tail(self.text(), search);
        self.release(cut, search, out);
    }

    fn advance(&mut self, last: bool) -> Result<(), Unreadable> {
        let rest = self.raw.get(self.read..).unwrap_or_default();
        self.read += self.reading.read(rest, self.read, self.coding, last);
        match self.reading.is_broken() {
            true => Err(Unreadable("it has a character reference of absurd length")),
            false => Ok(()),
        }
    }

    fn complete(&mut self) -> Result<(), Unreadable> {
        if self.read < self.raw.len() { self.advance(true) } else { Ok(()) }
    }

    fn keep_small(&mut self, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        if self.text().len() >= WINDOW {
            if let Some(mask) = self.mask.clone() {
                self.hide(&mask.label, search, out);
                return Ok(());
            }
            return self.step(search, out);
        }
        if self.raw.len() < MAX_RAW {
            return Ok(());
        }
        if self.reading.coded() > MAX_RAW / 2 {
            return Err(Unreadable("it has hardly anything but escapes"));
        }
        let mask = self.mask.clone();
        self.finish(search, out)?;
        self.mask = mask;
        Ok(())
    }

    /// All but the last of the text goes on.
    fn step(&mut self, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let text = self.text();
        let border = text.len().saturating_sub(HELD);
        let near = text.get(border.saturating_sub(WORD)..border).unwrap_or_default();
        let word = near.iter().rposition(u8::is_ascii_whitespace);
        let cut = word.map_or(border, |at| border.saturating_sub(WORD) + at + 1);
        if !self.release(cut, search, out) {
            self.hide(&Label::of("too_large"), search, out);
        }
        Ok(())
    }

    /// Lets go what is before a place, or before the value that lies over it. Whether there was anything.
    fn release(&mut self, mut cut: usize, search: Search<'_>, out: &mut Vec<u8>) -> bool {
        let mut hits: Vec<Hit> = Vec::new();
        search.find(self.text(), &mut hits);
        cut = hits.iter().find(|hit| hit.start < cut && hit.end > cut).map_or(cut, |hit| hit.start);
        if cut == 0 {
            return false;
        }
        hits.retain(|hit| hit.end <= cut);
        let end = self.reading.place(cut);
        search.replace(&self.raw, &self.reading, &hits, self.coding, end, out);
        self.reading.forget(cut, end);
        self.raw.drain(..end);
        self.read = self.read.saturating_sub(end);
        true
    }

    fn hide(&mut self, label: &Label, search: Search<'_>, out: &mut Vec<u8>) {
        search.masker.counts.add(label);
        out.extend(format!("[{label}]").bytes());
        *self = Self { hidden: true, ..Self::default() };
    }
}

/// Where the end of a text begins that could be the beginning of a value.
fn tail(text: &[u8], search: Search<'_>) -> usize {
    let word = |end: usize| text.iter().take(end).rposition(u8::is_ascii_whitespace).map_or(0, |gap| gap + 1);
    let reach = word(text.len().saturating_sub(REACH));
    let recent = text.get(reach..).unwrap_or_default();
    // Digits come in groups, names stand before what they name, and the first line of a key has words in it.
    let spaced = recent.iter().any(|byte| byte.is_ascii_digit() || *byte >= 0x80 || *byte == b'%')
        || [&b"-----"[..], b"ecret", b"ECRET"].iter().any(|part| memmem::find(recent, part).is_some());
    match search.masker.detectors.needs_every_value() {
        true => word(text.len().saturating_sub(WORD)).min(reach),
        false if spaced => reach,
        false => word(text.len()),
    }
}
