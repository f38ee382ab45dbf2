//! Masking of a batch of rows: one scan over all bytes as they came, and a closer look only at cells in which something
//! may begin.

use bytes::Bytes;
use hoop_core::response::rows::Cells;
use hoop_core::{Hit, RowBatch, RowError};

use super::detect::Anchor;
use super::mask::{Masked, Masker};
use super::plan::{Plan, Planned, Treatment};
use super::types::Shape;

/// What one batch after the other is masked with; its buffers are kept from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    candidates: Vec<(usize, Anchor)>,
    hits: Vec<Hit>,
    edits: Vec<(usize, usize, Option<Bytes>)>,
}

impl Scratch {
    /// Masks a batch.
    ///
    /// # Errors
    /// [`RowError`] when the bytes are not rows. They must not be shown then.
    pub(crate) fn mask(&mut self, batch: &mut RowBatch, plan: &Plan, masker: &Masker) -> Result<(), RowError> {
        batch.apply()?;
        self.edits.clear();
        let cells = batch.cells()?;
        if !plan.fits(&cells) {
            return Err(RowError::new("a row of more or fewer cells than there are columns"));
        }
        self.every_cell(&cells, plan, masker);
        if !masker.detectors.is_empty() {
            if masker.detectors.needs_every_value() || batch.received().len() > masker.max_value_bytes {
                self.searched_cells(&batch.cells()?, plan, masker);
            } else {
                let received = batch.received().clone();
                self.found_cells(&received, &batch.cells()?, plan, masker);
            }
        }
        self.edits.sort_by_key(|(row, column, _)| (*row, *column));
        for (row, column, value) in self.edits.drain(..) {
            batch.replace(row, column, value)?;
        }
        Ok(())
    }

    /// Cells of columns of which each cell must be read.
    fn every_cell(&mut self, cells: &Cells<'_>, plan: &Plan, masker: &Masker) {
        for (column, planned) in plan.each() {
            for row in 0..cells.rows() {
                self.cell(cells, row, column, planned, masker);
            }
        }
    }

    /// All cells that are to be searched, one by one.
    fn searched_cells(&mut self, cells: &Cells<'_>, plan: &Plan, masker: &Masker) {
        for row in 0..cells.rows() {
            for column in 0..cells.columns(row) {
                let planned = plan.column(column);
                if planned.treatment == Treatment::Search && !planned.needs_each() {
                    self.cell(cells, row, column, planned, masker);
                }
            }
        }
    }

    fn found_cells(&mut self, received: &[u8], cells: &Cells<'_>, plan: &Plan, masker: &Masker) {
        for (row, column, _) in cells.escaped() {
            let planned = plan.column(column);
            if planned.treatment == Treatment::Search && !planned.needs_each() {
                self.cell(cells, row, column, planned, masker);
            }
        }
        let mut candidates = std::mem::take(&mut self.candidates);
        masker.detectors.candidates(received, plan.has_escapes(), &mut candidates);
        let mut left = candidates.as_slice();
        let mut row = 0;
        while let Some((at, _)) = left.first() {
            while cells.row_range(row).is_some_and(|range| range.end <= *at) {
                row += 1;
            }
            let Some(range) = cells.row_range(row) else {
                break;
            };
            let (of_row, rest) = left.split_at(left.iter().take_while(|(at, _)| *at < range.end).count());
            left = rest;
            self.row(cells, row, of_row, plan, masker);
        }
        self.candidates = candidates;
    }

    fn row(&mut self, cells: &Cells<'_>, row: usize, candidates: &[(usize, Anchor)], plan: &Plan, masker: &Masker) {
        let mut left = candidates;
        for column in 0..cells.columns(row) {
            let Some(range) = cells.range(row, column) else {
                continue;
            };
            let before = left.iter().take_while(|(at, _)| *at < range.start).count();
            let (_, rest) = left.split_at(before);
            let (inside, rest) = rest.split_at(rest.iter().take_while(|(at, _)| *at < range.end).count());
            left = rest;
            let planned = plan.column(column);
            if !inside.is_empty() && planned.treatment == Treatment::Search && !planned.needs_each() {
                match planned.shape {
                    Shape::Text | Shape::Bytea | Shape::Other => {
                        self.text(cells, row, column, range.start, inside, masker)
                    }
                    _ => self.cell(cells, row, column, planned, masker),
                }
            }
            if left.is_empty() {
                break;
            }
        }
    }

    fn text(
        &mut self,
        cells: &Cells<'_>,
        row: usize,
        column: usize,
        start: usize,
        inside: &[(usize, Anchor)],
        masker: &Masker,
    ) {
        let Some(Some(value)) = cells.get(row, column) else {
            return;
        };
        self.hits.clear();
        masker.detectors.find_at(value, start, inside, &mut self.hits);
        if let Masked::As(shown) = masker.hits(value, &self.hits) {
            self.edits.push((row, column, shown));
        }
    }

    fn cell(&mut self, cells: &Cells<'_>, row: usize, column: usize, planned: &Planned, masker: &Masker) {
        let Some(Some(value)) = cells.get(row, column) else {
            return;
        };
        let Planned { shape, type_oid, format, .. } = *planned;
        match &planned.treatment {
            Treatment::None => {}
            Treatment::Search => {
                if let Masked::As(shown) = masker.value(value, shape, type_oid, format) {
                    self.edits.push((row, column, shown));
                }
            }
            Treatment::Whole(action, label) => {
                self.edits.push((row, column, masker.whole(value, *action, label, shape, type_oid, format)));
            }
        }
    }
}
