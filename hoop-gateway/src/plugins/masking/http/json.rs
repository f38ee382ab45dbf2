//! JSON: values as they read without escapes, masked in their strings; all else passes byte for byte.
//!
//! Strings are found first, then in one pass the places where something could begin. Without rules for fields, only what lies
//! at such places is looked at. A string of more than [`WINDOW`] bytes is a [`Flow`]. What is no JSON is searched all the same;
//! only rules for fields need its structure.

use std::ops::Range;

use hoop_core::{Hit, Label};
use hoop_proto::http::json::{self, Lines, ends_segment, rest_of_string};
use hoop_proto::http::reading::{Coding, Reading};
use memchr::{memchr, memchr_iter};

use super::super::detect::{Anchor, Builtin};
use super::flow::{Flow, WINDOW};
use super::rules::FieldMask;
use super::search::{Search, Unreadable};
use super::structure::{Role, Structure};
use super::text::End;

/// What stands before a secret that nothing else tells.
const SECRETS: [&[u8]; 3] = [b"aws_secret_access_key", b"AWS_SECRET_ACCESS_KEY", b"ecretAccessKey"];
/// How long such a secret is.
const SECRET: usize = 40;

#[derive(Debug)]
pub(super) struct Json {
    lines: Lines,
    /// What is not whole yet: from the beginning of a string, or of what stands between two.
    held: Vec<u8>,
    long: Option<Long>,
    structure: Option<Structure>,
    /// Whether the string that was read last names a secret.
    secret: bool,
    scratch: Scratch,
}

/// A string that is longer than a window.
#[derive(Debug)]
struct Long {
    flow: Flow,
    escaped: bool,
    /// Whether a rule hides it.
    hidden: bool,
}

#[derive(Debug, Default)]
struct Scratch {
    strings: Vec<Range<usize>>,
    candidates: Vec<(usize, Anchor)>,
    hits: Vec<Hit>,
}

/// A stretch of whole tokens, and how much of it was written.
struct Stretch<'a, 'o> {
    bytes: &'a [u8],
    candidates: &'a [(usize, Anchor)],
    hits: &'a mut Vec<Hit>,
    out: &'o mut Vec<u8>,
    kept: usize,
}

