//! Configuration of a gateway: one TOML file, environment variables, flags.
//!
//! A later source wins: default, file, environment, flag. An environment variable is `HOOP_` and the setting's path in
//! upper case with `_` for every dot (`store.url` is `HOOP_STORE_URL`). A key that does not exist is an error that names
//! the file and the line. What is masked and refused is no setting of the gateway: each role says it.
//!
//! ```
//! use hoop_gateway::config::Loader;
//!
//! let loaded = Loader::new()
//!     .text("gateway.toml", "[credentials]\nttl = '1h'")
//!     .env([("HOOP_LISTEN_HTTP_ADDRESS".to_owned(), "127.0.0.1:9000".to_owned())])
//!     .load()?;
//! assert_eq!(loaded.config.listen.http.address.port(), 9000);
//! assert_eq!(loaded.config.credentials.ttl.as_secs(), 3600);
//! # Ok::<(), hoop_gateway::config::ConfigError>(())
//! ```

mod duration;
mod load;
mod reference;
mod setting;
mod types;

pub use duration::parse as parse_duration;
pub use load::{ConfigError, Loaded, Loader, Origin};
pub use reference::reference;
pub use setting::{SETTINGS, Setting, ValueKind};
pub use types::{
    Agents, Config, Credentials, GrpcDoor, HttpDoor, Limits, Listen, PostgresDoor, Record, Secrets, SshDoor,
    StoreSettings, Telemetry, Tls, TlsUse,
};
