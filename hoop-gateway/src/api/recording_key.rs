//! `/api/v1/recording-key`: the public key that recordings are verified with. Whoever asks for it together with a recording
//! learns that both are from this gateway; to rely on it, it is kept, or compared with `recording.pub` in the gateway's data.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::parts::Api;
use super::route::{Permission, Routes};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/api/v1/recording-key", Permission::Member, "The public key that recordings are verified with.", show)
}

#[derive(Serialize, ToSchema)]
struct RecordingKey {
    /// A verifier key of C2SP's signed notes: `hoop-gateway+<id>+<base64>`, as in `recording.pub`.
    key: String,
    /// SHA-256 of the 32 bytes of the key: `sha256:…`.
    fingerprint: String,
}

async fn show(State(api): State<Api>) -> Json<RecordingKey> {
    let key = api.recording_key;
    Json(RecordingKey { key: key.to_string(), fingerprint: key.fingerprint() })
}
