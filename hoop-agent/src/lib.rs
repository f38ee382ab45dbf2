//! The agent: it dials out to a gateway, holds the secrets, and logs in to targets. It opens no listening socket, knows
//! nothing of users or policies, and is a guest in the process that embeds it: no signal handler, no logger, no exit. It starts
//! one thread, which ends with it, so that the gateway hears of it also while the host's runtime is busy.
//!
//! ```no_run
//! use hoop_agent::{Agent, SecretSources};
//! use std::time::Duration;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let agent = Agent::builder()
//!         .key_from_env() // HOOP_KEY=grpcs://shop:hoopk_…@gateway.example.com:8010
//!         .label("site", "fra1")
//!         .secrets(SecretSources::default().allow_env("SHOP_*"))
//!         .allow_target("*.db.internal:5432")
//!         .build()?;
//!     let running = agent.connect().await?; // attached, or an error that says why not
//!     tokio::signal::ctrl_c().await?;
//!     running.shutdown(Duration::from_secs(30)).await;
//!     Ok(())
//! }
//! ```
//!
//! By default the crate is the link alone; each target protocol and each source of secrets is a feature (`postgres`,
//! `secret-env`, `secret-file`, `vault`, `aws`), and `full` is all of them.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(feature = "postgres"),
    allow(dead_code, reason = "without a target nobody asks what may be dialled, or where secrets lie")
)]

mod agent;
mod builder;
pub mod config;
mod error;
mod link;
mod roots;
pub mod secret;
mod target;
mod trace;

pub use agent::{Agent, Running, Status};
pub use builder::{AgentBuilder, BuildError, Problem};
pub use error::{ConnectError, TargetFailure};
pub use hoop_proto::tunnel::BusyPoll;
pub use secret::SecretSources;
pub use trace::ContinueTrace;
