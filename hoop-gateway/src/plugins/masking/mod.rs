//! Masking: what must not be seen is replaced on its way to the client.
//!
//! [`detect`] finds values by what they look like, [`MaskingRules`] names columns and says what is done, [`Masking`] does
//! it in the chain, and a [`Redactor`] does it to what is recorded. What programs write is searched as a stream (`stream`),
//! and what is said over HTTP by what it is (`http`). Detection is a leak reducer and no wall against who may
//! write any SQL; column rules hold for the column that values come from, whatever a statement calls it.

mod action;
mod batch;
mod counts;
pub mod detect;
mod fields;
mod http;
mod mask;
mod plan;
mod plugin;
mod reads;
mod redact;
mod rules;
mod stream;
#[cfg(test)]
mod tests;
mod types;

/// The plugin's name.
const NAME: &str = "masking";

pub use action::{Action, MaskingKey};
pub use counts::{MaskCounts, SessionCounts};
pub use http::{BinaryMessages, FieldRule, GrpcRules, Unread};
pub use plugin::Masking;
pub use redact::Redactor;
pub use rules::{ColumnRule, MaskingRules, UnknownOrigin};
