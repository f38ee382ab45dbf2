//! `/api/v1/web`: where browsers and HTTP clients find the gateway.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::parts::{Api, Endpoint};
use super::route::{Permission, Routes};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/api/v1/web", Permission::Member, "Where browsers and HTTP clients find the gateway.", show)
}

#[derive(Serialize, ToSchema)]
struct WebDoor {
    /// The origin of each role, with `{role}` for its name: `https://{role}.apps.example.com`.
    origin: String,
    /// Where the door itself listens, for clients that show a token.
    host: String,
    port: u16,
    tls: bool,
}

async fn show(State(api): State<Api>) -> Json<WebDoor> {
    let Endpoint { host, port, tls } = api.endpoints.proxy.clone();
    Json(WebDoor { origin: api.endpoints.web.origin("{role}"), host, port, tls })
}
