//! What the relations of a database show of each other, as far as its catalog says it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use hoop_core::response::ColumnNames;
use hoop_core::{Column, RowBatch, StatementId, TableColumn};
use hoop_proto::postgres::indirect::{is_function, is_relation};
use hoop_proto::postgres::rows::DataRows;
use hoop_proto::postgres::{Frame, backend};

/// Numbers below are of what the server came with (`FirstNormalObjectId`).
const FIRST_OF_USERS: u32 = 16384;

/// How deep views and partitions may lie, and how many columns beneath one are looked at.
const DEEPEST: usize = 32;
const MOST_BENEATH: usize = 4096;

/// Names of table columns, by table and number.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: HashMap<(u32, i16), Arc<ColumnNames>>,
    has_views: bool,
}

impl Names {
    /// The column with the names of its origin, where they are known.
    pub(super) fn fill(&self, mut column: Column) -> Column {
        if let Some(TableColumn { table_oid, attribute, names }) = &mut column.table {
            *names = self.names.get(&(*table_oid, *attribute)).cloned();
        }
        column
    }

    /// Whether they hold for a while: what a view shows can be changed at any time.
    pub(super) const fn are_lasting(&self) -> bool {
        !self.has_views
    }
}

/// What was found out so far.
#[derive(Debug, Default)]
pub(super) struct Relations {
    known: HashMap<u32, Relation>,
    asked: HashSet<u32>,
}

#[derive(Debug)]
struct Relation {
    schema: Box<str>,
    name: Box<str>,
    columns: BTreeMap<i16, Box<str>>,
    /// The tables that it is a partition of, or inherits from.
    parents: Vec<u32>,
    shows: Shows,
    /// What a view reads.
    reads: Reads,
}

/// What the expressions of a view may be made of.
#[derive(Debug, Default)]
struct Reads {
    /// Columns by table and number; 0 for all of them.
    columns: BTreeSet<(u32, i16)>,
    /// Whether some are read as a whole row. The catalog does not say of which table.
    rows: bool,
    /// Whether it may read what the catalog does not say: with functions that are the database's own, or that run a text, and of
    /// what is the server's own.
    opaque: bool,
}

/// What the columns of a relation show.
#[derive(Debug)]
enum Shows {
    /// A table's own values.
    Itself,
    /// What this statement gives.
    Statement(Bytes),
    /// For each column the one that it is read from, where it is no expression.
    Columns(Vec<Option<(u32, i16)>>),
}

