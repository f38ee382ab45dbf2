//! Hoop from outside: real clients, a real database, the built programs.
//!
//! Where no rule says otherwise there is no difference between a session through the gateway and a direct one, so most
//! tests run a client program against both and compare what it printed. `HOOP_E2E_DIRECT=1` leaves the gateway out,
//! which shows that a program prints the same twice.

mod abuse;
mod access;
mod api;
mod audit;
mod cli;
mod clients;
mod columns;
mod crowd;
mod demo;
mod errors;
mod failure;
mod guardrails;
mod hostile;
mod http;
mod keep_alive;
mod limits;
mod masking;
mod psql;
mod reviews;
mod secrets;
mod ssh;
mod stand;
mod stock;
mod store;
mod tls;
mod trace;
mod trust;
mod vaults;
