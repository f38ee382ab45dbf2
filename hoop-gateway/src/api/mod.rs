//! The REST API on port 8009: `/api/v1/…`, `/healthz`, `/readyz`, `/metrics`.
//!
//! **Invariants.** Every route names the permission it needs where it is registered; there is no
//! other way to register one. Every refusal is rendered in `problem.rs`, and nowhere else. Every request that changes
//! something, or reads a recording, is an event of the audit trail.

mod access;
mod agents;
mod body;
mod credentials;
mod events;
mod groups;
mod health;
mod login;
mod me;
mod page;
mod parts;
mod problem;
mod request;
mod roles;
mod route;
mod sessions;
#[cfg(test)]
mod tests;
mod users;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;

use parts::Api;
pub use parts::{
    ApiParts, ApiSettings, CheckRole, Endpoint, Endpoints, LiveAgents, LiveSessions, Readiness, Recording,
    RecordingFolder, Recordings,
};
pub(crate) use roles::{SLUG, is_slug};
use route::Routes;

/// The longest body of a request.
const MAX_BODY: usize = 1024 * 1024;

/// The API as a router, to be served or nested elsewhere.
pub fn router(parts: ApiParts) -> Router {
    let api = Api::new(parts);
    let routes = Routes::new(api.clone());
    let routes = [
        health::routes,
        login::routes,
        me::routes,
        users::routes,
        groups::routes,
        roles::routes,
        access::routes,
        agents::routes,
        credentials::routes,
        sessions::routes,
        events::routes,
    ]
    .into_iter()
    .fold(routes, |routes, add| add(routes));
    routes
        .into_router()
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(api.clone(), request::handle))
        .with_state(api)
}
