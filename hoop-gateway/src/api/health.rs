//! `/healthz`, `/readyz`, `/metrics`: for those who watch the gateway, and no secret to anybody.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use hoop_core::Code;
use hoop_core::id::OrgId;
use serde_json::{Value, json};

use super::parts::Api;
use super::problem::Problem;
use super::route::{Permission, Routes};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/healthz", Permission::Public, health).get("/readyz", Permission::Public, ready).get(
        "/metrics",
        Permission::Public,
        metrics,
    )
}

/// The store has this long to answer.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// The process runs.
async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// New sessions are taken.
async fn ready(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    api.readiness.ready()?;
    let asked = tokio::time::timeout(STORE_TIMEOUT, api.store.users().list(OrgId::DEFAULT, None, 1)).await;
    asked.map_err(|_| Problem::new(Code::StoreUnavailable, "the store does not answer in time"))??;
    Ok(Json(json!({ "status": "ready" })))
}

async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let number = |count: usize| count as f64;
    api.telemetry.agents_attached.set(number(api.agents.count()));
    api.telemetry.sessions_open.set(number(api.sessions.count()));
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], api.telemetry.render())
}
