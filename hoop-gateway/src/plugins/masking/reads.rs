//! What a statement may make its results of, as far as its text says it.
//!
//! A column of a result that is no table's is an expression, and the server does not say over what. The text names it: columns by
//! name, rows as a whole, tables. What only decides which rows there are (WHERE, HAVING, the order) is in no value and does not count.
//! Views, partitions and functions are what their names say: what lies beneath them is not in the text.

mod named;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use pg_query::ParserOptions;
use serde_json::Value;

pub(crate) use named::Named;
use tree::{has_star, is_single, is_value, node, query, reads_any};

/// Longest text that is read, in bytes, and most bytes in it that are no letters and digits: each may part what takes four kilobytes
/// while it is read. What is larger may read anything.
const LONGEST: usize = 1 << 20;
const MOST_PARTED: usize = 16 << 10;

/// Texts that a session remembers, and how long each may be, in bytes: an idle session must stay small.
const REMEMBERED: usize = 4;
const LONGEST_REMEMBERED: usize = 1024;

/// What the texts read that a session ran last.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    texts: Vec<(blake3::Hash, Arc<Reads>)>,
    next: usize,
    /// Whether a backslash in `'…'` was anything but an ordinary character at some time.
    escapes: bool,
}

impl Remembered {
    /// Takes note that a backslash in `'…'` is no ordinary character now.
    pub(crate) fn escape(&mut self) {
        *self = Self { escapes: true, ..Self::default() };
    }

    /// What this text reads.
    pub(crate) fn of(&mut self, text: &[u8]) -> Arc<Reads> {
        let hash = blake3::hash(text);
        if let Some((_, reads)) = self.texts.iter().find(|(known, _)| *known == hash) {
            return Arc::clone(reads);
        }
        let reads = Arc::new(Reads::of(text, self.escapes));
        if text.len() <= LONGEST_REMEMBERED {
            let entry = (hash, Arc::clone(&reads));
            match self.texts.get_mut(self.next) {
                Some(place) => *place = entry,
                None => self.texts.push(entry),
            }
            self.next = (self.next + 1) % REMEMBERED;
        }
        reads
    }
}

/// What the columns of a result may be made of.
#[derive(Debug)]
pub(crate) struct Reads {
    /// What all of them may be made of.
    all: Named,
    /// For each column what it alone names, `None` where it is made of nothing that is read, such as `count(*)`; empty where the text
    /// does not say which is which.
    each: Vec<Option<Named>>,
}

impl Reads {
    /// What this text reads, in whatever encoding and with whatever settings it came; whether a backslash `escapes` may be known. What
    /// cannot be read may read anything, and so may what has no text.
    fn of(text: &[u8], escapes: bool) -> Self {
        let has_backslash = text.contains(&b'\\');
        // In some encodings a backslash may be the second byte of a character.
        let is_plain = text.is_ascii() || !has_backslash;
        let is_small = || text.iter().filter(|byte| !byte.is_ascii_alphanumeric()).nth(MOST_PARTED).is_none();
        let is_readable = is_plain && (1..=LONGEST).contains(&text.len()) && is_small();
        let Some(text) = std::str::from_utf8(text).ok().filter(|_| is_readable) else { return Self::anything() };
        let read = Self::read(text, ParserOptions::DEFAULT);
        let escaped = has_backslash.then(|| Self::read(text, ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS));
        let mut reads = match (read, escaped) {
            (Some(one), None) => one,
            (Some(one), Some(Some(other))) => Self { all: one.together().and(other.together()), each: Vec::new() },
            // An older server may take what the other grammar does not.
            (Some(one), Some(None)) if !escapes => one,
            _ => return Self::anything(),
        };
        reads.all.close(&Named::default());
        reads.each.iter_mut().flatten().for_each(|each| each.close(&reads.all));
        reads
    }

    /// What the column with this index may be made of, of so many.
    pub(crate) fn column(&self, column: usize, of: usize) -> Vec<&Named> {
        if self.each.len() != of {
            return std::iter::once(&self.all).chain(self.each.iter().flatten()).collect();
        }
        match self.each.get(column) {
            Some(Some(own)) => vec![&self.all, own],
            _ => Vec::new(),
        }
    }

    fn anything() -> Self {
        Self { all: Named::anything(), each: Vec::new() }
    }

    /// What a text reads with these settings; `None` where it is no text that can be read.
    fn read(text: &str, options: ParserOptions) -> Option<Self> {
        let mut reads = Self { all: Named::default(), each: Vec::new() };
        let parsed = pg_query::parse(text, options).map(|parsed| parsed.protobuf.stmts).ok()?;
        let statements = serde_json::to_value(parsed).ok()?;
        let statements: Vec<_> =
            statements.as_array().into_iter().flatten().filter_map(|raw| raw.get("stmt")).collect();
        match statements.as_slice() {
            [statement] => reads.only(statement),
            several => several.iter().for_each(|statement| reads.all.statement(statement)),
        }
        Some(reads)
    }

    /// The only statement of a text. Where the columns of a SELECT can be told apart, they are.
    fn only(&mut self, statement: &Value) {
        if let Some(query) = query(statement) {
            return self.only(query);
        }
        let select = node(statement).filter(|(kind, select)| *kind == "SelectStmt" && is_single(select));
        let targets = select.and_then(|(_, select)| select.get("target_list")?.as_array());
        let (Some((_, select)), Some(targets)) = (select, targets.filter(|targets| !targets.iter().any(has_star)))
        else {
            return self.all.statement(statement);
        };
        let each = &mut self.each;
        self.all.within_with(select, |all| {
            let rest = select.iter().filter(|(field, _)| is_value(field) && *field != "target_list");
            rest.for_each(|(_, value)| all.visit(value));
            *each = targets.iter().map(|target| reads_any(target).then(|| Named::by(target, all))).collect();
        });
    }

    fn together(self) -> Named {
        self.each.into_iter().flatten().fold(self.all, Named::and)
    }
}
