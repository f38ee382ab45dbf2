//! Services that speak HTTP, through the gateway: as browsers, programs and `hoop` reach them.

mod browser;
mod bulk;
mod cli;
mod clients;
mod grpc;
mod identity;
mod isolation;
mod services;
mod site;
mod smuggling;
mod stand;
mod tokens;
mod trouble;
mod websocket;

use stand::*;
pub(crate) use stand::{Client, unmasked};
