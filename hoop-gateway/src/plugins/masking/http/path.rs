//! Paths into JSON, and the places of a document that they lead to.

use smallvec::SmallVec;

use super::rules::FieldMask;

/// A path: keys, each element, and keys at any depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    AnyKey,
    Each,
    /// A key at any depth.
    Deep(String),
}

/// The steps that come next, each with the number of its path.
type Active = SmallVec<[(u16, u16); 8]>;

/// Where in a document what is read stands, as far as paths lead there.
#[derive(Debug, Clone)]
pub(super) struct Place {
    active: Active,
    /// The path that led to it or to what it is in.
    pub(super) rule: Option<usize>,
}

/// What goes from a value to one in it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Into<'a> {
    Key(&'a [u8]),
    Element,
}

impl Path {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        let mut steps = Vec::new();
        let mut first = rest.len() == text.len();
        while !rest.is_empty() {
            let (step, tail) = Self::step(rest, first)?;
            steps.push(step);
            (rest, first) = (tail, false);
        }
        match steps.len() {
            0 => Err("it leads to no field"),
            64.. => Err("it has more than 63 steps"),
            _ => Ok(Self(steps)),
        }
    }

    fn step(rest: &str, first: bool) -> Result<(Step, &str), &'static str> {
        if let Some(tail) = rest.strip_prefix("[*]") {
            return Ok((Step::Each, tail));
        }
        if let Some(tail) = rest.strip_prefix("[\"") {
            let (key, tail) = tail.split_once("\"]").ok_or("[\" has no \"]")?;
            return Ok((Step::Key(key.to_lowercase()), tail));
        }
        let (deep, rest) = match rest.strip_prefix("..") {
            Some(rest) => (true, rest),
            None if first => (false, rest),
            None => (false, rest.strip_prefix('.').ok_or("a dot or [*] is missing between two steps")?),
        };
        let (key, tail) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
        match key {
            "" => Err("a key is missing"),
            _ if key.contains([']', '*', '"']) && key != "*" => Err("of an array there is [*] alone, of keys *"),
            "*" if deep => Err("..* leads everywhere"),
            "*" => Ok((Step::AnyKey, tail)),
            _ if deep => Ok((Step::Deep(key.to_lowercase()), tail)),
            _ => Ok((Step::Key(key.to_lowercase()), tail)),
        }
    }

    /// The last key.
    pub(super) fn name(&self) -> &str {
        let key = self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) | Step::Deep(key) => Some(key.as_str()),
            Step::AnyKey | Step::Each => None,
        });
        key.unwrap_or("masked")
    }
}

impl Place {
    /// The root of a document.
    pub(super) fn root(paths: &[(Path, FieldMask)]) -> Self {
        Self { active: (0..paths.len()).filter_map(|path| Some((u16::try_from(path).ok()?, 0))).collect(), rule: None }
    }

    /// The root of a document as well.
    pub(super) fn or_root(mut self, paths: &[(Path, FieldMask)]) -> Self {
        for step in Self::root(paths).active {
            if !self.active.contains(&step) {
                self.active.push(step);
            }
        }
        self
    }

    /// A value in the value that stands here.
    pub(super) fn go(&self, into: Into<'_>, paths: &[(Path, FieldMask)]) -> Self {
        let mut to = Self { active: Active::new(), rule: self.rule };
        for (path, at) in &self.active {
            let steps = paths.get(usize::from(*path)).map_or(&[][..], |(path, _)| &path.0);
            let goes = match (steps.get(usize::from(*at)), into) {
                (Some(Step::Key(key)), Into::Key(is)) => same(key, is),
                (Some(Step::AnyKey), Into::Key(_)) | (Some(Step::Each), Into::Element) => true,
                (Some(Step::Deep(key)), into) => {
                    to.active.push((*path, *at));
                    matches!(into, Into::Key(is) if same(key, is))
                }
                _ => false,
            };
            if goes && usize::from(at + 1) == steps.len() {
                to.rule = to.rule.or(Some(usize::from(*path)));
            } else if goes {
                to.active.push((*path, at + 1));
            }
        }
        to
    }
}

fn same(key: &str, is: &[u8]) -> bool {
    key.as_bytes().eq_ignore_ascii_case(is)
        || !is.is_ascii() && std::str::from_utf8(is).is_ok_and(|is| is.to_lowercase() == key)
}