impl Json {
    pub(super) fn new(lines: Lines, strict: bool, search: Search<'_>) -> Self {
        let documents = if strict { lines } else { Lines::Join };
        let structure = (!search.fields.paths.is_empty()).then(|| Structure::new(strict, documents));
        Self { lines, held: Vec::new(), long: None, structure, secret: false, scratch: Scratch::default() }
    }

    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        end: End,
        search: Search<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unreadable> {
        let rest = self.go_on(bytes, search, out)?;
        self.held.extend_from_slice(rest);
        loop {
            self.stretch(end, search, out)?;
            if self.held.len() <= WINDOW {
                break;
            }
            if self.held.first() != Some(&b'"') {
                return Err(Unreadable("it is said to be JSON, and is not"));
            }
            let held = std::mem::take(&mut self.held);
            self.begin_long(search, out)?;
            let rest = self.go_on(held.get(1..).unwrap_or_default(), search, out)?;
            self.held.extend_from_slice(rest);
        }
        match &mut self.long {
            Some(long) if end == End::Whole => {
                long.flow.finish(search, out)?;
                self.long = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin_long(&mut self, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let role = self.structure.as_mut().map(|structure| structure.string(b"", search)).transpose()?;
        out.push(b'"');
        let mask = match role {
            Some(Role::Masked(mask)) => Some(mask),
            _ => None,
        };
        if let Some(mask) = &mask {
            search.masker.counts.add(&mask.label);
            out.extend(format!("[{}]", mask.label).bytes());
        }
        self.long = Some(Long { flow: Flow::default(), escaped: false, hidden: mask.is_some() });
        Ok(())
    }

    /// Goes on with a long string, and gives what comes after it.
    fn go_on<'a>(&mut self, bytes: &'a [u8], search: Search<'_>, out: &mut Vec<u8>) -> Result<&'a [u8], Unreadable> {
        let Some(long) = &mut self.long else { return Ok(bytes) };
        let (end, escaped) = rest_of_string(bytes, long.escaped, self.lines);
        long.escaped = escaped;
        let (inside, after) = bytes.split_at(end.unwrap_or(bytes.len()));
        if !long.hidden {
            long.flow.push(inside, Coding::Escapes, search, out)?;
        }
        if end.is_none() {
            return Ok(&[]);
        }
        long.flow.finish(search, out)?;
        self.long = None;
        let after = after.strip_prefix(b"\"").inspect(|_| out.push(b'"')).unwrap_or(after);
        Ok(after)
    }

    /// Masks what is whole of what is held.
    fn stretch(&mut self, end: End, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let held = std::mem::take(&mut self.held);
        let mut scratch = std::mem::take(&mut self.scratch);
        let whole = self.whole(&held, end, &mut scratch.strings);
        let bytes = held.get(..whole).unwrap_or_default();
        search.masker.detectors.candidates(bytes, true, &mut scratch.candidates);
        if memchr(b'%', bytes).is_some() {
            scratch.candidates.extend(memchr_iter(b'%', bytes).map(|at| (at, Anchor::Escape)));
            scratch.candidates.sort_unstable();
        }
        let Scratch { strings, candidates, hits } = &mut scratch;
        let mut stretch = Stretch { bytes, candidates, hits, out, kept: 0 };
        let all = self.structure.is_some() || search.masker.detectors.needs_every_value();
        match all {
            true => {
                let read = self.all(&mut stretch, strings, search);
                if let Err((at, unreadable)) = read {
                    stretch.keep_until(at, at);
                    return Err(unreadable);
                }
            }
            false => self.some(&mut stretch, strings, search),
        }
        let kept = stretch.kept;
        out.extend_from_slice(bytes.get(kept..).unwrap_or_default());
        self.held = held;
        self.held.drain(..whole);
        self.scratch = scratch;
        Ok(())
    }

    /// How many bytes are whole tokens, and where in them the strings are.
    fn whole(&self, held: &[u8], end: End, strings: &mut Vec<Range<usize>>) -> usize {
        strings.clear();
        match json::strings(held, WINDOW, self.lines, strings) {
            Some(open) if end == End::Whole && held.len() - open <= WINDOW => {
                strings.push(open..held.len());
                held.len()
            }
            Some(open) => open,
            None if end == End::Whole => held.len(),
            None => {
                let from = strings.last().map_or(0, |last| last.end);
                let between = held.get(from..).unwrap_or_default();
                between.iter().rposition(|byte| ends_segment(*byte)).map_or(from, |at| from + at + 1)
            }
        }
    }

    /// Looks at tokens in which something may be.
    fn some(&mut self, stretch: &mut Stretch<'_, '_>, strings: &[Range<usize>], search: Search<'_>) {
        let mut left = stretch.candidates;
        let mut next = 0;
        loop {
            let forced = self.secret.then(|| strings.get(next).cloned()).flatten();
            let token = match (left.first(), forced) {
                (Some((at, _)), forced) if forced.as_ref().is_none_or(|forced| *at < forced.start) => {
                    next += strings.get(next..).unwrap_or_default().partition_point(|string| string.end <= *at);
                    match strings.get(next).filter(|string| string.start <= *at) {
                        Some(string) => string.clone(),
                        None => segment(
                            stretch.bytes,
                            *at,
                            next.checked_sub(1).and_then(|at| strings.get(at)),
                            strings.get(next),
                        ),
                    }
                }
                (_, Some(forced)) => forced,
                _ => break,
            };
            let inside = left.partition_point(|(at, _)| *at < token.end);
            let (candidates, rest) = left.split_at(inside);
            left = rest;
            match strings.get(next).is_some_and(|string| *string == token) {
                true => {
                    next += 1;
                    self.string(stretch, token, candidates, search);
                }
                false => stretch.segment(token, candidates, search),
            }
        }
    }

    /// Looks at every token. What cannot be read comes with its place.
    fn all(
        &mut self,
        stretch: &mut Stretch<'_, '_>,
        strings: &[Range<usize>],
        search: Search<'_>,
    ) -> Result<(), (usize, Unreadable)> {
        let mut left = stretch.candidates;
        let mut at = 0;
        let len = stretch.bytes.len();
        for string in strings.iter().cloned().chain(std::iter::once(len..len)) {
            while at < string.start {
                let rest = stretch.bytes.get(at..string.start).unwrap_or_default();
                let end = rest.iter().position(|byte| ends_segment(*byte)).map_or(string.start, |end| at + end + 1);
                let candidates = take(&mut left, end);
                match self.structure.as_mut() {
                    Some(structure) => {
                        let text = stretch.bytes.get(at..end).unwrap_or_default();
                        match structure.segment(text, search).map_err(|unreadable| (at, unreadable))? {
                            Some((scalar, mask)) => stretch.scalar(at + scalar.start..at + scalar.end, &mask, search),
                            None => stretch.segment(at..end, candidates, search),
                        }
                    }
                    None => stretch.segment(at..end, candidates, search),
                }
                at = end;
            }
            if string.is_empty() {
                break;
            }
            let candidates = take(&mut left, string.end);
            at = string.end;
            let role = self.role(stretch.bytes.get(string.clone()).unwrap_or_default(), search);
            match role.map_err(|unreadable| (string.start, unreadable))? {
                Role::Masked(mask) => stretch.whole(string, &mask, search),
                Role::Key | Role::Value => self.string(stretch, string, candidates, search),
            }
        }
        Ok(())
    }

    fn role(&mut self, string: &[u8], search: Search<'_>) -> Result<Role, Unreadable> {
        let Some(structure) = &mut self.structure else { return Ok(Role::Value) };
        let inside = json::inside(string);
        match memchr(b'\\', inside) {
            None => structure.string(inside, search),
            Some(_) => structure.string(&decoded(inside), search),
        }
    }

    fn string(
        &mut self,
        stretch: &mut Stretch<'_, '_>,
        token: Range<usize>,
        candidates: &[(usize, Anchor)],
        search: Search<'_>,
    ) {
        let text = stretch.bytes.get(token.clone()).unwrap_or_default();
        let (inside, from) = (json::inside(text), token.start + 1);
        let secret =
            std::mem::take(&mut self.secret) && is_secret(inside) && search.masker.detectors.has(Builtin::CloudKey);
        if secret {
            let label = Label::of(Builtin::CloudKey.as_str());
            stretch.hits.clear();
            stretch.hits.push(Hit { start: 0, end: inside.len(), label });
            return stretch.exact(inside, from, search);
        }
        if candidates.iter().any(|(_, anchor)| *anchor == Anchor::Escape) {
            return stretch.escaped(inside, from, search);
        }
        stretch.hits.clear();
        search.masker.detectors.find_at(inside, from, candidates, stretch.hits);
        stretch.exact(inside, from, search);
        self.secret = SECRETS.iter().any(|name| inside.ends_with(name));
    }
}

/// What of the candidates lies before a place.
fn take<'a>(left: &mut &'a [(usize, Anchor)], end: usize) -> &'a [(usize, Anchor)] {
    let (taken, rest) = left.split_at(left.partition_point(|(at, _)| *at < end));
    *left = rest;
    taken
}

fn is_secret(text: &[u8]) -> bool {
    text.len() == SECRET && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+'))
}

fn decoded(inside: &[u8]) -> Vec<u8> {
    let mut reading = Reading::default();
    reading.read(inside, 0, Coding::Escapes, true);
    reading.text().to_vec()
}

/// What stands between strings around a place.
fn segment(bytes: &[u8], at: usize, before: Option<&Range<usize>>, after: Option<&Range<usize>>) -> Range<usize> {
    let low = before.map_or(0, |string| string.end);
    let high = after.map_or(bytes.len(), |string| string.start);
    let start = bytes.get(low..at).unwrap_or_default().iter().rposition(|byte| ends_segment(*byte));
    let end = bytes.get(at..high).unwrap_or_default().iter().position(|byte| ends_segment(*byte));
    start.map_or(low, |start| low + start + 1)..end.map_or(high, |end| at + end + 1)
}

impl Stretch<'_, '_> {
    fn keep_until(&mut self, place: usize, next: usize) {
        self.out.extend_from_slice(self.bytes.get(self.kept..place).unwrap_or_default());
        self.kept = next;
    }

