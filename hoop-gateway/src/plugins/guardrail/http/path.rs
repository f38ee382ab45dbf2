//! A path, in every way in which a service may read it.
//!
//! Which of `//`, `;`, `\`, `%2e`, a dot at the end or a capital letter mean something is up to the service, and to what stands
//! in front of it. So a path has several *readings*: it is read with and without each of them. A rule that refuses matches when
//! one reading does; one that allows matches surely when all do.

use std::collections::BTreeSet;

use super::super::super::percent;

/// How often a path is decoded: services behind others do it twice.
const MOST_DECODINGS: usize = 3;
/// Longest path that is read, in bytes.
const MAX_PATH: usize = 16 << 10;
/// Most readings of one path.
const MOST_READINGS: usize = 512;

/// The readings of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Readings {
    readings: BTreeSet<Reading>,
}

/// One reading: absolute, without a `/` at its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Reading {
    path: String,
    /// Whether a `/` stood at its end.
    folder: bool,
    /// Whether it is only how it was written, which nobody reads so who decodes.
    written: bool,
}

impl Readings {
    /// # Errors
    /// Why nobody can say what the path means.
    pub(super) fn of(path: &str) -> Result<Self, &'static str> {
        if path.len() > MAX_PATH {
            return Err("the path is too long to be read");
        }
        let mut readings = BTreeSet::new();
        let mut text = path.to_owned();
        for level in 0..=MOST_DECODINGS {
            if text.chars().any(char::is_control) {
                return Err("the path has a control character in it");
            }
            let decoded = percent::decode(text.as_bytes(), false);
            if decoded.broken && level == 0 {
                return Err("the path has a % that encodes nothing");
            }
            read(&text, level, decoded.changed, &mut readings);
            if readings.len() > MOST_READINGS {
                return Err("the path can be read in too many ways");
            }
            if !decoded.changed {
                return Ok(Self { readings });
            }
            text = String::from_utf8(decoded.bytes).map_err(|_| "the path is not UTF-8")?;
        }
        Err("the path is encoded too often")
    }

    /// Whether a reading is matched, and whether all are that a service can have.
    pub(super) fn compare(&self, matches: impl Fn(&str) -> bool) -> (bool, bool) {
        let (mut any, mut all) = (false, true);
        for reading in &self.readings {
            let found = matches(&reading.path) || (reading.folder && matches(&format!("{}/", reading.path)));
            any |= found;
            all &= found || reading.written;
        }
        (any, all)
    }
}

/// What a path may be read as, once it is decoded.
#[derive(Clone, Copy)]
struct Way {
    backslash: bool,
    cut: bool,
    parameters: bool,
    dots: bool,
    merge: bool,
    ends: bool,
}

fn read(text: &str, level: usize, encoded: bool, readings: &mut BTreeSet<Reading>) {
    let written = level == 0 && encoded;
    let mut texts = vec![text.to_owned()];
    let narrow = narrowed(text);
    if narrow != text {
        texts.push(narrow);
    }
    for text in texts {
        for way in ways(&text, level) {
            let (path, folder) = way.read(&text);
            readings.insert(Reading { path, folder, written });
        }
    }
}

/// The ways in which a text is read: both, of what is in it.
fn ways(text: &str, level: usize) -> Vec<Way> {
    let mut ways =
        vec![Way { backslash: false, cut: false, parameters: false, dots: false, merge: false, ends: false }];
    let segment = |test: fn(&str) -> bool| text.split(['/', '\\']).any(test);
    let mut both = |possible: bool, set: fn(&mut Way)| {
        if possible {
            let other = ways.clone();
            ways.iter_mut().for_each(set);
            ways.extend(other);
        }
    };
    both(text.contains('\\'), |way| way.backslash = true);
    both(level > 0 && text.contains(['?', '#']), |way| way.cut = true);
    both(text.contains(';'), |way| way.parameters = true);
    both(segment(|segment| segment.starts_with('.')), |way| way.dots = true);
    let is_empty = |segment: &str| segment.starts_with(';') || segment.trim_end_matches(['.', ' ']).is_empty();
    both(segment(is_empty), |way| way.merge = true);
    both(segment(|segment| segment.contains(['.', ' '])), |way| way.ends = true);
    ways
}

impl Way {
    fn read(self, text: &str) -> (String, bool) {
        let text = if self.cut { text.split(['?', '#']).next().unwrap_or_default() } else { text };
        let text = if self.backslash { text.replace('\\', "/") } else { text.to_owned() };
        let mut names: Vec<&str> = Vec::new();
        let mut folder = false;
        let mut segments = text.strip_prefix('/').unwrap_or(&text).split('/').peekable();
        while let Some(segment) = segments.next() {
            let is_last = segments.peek().is_none();
            let mut name = if self.parameters { segment.split(';').next().unwrap_or_default() } else { segment };
            folder = is_last && name.is_empty();
            if self.ends {
                let trimmed = name.trim_end_matches(' ');
                name = if matches!(trimmed, "." | "..") { trimmed } else { trimmed.trim_end_matches(['.', ' ']) };
            }
            match name {
                "." if self.dots => folder = is_last,
                ".." if self.dots => {
                    names.pop();
                    folder = is_last;
                }
                "" if self.merge || is_last => {}
                name => names.push(name),
            }
        }
        (format!("/{}", names.join("/")), folder && !names.is_empty())
    }
}

/// The characters of full width as those that some services take for them.
fn narrowed(text: &str) -> String {
    let narrow = |c: char| match u32::from(c) {
        code @ 0xff01..=0xff5e => char::from_u32(code - 0xfee0).unwrap_or(c),
        0x2024 => '.',
        0x2215 | 0x2044 => '/',
        0x2216 => '\\',
        _ => c,
    };
    text.chars().map(narrow).collect()
}

/// A text as it is compared without regard to case, as the least careful do it.
pub(super) fn folded(text: &str) -> String {
    text.to_uppercase().to_lowercase()
}
