//! Errors, notices and notifications: the texts in which a server repeats values.

use bytes::Bytes;
use hoop_core::{Label, TargetError};

use super::action::replacement;
use super::mask::Masker;
use super::rules::ColumnRule;

/// Fields that hold a code, a severity or a position, and never a value: severity, SQLSTATE, positions, source file.
const TECHNICAL: &[u8] = b"SVCPpFLR";

/// Masks all texts of an error or a notice.
pub(crate) fn mask_error(error: &mut TargetError, rules: &[ColumnRule], masker: &Masker) {
    if error.denial.is_some() {
        return;
    }
    let tables = (error.field(b's').to_vec(), error.field(b't').to_vec());
    let rules: Vec<_> = rules.iter().filter(|rule| rule.matches_table(&tables.0, &tables.1)).collect();
    let is_data_error = error.field(b'C').starts_with(b"22");
    for (letter, value) in error.fields.iter_mut().filter(|(letter, _)| !TECHNICAL.contains(letter)) {
        if !rules.is_empty() && matches!(letter, b'M' | b'D') {
            if let Some(masked) = keys(value, &rules, masker).or_else(|| failing_row(value)) {
                *value = masked;
            } else if is_data_error && let Some(masked) = quoted(value) {
                *value = masked;
            }
        }
        *value = masker.message(value);
    }
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
