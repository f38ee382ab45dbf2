//! Prepared statements and portals of a session, as the client's messages make them, in the client's order.
//!
//! A message that the server refuses, or ignores after an error, must not have changed anything here: every change says
//! how to undo it. Statements and cursors that are made in SQL are noted (`in_sql`); what runs under a name of theirs is described
//! by that name.

use std::collections::HashMap;

use bytes::Bytes;
use hoop_core::{Code, Denial, Parameters};
use pg_query::protobuf::RawStmt;
use pg_query::{NodeEnum, ParserOptions};

use super::in_sql::{InSql, Kind, Until};

/// Prepared statements and portals of one session at most, each.
const MOST: usize = 16 * 1024;
/// Space for servers since 16.
const VERTICAL_TAB: u8 = 0x0b;
/// Longest text that is read for what it takes away, in bytes.
const LONGEST: usize = 1 << 20;

/// Prepared statements and portals, by name.
#[derive(Debug, Default)]
pub(super) struct Names {
    statements: HashMap<Bytes, Bytes>,
    portals: HashMap<Bytes, Portal>,
    in_sql: InSql,
}

/// What a portal runs.
#[derive(Debug)]
pub(super) struct Portal {
    text: Bytes,
    /// Until they have been told to the chain, once.
    parameters: Option<Parameters>,
}

/// How to take a change back.
#[derive(Debug)]
pub(super) enum Undo {
    /// There was none.
    Nothing,
    /// The statement of this name was this one, or none.
    Statement(Bytes, Option<Bytes>),
    /// The portal of this name was this one, or none.
    Portal(Bytes, Option<Portal>),
}

impl Names {
    /// Parse. The text is copied: it outlives the buffer that it was read into.
    pub(super) fn prepare(&mut self, name: &Bytes, text: &Bytes) -> Result<Undo, Denial> {
        within(self.statements.len(), self.statements.contains_key(name), "prepared statements")?;
        if !name.is_empty() {
            self.in_sql.lose(Kind::Prepared, Until::Session);
        }
        let name = copied(name);
        let before = self.statements.insert(name.clone(), copied(text));
        Ok(Undo::Statement(name, before))
    }

    /// Bind.
    pub(super) fn bind(&mut self, portal: &Bytes, statement: &Bytes, parameters: Parameters) -> Result<Undo, Denial> {
        within(self.portals.len(), self.portals.contains_key(portal), "portals")?;
        let text = self.statements.get(statement).cloned().unwrap_or_else(|| named("execute", statement));
        if !portal.is_empty() {
            self.in_sql.lose(Kind::Cursor, Until::Transaction);
        }
        let portal = copied(portal);
        let before = self.portals.insert(portal.clone(), Portal { text, parameters: Some(parameters) });
        Ok(Undo::Portal(portal, before))
    }

    /// What Execute of this portal runs: its text, and, the first time, its parameters.
    pub(super) fn execute(&mut self, portal: &Bytes) -> (Bytes, Option<Parameters>) {
        match self.portals.get_mut(portal) {
            Some(portal) => (portal.text.clone(), portal.parameters.take()),
            None => (named("fetch all from", portal), None),
        }
    }

    /// Close of a prepared statement.
    pub(super) fn close_statement(&mut self, name: &Bytes) -> Undo {
        let before = self.statements.remove(name);
        if before.is_some() { Undo::Statement(copied(name), before) } else { Undo::Nothing }
    }

    /// Close of a portal.
    pub(super) fn close_portal(&mut self, name: &Bytes) -> Undo {
        let before = self.portals.remove(name);
        if before.is_some() { Undo::Portal(copied(name), before) } else { Undo::Nothing }
    }

