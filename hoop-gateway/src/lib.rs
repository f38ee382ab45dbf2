//! The gateway: doors, policy, plugins, proxies, recordings, and the API, behind one builder.

pub mod config;
pub mod plugins;
pub mod record;
pub mod tunnel;
