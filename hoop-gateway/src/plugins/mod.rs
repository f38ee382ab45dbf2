//! The plugins that come with the gateway.

pub mod audit;
pub mod guardrail;
pub mod masking;
mod percent;