    /// What a text that is run makes of names in SQL: whatever has such a name later is another statement, and a cursor that
    /// is declared takes the name of a portal that is gone. Of a block, and of what cannot be read, it may be any.
    pub(super) fn run(&mut self, text: &[u8]) {
        if !may_name(text) {
            return;
        }
        let readable = std::str::from_utf8(text).ok().filter(|text| text.len() <= LONGEST);
        let readings: Vec<_> = readable.into_iter().flat_map(readings).collect();
        if readings.is_empty() {
            return self.forget();
        }
        for statement in readings.iter().flatten().filter_map(|statement| statement.stmt.as_ref()?.node.as_ref()) {
            match statement {
                NodeEnum::DeallocateStmt(gone) if !gone.name.is_empty() => {
                    self.statements.remove(gone.name.as_bytes());
                }
                NodeEnum::DeallocateStmt(_) | NodeEnum::DiscardStmt(_) => self.statements.clear(),
                NodeEnum::DeclareCursorStmt(cursor) => {
                    self.portals.remove(cursor.portalname.as_bytes());
                    self.in_sql.note(Kind::Cursor, &cursor.portalname, text);
                }
                NodeEnum::PrepareStmt(prepared) => self.in_sql.note(Kind::Prepared, &prepared.name, text),
                NodeEnum::DoStmt(_) => self.forget(),
                _ => {}
            }
        }
    }

    /// Names may stand for anything.
    fn forget(&mut self) {
        self.statements.clear();
        self.portals.clear();
        self.in_sql.lose(Kind::Cursor, Until::Session);
        self.in_sql.lose(Kind::Prepared, Until::Session);
    }

    /// The text that gives a result: of FETCH and EXECUTE all that they may give, where that is known, and of others themselves.
    pub(super) fn meant(&self, text: &Bytes) -> Bytes {
        self.in_sql.meant(text).unwrap_or_else(|| text.clone())
    }

    /// The transaction is over, and all portals with it.
    pub(super) fn forget_portals(&mut self) {
        self.portals.clear();
        self.in_sql.end_transaction();
    }

    /// Takes a change back. Changes are to be taken back in reverse order.
    pub(super) fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::Statement(name, Some(text)) => drop(self.statements.insert(name, text)),
            Undo::Statement(name, None) => drop(self.statements.remove(&name)),
            Undo::Portal(name, Some(portal)) => drop(self.portals.insert(name, portal)),
            Undo::Portal(name, None) => drop(self.portals.remove(&name)),
        }
    }
}

fn within(count: usize, is_there: bool, what: &str) -> Result<(), Denial> {
    if count < MOST || is_there {
        return Ok(());
    }
    let reason = format!("the session has {MOST} {what}, as many as it may");
    Err(Denial::new("gateway", Code::LimitExceeded, reason).hint("close those that are not needed any more"))
}

/// The statements of a text, in each of the ways in which a server may read its backslashes.
fn readings(text: &str) -> impl Iterator<Item = Vec<RawStmt>> {
    let escaped = text.contains('\\').then_some(ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS);
    let options = std::iter::once(ParserOptions::DEFAULT).chain(escaped);
    options.filter_map(move |options| Some(pg_query::parse(text, options).ok()?.protobuf.stmts))
}

/// Whether names may stand for something else behind it, at a glance: nearly every text says no in its first letter.
fn may_name(text: &[u8]) -> bool {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != VERTICAL_TAB);
    let is_open =
        matches!(first, Some(b'd' | b'D' | b'p' | b'P' | b'/' | b'-')) || memchr::memchr(b';', text).is_some();
    let is_part = |at: Option<usize>| {
        at.and_then(|at| text.get(at)).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    let has = |word: &&[u8]| {
        let mut found = text.windows(word.len()).enumerate().filter(|(_, found)| found.eq_ignore_ascii_case(word));
        found.any(|(at, _)| !is_part(at.checked_sub(1)) && !is_part(at.checked_add(word.len())))
    };
    is_open && [&b"deallocate"[..], b"discard", b"declare", b"do", b"prepare"].iter().any(has)
}

fn copied(bytes: &Bytes) -> Bytes {
    if bytes.is_empty() { Bytes::new() } else { Bytes::copy_from_slice(bytes) }
}

