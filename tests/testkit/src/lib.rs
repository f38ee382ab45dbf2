//! Real servers, clients and gateways for tests that look from outside.
//!
//! A server has a private folder and a free port, is ready when its protocol answers, prints its log when the test that
//! holds it fails, and ends with its handle, or with the test's process when the handle is shared and never dropped.
//! A program that is missing fails the test with the line that installs it.
//!
//! Everything blocks: tests start programs and wait for them, and a gateway is shared between tests that run side by
//! side on threads of their own.
//!
//! ```no_run
//! use hoop_testkit::{Gateway, Options, Postgres, psql};
//!
//! let postgres = Postgres::start();
//! let gateway = Gateway::start(&Options::default());
//! let agent = gateway.agent("here");
//! gateway.role("orders", "here", &postgres, |_| {});
//! let url = gateway.credential("orders", "postgres").url;
//! assert_eq!(psql(&url, &["-c", "select 1"]).ok(), "1\n");
//! ```
//!
//! # Panics
//! Every function panics with what it waited for or ran, and what came instead: a test kit has no errors to handle.

mod browser;
mod chromium;
pub mod clients;
mod disk;
mod fake;
mod folder;
mod gateway;
mod guarded;
mod http;
pub mod memory;
mod postgres;
mod program;
mod rest;
mod scram;
mod secrets;
mod session;
pub mod ssh;
mod sshd;
mod terminal;
mod wait;
mod web;
pub mod wire;

pub use browser::{Browser, Page};
pub use chromium::{Chromium, Shown};
pub use disk::Disk;
pub use fake::{Answer, FakePostgres};
pub use folder::Folder;
pub use gateway::{Credential, Gateway, Options, direct_only, gateway_environment, hoop, hoop_agent, hoop_gateway};
pub use guarded::{Guarded, Plan};
pub use http::{Calls, Grpc, HttpEcho, Nginx, Node, Site, Told, Uvicorn};
pub use postgres::{Postgres, free_port};
pub use program::{Output, find, output, psql, psql_script};
pub use rest::Api;
pub use secrets::{AccessKey, Moto, Vault};
pub use session::{postgres_role, role, session};
pub use sshd::{Sshd, make_key, public_key};
pub use terminal::Terminal;
pub use wait::{retry, until};
pub use web::{Asked, WebAnswer, WebServer, WebSocket};
