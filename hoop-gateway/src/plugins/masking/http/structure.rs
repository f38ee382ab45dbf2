//! Where in a JSON document what is read stands.

use std::ops::Range;

use hoop_proto::http::json::Lines;

use super::path::{Into, Place};
use super::rules::FieldMask;
use super::search::{Search, Unreadable};

/// How deep values may lie in each other.
const MAX_DEPTH: usize = 256;

/// What a string is.
#[derive(Debug)]
pub(super) enum Role {
    Key,
    Value,
    /// A value that a rule masks.
    Masked(FieldMask),
}

#[derive(Debug)]
pub(super) struct Structure {
    /// Whether what is no JSON is refused.
    strict: bool,
    lines: Lines,
    frames: Vec<Frame>,
}

/// An object or an array.
#[derive(Debug)]
struct Frame {
    place: Place,
    /// Where its next value stands; nothing where a key and a colon come first.
    child: Option<Place>,
    /// Where the value of the key that was read will stand.
    key: Option<Place>,
    array: bool,
}

impl Frame {
    fn colon(&mut self, search: Search<'_>) {
        let unnamed = || self.place.go(Into::Key(b""), &search.fields.paths);
        self.child = Some(self.key.take().unwrap_or_else(unnamed));
    }
}

const BROKEN: Unreadable =
    Unreadable("it is JSON with broken structure, in which the fields of its rules cannot be told");

impl Structure {
    pub(super) const fn new(strict: bool, lines: Lines) -> Self {
        Self { strict, lines, frames: Vec::new() }
    }

    fn broken(&self) -> Result<(), Unreadable> {
        if self.strict { Err(BROKEN) } else { Ok(()) }
    }

    /// Where a value stands that comes now; nothing where a key should come.
    fn place(&self, search: Search<'_>) -> Option<Place> {
        match self.frames.last() {
            None => Some(Place::root(&search.fields.paths)),
            Some(frame) => frame.child.clone(),
        }
    }

    /// A string comes, as it reads.
    pub(super) fn string(&mut self, text: &[u8], search: Search<'_>) -> Result<Role, Unreadable> {
        match self.frames.last_mut() {
            Some(frame) if !frame.array && frame.child.is_none() => {
                let place = frame.place.go(Into::Key(text), &search.fields.paths);
                if frame.key.replace(place).is_some() {
                    self.broken()?;
                }
                Ok(Role::Key)
            }
            _ => Ok(self.value(search).map_or(Role::Value, Role::Masked)),
        }
    }

    /// A value comes: the rule for it.
    fn value(&self, search: Search<'_>) -> Option<FieldMask> {
        let rule = match self.frames.last() {
            None => Place::root(&search.fields.paths).rule,
            Some(frame) => frame.child.as_ref().and_then(|place| place.rule),
        };
        rule.and_then(|rule| search.fields.paths.get(rule)).map(|(_, mask)| mask.clone())
    }

    /// What stands between two strings comes, up to a mark that ends it. Where in it the number or literal is that a rule masks.
    pub(super) fn segment(
        &mut self,
        text: &[u8],
        search: Search<'_>,
    ) -> Result<Option<(Range<usize>, FieldMask)>, Unreadable> {
        let (content, mark) = match text.split_last() {
            Some((mark, content)) if hoop_proto::http::json::ends_segment(*mark) => (content, Some(*mark)),
            _ => (text, None),
        };
        let mut from = 0;
        if let Some(frame) = self.frames.last_mut().filter(|frame| !frame.array && frame.child.is_none())
            && let Some(colon) = content.iter().position(|byte| *byte == b':')
        {
            from = colon + 1;
            let unquoted = content.get(..colon).unwrap_or_default().trim_ascii();
            if !unquoted.is_empty() {
                // A key without quotes, or in single ones.
                let quoted = unquoted.strip_prefix(b"'").and_then(|name| name.strip_suffix(b"'"));
                let name = quoted.unwrap_or(unquoted);
                frame.key = Some(frame.place.go(Into::Key(name), &search.fields.paths));
            }
            frame.colon(search);
        }
        let rest = content.get(from..).unwrap_or_default();
        let scalar = rest.trim_ascii();
        let start = from + (rest.len() - rest.trim_ascii_start().len());
        let mut masked = None;
        if !scalar.is_empty() {
            match self.frames.last() {
                Some(frame) if frame.child.is_none() => self.broken()?,
                _ => masked = self.value(search).map(|mask| (start..start + scalar.len(), mask)),
            }
        }
        if let Some(mark) = mark {
            self.mark(mark, search)?;
        }
        Ok(masked)
    }

    fn mark(&mut self, mark: u8, search: Search<'_>) -> Result<(), Unreadable> {
        match mark {
            b'{' | b'[' => {
                let array = mark == b'[';
                let Some(place) = self.place(search) else {
                    self.broken()?;
                    return self.open(Place::root(&search.fields.paths), array, search);
                };
                self.open(place, array, search)
            }
            b'}' | b']' => match self.frames.pop() {
                Some(frame) if frame.array == (mark == b']') => Ok(()),
                _ => self.broken(),
            },
            b',' => {
                if let Some(frame) = self.frames.last_mut().filter(|frame| !frame.array) {
                    (frame.child, frame.key) = (None, None);
                }
                Ok(())
            }
            _ if self.lines == Lines::Cut => {
                self.frames.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, place: Place, array: bool, search: Search<'_>) -> Result<(), Unreadable> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(Unreadable("it is JSON that is nested too deep"));
        }
        let child = array.then(|| place.go(Into::Element, &search.fields.paths));
        // Who asks several questions at once, as in GraphQL, is answered with an array of what would be an answer by itself.
        let child = match self.frames.is_empty() {
            true => child.map(|child| child.or_root(&search.fields.paths)),
            false => child,
        };
        self.frames.push(Frame { place, child, key: None, array });
        Ok(())
    }
}
