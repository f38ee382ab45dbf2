//! Cursors and prepared statements that a session made in SQL: what FETCH and EXECUTE give of them.
//!
//! Which of the texts under a name is the one that runs, only the server knows: one may have failed, and another may be gone. So all of
//! them are what it may be, and where there may be still others nobody knows.

use std::collections::HashMap;

use bytes::{BufMut as _, Bytes, BytesMut};
use pg_query::NodeEnum;
use pg_query::protobuf::Node;

/// Most names, most texts of one, and how long each may be, in bytes.
const NAMES: usize = 32;
const TEXTS: usize = 4;
const LONGEST: usize = 8 << 10;

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Cursor,
    Prepared,
}

/// Until when names may stand for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Until {
    /// Until the transaction ends, and with it what is not held.
    Transaction,
    Session,
}

/// Texts by what they made, and its name.
#[derive(Debug, Default)]
pub(super) struct InSql {
    texts: HashMap<(Kind, String), Vec<Bytes>>,
    lost: HashMap<Kind, Until>,
}

impl InSql {
    /// Takes note of a text that makes a cursor or prepared statement, with whatever else it does.
    pub(super) fn note(&mut self, kind: Kind, name: &str, text: &[u8]) {
        let made = (kind, name.to_owned());
        let has_room = self.texts.len() < NAMES || self.texts.contains_key(&made);
        if text.len() > LONGEST || !has_room || self.lost.contains_key(&kind) {
            return self.lose(kind, until(kind, text));
        }
        let texts = self.texts.entry(made).or_default();
        if texts.iter().any(|known| known == text) {
            return;
        }
        if texts.len() < TEXTS { texts.push(Bytes::copy_from_slice(text)) } else { self.lose(kind, until(kind, text)) }
    }

    /// Names of this kind may stand for anything from now on.
    pub(super) fn lose(&mut self, kind: Kind, least: Until) {
        let dropped = self.texts.extract_if(|(of, _), _| *of == kind).flat_map(|(_, texts)| texts);
        let longest = dropped.map(|text| until(kind, &text)).max().map_or(least, |until| until.max(least));
        let lost = self.lost.entry(kind).or_insert(longest);
        *lost = longest.max(*lost);
    }

    /// The transaction is over, and with it every cursor that is not held.
    pub(super) fn end_transaction(&mut self) {
        self.lost.retain(|_, until| *until == Until::Session);
        self.texts.retain(|(kind, _), texts| {
            texts.retain(|text| until(*kind, text) == Until::Session);
            !texts.is_empty()
        });
    }

    /// All that a FETCH or an EXECUTE may give, as the texts that it was made with; `None` where the text is none, or that is not
    /// known.
    pub(super) fn meant(&self, text: &[u8]) -> Option<Bytes> {
        let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word));
        // What is quoted depends on how the server reads a backslash.
        if self.texts.is_empty() || !(begins(b"fetch") || begins(b"execute")) || text.contains(&b'\\') {
            return None;
        }
        let parsed = pg_query::parse(std::str::from_utf8(text).ok()?, 0).ok()?;
        let [statement] = parsed.protobuf.stmts.as_slice() else { return None };
        let made = match statement.stmt.as_ref()?.node.as_ref()? {
            NodeEnum::FetchStmt(fetch) => (Kind::Cursor, fetch.portalname.clone()),
            NodeEnum::ExecuteStmt(execute) if execute.params.iter().all(is_constant) => {
                (Kind::Prepared, execute.name.clone())
            }
            _ => return None,
        };
        let mut all = BytesMut::new();
        for text in self.texts.get(&made)? {
            all.extend_from_slice(text);
            all.put_slice(b"\n;");
        }
        Some(all.freeze())
    }
}

/// How long what a text makes may be there.
fn until(kind: Kind, text: &[u8]) -> Until {
    let holds = || text.windows(4).any(|word| word.eq_ignore_ascii_case(b"hold"));
    if kind == Kind::Prepared || holds() { Until::Session } else { Until::Transaction }
}

fn is_constant(parameter: &Node) -> bool {
    match &parameter.node {
        Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_ref().is_some_and(|of| is_constant(of)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_all_that_it_may_be() {
        let mut made = InSql::default();
        let meant = |made: &InSql, text: &str| {
            made.meant(text.as_bytes()).map(|texts| String::from_utf8_lossy(&texts).into_owned())
        };
        made.note(Kind::Cursor, "c", b"declare c cursor for select 1");
        made.note(Kind::Prepared, "c", b"prepare c as select 2");
        let first = Some("declare c cursor for select 1\n;".to_owned());
        assert_eq!(meant(&made, "fetch all from c"), first);
        assert_eq!(meant(&made, "FETCH C"), first);
        assert_eq!(meant(&made, "execute c (1, '2', '3'::int, $1)").as_deref(), Some("prepare c as select 2\n;"));
        for other in [
            "fetch all from \"C\"",
            "execute c ('a\\b')",
            "execute c (f())",
            "execute d",
            "fetch c; select 1",
            "fetchall",
            "select 1",
        ] {
            assert_eq!(meant(&made, other), None, "{other}");
        }
        made.note(Kind::Cursor, "c", b"declare c cursor for select 1");
        made.note(Kind::Cursor, "c", b"declare c cursor for select 3");
        let both = "declare c cursor for select 1\n;declare c cursor for select 3\n;";
        assert_eq!(meant(&made, "fetch c").as_deref(), Some(both));
        for number in 0..TEXTS {
            made.note(Kind::Cursor, "c", format!("declare c cursor for select {number} + 1").as_bytes());
        }
        assert_eq!(meant(&made, "fetch c"), None, "too many");
        made.note(Kind::Cursor, "d", b"declare d cursor for select 1");
        assert_eq!(meant(&made, "fetch d"), None, "any may be gone by then");
        assert!(meant(&made, "execute c").is_some(), "others are what they were");
        made.note(Kind::Prepared, "long", &[b'x'; LONGEST + 1]);
        assert_eq!(meant(&made, "execute c"), None);
    }

    #[test]
    fn a_cursor_that_is_not_held_ends_with_its_transaction() {
        let is_known = |made: &InSql, name: &str| made.meant(format!("fetch {name}").as_bytes()).is_some();
        let (plain, held) = (b"declare c cursor for select 1", b"declare h cursor WITH HOLD for select 1");
        let mut made = InSql::default();
        made.note(Kind::Cursor, "c", plain);
        made.note(Kind::Cursor, "h", held);
        made.note(Kind::Prepared, "c", b"prepare c as select 2");
        made.end_transaction();
        assert!(!is_known(&made, "c") && is_known(&made, "h") && made.meant(b"execute c").is_some());

        let mut made = InSql::default();
        made.note(Kind::Cursor, "c", plain);
        made.lose(Kind::Cursor, Until::Transaction);
        made.note(Kind::Cursor, "c", plain);
        assert!(!is_known(&made, "c"));
        made.end_transaction();
        made.note(Kind::Cursor, "c", plain);
        assert!(is_known(&made, "c"));
        // What is held may have the name of what comes later.
        for lose in [
            |made: &mut InSql| made.lose(Kind::Cursor, Until::Transaction),
            |made: &mut InSql| {
                made.lose(Kind::Cursor, Until::Transaction);
                made.note(Kind::Cursor, "h", b"declare h cursor with hold for select 1");
            },
        ] {
            let mut made = InSql::default();
            made.note(Kind::Cursor, "h", held);
            lose(&mut made);
            made.end_transaction();
            made.note(Kind::Cursor, "h", plain);
            assert!(!is_known(&made, "h"));
        }
    }
}