/// The statements that ask about relations. Every name and every operator is qualified, and numbers are all that is put in: the
/// settings of the login must not decide what they mean.
pub(super) fn about(relations: &[u32]) -> String {
    let list = relations.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let relations = "'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid";
    let among = format!("operator(pg_catalog.=) any ('{{{list}}}'::pg_catalog.oid[])");
    format!(
        "select c.oid, a.attnum, n.nspname, c.relname, a.attname, c.relkind from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
         join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid \
         where a.attnum operator(pg_catalog.>) 0 and c.oid {among}; \
         select c.oid, pg_catalog.pg_get_viewdef(c.oid) from pg_catalog.pg_class c \
         where c.relkind operator(pg_catalog.=) any ('{{v,m}}'::pg_catalog.\"char\"[]) and c.oid {among}; \
         select i.inhrelid, i.inhparent from pg_catalog.pg_inherits i where i.inhrelid {among}; \
         select c.oid, d.refobjid, d.refobjsubid, d.refclassid operator(pg_catalog.<>) {relations} from pg_catalog.pg_class c \
         join pg_catalog.pg_rewrite r on r.ev_class operator(pg_catalog.=) c.oid \
         join pg_catalog.pg_depend d on d.classid operator(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid \
         and d.objid operator(pg_catalog.=) r.oid and d.refobjid operator(pg_catalog.<>) c.oid \
         where (d.refclassid operator(pg_catalog.=) {relations} or d.refobjid operator(pg_catalog.>=) {FIRST_OF_USERS}::pg_catalog.oid \
         and d.refclassid operator(pg_catalog.=) any ('{{pg_catalog.pg_proc,pg_catalog.pg_operator}}'::pg_catalog.regclass[]::pg_catalog.oid[])) and c.oid {among}"
    )
}

impl Relations {
    /// Takes note of what [`about`] these relations was answered; `None` when that is no answer.
    pub(super) fn add(&mut self, relations: &[u32], answer: &[Frame]) -> Option<()> {
        self.asked.extend(relations);
        let mut number = 0;
        for frame in answer {
            match frame.tag() {
                backend::DATA_ROW => self.row(number, frame.bytes())?,
                backend::COMMAND_COMPLETE => number += 1,
                backend::ERROR_RESPONSE => return None,
                _ => {}
            }
        }
        (number == 4).then_some(())
    }

    fn row(&mut self, number: usize, row: &Bytes) -> Option<()> {
        let mut batch = RowBatch::new(StatementId(0), Arc::from([]), Arc::new(DataRows), row.clone(), 1);
        let cells = batch.cells().ok()?;
        let text = |column| std::str::from_utf8(cells.get(0, column)??).ok();
        let oid: u32 = text(0)?.parse().ok()?;
        match number {
            0 => {
                let is_view = matches!(text(5)?, "v" | "m");
                let relation = self.known.entry(oid).or_insert_with(|| Relation {
                    schema: text(2).unwrap_or_default().into(),
                    name: text(3).unwrap_or_default().into(),
                    columns: BTreeMap::new(),
                    parents: Vec::new(),
                    // A view shows nothing that is known until its definition says so.
                    shows: if is_view { Shows::Columns(Vec::new()) } else { Shows::Itself },
                    reads: Reads::default(),
                });
                relation.columns.insert(text(1)?.parse().ok()?, text(4)?.into());
            }
            1 => {
                let definition = text(1)?;
                let view = self.known.get_mut(&oid)?;
                view.reads.rows = definition.contains(".*");
                view.reads.opaque |= words(definition).any(|word| is_function(word) || is_relation(word));
                view.shows = Shows::Statement(Bytes::copy_from_slice(definition.as_bytes()));
            }
            2 => self.known.get_mut(&oid)?.parents.push(text(1)?.parse().ok()?),
            _ if text(3)? == "t" => self.known.get_mut(&oid)?.reads.opaque = true,
            _ => {
                let column = (text(1)?.parse().ok()?, text(2)?.parse().ok()?);
                self.known.get_mut(&oid)?.reads.columns.insert(column);
            }
        }
        Some(())
    }

    /// The views whose definitions are to be described.
    pub(super) fn undescribed(&self) -> Vec<(u32, Bytes)> {
        let undescribed = self.known.iter().filter_map(|(oid, relation)| match &relation.shows {
            Shows::Statement(definition) => Some((*oid, definition.clone())),
            _ => None,
        });
        undescribed.collect()
    }

    /// Takes note of how the definition of a view was described.
    pub(super) fn describe(&mut self, view: u32, answer: &[Frame]) {
        let description = answer.iter().find(|frame| frame.tag() == backend::ROW_DESCRIPTION);
        let columns = description.and_then(|frame| backend::row_description(frame).ok()).unwrap_or_default();
        let from = columns.into_iter().map(|column| column.table.map(|table| (table.table_oid, table.attribute)));
        if let Some(relation) = self.known.get_mut(&view) {
            relation.shows = Shows::Columns(from.collect());
        }
    }

    /// Relations that others are read from, and of which nothing was asked yet.
    pub(super) fn missing(&self) -> Vec<u32> {
        let beneath = self.known.values().flat_map(|relation| {
            let shown: &[_] = if let Shows::Columns(columns) = &relation.shows { columns } else { &[] };
            let read = relation.reads.columns.iter();
            shown.iter().flatten().chain(read).map(|(oid, _)| *oid).chain(relation.parents.iter().copied())
        });
        let missing: HashSet<u32> = beneath.filter(|oid| !self.asked.contains(oid)).collect();
        missing.into_iter().collect()
    }

    /// The names of all columns of these relations, and of their rows as a whole.
    pub(super) fn names(&self, relations: &[u32]) -> Names {
        let mut names = HashMap::new();
        for oid in relations {
            let columns = self.known.get(oid).into_iter().flat_map(|relation| relation.columns.keys().copied());
            for attribute in columns.chain([0]) {
                if let Some(mut named) = self.named(*oid, attribute) {
                    let mut found = Found::default();
                    named.traced = self.walk(*oid, attribute, 0, &mut found);
                    (named.beneath, named.computed_from) = (found.shown.into(), found.computed.into());
                    names.insert((*oid, attribute), Arc::new(named));
                }
            }
        }
        let has_views = self.known.values().any(|relation| !matches!(relation.shows, Shows::Itself));
        Names { names, has_views }
    }

    fn named(&self, oid: u32, attribute: i16) -> Option<ColumnNames> {
        let relation = self.known.get(&oid)?;
        let column = if attribute == 0 { Some("") } else { relation.columns.get(&attribute).map(|name| &**name) };
        Some(ColumnNames::new(relation.schema.clone(), relation.name.clone(), column?))
    }

    /// Adds the columns whose values this one shows or is made of, and says whether these are all.
    fn walk(&self, oid: u32, attribute: i16, depth: usize, found: &mut Found) -> bool {
        let Some(relation) = self.known.get(&oid).filter(|_| depth < DEEPEST && found.len() < MOST_BENEATH) else {
            return false;
        };
        let below = |oid: u32, attribute: i16, found: &mut Found| {
            let is_known = self.named(oid, attribute).map(|named| found.add(named)).is_some();
            is_known && self.walk(oid, attribute, depth + 1, found)
        };
        if attribute == 0 {
            let mut traced = true;
            for column in relation.columns.keys() {
                traced &= below(oid, *column, found);
            }
            return traced;
        }
        let Some(name) = relation.columns.get(&attribute) else { return false };
        let mut traced = match &relation.shows {
            Shows::Itself => true,
            Shows::Statement(_) => false,
            Shows::Columns(columns) => {
                let column = usize::try_from(attribute - 1).ok().and_then(|at| columns.get(at));
                match column {
                    Some(Some((oid, attribute))) => below(*oid, *attribute, found),
                    Some(None) => self.compute(&relation.reads, found, below),
                    None => false,
                }
            }
        };
        for parent in &relation.parents {
            let Some(columns) = self.known.get(parent).map(|parent| &parent.columns) else { return false };
            // A column of the partition alone is nothing to its table.
            if let Some((attribute, _)) = columns.iter().find(|(_, column)| *column == name) {
                traced &= below(*parent, *attribute, found);
            }
        }
        traced
    }

    /// Adds what an expression may be made of.
    fn compute(&self, reads: &Reads, found: &mut Found, mut below: impl FnMut(u32, i16, &mut Found) -> bool) -> bool {
        let is_within = std::mem::replace(&mut found.computes, true);
        let mut traced = !reads.opaque;
        // A table as such is among what is read, too.
        for (oid, attribute) in reads.columns.iter().filter(|(_, attribute)| *attribute != 0 || reads.rows) {
            traced &= below(*oid, *attribute, found);
        }
        found.computes = is_within;
        traced
    }
}

/// The names in a definition.
fn words(definition: &str) -> impl Iterator<Item = &str> {
    definition.split(|char: char| !char.is_alphanumeric() && char != '_')
}

/// Columns that were found beneath another.
#[derive(Default)]
struct Found {
    shown: Vec<ColumnNames>,
    computed: Vec<ColumnNames>,
    /// Whether what is found now is a part of an expression.
    computes: bool,
}

impl Found {
    fn add(&mut self, column: ColumnNames) {
        let columns = if self.computes { &mut self.computed } else { &mut self.shown };
        columns.push(column);
    }

    fn len(&self) -> usize {
        self.shown.len() + self.computed.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(name: &str, columns: &[&str], shows: Shows) -> Relation {
        let columns = (1..).zip(columns.iter().map(|column| Box::from(*column))).collect();
        let (schema, name) = ("public".into(), name.into());
        Relation { schema, name, columns, parents: Vec::new(), shows, reads: Reads::default() }
    }

    fn named(relations: &Relations, oid: u32, attribute: i16) -> Arc<ColumnNames> {
        relations.names(&[oid]).names.get(&(oid, attribute)).expect("a column").clone()
    }

    fn listed(columns: &[ColumnNames]) -> Vec<String> {
        columns.iter().map(|named| format!("{}.{}", named.table, named.column)).collect()
    }

    fn shown(relations: &Relations, oid: u32, attribute: i16) -> (Vec<String>, bool) {
        let named = named(relations, oid, attribute);
        (listed(&named.beneath), named.traced)
    }

    fn computed(relations: &Relations, oid: u32, attribute: i16) -> (Vec<String>, bool) {
        let named = named(relations, oid, attribute);
        (listed(&named.computed_from), named.traced)
    }

    #[test]
    fn values_are_followed_to_their_tables() {
        let mut relations = Relations::default();
        relations.known.insert(1, relation("customers", &["id", "ssn"], Shows::Itself));
        let through = Shows::Columns(vec![Some((1, 2)), None, Some((1, 0))]);
        relations.known.insert(2, relation("view", &["x", "computed", "whole"], through));
        relations.known.insert(3, relation("above", &["y"], Shows::Columns(vec![Some((2, 1))])));
        let mut part = relation("part", &["ssn", "own"], Shows::Itself);
        part.parents.push(1);
        relations.known.insert(4, part);
        relations.known.insert(5, relation("lost", &["z"], Shows::Columns(vec![Some((9, 1))])));
        relations.known.insert(6, relation("loop", &["l"], Shows::Columns(vec![Some((6, 1))])));

        assert_eq!(shown(&relations, 1, 2), (vec![], true));
        assert_eq!(shown(&relations, 1, 0), (vec!["customers.id".into(), "customers.ssn".into()], true));
        assert_eq!(shown(&relations, 2, 1), (vec!["customers.ssn".into()], true));
        assert_eq!(shown(&relations, 2, 2), (vec![], true), "an expression of nothing");
        let whole: Vec<String> = ["customers.", "customers.id", "customers.ssn"].map(str::to_owned).into();
        assert_eq!(shown(&relations, 2, 3), (whole, true));
        assert_eq!(shown(&relations, 3, 1), (vec!["view.x".into(), "customers.ssn".into()], true));
        assert_eq!(shown(&relations, 4, 1), (vec!["customers.ssn".into()], true));
        assert_eq!(shown(&relations, 4, 2), (vec![], true));
        assert_eq!(shown(&relations, 5, 1), (vec![], false));
        assert!(!shown(&relations, 6, 1).1);
        assert_eq!(relations.missing().len(), 4, "of 1, 2, 6 and 9 nothing was asked here");
        assert!(relations.names(&[2]).names.len() == 4 && !relations.names(&[2]).are_lasting());
    }

    #[test]
    fn an_expression_is_made_of_what_its_view_reads() {
        let mut relations = Relations::default();
        relations.known.insert(1, relation("customers", &["id", "ssn"], Shows::Itself));
        let mut view = relation("view", &["id", "upper"], Shows::Columns(vec![Some((1, 1)), None]));
        view.reads.columns = [(1, 0), (1, 2)].into();
        relations.known.insert(2, view);
        let mut above = relation("above", &["length"], Shows::Columns(vec![None]));
        above.reads.columns = [(2, 0), (2, 2)].into();
        relations.known.insert(3, above);
        let mut row = relation("row", &["json"], Shows::Columns(vec![None]));
        row.reads = Reads { columns: [(1, 0)].into(), rows: true, opaque: false };
        relations.known.insert(4, row);
        let mut called = relation("called", &["f"], Shows::Columns(vec![None]));
        called.reads.opaque = true;
        relations.known.insert(5, called);

        assert_eq!(computed(&relations, 2, 2), (vec!["customers.ssn".into()], true));
        assert_eq!(computed(&relations, 2, 1), (vec![], true), "the column itself");
        assert_eq!(computed(&relations, 3, 1), (vec!["view.upper".into(), "customers.ssn".into()], true));
        let whole: Vec<String> = ["customers.", "customers.id", "customers.ssn"].map(str::to_owned).into();
        assert_eq!(computed(&relations, 4, 1), (whole, true));
        assert_eq!(computed(&relations, 5, 1), (vec![], false), "a function may show anything");
        assert_eq!(shown(&relations, 2, 2).0, Vec::<String>::new());
    }
}
