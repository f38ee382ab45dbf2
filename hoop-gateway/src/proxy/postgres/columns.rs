//! The columns of results, remembered: a statement that is run again has the very same `Arc`, so that plugins plan once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hoop_core::{Column, Format};
use hoop_proto::postgres::{Frame, FrameError, backend};

use super::origin::Names;

/// Descriptions that are remembered.
const REMEMBERED: usize = 8;
/// Longest description that is remembered, in bytes.
const LONGEST: usize = 4 * 1024;
/// For how long looked-up names hold.
const FRESH: Duration = Duration::from_secs(30);

/// Descriptions of a session's latest results.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: Vec<Known>,
    next: usize,
}

#[derive(Debug)]
struct Known {
    description: Bytes,
    columns: Arc<[Column]>,
    named: Option<(Arc<[Column]>, Instant)>,
}

impl Memory {
    /// The columns that a RowDescription describes.
    pub(super) fn columns(&mut self, description: &Frame) -> Result<Arc<[Column]>, FrameError> {
        if let Some(known) = self.known.iter().find(|known| known.description == description.bytes()) {
            return Ok(Arc::clone(&known.columns));
        }
        let columns: Arc<[Column]> = backend::row_description(description)?.into_iter().map(compact).collect();
        if description.bytes().len() <= LONGEST {
            let description = Bytes::copy_from_slice(description.bytes());
            self.remember(Known { description, columns: Arc::clone(&columns), named: None });
        }
        Ok(columns)
    }

    /// The columns with the names of their tables, when those are remembered and fresh.
    pub(super) fn named(&self, columns: &Arc<[Column]>, now: Instant) -> Option<Arc<[Column]>> {
        let known = self.known.iter().find(|known| Arc::ptr_eq(&known.columns, columns))?;
        let (named, at) = known.named.as_ref()?;
        (now.saturating_duration_since(*at) < FRESH).then(|| Arc::clone(named))
    }

    /// Remembers the names, and gives the columns with them.
    pub(super) fn name(&mut self, columns: &Arc<[Column]>, names: &Names, now: Instant) -> Arc<[Column]> {
        let named: Arc<[Column]> = columns.iter().cloned().map(|column| names.fill(column)).collect();
        if let Some(known) =
            self.known.iter_mut().find(|known| names.are_lasting() && Arc::ptr_eq(&known.columns, columns))
        {
            // The same names again keep the same `Arc`, and with it every plugin's plan.
            if let Some((before, at)) = known.named.as_mut().filter(|(before, _)| *before == named) {
                *at = now;
                return Arc::clone(before);
            }
            known.named = Some((Arc::clone(&named), now));
        }
        named
    }

    fn remember(&mut self, known: Known) {
        match self.known.get_mut(self.next) {
            Some(place) => *place = known,
            None => self.known.push(known),
        }
        self.next = (self.next + 1) % REMEMBERED;
    }
}

/// The columns with cells that are written in this format, where one is given.
pub(super) fn written(columns: Arc<[Column]>, format: Option<Format>) -> Arc<[Column]> {
    match format {
        Some(format) if columns.iter().any(|column| column.format != format) => {
            columns.iter().map(|column| Column { format, ..column.clone() }).collect()
        }
        _ => columns,
    }
}

/// The column with a name of its own, which does not keep the received buffer alive.
fn compact(column: Column) -> Column {
    Column { name: Bytes::copy_from_slice(&column.name), ..column }
}
