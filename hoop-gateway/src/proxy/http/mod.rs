//! HTTP: every message is parsed, decided on, and written anew ([RFC 9110], [RFC 9112], [RFC 9113]).
//!
//! [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110
//! [RFC 9112]: https://www.rfc-editor.org/rfc/rfc9112
//! [RFC 9113]: https://www.rfc-editor.org/rfc/rfc9113

pub(crate) mod fields;
pub(crate) mod status;

mod allow;
mod answer;
mod asked;
mod call;
mod coding;
mod descriptors;
mod exchange;
mod grpc;
mod head;
mod held;
mod identity;
mod patience;
mod probe;
mod reflection;
mod resting;
mod sending;
mod session;
mod validators;
mod web;
mod websocket;

pub(crate) use answer::{Body, empty};
pub(crate) use asked::RequestBody;
pub(crate) use descriptors::Descriptors;
pub(crate) use exchange::{Asker, serve};
pub(crate) use head::{OWN_COOKIES, Origin};
pub(crate) use held::Budget;
pub(crate) use identity::{Identity, IdentityKey};
pub(crate) use probe::probe;
pub(crate) use session::{HttpSession, Limits, Parts, Time};
pub(crate) use web::Wire;
