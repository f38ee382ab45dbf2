//! `/api/v1/ssh`: where SSH clients find the gateway, and how they know it.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::parts::{Api, Endpoint};
use super::route::{Permission, Routes};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/api/v1/ssh", Permission::Member, "Where SSH clients find the gateway, and its host keys.", show)
}

#[derive(Serialize, ToSchema)]
struct SshDoor {
    host: String,
    port: u16,
    /// The host keys that clients are shown, one line of OpenSSH's each.
    host_keys: Vec<String>,
    /// The same as lines of a `known_hosts` file.
    known_hosts: Vec<String>,
}

async fn show(State(api): State<Api>) -> Json<SshDoor> {
    let Endpoint { host, port, .. } = api.endpoints.ssh.clone();
    let (host_keys, known_hosts) = (api.endpoints.ssh_host_keys.clone(), api.endpoints.known_hosts());
    Json(SshDoor { host, port, host_keys, known_hosts })
}