/// What runs under a name that was given in SQL.
fn named(verb: &str, name: &Bytes) -> Bytes {
    let quoted = String::from_utf8_lossy(name).replace('"', "\"\"");
    format!("{verb} \"{quoted}\"").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Bytes = Bytes::from_static(b"s");

    fn none() -> Parameters {
        Parameters { values: Vec::new(), formats: Vec::new() }
    }

    #[test]
    fn what_the_server_refuses_is_taken_back() {
        let mut names = Names::default();
        let _ = names.prepare(&NAME, &Bytes::from_static(b"select 1"));
        let undo = names.prepare(&NAME, &Bytes::from_static(b"select 2")).expect("few");
        let bound = names.bind(&Bytes::new(), &NAME, none()).expect("few");
        assert_eq!(names.execute(&Bytes::new()).0, "select 2");
        names.undo(bound);
        names.undo(undo);
        let _ = names.bind(&Bytes::new(), &NAME, none());
        assert_eq!(names.execute(&Bytes::new()).0, "select 1");
        let closed = names.close_statement(&NAME);
        names.undo(closed);
        let _ = names.bind(&Bytes::new(), &NAME, none());
        assert_eq!(names.execute(&Bytes::new()).0, "select 1");
    }

    #[test]
    fn what_is_deallocated_is_another_statement_later() {
        let prepared = |text: &str| {
            let mut names = Names::default();
            for name in ["s", "T"] {
                let _ = names.prepare(&Bytes::from_static(name.as_bytes()), &Bytes::from_static(b"select 1"));
            }
            names.run(text.as_bytes());
            let mut known: Vec<_> = names.statements.keys().cloned().collect();
            known.sort();
            known
        };
        assert_eq!(prepared("select 'deallocate s'"), ["T", "s"]);
        assert_eq!(prepared("delete from t"), ["T", "s"]);
        assert_eq!(prepared("-- one\nDeallocate prepare S"), ["T"]);
        assert_eq!(prepared("select 1; deallocate \"T\""), ["s"]);
        for all in
            ["deallocate all", "DISCARD ALL", "do $$ begin execute 'deallo' || 'cate s'; end $$", "; deallocate s what"]
        {
            assert!(prepared(all).is_empty(), "{all}");
        }
    }

    #[test]
    fn a_cursor_that_is_declared_is_another_portal() {
        let bound = |text: &[u8]| {
            let mut names = Names::default();
            let _ = names.prepare(&NAME, &Bytes::from_static(b"select 1"));
            for portal in ["p", "Q"] {
                let _ = names.bind(&Bytes::from_static(portal.as_bytes()), &NAME, none());
            }
            names.run(text);
            let mut known: Vec<_> = names.portals.keys().cloned().collect();
            known.sort();
            known
        };
        assert_eq!(bound(b"select 'declare p'"), ["Q", "p"]);
        assert_eq!(bound(b"close p; declare P cursor for select 2"), ["Q"]);
        assert_eq!(bound(b"DECLARE \"Q\" no scroll cursor with hold for select 2"), ["p"]);
        let hidden = b"select 'a\\''; declare p cursor for select 2 --'";
        assert_eq!(bound(hidden), ["Q"], "where a backslash escapes");
        assert_eq!(bound(b"-- do nothing"), ["Q", "p"]);
        assert_eq!(bound(b"select window_do from t; select 'dodo'"), ["Q", "p"]);
        for all in [
            &b"do $$ begin execute 'decl' || 'are p cursor for select 2'; end $$"[..],
            b"\x0bDO 'begin end'",
            b"select 1;do 'begin end'",
            b"declare",
            b"declare \xff cursor",
        ] {
            assert!(bound(all).is_empty(), "{}", String::from_utf8_lossy(all));
        }
    }

    #[test]
    fn names_of_sql_are_described_by_their_name() {
        let mut names = Names::default();
        let _ = names.bind(&Bytes::new(), &Bytes::from_static(b"a\"b"), none());
        assert_eq!(names.execute(&Bytes::new()).0, "execute \"a\"\"b\"");
        assert_eq!(names.execute(&NAME).0, "fetch all from \"s\"");
    }

    #[test]
    fn there_is_a_limit() {
        let mut names = Names::default();
        let name = |number: usize| Bytes::from(number.to_string());
        for number in 0..MOST {
            names.prepare(&name(number), &NAME).expect("within the limit");
        }
        assert!(names.prepare(&name(MOST), &NAME).is_err());
        names.prepare(&name(0), &NAME).expect("replaces one");
    }
}
