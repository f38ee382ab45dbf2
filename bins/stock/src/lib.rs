//! What the stock programs have in common, and the libraries leave to who embeds them: the runtime that they work on, and how
//! they log and trace.

pub mod log;
mod runtime;
mod trace;

pub use runtime::runtime;
pub use trace::{Traces, continue_trace, traceparent};
