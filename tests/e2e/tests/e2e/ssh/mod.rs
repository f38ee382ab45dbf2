//! SSH: OpenSSH's clients and others, through the gateway, to OpenSSH's server.

mod bypass;
mod clients;
mod contents;
mod doctor;
mod editors;
mod failure;
mod files;
mod forwards;
mod hostile;
mod jump;
mod login;
mod multiplexing;
mod programs;
mod sign_in;
mod sockets;
mod stand;
mod vscode;
mod x11;

use stand::*;
pub(crate) use stand::{Client, SECRET, role};
