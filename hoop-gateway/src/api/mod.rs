//! The REST API on port 8009: `/api/v1/…`, `/healthz`, `/readyz`, `/metrics`; and the pages on which people sign in.
//!
//! **Invariants.** Every route names the permission it needs where it is registered, and its handler is described by its own
//! types, so that the document of the API has all of it; only pages for people are not in it, and stand in `pages/`. Every refusal
//! is rendered in `problem.rs`, or by the page that it is about. Every request that changes something, or reads a recording, is
//! an event of the audit trail.

mod access;
mod agents;
mod auth;
mod body;
mod cookie;
mod credentials;
mod definition;
mod describe;
mod document;
mod etag;
mod events;
mod files;
mod groups;
mod guard;
mod health;
mod host_key;
mod html;
mod idempotency;
mod jump;
mod jwks;
mod keys;
mod login;
mod me;
mod page;
mod pages;
mod parts;
mod problem;
mod rate;
mod recording;
mod recording_key;
mod reference;
mod request;
mod reviews;
mod roles;
mod route;
mod secrets;
mod service_accounts;
mod sessions;
mod ssh;
mod stream;
mod target;
#[cfg(test)]
mod tests;
mod tokens;
mod users;
mod web;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;

pub(crate) use definition::{SLUG, is_slug};
pub(crate) use html::Page;
pub use jwks::{Jwk, JwkSet};
use parts::Api;
pub use parts::{
    ApiParts, ApiSettings, CheckRole, Endpoint, Endpoints, LiveAgents, LiveSessions, Readiness, Recording,
    RecordingFolder, Recordings,
};
pub(crate) use problem::status_of;
pub use rate::Rates;
use reference::Reference;
use route::Routes;

/// The longest body of a request.
const MAX_BODY: usize = 1024 * 1024;

/// The API as a router, to be served or nested elsewhere.
pub fn router(parts: ApiParts) -> Router {
    let api = Api::new(parts, Reference::new(&described()));
    let (router, _) = with_all(Routes::new(api.clone())).into_parts();
    router
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(api.clone(), request::handle))
        .with_state(api)
}

/// The OpenAPI 3.1 document of the API, as JSON for people to read and machines to compare.
pub fn openapi() -> String {
    format!("{:#}\n", described())
}

fn described() -> serde_json::Value {
    let (_, operations) = with_all(Routes::described()).into_parts();
    document::document(&operations)
}

fn with_all(routes: Routes) -> Routes {
    [
        health::routes,
        jwks::routes,
        reference::routes,
        login::routes,
        auth::routes,
        pages::routes,
        me::routes,
        users::routes,
        service_accounts::routes,
        tokens::routes,
        keys::routes,
        groups::routes,
        roles::routes,
        secrets::routes,
        target::routes,
        host_key::routes,
        access::routes,
        agents::routes,
        credentials::routes,
        ssh::routes,
        web::routes,
        sessions::routes,
        reviews::routes,
        files::routes,
        recording_key::routes,
        events::routes,
        stream::routes,
    ]
    .into_iter()
    .fold(routes, |routes, add| add(routes))
}
