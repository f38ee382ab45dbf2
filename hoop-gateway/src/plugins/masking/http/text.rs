//! Text of lines, with or without the escapes of a script.

use hoop_proto::http::reading::Coding;
use memchr::{memchr, memmem, memrchr};

use super::super::stream::line::{KEY_BEGINS, KEY_ENDS, begins_key, is_of_key};
use super::flow::{Flow, WINDOW};
use super::search::{Search, Unreadable};

/// Whether more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Perhaps.
    Open,
    /// Of this body or line, nothing.
    Whole,
}

/// No line of a private key is longer.
pub(super) const KEY_LINE: usize = 256;

#[derive(Debug)]
pub(super) struct Text {
    coding: Coding,
    flow: Flow,
    /// The beginning of the line, while a private key is left out.
    line: Vec<u8>,
}

impl Text {
    pub(super) fn new(coding: Coding) -> Self {
        Self { coding, flow: Flow::default(), line: Vec::new() }
    }

    pub(super) fn is_held(&self) -> bool {
        !self.flow.is_empty()
    }

    pub(super) fn let_go(&mut self, search: Search<'_>, out: &mut Vec<u8>) {
        self.flow.let_go(search, out);
    }

    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        end: End,
        search: Search<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unreadable> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if let Some(lines) = self.lines(rest, search, out) {
                rest = rest.get(lines..).unwrap_or_default();
                continue;
            }
            let feed = memchr(b'\n', rest).map(|feed| feed + 1);
            let (now, later) = rest.split_at(feed.unwrap_or(rest.len()));
            self.remember(now);
            self.flow.push(now, self.coding, search, out)?;
            if feed.is_some() {
                self.end_line(search, out)?;
            }
            rest = later;
        }
        if end == End::Whole {
            self.flow.finish(search, out)?;
            self.line.clear();
        }
        Ok(())
    }

    /// Whole lines at once, where nothing in them needs a closer look. How many bytes they have.
    fn lines(&self, rest: &[u8], search: Search<'_>, out: &mut Vec<u8>) -> Option<usize> {
        if !self.flow.is_empty() || search.masker.detectors.needs_every_value() {
            return None;
        }
        let block = rest.get(..WINDOW).unwrap_or(rest);
        let block = block.get(..=memrchr(b'\n', block)?)?;
        let escaped = self.coding == Coding::Escapes && memchr(b'\\', block).is_some();
        if escaped || memmem::find(block, KEY_BEGINS).is_some() {
            return None;
        }
        match search.text(block) {
            Some(masked) => out.extend(masked),
            None => out.extend_from_slice(block),
        }
        Some(block.len())
    }

    fn remember(&mut self, bytes: &[u8]) {
        let room = KEY_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn end_line(&mut self, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let line = std::mem::take(&mut self.line);
        let ends = memmem::find(&line, KEY_ENDS).is_some();
        let of_key = line.len() < KEY_LINE && (is_of_key(&line) || memmem::find(&line, KEY_BEGINS).is_some());
        let goes_on = of_key && !ends && (self.flow.hidden || begins_key(self.flow.text(), search.masker));
        if goes_on { Ok(()) } else { self.flow.finish(search, out) }
    }
}
