//! The gateway: doors, policy, plugins, proxies, recordings, and the API, behind one builder.

pub mod api;
pub mod auth;
pub mod config;
pub mod listen;
pub mod plugins;
mod proxy;
pub mod record;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod tunnel;