    /// Replaces what was found in a text that is written as it reads.
    fn exact(&mut self, inside: &[u8], from: usize, search: Search<'_>) {
        let hits = std::mem::take(self.hits);
        for hit in &hits {
            self.keep_until(from + hit.start, from + hit.end);
            let shown = search.shown(&hit.label, inside.get(hit.start..hit.end).unwrap_or_default());
            Coding::Escapes.write(&shown, self.out);
        }
        *self.hits = hits;
    }

    fn escaped(&mut self, inside: &[u8], from: usize, search: Search<'_>) {
        let mut reading = Reading::default();
        reading.read(inside, 0, Coding::Escapes, true);
        self.hits.clear();
        search.find(reading.text(), self.hits);
        if self.hits.is_empty() {
            return;
        }
        self.keep_until(from, from + inside.len());
        search.replace(inside, &reading, self.hits, Coding::Escapes, inside.len(), self.out);
    }

    /// What stands between strings: a number that is found becomes a string.
    fn segment(&mut self, token: Range<usize>, candidates: &[(usize, Anchor)], search: Search<'_>) {
        let text = self.bytes.get(token.clone()).unwrap_or_default();
        let mut hits = std::mem::take(self.hits);
        hits.clear();
        match candidates.iter().any(|(_, anchor)| *anchor == Anchor::Escape) {
            true => search.find(text, &mut hits),
            false => search.masker.detectors.find_at(text, token.start, candidates, &mut hits),
        }
        for hit in &hits {
            let value = text.get(hit.start..hit.end).unwrap_or_default();
            self.keep_until(token.start + hit.start, token.start + hit.end);
            self.out.push(b'"');
            Coding::Escapes.write(&search.shown(&hit.label, value), self.out);
            self.out.push(b'"');
        }
        *self.hits = hits;
    }

    /// A string that a rule masks.
    fn whole(&mut self, token: Range<usize>, mask: &FieldMask, search: Search<'_>) {
        let inside = json::inside(self.bytes.get(token.clone()).unwrap_or_default());
        let text = decoded(inside);
        self.value(token, &text, mask, search);
    }

    /// A number or a literal that a rule masks; `null` has nothing to hide.
    fn scalar(&mut self, token: Range<usize>, mask: &FieldMask, search: Search<'_>) {
        let text = self.bytes.get(token.clone()).unwrap_or_default();
        if text != b"null" {
            self.value(token, text, mask, search);
        }
    }

    fn value(&mut self, token: Range<usize>, text: &[u8], mask: &FieldMask, search: Search<'_>) {
        self.keep_until(token.start, token.end);
        match search.whole(text, mask) {
            Some(shown) => {
                self.out.push(b'"');
                Coding::Escapes.write(&shown, self.out);
                self.out.push(b'"');
            }
            None => self.out.extend_from_slice(b"null"),
        }
    }
}
