//! Services that speak HTTP, through the gateway: as browsers, programs and `hoop` reach them.

mod browser;
mod bulk;
mod clients;
mod grpc;
mod isolation;
mod services;
mod site;
mod stand;
mod tokens;
mod trouble;
mod websocket;

use stand::*;
