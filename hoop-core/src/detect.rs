//! Finding sensitive values by what they look like.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Finds values of one kind, such as e-mail addresses.
pub trait Detector: Send + Sync + 'static {
    /// The name it is selected by in rules, for example `email`.
    fn name(&self) -> &str;

    /// Appends what it finds in `value`, in order and without overlaps. `value` is in the client's encoding, of which
    /// only ASCII may be taken for granted. Never panics, whatever the bytes.
    fn find(&self, value: &[u8], hits: &mut Vec<Hit>);
}

const _: Option<&dyn Detector> = None;

/// One find: bytes `start..end` of the value are of the kind `label`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// What was found.
    pub label: Label,
}

/// The name of a kind of sensitive value; cheap to clone.
#[derive(Clone)]
pub struct Label(Repr);

#[derive(Clone)]
enum Repr {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Label {
    /// A label known at compile time; costs nothing.
    pub const fn of(text: &'static str) -> Self {
        Self(Repr::Static(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(text) => text,
            Repr::Shared(text) => text,
        }
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Label {}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl From<Arc<str>> for Label {
    fn from(text: Arc<str>) -> Self {
        Self(Repr::Shared(text))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
