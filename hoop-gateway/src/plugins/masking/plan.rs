//! What is done with each column of a result, decided once when the result begins.

use std::sync::Arc;

use hoop_core::response::rows::Cells;
use hoop_core::{Code, Column, Denial, Format, Label};

use super::action::Action;
use super::reads::Remembered;
use super::rules::{ColumnRule, UnknownOrigin};
use super::types::{Shape, neutral, shape};

/// What is done with a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// Nothing can be in it.
    None,
    /// It is searched.
    Search,
    /// It is masked whole.
    Whole(Action, Label),
}

/// A column of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) treatment: Treatment,
    pub(crate) shape: Shape,
    pub(crate) type_oid: u32,
    pub(crate) format: Format,
}

impl Planned {
    /// A column that the protocol did not describe.
    const UNKNOWN: Self = Self { treatment: Treatment::Search, shape: Shape::Other, type_oid: 0, format: Format::Text };

    /// Whether what it holds cannot be seen in the bytes of the batch, so that each cell must be read.
    pub(crate) fn needs_each(&self) -> bool {
        match (&self.treatment, self.shape, self.format) {
            (Treatment::Whole(..), ..) | (Treatment::Search, Shape::Inet, _) => true,
            (Treatment::Search, Shape::Number, Format::Binary) | (Treatment::Search, Shape::Bytea, Format::Text) => {
                true
            }
            // Within arrays and records there may be such values too.
            (Treatment::Search, Shape::Other, Format::Binary) => true,
            _ => false,
        }
    }
}

/// The plan of a result.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) columns: Arc<[Column]>,
    /// The text, where it had a say.
    text: Option<blake3::Hash>,
    planned: Vec<Planned>,
}

impl Plan {
    /// Plans a result under these rules, which all apply to the principal.
    ///
    /// # Errors
    /// A [`Denial`] when a rule refuses what it cannot trace.
    pub(crate) fn new(
        columns: &Arc<[Column]>,
        text: &[u8],
        remembered: &mut Remembered,
        rules: &[ColumnRule],
        search: bool,
    ) -> Result<Self, Denial> {
        // Most results are of tables' columns alone, and their texts need not be read.
        let mut reads = None;
        let planned = columns.iter().enumerate().map(|(at, column)| {
            plan(column, rules, search, |rule| {
                let reads = reads.get_or_insert_with(|| remembered.of(text));
                rule.may_be_in(&reads.column(at, columns.len()))
            })
        });
        let planned = planned.collect::<Result<_, _>>()?;
        Ok(Self { columns: columns.clone(), text: reads.map(|_| blake3::hash(text)), planned })
    }

    /// Whether it is the plan of a result with these columns of this text.
    pub(crate) fn is_of(&self, columns: &Arc<[Column]>, text: &[u8]) -> bool {
        Arc::ptr_eq(&self.columns, columns) && self.text.is_none_or(|decided| decided == blake3::hash(text))
    }

    /// Searches every column.
    pub(crate) fn searched(columns: &Arc<[Column]>) -> Self {
        let planned = columns.iter().map(|column| Planned {
            treatment: Treatment::Search,
            shape: shape(column.type_oid),
            type_oid: column.type_oid,
            format: column.format,
        });
        Self { columns: columns.clone(), text: None, planned: planned.collect() }
    }

    /// What is done with the column; one that was not described is searched.
    pub(crate) fn column(&self, column: usize) -> &Planned {
        self.planned.get(column).unwrap_or(&Planned::UNKNOWN)
    }

    /// Whether anything is to be done.
    pub(crate) fn is_active(&self) -> bool {
        self.planned.is_empty() || self.planned.iter().any(|column| column.treatment != Treatment::None)
    }

    /// Whether a column that is masked whole is where the plan has it: in every row there are as many cells as columns. A row
    /// without any is the end of a COPY.
    pub(crate) fn fits(&self, cells: &Cells<'_>) -> bool {
        let is_whole = |column: &Planned| matches!(column.treatment, Treatment::Whole(..));
        let counts = || (0..cells.rows()).map(|row| cells.columns(row));
        !self.planned.iter().any(is_whole) || counts().all(|count| count == 0 || count == self.planned.len())
    }

    /// The columns of which each cell must be read.
    pub(crate) fn each(&self) -> impl Iterator<Item = (usize, &Planned)> {
        self.planned.iter().enumerate().filter(|(_, column)| column.needs_each())
    }

    /// Whether escapes in the text can hide something.
    pub(crate) fn has_escapes(&self) -> bool {
        self.planned.iter().any(|column| column.shape == Shape::Json && column.treatment == Treatment::Search)
    }
}

fn plan(
    column: &Column,
    rules: &[ColumnRule],
    search: bool,
    mut may_be_in: impl FnMut(&ColumnRule) -> bool,
) -> Result<Planned, Denial> {
    let shape = shape(column.type_oid);
    let mut treatment = if search && shape != Shape::Fixed { Treatment::Search } else { Treatment::None };
    for rule in rules {
        if matches(rule, column, &mut may_be_in)? {
            // What stands for a number or a time would be taken for what was computed.
            let is_computed = is_expression(column) && !matches!(shape, Shape::Text | Shape::Json | Shape::Inet);
            let has_neutral = is_computed && neutral(column.type_oid, column.format).is_some();
            let action = if has_neutral { Action::Null } else { rule.action() };
            treatment = Treatment::Whole(action, Label::from(Arc::from(rule.label())));
            break;
        }
    }
    Ok(Planned { treatment, shape, type_oid: column.type_oid, format: column.format })
}

/// Whether it is a statement's or a view's own, and no column of a table.
fn is_expression(column: &Column) -> bool {
    let Some(table) = &column.table else { return true };
    table.names.as_ref().is_some_and(|names| !names.traced || !names.computed_from.is_empty())
}

fn matches(rule: &ColumnRule, column: &Column, may_be_in: impl FnOnce(&ColumnRule) -> bool) -> Result<bool, Denial> {
    if let Some(matches) = column.table.as_ref().and_then(|table| rule.matches(table)) {
        return Ok(matches);
    }
    let within = column.table.as_ref().and_then(|table| table.names.as_ref());
    let has_name =
        || rule.matches_name(&column.name) || within.is_some_and(|names| rule.matches_name(names.column.as_bytes()));
    match rule.unknown {
        UnknownOrigin::MaskAll => Ok(true),
        UnknownOrigin::Deny => Err(if column.name.is_empty() { untraceable_copy(rule) } else { untraceable(rule) }),
        // Only a COPY that could not be asked about has columns without a name.
        _ if column.name.is_empty() => Err(untraceable_copy(rule)),
        // What an expression of a view is made of, is in the view and not in the text.
        UnknownOrigin::MaskIfRead => Ok(within.is_some() || has_name() || may_be_in(rule)),
        UnknownOrigin::MaskSameName => Ok(has_name()),
    }
}

fn untraceable_copy(rule: &ColumnRule) -> Denial {
    let reason = format!(
        "the columns of this COPY cannot be traced to their table, and the rule for {} masks what comes from there",
        rule.column
    );
    Denial::new("masking", Code::MaskingFailed, reason)
        .hint("send the COPY on its own, without other statements in its text; if it is, name its columns")
}

fn untraceable(rule: &ColumnRule) -> Denial {
    let reason = format!(
        "a column of the result cannot be traced to its table, and the rule for {} masks what comes from there",
        rule.column
    );
    Denial::new("masking", Code::MaskingFailed, reason)
        .hint("select the table's columns by name, without expressions over them")
}
