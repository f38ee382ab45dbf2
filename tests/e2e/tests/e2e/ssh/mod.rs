//! SSH: OpenSSH's clients and others, through the gateway, to OpenSSH's server.

mod clients;
mod failure;
mod files;
mod forwards;
mod hostile;
mod login;
mod multiplexing;
mod programs;
mod stand;

use stand::*;
