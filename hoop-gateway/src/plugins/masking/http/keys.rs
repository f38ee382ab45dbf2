//! Private keys in a text that is only guessed to be JSON: files of settings and logs begin with a bracket, too, and there a key
//! has lines.

use std::borrow::Cow;

use memchr::{memchr, memmem};

use super::super::stream::line::{KEY_BEGINS, KEY_ENDS, begins_key, is_of_key};
use super::search::Search;
use super::text::{End, KEY_LINE};

/// Leaves out the lines of private keys. The first line of each is what detectors find.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The beginning of the line; all of it while a key is left out.
    line: Vec<u8>,
    inside: bool,
}

impl Keys {
    /// What of these bytes is none of a key's.
    pub(super) fn pass<'a>(&mut self, bytes: &'a [u8], end: End, search: Search<'_>) -> Cow<'a, [u8]> {
        if !self.inside && memmem::find(&self.line, KEY_BEGINS).is_none() && memchr(b'-', bytes).is_none() {
            self.skip(bytes);
            return Cow::Borrowed(bytes);
        }
        let (mut rest, mut out) = (bytes, Vec::with_capacity(bytes.len()));
        while !rest.is_empty() {
            let feed = memchr(b'\n', rest).map(|feed| feed + 1);
            let (now, later) = rest.split_at(feed.unwrap_or(rest.len()));
            match self.inside {
                true => self.line.extend_from_slice(now),
                false => {
                    out.extend_from_slice(now);
                    self.remember(now);
                }
            }
            if self.inside && (feed.is_some() || self.line.len() >= KEY_LINE) {
                self.end_of_key_line(&mut out);
            } else if feed.is_some() {
                self.inside = self.line.len() < KEY_LINE && begins_key(&self.line, search.masker);
                self.line.clear();
            }
            rest = later;
        }
        if end == End::Whole && self.inside {
            self.end_of_key_line(&mut out);
        }
        Cow::Owned(out)
    }

    /// Lines in which no key begins.
    fn skip(&mut self, bytes: &[u8]) {
        let last = memchr::memrchr(b'\n', bytes).map_or(0, |feed| feed + 1);
        if last > 0 {
            self.line.clear();
        }
        self.remember(bytes.get(last..).unwrap_or_default());
    }

    fn remember(&mut self, bytes: &[u8]) {
        let room = KEY_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn end_of_key_line(&mut self, out: &mut Vec<u8>) {
        let line = std::mem::take(&mut self.line);
        if let Some(end) = memmem::find(&line, KEY_ENDS) {
            let name = line.get(end + KEY_ENDS.len()..).unwrap_or_default();
            let after = memmem::find(name, b"-----").map_or(name.len(), |dashes| dashes + 5);
            out.extend_from_slice(name.get(after..).unwrap_or_default());
            self.inside = false;
        } else if line.len() >= KEY_LINE || !is_of_key(&line) {
            out.extend_from_slice(&line);
            self.inside = false;
            if !line.ends_with(b"\n") {
                self.remember(&line);
            }
        }
    }
}
