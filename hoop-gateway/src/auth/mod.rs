//! Who is it? Local passwords, API tokens, agents' tokens, and time-limited credentials for native clients.

mod bearer;
pub mod credential;
mod first;
pub mod keys;
mod password;
pub mod scope;
#[cfg(test)]
pub(crate) mod scram_client;
mod secret;
mod throttle;
pub mod token;

pub use bearer::{Bearer, settled};
pub use first::{FirstAdmin, FirstAdminError, first_admin};
pub use password::{PasswordError, Passwords};
pub use scope::Scope;
pub use secret::GatewaySecret;
pub(crate) use throttle::network;
pub use throttle::{Throttle, Throttled};
