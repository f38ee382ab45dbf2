//! `/healthz`, `/readyz`, `/metrics`: for those who watch the gateway, and no secret to anybody.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use hoop_core::Code;
use hoop_core::id::OrgId;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::describe::Answer;
use super::document::Operation;
use super::parts::Api;
use super::problem::Problem;
use super::route::{Permission, Routes};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/healthz", Permission::Public, "Whether the process runs.", health)
        .get("/readyz", Permission::Public, "Whether new sessions are taken.", ready)
        .get("/metrics", Permission::Public, "Metrics, in Prometheus' text format.", metrics)
}

#[derive(Serialize, ToSchema)]
struct Health {
    status: &'static str,
    /// The gateway's version.
    version: &'static str,
}

impl Health {
    const fn new(status: &'static str) -> Self {
        Self { status, version: env!("CARGO_PKG_VERSION") }
    }
}

/// The store has this long to answer.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// The process runs.
async fn health() -> Json<Health> {
    Json(Health::new("ok"))
}

/// New sessions are taken.
async fn ready(State(api): State<Api>) -> Result<Json<Health>, Problem> {
    api.readiness.ready()?;
    let asked = tokio::time::timeout(STORE_TIMEOUT, api.store.users().list(OrgId::DEFAULT, None, None, 1)).await;
    asked.map_err(|_| Problem::new(Code::StoreUnavailable, "the store does not answer in time"))??;
    Ok(Json(Health::new("ready")))
}

struct Metrics(String);

impl IntoResponse for Metrics {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "text/plain; version=0.0.4")], self.0).into_response()
    }
}

impl Answer for Metrics {
    fn describe(operation: &mut Operation) {
        let content = json!({ "text/plain": { "schema": { "type": "string" } } });
        operation.answer(StatusCode::OK, json!({ "description": "The metrics.", "content": content }));
    }
}

async fn metrics(State(api): State<Api>) -> Metrics {
    #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let number = |count: usize| count as f64;
    api.telemetry.agents_attached.set(number(api.agents.count()));
    api.telemetry.sessions_open.set(number(api.sessions.count()));
    Metrics(api.telemetry.render() + &api.health.render())
}
