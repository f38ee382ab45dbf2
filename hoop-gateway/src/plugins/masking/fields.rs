//! Errors, notices and notifications: the texts in which a server repeats values.

use bytes::Bytes;
use hoop_core::{Label, Setting, TargetError};
use hoop_proto::postgres::indirect::is_free_setting;

use super::action::replacement;
use super::mask::Masker;
use super::rules::{ColumnRule, UnknownOrigin};

/// Fields that hold a code, a severity or a position, and never a value: severity, SQLSTATE, positions, source file.
const TECHNICAL: &[u8] = b"SVCPpFLR";

/// What a program within the server says, all of which it can make up.
const SAID: &[u8] = b"MDHWqstcdn";
/// How the source files of languages for such programs begin.
const LANGUAGES: [&[u8]; 4] = [b"pl_", b"plpy", b"plperl", b"pltcl"];

const MASKED: Bytes = Bytes::from_static(b"[masked]");

/// Masks all texts of an error or a notice.
pub(crate) fn mask_error(error: &mut TargetError, rules: &[ColumnRule], masker: &Masker) {
    if error.denial.is_some() {
        return;
    }
    let tables = (error.field(b's').to_vec(), error.field(b't').to_vec());
    let about: Vec<_> = rules.iter().filter(|rule| rule.matches_table(&tables.0, &tables.1)).collect();
    let class = error.field(b'C').get(..2).unwrap_or_default().to_vec();
    // What has a position in the client's text repeats that text.
    let is_own = !error.field(b'P').is_empty();
    let is_said = LANGUAGES.iter().any(|language| error.field(b'F').starts_with(language));
    let hides_unknown = hides_unknown(rules);
    for (letter, value) in error.fields.iter_mut().filter(|(letter, _)| !TECHNICAL.contains(letter)) {
        if hides_unknown && is_said && SAID.contains(letter) {
            *value = MASKED;
            continue;
        }
        let is_data_error = class == b"22" && !about.is_empty();
        let masked = match letter {
            b'M' | b'D' if !about.is_empty() => keys(value, &about, masker).or_else(|| failing_row(value)),
            _ => None,
        };
        let masked = masked.or_else(|| match letter {
            b'M' | b'D' if is_data_error => quoted(value).or_else(|| (*letter == b'D' && !is_own).then_some(MASKED)),
            b'W' if is_data_error && !is_own => Some(places(value)),
            b'M' | b'D' | b'H' | b'W' if hides_unknown && !is_own && class != b"23" => quoted(value),
            b'q' if hides_unknown => Some(MASKED),
            _ => None,
        });
        if let Some(masked) = masked {
            *value = masked;
        }
        *value = masker.message(value);
    }
}

/// Whether a rule hides what nobody knows the origin of.
fn hides_unknown(rules: &[ColumnRule]) -> bool {
    rules.iter().any(|rule| matches!(rule.unknown, UnknownOrigin::MaskAll | UnknownOrigin::Deny))
}

/// A notification's text: anybody's, from anywhere.
pub(crate) fn mask_payload(payload: &Bytes, rules: &[ColumnRule], masker: &Masker) -> Bytes {
    if hides_unknown(rules) && !payload.is_empty() { MASKED } else { masker.message(payload) }
}

/// A setting as the server reports it; a statement can make a value one.
pub(crate) fn mask_setting(setting: &Setting, rules: &[ColumnRule], masker: &Masker) -> Bytes {
    let is_free = std::str::from_utf8(&setting.name).is_ok_and(is_free_setting);
    if is_free && hides_unknown(rules) { MASKED } else { masker.message(&setting.value) }
}

/// Of the places at which an error happened those in programs: the others repeat what was being read.
fn places(value: &[u8]) -> Bytes {
    let is_program = |line: &&[u8]| line.starts_with(b"PL/") || line.starts_with(b"SQL function");
    let lines = value.split(|byte| *byte == b'\n').map(|line| if is_program(&line) { line } else { &b"[masked]"[..] });
    lines.collect::<Vec<_>>().join(&b'\n').into()
}

/// `Key (email, id)=(ada@example.com, 1) already exists.`
fn keys(value: &[u8], rules: &[&ColumnRule], masker: &Masker) -> Option<Bytes> {
    let text = std::str::from_utf8(value).ok()?;
    let (head, rest) = text.split_once('(')?;
    let (names, rest) = rest.split_once(")=(")?;
    let end = rest.rfind(')')?;
    let (values, tail) = rest.split_at_checked(end)?;
    let names: Vec<_> = names.split(", ").collect();
    let found = |name: &str| rules.iter().find(|rule| names_match(rule, name));
    if !names.iter().any(|name| found(name).is_some()) {
        return None;
    }
    let parts: Vec<_> = values.split(", ").collect();
    if parts.len() != names.len() {
        return Some(format!("{head}({})=([masked]{tail}", names.join(", ")).into());
    }
    let shown = names.iter().zip(parts).map(|(name, part)| match found(name) {
        Some(rule) => {
            masker.counts.add(&Label::from(std::sync::Arc::from(rule.label())));
            let shown = replacement(rule.action(), &rule.label(), part.as_bytes(), &masker.key);
            shown.map_or_else(|| "null".to_owned(), |shown| String::from_utf8_lossy(&shown).into_owned())
        }
        None => part.to_owned(),
    });
    let shown = shown.collect::<Vec<String>>().join(", ");
    Some(format!("{head}({})=({shown}{tail}", names.join(", ")).into())
}

/// An indexed expression such as `lower(email)` speaks of the column as well.
fn names_match(rule: &ColumnRule, name: &str) -> bool {
    name.split(|char: char| !char.is_alphanumeric() && char != '_')
        .any(|word| !word.is_empty() && rule.matches_name(word.as_bytes()))
}

/// `Failing row contains (1, ada, …).` does not say which value is whose.
fn failing_row(value: &[u8]) -> Option<Bytes> {
    let text = std::str::from_utf8(value).ok()?;
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let is_row = text.starts_with("Failing row") || text.contains("row contains");
    (is_row && open < close).then(|| format!("{}([masked]{}", &text[..open], &text[close..]).into())
}

/// `invalid input syntax for type integer: "ada"` repeats a value of a column that nobody names.
fn quoted(value: &[u8]) -> Option<Bytes> {
    let (open, close) = (memchr::memchr(b'"', value)?, memchr::memrchr(b'"', value)?);
    (open < close).then(|| [&value[..=open], b"[masked]", &value[close..]].concat().into())
}
