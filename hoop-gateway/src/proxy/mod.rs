//! Proxies: what flows between a client and a target. One pump moves the bytes; one state machine a protocol knows what
//! they mean, turns them into requests and responses for the chain, and forwards what nobody changes as it came.

mod chain;
pub(crate) mod http;
pub(crate) mod postgres;
mod pump;
pub(crate) mod ssh;

pub(crate) use pump::{Outbox, Relay, Stop, expired, run};
