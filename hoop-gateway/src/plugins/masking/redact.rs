//! What a client sends, made fit to be kept.

use std::sync::Arc;

use bytes::Bytes;
use hoop_core::{Format, Parameters, RowBatch, RowError};

use super::batch::Scratch;
use super::mask::{Masked, Masker};
use super::plan::Plan;
use super::types::Shape;

/// Redacts statements, parameters and copied rows before they are recorded, with the detectors of the role. It is made
/// for one session and cheap to clone.
#[derive(Debug, Clone)]
pub struct Redactor {
    masker: Arc<Masker>,
}

impl Redactor {
    pub(crate) fn new(masker: Arc<Masker>) -> Self {
        Self { masker }
    }

    /// A statement's text. Nothing found: the same bytes, not copied.
    pub fn statement(&self, text: &Bytes) -> Bytes {
        self.masker.message(text)
    }

    /// A parameter, `None` for NULL. Its type is not known; in binary form it is read as what it turns out to be.
    pub fn parameter(&self, value: &Bytes, format: Format) -> Option<Bytes> {
        match self.masker.value(value, Shape::Other, 0, format) {
            Masked::Same => Some(value.clone()),
            Masked::As(shown) => shown,
        }
    }

    /// All parameters.
    pub fn parameters(&self, parameters: &Parameters) -> Parameters {
        let redact =
            |(index, value): (usize, &Option<Bytes>)| self.parameter(value.as_ref()?, parameters.format(index));
        Parameters {
            values: parameters.values.iter().enumerate().map(redact).collect(),
            formats: parameters.formats.clone(),
        }
    }

    /// Rows that a client copies in.
    ///
    /// # Errors
    /// [`RowError`] when the bytes are not rows.
    pub fn rows(&self, batch: &mut RowBatch) -> Result<(), RowError> {
        let plan = Plan::searched(batch.columns());
        Scratch::default().mask(batch, &plan, &self.masker)
    }
}
