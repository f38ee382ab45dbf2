//! Services that speak HTTP, through the gateway: as browsers, programs and `hoop` reach them.

mod across;
mod allowed;
mod autobahn;
mod browser;
mod bulk;
mod canary;
mod cli;
mod clients;
mod grpc;
mod grpc_web;
mod health;
mod identity;
mod isolation;
mod limits;
mod revoked;
mod service;
mod services;
mod site;
mod smuggling;
mod stand;
mod tokens;
mod trouble;
mod websocket;

use stand::*;
pub(crate) use stand::{Client, unmasked};
