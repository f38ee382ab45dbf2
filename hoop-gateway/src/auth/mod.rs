//! Who is it? Local passwords, sign-ins by browser and by device code, API tokens, agents' tokens, and time-limited
//! credentials for native clients.

mod bearer;
pub mod browser;
pub mod credential;
pub mod device;
mod first;
pub mod keys;
mod password;
pub mod scope;
#[cfg(test)]
pub(crate) mod scram_client;
mod secret;
pub(crate) mod sign_in;
mod throttle;
pub mod token;

pub use bearer::{Bearer, settled};
pub(crate) use first::make_first;
pub use first::{FirstAdmin, FirstAdminError, SetupToken, first_admin};
pub use password::{PasswordError, Passwords};
pub use scope::Scope;
pub use secret::GatewaySecret;
pub use sign_in::Approved;
pub(crate) use throttle::network;
pub use throttle::{Throttle, Throttled};
