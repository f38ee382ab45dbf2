//! `/.well-known/jwks.json`: the key with which the gateway says to HTTP targets who asks.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::parts::Api;
use super::route::{Permission, Routes};

pub(super) fn routes(routes: Routes) -> Routes {
    let about = "The keys that sign the field Hoop-Identity, as a JWK Set (RFC 7517).";
    routes.get("/.well-known/jwks.json", Permission::Public, about, show)
}

/// A JWK Set ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct JwkSet {
    /// The keys that are good now.
    pub keys: Vec<Jwk>,
}

/// A public key for EdDSA ([RFC 8037 §2](https://www.rfc-editor.org/rfc/rfc8037#section-2)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Jwk {
    /// `OKP`.
    pub kty: &'static str,
    /// `Ed25519`.
    pub crv: &'static str,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: &'static str,
    /// `EdDSA`.
    pub alg: &'static str,
    /// Names the key in the header of a token.
    pub kid: String,
    /// The key, in base64url.
    pub x: String,
}

async fn show(State(api): State<Api>) -> Json<JwkSet> {
    Json(api.identity_keys.clone())
}
