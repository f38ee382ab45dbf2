//! The gateway: doors, policy, plugins, proxies, recordings, and the API, behind one builder.
//!
//! ```
//! use hoop_gateway::Gateway;
//! use hoop_gateway::config::Loader;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let data = folder.path().display().to_string();
//! let settings = [("data", data.as_str()), ("listen.http.address", "127.0.0.1:0"), ("listen.grpc.address", "127.0.0.1:0"), ("listen.postgres.address", "127.0.0.1:0"), ("listen.ssh.address", "127.0.0.1:0"), ("listen.proxy.address", "127.0.0.1:0")];
//! let flags = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
//! let gateway = Gateway::builder().config(Loader::new().flags(flags).load()?.config).build().await?;
//! if let Some(admin) = gateway.first_admin("admin", true).await? {
//!     println!("sign in as {} with {}, and change it", admin.name, admin.password.expose());
//! }
//! let running = gateway.bind().await?; // the ports are known now
//! println!("the API is on {}", running.addresses().http);
//! running.shutdown().await;
//! # Ok(())
//! # }
//! ```

pub mod access;
pub mod api;
pub mod auth;
mod builder;
pub mod changes;
pub mod config;
mod data;
mod folder_lock;
mod gateway;
pub mod health;
pub mod listen;
pub mod plugins;
mod proxy;
pub mod record;
pub mod review;
mod running;
pub mod secrets;
pub mod session;
mod start;
pub mod store;
pub mod telemetry;
#[cfg(test)]
mod tests;
mod ticks;
pub mod tunnel;

pub use access::AccessPolicy;
pub use builder::{BuildError, BuildProblem, GatewayBuilder};
pub use data::{DataError, lock_data, open_store, setup_token};
pub use gateway::{BindError, Gateway};
pub use running::{Addresses, AgentKeyError, Running};
